package quota

import (
	"fmt"
	"time"
)

// HoldBack keeps the last part of a limit's window for work of at least a priority.
type HoldBack struct {
	Percent  int64    `cbor:"1,keyasint,omitempty"` // of the capacity
	Priority Priority `cbor:"2,keyasint,omitempty"` // work of this priority and above may use it
	// Until is after how much of the window's time it is let go, in percent; 0 means that it is kept to the reset.
	Until int64 `cbor:"3,keyasint,omitempty"`
}

// WindowParts is what a session or calendar window has left for one ask, and what of it is kept for others. Figures are in
// the limit's unit.
type WindowParts struct {
	Free     int64 // neither used, nor held, nor spent outside
	Forecast int64 // kept for spending outside that is expected until the reset
	HeldBack int64 // kept for higher priorities
	// Until is when what is held back is let go; 0 where nothing is, or not before the reset.
	Until Instant
}

// Grantable is what the ask may take.
func (p WindowParts) Grantable() int64 { return max(0, p.Free-p.kept()) }

// kept is the part that is there and not for this ask.
func (p WindowParts) kept() int64 { return min(p.Free, p.Forecast+p.HeldBack) }

// parts composes every rule that keeps something of a window from an ask; each is a function of its own.
func (s *State) parts(a *ask, now Instant) WindowParts {
	free := a.counter.available(a.limit)
	p := WindowParts{Free: free, Forecast: s.forecastKept(a.limit, a.counter, free), HeldBack: s.heldBack(a, now)}
	if p.HeldBack > 0 {
		p.Until = a.counter.heldUntil(a.limit)
	}
	return p
}

// heldBack is the part of the limit's capacity that is not for an ask: of work below the hold-back's priority. What a floor
// guarantees to the ask and does not lend is not kept from it. As long as everybody stays within what was granted there is
// room for both; where work used more than it reserved, what is held back makes up for that, and floors stay whole. In the
// window's last part it is let go, so that it does not lie idle at the reset.
func (s *State) heldBack(a *ask, now Instant) int64 {
	h := a.limit.HoldBack
	if h == nil || a.labels.Priority >= h.Priority || a.counter.letGo(a.limit, now) || s.promised(a) {
		return 0
	}
	return percentOf(a.counter.capacity(a.limit), h.Percent*1000)
}

// heldUntil is when what a window holds back is let go; 0 where that is not before the reset. A session that is not open has
// no last part yet.
func (c *Counter) heldUntil(l *Limit) Instant {
	if l.HoldBack == nil || l.HoldBack.Until == 0 || c.End == 0 {
		return 0
	}
	return c.End.Add(-l.HoldBack.last(c.length(l)))
}

// last is the part of a window's time in which nothing is held back any more.
func (h *HoldBack) last(length Millis) Millis { return Millis(partOf(int64(length), 100-h.Until, 100)) }

// letGo tells whether what a window holds back is let go already.
func (c *Counter) letGo(l *Limit, now Instant) bool {
	at := c.heldUntil(l)
	return at != 0 && at <= now
}

// letGoAt is when an ask has room because what is held back is let go by then, if nothing else changes; 0 where that is no
// help.
func (s *State) letGoAt(a *ask) Instant {
	at := a.counter.heldUntil(a.limit)
	if at <= s.Now || s.heldBack(a, s.Now) == 0 || !s.fits(a, at) {
		return 0
	}
	return at
}

// untilLetGo is how long an ask waits for what is held back to be let go, and for what is still missing then to come back; ok
// is false where that is no help before the reset.
func (s *State) untilLetGo(a *ask, now Instant) (wait Millis, ok bool) {
	at := a.counter.heldUntil(a.limit)
	if at <= now || s.heldBack(a, now) == 0 || !s.fitsIdle(a, at) {
		return 0, false
	}
	wait = at.Sub(now)
	if missing := a.units - s.shareRoom(a, s.windowRoom(a, at), at); missing > 0 {
		wait = max(wait, s.untilFreed(a, missing, now))
	}
	return wait, true
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
	reach := capacity - s.heldBack(a.unspent(), now) // what this ask is sure to get in some window
	most := reach
	if a.counter.letGo(a.limit, now) {
		most = capacity
	}
	switch {
	case a.units > capacity:
		r.retryable, r.reason = false, ReasonTooLarge
		r.message += "; that is more than the whole window: " + terminalAdvice
	case a.units > reach:
		r.retryable = false
		r.message += "; that is more than this priority ever gets of the window" + a.limit.HoldBack.butForTheLastPart() +
			": ask for less, or with a higher priority"
	case a.units <= most-a.counter.spent(a.limit)-room.Forecast-shares:
		r.retryAfter = s.untilFreed(a, a.units-left, now)
	default:
		r.retryAfter = a.counter.untilReset(now)
	}
	s.sooner(r, a, now)
	return r
}

// sooner makes a refusal say when what is held back is let go, where that is a help.
func (s *State) sooner(r *refusal, a *ask, now Instant) {
	if !r.retryable {
		return
	}
	if wait, ok := s.untilLetGo(a, now); ok {
		r.retryAfter = min(r.retryAfter, max(retryAtLeast, wait))
	}
}

// butForTheLastPart restricts what is said of all of a window, where something is let go.
func (h *HoldBack) butForTheLastPart() string {
	if h.Until == 0 {
		return ""
	}
	return " but for its last part"
}

// text says what is kept, and for whom.
func (p WindowParts) text(l *Limit) string {
	kept := min(p.HeldBack, p.Free)
	held, forecast := l.Unit.number(kept), l.Unit.number(min(p.Forecast, p.Free-kept))
	var until string
	if p.Until != 0 {
		until = " until " + p.Until.Time().Format(time.RFC3339)
	}
	switch {
	case kept == 0:
		return fmt.Sprintf("%s are held back for spending outside that is expected until the reset", forecast)
	case min(p.Forecast, p.Free-kept) == 0:
		return fmt.Sprintf("%s are held back for priority %s and above%s", held, l.HoldBack.Priority, until)
	default:
		return fmt.Sprintf("%s are held back for priority %s and above%s, and %s for spending outside that is expected until the reset",
			held, l.HoldBack.Priority, until, forecast)
	}
}
