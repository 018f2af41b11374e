package system

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
)

// Of files that the engine ends over an operator learns how to go on; of anything else that would be wrong advice.
func TestClickHouseThatEndsIsToBeMovedAway(t *testing.T) {
	t.Parallel()
	s := &system{cfg: Config{Dir: datadir.Dir("there")}}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("starting: %w: cannot parse", chembed.ErrEnded), true},
		{chembed.ErrNoLibrary, false},
	} {
		got := s.clickHouseHint(tt.err)
		if says := strings.Contains(got.Error(), "move "+s.cfg.Dir.ClickHouse()+" away"); says != tt.want || !errors.Is(got, tt.err) {
			t.Errorf("of %q it says %q", tt.err, got)
		}
	}
}
