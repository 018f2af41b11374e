package sim

import "github.com/bursarhq/bursar/pkg/quota"

// In some schedules a window of its own has a part held back for high priority, which no agent has, and lets it go before its
// reset.
const (
	stintsIn      = 3       // one schedule of so many
	stint         = "stint" // the limit
	stintUnits    = 1_800
	stintLasts    = 10 * quota.Second
	stintHeldBack = 40 // percent
	stintUntil    = 60 // percent of its time
)

// open follows when a limit's window began, and when it lets go what it holds back.
func (m *model) open(span quota.WindowSpan) {
	l := m.limits[span.Limit]
	l.start, l.letGo = span.Start, 0
	if span.Limit == stint && span.End != 0 {
		l.letGo = span.End.Add(-stintLasts * (100 - stintUntil) / 100)
	}
}

// holdsBack sees that a grant leaves what is held back, up to the instant at which that is let go.
func (m *model) holdsBack(reservation string, units int64, at quota.Instant) {
	l := m.limits[stint]
	left := l.capacity - l.held - l.used
	if units == 0 || left >= stintUnits*stintHeldBack/100 {
		return
	}
	if l.letGo == 0 || at < l.letGo {
		m.world.violate("%s is granted %d of what is held back: %d are left, %d ms before it is let go", reservation, units, left, l.letGo.Sub(at))
	}
	m.world.reach(LetGo)
}
