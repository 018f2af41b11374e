package sim

import "github.com/bursarhq/bursar/pkg/quota"

// preempting follows what is taken back: only of who agreed to it, once, for another team's floor, and with its grace.
func (m *model) preempting(e *quota.ReservationPreempting) {
	w := m.world
	w.reach(Preempting)
	if _, again := m.ending[e.Reservation]; again || m.reservations[e.Reservation] == nil {
		w.violate("reservation %s is preempted and is not live, or is so already", e.Reservation)
	}
	if !m.agreed[e.Reservation] || e.Labels.Team == e.For || e.For != owners {
		w.violate("reservation %s of %s is preempted for %s, and may not be", e.Reservation, e.Labels.Team, e.For)
	}
	if e.Expires < e.At || e.Expires > e.At.Add(preemptGrace) {
		w.violate("reservation %s is preempted with %d ms of grace", e.Reservation, e.Expires.Sub(e.At))
	}
	m.ending[e.Reservation] = e.Expires
}

// ends judges how a reservation is closed: what is preempted ends as such when its grace is over, if its agent does not
// end it before, and nothing else does.
func (m *model) ends(e *quota.ReservationClosed) {
	w := m.world
	at, preempted := m.ending[e.Reservation]
	switch e.Outcome {
	case quota.OutcomePreempted:
		w.reach(Preempted)
		if !preempted || e.At < at {
			w.violate("reservation %s ends as preempted without a notice, or %d ms early", e.Reservation, at.Sub(e.At))
		}
	case quota.OutcomeExpired:
		if preempted {
			w.violate("reservation %s was preempted and is said to have expired", e.Reservation)
		}
	}
	delete(m.ending, e.Reservation)
	delete(m.agreed, e.Reservation)
}
