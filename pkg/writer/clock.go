package writer

import (
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// clock turns wall and monotonic time into ledger time. Ledger time follows the wall clock but never goes back, and
// gains on the monotonic clock at most MaxClockStep at once and as much again for each time that much has passed. While
// the wall clock is behind it goes at half the monotonic pace: it must not stand still, because leases end by it.
type clock struct {
	now    quota.Instant
	mono   time.Duration // up to which elapsed time is counted
	credit quota.Millis  // how much it may gain now
	odd    quota.Millis  // the half millisecond that the last slow step left over, doubled
}

// start sets the clock at the beginning of a reign, when the wall clock was compared with the server's.
func (c *clock) start(at Time, atLeast quota.Instant) {
	*c = clock{now: max(at.Wall, atLeast), mono: at.Mono, credit: MaxClockStep}
}

// advance moves the clock to a step's time.
func (c *clock) advance(at Time) {
	elapsed := max(0, quota.MillisOf(at.Mono-c.mono))
	c.mono += elapsed.Duration()
	c.credit = min(MaxClockStep, c.credit+elapsed)
	slowest := (elapsed + c.odd) / 2
	c.odd = (elapsed + c.odd) % 2
	step := min(max(at.Wall.Sub(c.now), slowest), elapsed+c.credit)
	c.credit -= max(0, step-elapsed)
	c.now = c.now.Add(step)
}

// until is the monotonic time at which the clock should show an instant.
func (c *clock) until(due quota.Instant) time.Duration {
	return c.mono + max(time.Millisecond, due.Sub(c.now).Duration())
}
