package sim

import (
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// given is a part that a reservation is to give back at a time.
type given struct {
	limit string
	units int64
	at    quota.Instant
}

// teamOf is what a team has of the session, by arithmetic of the model's own.
type teamOf struct{ used, held int64 }

func (t *teamOf) taken() int64 { return t.used + t.held }

// moveTeam follows what the teams have of the session.
func (m *model) moveTeam(limit, team string, used, held int64) {
	if limit == shared {
		t := m.team(team)
		t.used += used
		t.held += held
	}
}

func (m *model) team(name string) *teamOf {
	if m.teams[name] == nil {
		m.teams[name] = &teamOf{}
	}
	return m.teams[name]
}

// floorOf is a team's floor on the session: of what is known to be in it.
func (m *model) floorOf(team string) int64 {
	if team == owners {
		return m.limits[shared].capacity * ownersPercent / 100
	}
	return m.limits[shared].capacity * guestsPercent / 100
}

// lacks is what a team has not taken of its floor on the session.
func (m *model) lacks(team string) int64 { return max(0, m.floorOf(team)-m.team(team).taken()) }

// keepsFloors sees that a grant leaves what the other team's floor guarantees to it. The guests lend nothing of theirs, the
// owners all of it to work that may be preempted, and to guests within a floor of their own.
func (m *model) keepsFloors(reservation, team string, units int64) {
	other := guests
	if team == guests {
		if other = owners; m.agreed[reservation] || m.team(guests).taken() <= m.floorOf(guests) {
			return
		}
	}
	l := m.limits[shared]
	if l.capacity == 0 {
		return // of a window that nobody knows nothing is guaranteed
	}
	if l.toldAt != 0 {
		m.world.reach(FloorOfToldKept)
	}
	if left := l.capacity - l.held - l.used; units > 0 && left < m.lacks(other) {
		m.world.violate("%s of %s is granted %d: %d are left, the floor of %s lacks %d", reservation, team, units, left, other, m.lacks(other))
	}
}

// preempting follows what is taken back: only of who agreed to it, for the owners' floor and no more than that lacks, never
// out of the guests' own floor unless for their own higher priorities, and with its grace.
func (m *model) preempting(e *quota.ReservationPreempting) {
	w := m.world
	w.reach(Preempting)
	if _, again := m.ending[e.Reservation]; again || m.reservations[e.Reservation] == nil {
		w.violate("reservation %s is preempted and is not live, or is so already", e.Reservation)
		return
	}
	m.ownGives[e.Reservation] = m.ownGives[e.Reservation] || e.Labels.Team == e.For // a team's lower priorities, within its own floor
	if !m.agreed[e.Reservation] || e.Labels.Team != e.For && e.For != owners {
		w.violate("reservation %s of %s is preempted for %s, and may not be", e.Reservation, e.Labels.Team, e.For)
	}
	if e.Expires < e.At || e.Expires > e.At.Add(preemptGrace) || e.Units > 0 && e.Expires != e.At.Add(preemptGrace) {
		w.violate("reservation %s is preempted with %d ms of grace", e.Reservation, e.Expires.Sub(e.At))
	}
	held := m.reservations[e.Reservation][e.Limit]
	if e.Units == 0 {
		m.ending[e.Reservation] = e.Expires
	} else {
		w.reach(PartTaken)
		m.parts[e.Reservation] = append(m.parts[e.Reservation], given{e.Limit, e.Units, e.Expires})
		if sum := m.asked(e.Reservation); sum > held {
			w.violate("reservation %s is to give back %d and holds %d", e.Reservation, sum, held)
		}
	}
	if e.Labels.Team != e.For {
		m.noMoreThanItTakes(e)
	}
}

// asked is what a reservation was told to give back of the session in parts.
func (m *model) asked(reservation string) (units int64) {
	for _, p := range m.parts[reservation] {
		units += p.units
	}
	return units
}

// promised is what comes back of a reservation: what it was told to give back, but no more than it holds of it still. What
// was used in the grace comes back of none of its parts.
func (m *model) promised(reservation string) (units int64) {
	held := m.reservations[reservation][shared]
	if _, whole := m.ending[reservation]; whole {
		return held
	}
	return min(m.asked(reservation), held)
}

// noMoreThanItTakes bounds what comes back in all by what the owners' floor lacks and the session has not left for it.
func (m *model) noMoreThanItTakes(e *quota.ReservationPreempting) {
	l := m.limits[shared]
	if l.observed {
		return // what was spent outside is not known here
	}
	var back int64
	for r := range m.reservations {
		if !m.ownGives[r] {
			back += m.promised(r)
		}
	}
	missing := m.lacks(owners) + m.lacks(guests) - (l.capacity - l.held - l.used)
	if missing = max(0, missing); back > missing {
		m.world.violate("%d come back with %s, and the owners miss %d", back, e.Reservation, missing)
	}
	if left := m.team(guests).taken() - back; left < m.floorOf(guests) {
		m.world.violate("%d come back with %s, and the guests keep %d of their floor of %d", back, e.Reservation, left, m.floorOf(guests))
	}
}

// shrunk judges a part that goes back: what was told, when it was told, and something is left.
func (m *model) shrunk(e *quota.ReservationShrunk) {
	w := m.world
	w.reach(ShrunkForFloor)
	held := m.reservations[e.Reservation]
	i := slices.IndexFunc(m.parts[e.Reservation], func(p given) bool { return p.limit == e.Limit && p.at <= e.At })
	if held == nil || i < 0 {
		w.violate("reservation %s is shrunk without a notice, or early", e.Reservation)
		return
	}
	for _, back := range e.Returned {
		if back.Limit == e.Limit && back.Amount != m.parts[e.Reservation][i].units {
			w.violate("reservation %s gives back %d and was told %d", e.Reservation, back.Amount, m.parts[e.Reservation][i].units)
		}
		m.returns(back, e.At)
		m.moveTeam(back.Limit, e.Labels.Team, 0, -back.Amount)
		if held[back.Limit] -= back.Amount; held[back.Limit] < 0 {
			w.violate("reservation %s gives back %d more of %s than it holds", e.Reservation, -held[back.Limit], back.Limit)
		}
	}
	if held[e.Limit] == 0 {
		w.violate("reservation %s is shrunk to nothing and goes on", e.Reservation)
	}
	m.parts[e.Reservation] = slices.Delete(m.parts[e.Reservation], i, i+1)
}

// ends judges how a reservation is closed: what is preempted ends as such when its grace is over, if its agent does not
// end it before, and nothing else does.
func (m *model) ends(e *quota.ReservationClosed) {
	w := m.world
	at, preempted := m.ending[e.Reservation]
	switch e.Outcome {
	case quota.OutcomePreempted:
		w.reach(Preempted)
		if (!preempted || e.At < at) && !m.nothingLeft(e) {
			w.violate("reservation %s ends as preempted without a notice, or %d ms early", e.Reservation, at.Sub(e.At))
		}
	case quota.OutcomeExpired:
		if preempted {
			w.violate("reservation %s was preempted and is said to have expired", e.Reservation)
		}
	}
	delete(m.ending, e.Reservation)
	delete(m.agreed, e.Reservation)
	delete(m.parts, e.Reservation)
}

// nothingLeft tells whether a part that is due leaves nothing of a reservation, because the rest was used meanwhile.
func (m *model) nothingLeft(e *quota.ReservationClosed) bool {
	return slices.ContainsFunc(m.parts[e.Reservation], func(p given) bool {
		var back int64
		for _, b := range e.Returned {
			if b.Limit == p.limit {
				back = b.Amount
			}
		}
		return p.at <= e.At && back <= p.units
	})
}
