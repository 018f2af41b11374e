package quota

import "slices"

// WaitingView is a queued reservation as an operator sees it.
type WaitingView struct {
	Waiting
	Place
}

// Queue lists the queued reservations that match, in the order of the queue, with where they stand.
func (s *State) Queue(now Instant, match func(*Waiting) bool) []WaitingView {
	list := make([]*Waiting, 0, len(s.queue.entries))
	for _, w := range s.queue.entries {
		if match(w) {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *Waiting) int { return queueOrder(s.queueKey(a), s.queueKey(b)) })
	views := make([]WaitingView, len(list))
	for i, w := range list {
		views[i] = WaitingView{w.copy(), *s.placeOf(w, max(now, s.Now))}
	}
	return views
}

// QueuedBy tells whether an agent has any queued reservation.
func (s *State) QueuedBy(actor Actor) bool { return s.queue.byAgent[actor] > 0 }

// WaitsFor names what the entry waits for that is no limit, in words; limit is empty then.
func (b *Bound) WaitsFor() (limit, other string) {
	if len(b.On) > 0 && b.On[0] == watchAccount[0] {
		return "", b.On[1:]
	}
	return b.On, ""
}
