package sim

import "github.com/bursarhq/bursar/pkg/quota"

// model folds the log by arithmetic of its own: what is held and used on each limit, and by whom. It knows none of the
// rules, only that nothing may be granted beyond a capacity and that what was held must be used or returned.
type model struct {
	world        *world
	limits       map[string]*counted
	reservations map[string]map[string]int64 // held, by reservation and limit
	closed       map[string]bool
	calls        map[string]int64
	rolled       int
	waiting      map[string]quota.Instant // until when, by reservation
	agreed       map[string]bool          // live and preemptible
	ownGives     map[string]bool          // preempted for a higher priority of its own team
	ending       map[string]quota.Instant // preempted: when they end
	parts        map[string][]given       // what they are to give back, and go on
	teams        map[string]*teamOf       // who has what of the session
}

type counted struct {
	kind       quota.WindowKind
	capacity   int64
	held, used int64
	start      quota.Instant
	shut       quota.Instant // until then the provider refuses
	observed   bool          // something may have been spent outside, and more is expected to be
	configured int64
	toldAt     quota.Instant // when the provider said the capacity that counts; 0 for never
	bucket     bucket
	letGo      quota.Instant // when what it holds back is let go; 0 while it is not open
}

func newModel(w *world) model {
	return model{
		world: w, limits: map[string]*counted{}, reservations: map[string]map[string]int64{}, closed: map[string]bool{}, calls: map[string]int64{},
		waiting: map[string]quota.Instant{}, agreed: map[string]bool{}, ownGives: map[string]bool{}, ending: map[string]quota.Instant{},
		parts: map[string][]given{}, teams: map[string]*teamOf{},
	}
}

func (m *model) fold(e quota.Event) {
	switch e := e.(type) {
	case *quota.ConfigApplied:
		for _, l := range e.Config.Limits {
			c := &counted{kind: l.Window.Kind, capacity: l.Capacity, configured: l.Capacity}
			if c.kind == quota.WindowBucket {
				c.bucket = newBucket(&l, e.At)
			}
			m.limits[l.ID] = c
		}
		for _, span := range e.Opened {
			m.open(span)
		}
	case *quota.ReservationGranted:
		if m.reservations[e.Reservation] != nil || m.closed[e.Reservation] {
			m.world.violate("reservation %s is granted twice", e.Reservation)
		}
		if _, waits := m.waiting[e.Reservation]; waits {
			m.world.violate("reservation %s is granted and still in the queue", e.Reservation)
		}
		m.reservations[e.Reservation] = map[string]int64{}
		if e.Preemptible {
			m.agreed[e.Reservation] = true
		}
		m.hold(e.Reservation, e.Labels.Team, e.At, e.Holds)
	case *quota.ReservationExtended:
		m.hold(e.Reservation, e.Labels.Team, e.At, e.Holds)
	case *quota.ReservationQueued, *quota.ReservationWaiting, *quota.ReservationDequeued:
		m.queue(e)
	case *quota.ReservationPreempting:
		m.preempting(e)
	case *quota.ReservationShrunk:
		m.shrunk(e)
	case *quota.ObservationRecorded:
		m.observed(e)
	case *quota.UsageRecorded:
		m.usage(e)
	case *quota.ReservationClosed:
		m.close(e)
	case *quota.WindowOpened:
		m.open(e.Span)
	case *quota.WindowRolled:
		m.rolled++
		l := m.limits[e.Next.Limit]
		if l.used != e.Used {
			m.world.violate("limit %s rolls over with %d used, charged were %d", e.Next.Limit, e.Used, l.used)
		}
		l.used, l.shut = 0, 0
		m.open(e.Next)
		if e.Next.Limit == shared {
			m.team(owners).used, m.team(guests).used = 0, 0
		}
	}
}

// hold takes what is granted and sees that it fits.
func (m *model) hold(reservation, team string, at quota.Instant, holds []quota.LimitAmount) {
	for _, h := range holds {
		l := m.limits[h.Limit]
		if at < l.shut {
			m.world.violate("%s is granted %d on %s, which the provider has closed for %d ms more", reservation, h.Amount, h.Limit, l.shut.Sub(at))
		}
		switch {
		case l.kind == quota.WindowBucket:
			if !l.bucket.take(h.Amount, at) {
				m.world.violate("%s is granted %d on %s, which has %d milliunits", reservation, h.Amount, h.Limit, l.bucket.milli())
			}
		case l.capacity > 0 && l.held+l.used+h.Amount > l.capacity:
			m.world.violate("%s is granted %d on %s, where %d are held and %d used of %d", reservation, h.Amount, h.Limit, l.held, l.used, l.capacity)
		}
		l.held += h.Amount
		m.reservations[reservation][h.Limit] += h.Amount
		m.moveTeam(h.Limit, team, 0, h.Amount)
		if h.Limit == shared {
			m.keepsFloors(reservation, team, h.Amount)
		}
		if h.Limit == stint {
			m.holdsBack(reservation, h.Amount, at)
		}
	}
}

func (m *model) usage(e *quota.UsageRecorded) {
	if e.CallID != "" {
		m.calls[e.CallID] += e.Tokens.Total()
	}
	for _, c := range e.Charges {
		l := m.limits[c.Limit]
		if c.Window == l.start && l.kind != quota.WindowBucket {
			l.used += c.Amount
			m.moveTeam(c.Limit, e.Labels.Team, c.Amount, 0)
		}
		if l.kind == quota.WindowBucket {
			l.bucket.move(c.Within-c.Amount, e.At)
		}
		l.held -= c.Within
		m.moveTeam(c.Limit, e.Labels.Team, 0, -c.Within)
		if c.Within == 0 {
			continue
		}
		held := m.reservations[e.Reservation]
		if held[c.Limit] -= c.Within; held[c.Limit] < 0 {
			m.world.violate("%s uses %d more on %s than it holds", e.Reservation, -held[c.Limit], c.Limit)
		}
	}
}

func (m *model) close(e *quota.ReservationClosed) {
	held := m.reservations[e.Reservation]
	if held == nil {
		m.world.violate("reservation %s is closed and was not open", e.Reservation)
		return
	}
	for _, back := range e.Returned {
		m.returns(back, e.At)
		m.moveTeam(back.Limit, e.Labels.Team, 0, -back.Amount)
		held[back.Limit] -= back.Amount
	}
	for limit := range m.limits {
		if held[limit] != 0 {
			m.world.violate("reservation %s is closed and %d on %s neither used nor returned", e.Reservation, held[limit], limit)
		}
	}
	m.ends(e)
	delete(m.reservations, e.Reservation)
	m.closed[e.Reservation] = true
}
