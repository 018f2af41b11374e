package sim

import "github.com/bursarhq/bursar/pkg/quota"

// queue follows who waits: a place is taken once, ends once, and not after its time.
func (m *model) queue(e quota.Event) {
	w := m.world
	switch e := e.(type) {
	case *quota.ReservationQueued:
		if _, twice := m.waiting[e.Reservation]; twice || m.reservations[e.Reservation] != nil || m.closed[e.Reservation] {
			w.violate("reservation %s is queued and was known", e.Reservation)
		}
		m.waiting[e.Reservation] = e.Until
		w.reach(Queued)
	case *quota.ReservationWaiting:
		if _, waits := m.waiting[e.Reservation]; !waits {
			w.violate("reservation %s waits for something else and does not wait", e.Reservation)
		}
		if e.Kept {
			w.reach(KeptForHead)
		}
	case *quota.ReservationDequeued:
		until, waits := m.waiting[e.Reservation]
		if !waits {
			w.violate("reservation %s leaves the queue and was not in it", e.Reservation)
		}
		delete(m.waiting, e.Reservation)
		switch e.Outcome {
		case quota.QueueGranted:
			w.reach(GrantedFromQueue)
		case quota.QueueCancelled:
			w.reach(CancelledInQueue)
			m.closed[e.Reservation] = true
		case quota.QueueTimedOut:
			w.reach(TimedOutInQueue)
			m.closed[e.Reservation] = true
			if e.At < until {
				w.violate("the wait of %s ends %d ms early", e.Reservation, until.Sub(e.At))
			}
		}
	}
}

// observed follows what the provider says of windows.
func (m *model) observed(e *quota.ObservationRecorded) {
	l := m.limits[e.Limit]
	if l == nil {
		m.world.reach(ObservedUnknown)
		return
	}
	if m.told(l, e); !e.Effective {
		return
	}
	m.world.reach(Observed)
	l.start, l.shut = e.Span.Start, e.ClosedUntil
	l.observed = l.observed || e.Observation.Capacity == 0
	if e.ClosedUntil > e.At {
		m.world.reach(ClosedByProvider)
	}
}
