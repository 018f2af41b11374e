package quota

import (
	"fmt"
	"slices"
)

// Default times of the queue; a configuration may give others.
const (
	DefaultQueueAgeing = 30 * Minute // waiting so long lifts an entry by one rank
	DefaultQueueSkip   = 10 * Minute // a head is passed for so long
	DefaultGrantGrace  = Minute      // a grant from the queue needs a sign of life within it
)

// WithDefaults fills in what is not stated of the ladder and the queue.
func (p Policy) WithDefaults() Policy {
	p.Ladder = slices.Clone(p.ladder())
	p.QueueAgeing, p.QueueSkip, p.GrantGrace = p.queueAgeing(), p.queueSkip(), p.grantGrace()
	return p
}

func (p *Policy) queueAgeing() Millis { return orDefault(p.QueueAgeing, DefaultQueueAgeing) }
func (p *Policy) queueSkip() Millis   { return orDefault(p.QueueSkip, DefaultQueueSkip) }
func (p *Policy) grantGrace() Millis  { return orDefault(p.GrantGrace, DefaultGrantGrace) }

func orDefault(given, usual Millis) Millis {
	if given > 0 {
		return given
	}
	return usual
}

// wait gives a reserve that no rung granted a place in the queue; ok is false where waiting is of no use or there is no room.
func (d decider) wait(c *Reserve, up *climb, reclaimed []Event) (events []Event, result Result, ok bool) {
	s, now := d.state, d.env.Now
	bounds := up.bounds()
	if c.MaxWait == 0 || !s.Config.Policy.waits() || len(bounds) == 0 || s.queueFull(c.Actor) != "" {
		return nil, Result{}, false
	}
	w := &Waiting{
		Reservation: c.Reservation, Labels: up.base, Wish: *up.wish, Since: now, Until: now.Add(min(c.MaxWait, MaxQueueWait)), Bounds: bounds,
	}
	place := s.placeOf(w, now)
	if back := backAt(reclaimed); back != 0 {
		place.GrantFrom, place.GrantAt, place.GrantTo = now, back, back
	}
	r := up.shortest()
	e := &ReservationQueued{
		At: now, Reservation: w.Reservation, Labels: w.Labels, Wish: w.Wish, Until: w.Until, Bounds: bounds, Code: r.code, Limit: r.limit,
		Requested: r.requested, Available: r.available, Position: place.Position, GrantFrom: place.GrantFrom, GrantAt: place.GrantAt,
		GrantTo: place.GrantTo, Config: s.Config.Version, Steps: up.steps,
	}
	if place.GrantAt != 0 && s.foreseeable(w) {
		e.By = s.foresightOf(&w.Labels).correction()
	}
	return []Event{e}, Result{
		Reservation: w.Reservation, Provider: w.Labels.Provider, Account: w.Labels.Account, Model: w.Labels.Model, Priority: w.Labels.Priority,
		Limit: r.limit, Requested: r.requested, Available: r.available, Capacity: r.capacity, Version: s.Config.Version, Queue: place,
		Message: fmt.Sprintf("queued at place %d: %s", place.Position, r.message),
	}, true
}

// queueFull says which bound of the queue an agent's next entry would break; empty for none.
func (s *State) queueFull(actor Actor) string {
	switch {
	case len(s.queue.entries) >= MaxQueued:
		return fmt.Sprintf("the queue holds %d reservations, its bound", MaxQueued)
	case s.queue.byAgent[actor] >= MaxQueuedPerAgent:
		return fmt.Sprintf("the agent has %d queued reservations, the bound", MaxQueuedPerAgent)
	}
	return ""
}

// cancel ends a wait at somebody's word.
func (d decider) cancel(w *Waiting, by Actor, reason string) ([]Event, Result) {
	e := dequeued(w, d.env.Now, QueueCancelled)
	e.By, e.Reason = by, reason
	return []Event{e}, Result{
		Reservation: w.Reservation, Provider: w.Labels.Provider, Account: w.Labels.Account, Model: w.Labels.Model, Priority: w.Labels.Priority,
		Outcome: OutcomeCancelled,
	}
}

func dequeued(w *Waiting, now Instant, outcome QueueOutcome) *ReservationDequeued {
	return &ReservationDequeued{
		At: now, Reservation: w.Reservation, Labels: w.Labels, Outcome: outcome, QueuedAt: w.Since, Wanted: w.Wish.Amount,
	}
}

// tickQueue takes one step: waits that are over end, lines are kept for heads that were passed long enough, or the first
// entry that can be granted is. Where something was due it gives at least one event, so that time moves on.
func (d decider) tickQueue() []Event {
	if len(d.state.queue.entries) == 0 {
		return nil
	}
	if events := d.endWaits(); len(events) > 0 {
		return events
	}
	if events := d.keepLines(); len(events) > 0 {
		return events
	}
	if w := d.nextInQueue(); w != nil {
		return d.tryWaiting(w)
	}
	return nil
}

