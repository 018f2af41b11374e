package quota

import (
	"cmp"
	"fmt"
	"slices"
)

// A floor's owner gets back what is lent. First nothing more is granted to borrowers: that is shareRoom. Where that is not
// enough, preemptible reservations of others are closed after a grace, and what they have not used returns.

// DefaultPreemptGrace is how long a preempted reservation may go on.
const DefaultPreemptGrace = Minute

func (p *Policy) preemptGrace() Millis { return orDefault(p.PreemptGrace, DefaultPreemptGrace) }

// ReservationPreempting says that a reservation ends at Expires, because its team or priority has what the owner of a floor
// asks for.
type ReservationPreempting struct {
	At          Instant `cbor:"1,keyasint,omitempty"`
	Reservation string  `cbor:"2,keyasint,omitempty"`
	Labels      Labels  `cbor:"3,keyasint,omitempty"`
	Expires     Instant `cbor:"4,keyasint,omitempty"`
	Limit       string  `cbor:"5,keyasint,omitempty"` // the limit with the floor
	For         string  `cbor:"6,keyasint,omitempty"` // the team that owns it
}

// Kind implements Event.
func (*ReservationPreempting) Kind() string { return KindReservationPreempting }

// reclaim preempts for the first choice that floors entitle the asker to and that nothing else is in the way of. It gives
// no events where that is not so, or where what was preempted before will do.
func (c *climb) reclaim() (events []Event) {
	for _, on := range c.own {
		short, ok := c.shortOfFloors(on)
		if !ok {
			continue
		}
		chosen := map[string]bool{}
		for _, a := range short {
			victims, enough := c.state.victims(a, c.env.Now, chosen)
			if !enough {
				ok = false
				break
			}
			for _, v := range victims {
				chosen[v.ID] = true
				events = append(events, &ReservationPreempting{
					At: c.env.Now, Reservation: v.ID, Labels: v.Labels, Limit: a.limit.ID, For: a.labels.Team,
					Expires: min(v.Expires, c.env.Now.Add(c.state.Config.Policy.preemptGrace())),
				})
			}
		}
		if ok {
			return events
		}
		events = nil
	}
	return nil
}

// shortOfFloors lists the asks that have no room on their limits although a floor guarantees it; ok is false where there
// are none, or something else is in the way.
func (c *climb) shortOfFloors(on choice) (short []*ask, ok bool) {
	s, now := c.state, c.env.Now
	if s.blocked(BlockAccount, on.account.ID) != nil || s.closedAccount(on.account.ID, now) != nil || s.usable(on.account, now) != nil {
		return nil, false
	}
	labels := c.base
	labels.Account, labels.Provider, labels.Model = on.account.ID, on.account.Provider, on.model
	rate, priced := c.env.Prices.Rate(on.model, now, false)
	asks := s.asks(&labels, c.wish.Amount, rate.CostCeil(c.wish.Amount.Tokens), priced)
	for i := range asks {
		a := &asks[i]
		a.waiting, a.preemptible = c.waiting, c.wish.Preemptible
		switch {
		case s.fits(a, now):
		case a.closed(now) || s.keptFor(a, now) != nil || a.need() > s.floorLeft(a):
			return nil, false
		default:
			short = append(short, a)
		}
	}
	return short, len(short) > 0
}

// victims chooses whom to preempt for an ask: of the preemptible reservations that hold something on its limit borrowers
// first, then the lowest priority, then the newest; and of those no more than it takes. enough is false where all of
// them together do not do.
func (s *State) victims(a *ask, now Instant, chosen map[string]bool) (victims []*Reservation, enough bool) {
	short := min(a.need()+s.ownersWaitFor(a), s.floorLeft(a)) - max(0, s.room(a, now))
	var candidates []*Reservation
	for _, r := range s.preemptible {
		h := r.hold(a.limit.ID)
		switch {
		case h == nil || h.Held == 0:
		case r.Preempting || chosen[r.ID]:
			short -= h.Held
		case r.Labels.Team != a.labels.Team || r.Labels.Priority < a.labels.Priority:
			candidates = append(candidates, r)
		}
	}
	slices.SortFunc(candidates, func(x, y *Reservation) int { return s.victimOrder(x, y, a.counter) })
	for _, r := range candidates {
		if short <= 0 {
			break
		}
		victims = append(victims, r)
		short -= r.hold(a.limit.ID).Held
	}
	// What comes later may have made an earlier one unnecessary.
	victims = slices.DeleteFunc(victims, func(r *Reservation) bool {
		held := r.hold(a.limit.ID).Held
		if short+held > 0 {
			return false
		}
		short += held
		return true
	})
	return victims, short <= 0
}

