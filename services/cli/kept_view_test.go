package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// What is held back is told with for whom, and until when where that is before the reset.
func TestStatusSaysUntilWhenIsHeldBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.Local)
	for until, want := range map[wire.Time]string{
		0:                                        "session: 1.5M is kept for priority high and above\n",
		wire.Time(now.UnixMilli() + 4*3_600_000): "session: 1.5M is kept for priority high and above until 14:00\n",
	} {
		var out bytes.Buffer
		c := &statusCommand{app: &app{screen: screen.New(&out, func(string) string { return "" })}}
		c.showKept(&wire.Limit{LimitID: "s", Account: "a", Name: "session", Unit: "tokens", HeldBack: 1_500_000, HeldFor: "high", HeldUntil: until}, now)
		if got := out.String(); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