// endWaits ends the waits whose time is over. Rungs that stand behind the queue get their turn first.
func (d decider) endWaits() (events []Event) {
	s, now := d.state, d.env.Now
	after := s.Config.Policy.afterQueue()
	for _, w := range s.queue.ending {
		if w.Until > now || len(events) == maxExpiriesPerTick {
			break
		}
		up, r := d.climbAgain(w)
		if r == nil {
			if o := up.run(after); o != nil {
				if len(events) > 0 {
					break // what is granted changes what the next may have
				}
				return d.grantWaiting(w, up, o)
			}
		}
		e := dequeued(w, now, QueueTimedOut)
		e.Steps = up.steps
		if best := up.shortest(); best != nil {
			e.Code, e.Limit = best.code, best.limit
		}
		events = append(events, e)
	}
	return events
}

// keepLines keeps lines for heads that were passed for as long as the policy allows.
func (d decider) keepLines() (events []Event) {
	skip := d.state.Config.Policy.queueSkip()
	for _, w := range d.state.queue.passed {
		if w.Passed.Add(skip) > d.env.Now || len(events) == maxExpiriesPerTick {
			break
		}
		events = append(events, &ReservationWaiting{At: d.env.Now, Reservation: w.Reservation, Bounds: w.Bounds, Kept: true})
	}
	return events
}

// nextInQueue is the first entry, by the order of the queue, that has room on something it waits for; nil for none.
func (d decider) nextInQueue() *Waiting {
	s := d.state
	var next *Waiting
	for _, l := range s.queue.linesInOrder() {
		if at := s.lineDue(l); at == 0 || at > d.env.Now {
			continue
		}
		if w := d.firstWithRoom(l); next == nil || queueOrder(s.queueKey(w), s.queueKey(next)) < 0 {
			next = w
		}
	}
	return next
}

// firstWithRoom is the first entry of a line that has room on what it waits for; the head where time took the room away.
func (d decider) firstWithRoom(l *line) *Waiting {
	s := d.state
	limit := s.index.byID[l.on]
	found := s.head(l)
	if limit == nil {
		return found
	}
	s.remembering(func() {
		walk := newWalk(s, l, d.env.Now)
		s.each(l, func(w *Waiting) verdict {
			if walk.endsBefore(w) {
				return stop
			}
			if at := walk.ready(w); at != 0 && at <= d.env.Now {
				found = w
				return stop
			}
			return walk.next()
		})
	})
	return found
}

// tryWaiting grants to an entry, or says what it waits for now.
func (d decider) tryWaiting(w *Waiting) []Event {
	now := d.env.Now
	var reclaimed []Event
	up, r := d.climbAgain(w)
	if r == nil {
		if o := up.run(d.state.Config.Policy.beforeQueue()); o != nil {
			return d.grantWaiting(w, up, o)
		}
		reclaimed = up.reclaim()
	}
	if bounds := up.bounds(); len(bounds) > 0 {
		return append(reclaimed, waitFor(w, bounds, now, len(reclaimed) > 0)...)
	}
	e := dequeued(w, now, QueueRefused)
	e.Steps = up.steps
	if best := up.shortest(); best != nil {
		e.Code, e.Limit, e.Reason = best.code, best.limit, best.message
	}
	return []Event{e}
}

// waitFor says what an entry waits for from now on. Where that is the same as before it says nothing, if something else was
// done for the entry; if nothing was, then nothing is to be hoped of what floors owe to it before something else changes.
func waitFor(w *Waiting, bounds []Bound, now Instant, done bool) []Event {
	if sameBounds(bounds, w.Bounds) {
		if done {
			return nil
		}
		for i := range bounds {
			bounds[i].Owed = 0
		}
	}
	return []Event{&ReservationWaiting{At: now, Reservation: w.Reservation, Bounds: bounds, Kept: w.Kept}}
}

// climbAgain prepares an entry's way up the ladder; a refusal says that it cannot even begin.
func (d decider) climbAgain(w *Waiting) (*climb, *refusal) {
	up := &climb{decider: d, wish: &w.Wish, base: w.Labels, waiting: w.Reservation}
	principal, ok := d.state.Config.Principal(w.Labels.Principal)
	if !ok {
		r := &refusal{code: CodeInvalid, message: fmt.Sprintf("principal %q is not in the configuration any more", w.Labels.Principal)}
		up.refusals = append(up.refusals, refused{refusal: r, labels: w.Labels})
		return up, r
	}
	return up, up.begin(&principal)
}

// grantWaiting ends a wait with a grant. The agent has the grace to give a sign of life.
func (d decider) grantWaiting(w *Waiting, up *climb, o *offer) []Event {
	events, _ := d.grant(w.Reservation, up, o)
	granted := events[len(events)-1].(*ReservationGranted)
	granted.QueuedAt, granted.Unclaimed = w.Since, true
	granted.Expires = min(granted.Deadline, d.env.Now.Add(d.state.Config.Policy.grantGrace()))
	return append([]Event{dequeued(w, d.env.Now, QueueGranted)}, granted)
}
