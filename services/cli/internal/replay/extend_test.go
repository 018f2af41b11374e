package replay

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

func TestMore(t *testing.T) {
	t.Parallel()
	call := quota.Tokens{Input: 10, CacheRead: 80, Output: 10}
	for name, row := range map[string]struct {
		holding holding
		want    int64
	}{
		"nothing was called yet":    {holding{granted: 50}, 0},
		"another one fits":          {holding{granted: 300, used: 200, last: call}, 0},
		"it does not":               {holding{granted: 299, used: 200, last: call}, 200},
		"beyond it already":         {holding{granted: 100, used: 180, last: call}, 200},
		"a long job takes a half":   {holding{granted: 1000, used: 1000, last: call}, 500},
		"it was refused before":     {holding{granted: 100, used: 180, last: call, refused: true}, 0},
		"a call that used no token": {holding{granted: 100, used: 100}, 0},
	} {
		if got := row.holding.more(); got.Total() != row.want {
			t.Errorf("%s: extends by %+v, want %d", name, got, row.want)
		}
	}
}
