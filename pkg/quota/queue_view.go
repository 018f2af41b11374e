package quota

import "slices"

// WaitingView is a queued reservation as an operator sees it.
type WaitingView struct {
	Waiting
	Place
}

// Queue lists the queued reservations that match, in the order of the queue, with where they stand: from the offset on as many
// as limit says, and how many there are in all. To foresee a grant takes a while, which only those that are listed are worth.
func (s *State) Queue(now Instant, offset, limit int, match func(*Waiting) bool) (views []WaitingView, total int) {
	type keyed struct {
		*Waiting
		key queueKey
	}
	list := make([]keyed, 0, len(s.queue.entries))
	for _, w := range s.queue.entries {
		if match(w) {
			list = append(list, keyed{w, s.queueKey(w)})
		}
	}
	slices.SortFunc(list, func(a, b keyed) int { return queueOrder(a.key, b.key) })
	from := min(offset, len(list))
	listed := list[from:min(from+limit, len(list))]
	views = make([]WaitingView, len(listed))
	for i, w := range listed {
		views[i] = WaitingView{w.copy(), *s.placeOf(w.Waiting, max(now, s.Now))}
	}
	return views, len(list)
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
