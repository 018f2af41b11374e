package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// showKept tells what a window keeps back and what was learned of it, below the table.
func (c *statusCommand) showKept(l *wire.Limit, now time.Time) {
	var parts []string
	if l.HeldBack > 0 {
		kept := amount(l.HeldBack, l.Unit) + " is kept for priority " + l.HeldFor + " and above"
		if l.HeldUntil != 0 {
			kept += " until " + clock(l.HeldUntil, now)
		}
		parts = append(parts, kept)
	}
	if l.Forecast > 0 {
		parts = append(parts, fmt.Sprintf("%s more are expected outside until the reset, %s kept for them", amount(l.Forecast, l.Unit), amount(l.ForecastKept, l.Unit)))
	}
	if e := l.Learned; e != nil {
		high := "more"
		if e.High > 0 {
			high = amount(e.High, l.Unit)
		}
		learned := fmt.Sprintf("learned from %s: it holds %s (%s to %s)", counted(e.Observations, "observation"), amount(e.Likely, l.Unit), amount(e.Low, l.Unit), high)
		if !e.Decides {
			learned += ", not enough to go by yet"
		}
		parts = append(parts, learned)
	}
	if len(parts) > 0 {
		c.screen.Note(screen.Faint, limitName(l)+": "+strings.Join(parts, "; "))
	}
}
