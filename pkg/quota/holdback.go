package quota

import "fmt"

// HoldBack keeps the last part of a limit's window for work of at least a priority.
type HoldBack struct {
	Percent  int64    `cbor:"1,keyasint,omitempty"` // of the capacity
	Priority Priority `cbor:"2,keyasint,omitempty"` // work of this priority and above may use it
}

// WindowParts is what a session or calendar window has left for one ask, and what of it is kept for others. Figures are in
// the limit's unit.
type WindowParts struct {
	Free     int64 // neither used, nor held, nor spent outside
	Forecast int64 // kept for spending outside that is expected until the reset
	HeldBack int64 // kept for higher priorities
}

// Grantable is what the ask may take.
func (p WindowParts) Grantable() int64 { return max(0, p.Free-p.kept()) }

// kept is the part that is there and not for this ask.
func (p WindowParts) kept() int64 { return min(p.Free, p.Forecast+p.HeldBack) }

// parts composes every rule that keeps something of a window from an ask; each is a function of its own.
func (s *State) parts(a *ask) WindowParts {
	free := a.counter.available(a.limit)
	return WindowParts{
		Free: free, Forecast: s.forecastKept(a.limit, a.counter, free), HeldBack: s.heldBack(a),
	}
}

// heldBack is the part of the limit's capacity that is not for an ask: of work below the hold-back's priority. What a floor
// guarantees to the ask and does not lend is not kept from it. As long as everybody stays within what was granted there is
// room for both; where work used more than it reserved, what is held back makes up for that, and floors stay whole.
func (s *State) heldBack(a *ask) int64 {
	if h := a.limit.HoldBack; h == nil || a.labels.Priority >= h.Priority || s.promised(a) {
		return 0
	}
	return percentOf(a.counter.capacity(a.limit), a.limit.HoldBack.Percent*1000)
}

// refuseWindow words why a window has no room for an ask. A part that is kept for others is told as such, never as
// depleted: what was asked for would fit but for it.
func (s *State) refuseWindow(a *ask, room WindowParts, now Instant) *refusal {
	capacity := a.counter.capacity(a.limit)
	left := s.shareRoom(a, room.Grantable(), now)
	shares := room.Grantable() - left // what floors and shares keep of it
	r := &refusal{
		code: CodeInsufficientQuota, requested: a.units, available: left, capacity: capacity,
		heldBack: room.kept() + shares, reason: ReasonDepleted, retryable: true,
		message: fmt.Sprintf("%q has %s of %s available, %s were asked for", a.limit.ID, a.limit.Unit.number(left),
			a.limit.Unit.amount(capacity), a.limit.Unit.number(a.units)),
	}
	if a.units <= room.Free {
		r.reason = ReasonHeldBack
	}
	if room.kept() > 0 {
		r.message += "; " + room.text(a.limit)
	}
	if shares > 0 {
		r.message += fmt.Sprintf("; floors and shares keep %s from team %q", a.limit.Unit.number(shares), a.labels.Team)
	}
	reach := capacity - s.heldBack(a.unspent()) // what this ask could ever get
	switch {
	case a.units > capacity:
		r.retryable, r.reason = false, ReasonTooLarge
		r.message += "; that is more than the whole window: " + terminalAdvice
	case a.units > reach:
		r.retryable = false
		r.message += "; that is more than this priority ever gets of the window: ask for less, or with a higher priority"
	case a.units <= reach-a.counter.spent(a.limit)-room.Forecast-shares:
		r.retryAfter = s.untilFreed(a, a.units-left, now)
	default:
		r.retryAfter = a.counter.untilReset(now)
	}
	return r
}

// text says what is kept, and for whom.
func (p WindowParts) text(l *Limit) string {
	kept := min(p.HeldBack, p.Free)
	held, forecast := l.Unit.number(kept), l.Unit.number(min(p.Forecast, p.Free-kept))
	switch {
	case kept == 0:
		return fmt.Sprintf("%s are held back for spending outside that is expected until the reset", forecast)
	case min(p.Forecast, p.Free-kept) == 0:
		return fmt.Sprintf("%s are held back for priority %s and above", held, l.HoldBack.Priority)
	default:
		return fmt.Sprintf("%s are held back for priority %s and above, and %s for spending outside that is expected until the reset",
			held, l.HoldBack.Priority, forecast)
	}
}