// ownersWaitFor is what queued reservations ask of a limit that the same floors are for: it comes back to them first.
func (s *State) ownersWaitFor(a *ask) (need int64) {
	l := s.queue.lines[a.limit.ID]
	if l == nil {
		return 0
	}
	for _, lane := range l.lanes {
		of := Labels{Team: lane.team, Priority: lane.priority}
		if !s.floorsFor(a.limit.ID, &of) {
			continue
		}
		for _, w := range lane.entries[:min(queueDepth, len(lane.entries))] {
			if w.Reservation != a.waiting && w.Labels.Team == a.labels.Team {
				need += w.forecast(l.on)
			}
		}
	}
	return need
}

// floorsFor tells whether a floor on a limit is for some work.
func (s *State) floorsFor(limit string, l *Labels) bool {
	return slices.ContainsFunc(s.index.shares[limit], func(o ownedShare) bool { return o.covers(l) && (o.Floor > 0 || o.FloorPart > 0) })
}

// victimOrder says which of two reservations is preempted first.
func (s *State) victimOrder(x, y *Reservation, c *Counter) int {
	borrower := func(r *Reservation) int {
		if s.borrows(r.Labels.Team, c) {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(borrower(x), borrower(y)), cmp.Compare(x.Labels.Priority, y.Labels.Priority),
		cmp.Compare(y.At, x.At), cmp.Compare(y.ID, x.ID))
}

func (s *State) applyPreempting(e *ReservationPreempting) {
	r := s.reservations[e.Reservation]
	if r == nil || r.Preempting {
		s.breaks("reservation %s is preempted and is not live, or is so already", e.Reservation)
		return
	}
	r.Preempting, r.Warned, r.Unclaimed = true, true, false
	r.Expires, r.Deadline = e.Expires, min(r.Deadline, e.Expires)
	s.schedule(r)
	if c := s.counters[e.Limit]; c != nil {
		c.reclaimUntil(e.For, e.Expires.Add(s.Config.Policy.preemptGrace()), e.At)
	}
	s.notify(r.actor(), Notice{
		Kind: NoticePreempting, Reservation: r.ID, At: e.At, Expires: e.Expires,
		Reason: fmt.Sprintf("team %s reclaims its floor on %s", e.For, e.Limit),
	})
}

// Reclaim is until when a team lends nothing of its floor, because it has taken some of it back: what comes back is for
// the owner, who has as long again as the grace to come for it.
type Reclaim struct {
	Team  string  `cbor:"1,keyasint,omitempty"`
	Until Instant `cbor:"2,keyasint,omitempty"`
}

// reclaimUntil notes a reclaim and forgets those that are over.
func (c *Counter) reclaimUntil(team string, until, now Instant) {
	c.Reclaims = slices.DeleteFunc(c.Reclaims, func(r Reclaim) bool { return r.Until <= now || r.Team == team })
	c.Reclaims = append(c.Reclaims, Reclaim{team, until})
}

// lends tells whether a floor is lent at all: not while its owner reclaims it, or waits in the queue for the limit.
func (s *State) lends(o *ownedShare, a *ask, now Instant) bool {
	if slices.ContainsFunc(a.counter.Reclaims, func(r Reclaim) bool { return r.Team == o.team && now < r.Until }) {
		return false
	}
	l := s.queue.lines[a.limit.ID]
	return l == nil || !slices.ContainsFunc(l.lanes, func(lane *lane) bool { return o.covers(&Labels{Team: lane.team, Priority: lane.priority}) })
}

// lendsAgainAt is when the first reclaim that is in the way of preemptible work is over; 0 for none.
func (s *State) lendsAgainAt(a *ask) (at Instant) {
	for _, r := range a.counter.Reclaims {
		if a.preemptible && r.Until > s.Now && (at == 0 || r.Until < at) {
			at = r.Until
		}
	}
	return at
}

// endOf is how time closes a reservation.
func endOf(r *Reservation) Outcome {
	if r.Preempting {
		return OutcomePreempted
	}
	return OutcomeExpired
}

// waitForReclaim makes a refusal say that room is being made.
func waitForReclaim(r *refusal, events []Event) {
	for _, e := range events {
		if p, ok := e.(*ReservationPreempting); ok {
			r.retryable, r.retryAfter = true, max(retryAtLeast, p.Expires.Sub(p.At))
			r.message = fmt.Sprintf("%s; others are being preempted for the floor of team %s: ask again then", r.message, p.For)
			return
		}
	}
}
