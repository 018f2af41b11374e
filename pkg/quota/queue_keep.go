package quota

import (
	"fmt"
	"slices"
)

// A head that does not fit is passed by what fits, so that no room lies idle; but not for ever. From Policy.QueueSkip
// (ten minutes by default) after it was first passed its line is kept for it: nothing else takes of the limit until it
// has been granted, or is not the head any more. A line is not kept where the head has to wait for the window's reset
// anyway: what fits before the reset does not delay it.

// findKeeper is the head that a line is kept for, or nil. Rules ask keeper, which remembers it while a line is walked.
func (s *State) findKeeper(l *line) *Waiting {
	if w := s.head(l); w != nil && w.Kept && s.helped(w, l.on) {
		return w
	}
	return nil
}

// helped tells whether what comes back on a limit helps an entry to be granted before the reset of its windows. Of a choice
// that several limits are in the way of that is so of one after the other, windows before places: nothing lies idle on one
// of them while another has no room for the entry anyway.
func (s *State) helped(w *Waiting, on string) bool {
	for bounds := range w.choicesOn(on) {
		if s.isNext(w, bounds, on) && !slices.ContainsFunc(bounds, func(b Bound) bool { return !s.helpedBefore(w, &b) }) {
			return true
		}
	}
	return false
}

// isNext tells whether all bounds of a choice that are listed before a limit have room for an entry.
func (s *State) isNext(w *Waiting, bounds []Bound, on string) bool {
	for i := range bounds {
		if bounds[i].On == on {
			return true
		}
		a, ok := s.askFor(w, &bounds[i])
		if !ok || a.closed(s.Now) || a.need() > s.shareRoom(&a, s.limitRoom(&a, s.Now), s.Now) {
			return false
		}
	}
	return false
}

// isNextOnAny is the same for any of its choices.
func (s *State) isNextOnAny(w *Waiting, on string) bool {
	for bounds := range w.choicesOn(on) {
		if s.isNext(w, bounds, on) {
			return true
		}
	}
	return false
}

// helpedBefore tells whether an entry may get what it needs of a limit before the reset of its window: if all that is held
// came back, floors and what is held back would leave enough.
func (s *State) helpedBefore(w *Waiting, b *Bound) bool {
	a, ok := s.askFor(w, b)
	if !ok {
		return false
	}
	if !a.limit.countsSpending() {
		return true
	}
	return a.counter.capacity(a.limit) > 0 && s.fitsIdle(&a, s.Now)
}

// fitsIdle tells whether an ask has room on its window at a time if all that is held there comes back by then.
func (s *State) fitsIdle(a *ask, at Instant) bool {
	counter := a.counter.idle()
	idle := *a
	idle.counter = &counter
	return idle.units <= s.shareRoom(&idle, s.windowRoom(&idle, at), at)
}

// idle is the counter as if nothing were held.
func (c *Counter) idle() Counter {
	idle := *c
	idle.Held, idle.Teams = 0, slices.Clone(c.Teams)
	for i := range idle.Teams {
		idle.Teams[i].Held = 0
	}
	return idle
}

// keptFor is the entry that an ask's limit is kept for, if the ask takes anything and does not come before it.
func (s *State) keptFor(a *ask, now Instant) *Waiting {
	if len(s.queue.lines) == 0 || a.need() == 0 || s.promised(a) {
		return nil // what a floor guarantees the head could not have
	}
	l := s.queue.lines[a.limit.ID]
	if l == nil {
		return nil
	}
	if w := s.keeper(l); w != nil && s.passes(a.labels, a.waiting, w) && !s.leaves(l, w, a.need(), now) {
		return w
	}
	return nil
}

// leaves tells whether so much can be taken of a line's limit that an entry still has room there: it waits for something
// else as well.
func (s *State) leaves(l *line, w *Waiting, units int64, now Instant) bool {
	limit, counter := s.index.byID[l.on], s.counters[l.on]
	if limit == nil || counter == nil {
		return false
	}
	a := s.askOf(w, limit, counter)
	room := s.room(&a, now)
	return a.need() <= room && units <= room-a.need()
}

// afterAll is behind every reservation's id in the order of texts: who waits was there first.
const afterAll = "\xff"

// passes tells whether work that is granted now would go past an entry, rather than come before it by the queue's order.
func (s *State) passes(labels *Labels, waiting string, w *Waiting) bool {
	if waiting == w.Reservation {
		return false
	}
	if from := s.queue.entries[waiting]; from != nil {
		return queueOrder(s.queueKey(w), s.queueKey(from)) < 0
	}
	newcomer := Waiting{Reservation: afterAll, Labels: *labels, Since: s.Now}
	return queueOrder(s.queueKey(w), s.queueKey(&newcomer)) < 0
}

// keptBack is the refusal where a limit is kept for a head.
func (s *State) keptBack(a *ask, w *Waiting, now Instant) *refusal {
	return &refusal{
		code: CodeInsufficientQuota, requested: a.need(), capacity: a.counter.capacity(a.limit),
		message: fmt.Sprintf("%q is kept for a reservation that has waited since %s and was passed long enough",
			a.limit.ID, w.Since.Time().Format("15:04:05")),
		retryable: true, retryAfter: s.untilExpiry(now),
	}
}

// goesPast tells whether what is held on a limit is taken from under the head of its line, which comes before it.
func (s *State) goesPast(h LimitAmount, labels *Labels, waiting string, l *line, w *Waiting, now Instant) bool {
	limit, counter := s.index.byID[h.Limit], s.counters[h.Limit]
	return !s.promised(&ask{labels: labels, limit: limit, counter: counter, units: h.Amount}) && s.passes(labels, waiting, w) &&
		!s.leaves(l, w, h.Amount, now)
}

// passedBy lists the heads that a grant goes past and that were not passed before.
func (s *State) passedBy(held []LimitAmount, labels *Labels, reservation string, now Instant) (ids []string) {
	if len(s.queue.lines) == 0 {
		return nil
	}
	for _, h := range held {
		l := s.queue.lines[h.Limit]
		if l == nil || h.Amount == 0 {
			continue
		}
		if w := s.head(l); w.Passed == 0 && s.isNextOnAny(w, h.Limit) && s.goesPast(h, labels, reservation, l, w, now) && !slices.Contains(ids, w.Reservation) {
			ids = append(ids, w.Reservation)
		}
	}
	return ids
}

// GoesPast lists the heads of lines that such a grant goes past, though they would be granted sooner if it waited: those
// that the reset of the window has to help anyway are not delayed by what fits before it. The grant is not applied yet.
func (s *State) GoesPast(held []LimitAmount, labels *Labels, reservation string, now Instant) (ids []string) {
	for _, h := range held {
		l := s.queue.lines[h.Limit]
		if l == nil || h.Amount == 0 {
			continue
		}
		w := s.head(l)
		if s.helped(w, h.Limit) && s.goesPast(h, labels, reservation, l, w, now) && !slices.Contains(ids, w.Reservation) {
			ids = append(ids, w.Reservation)
		}
	}
	return ids
}

// markPassed remembers since when heads are passed.
func (s *State) markPassed(ids []string, at Instant) {
	for _, id := range ids {
		if w := s.queue.entries[id]; w != nil && w.Passed == 0 {
			w.Passed = at
			s.queue.addPassed(w)
		}
	}
}
