package quota

import (
	"fmt"
	"slices"
)

// A floor's owner gets back what is lent. First nothing more is granted to borrowers: that is shareRoom. Where that is not
// enough, preemptible reservations of others give back what they have not used, after a grace: no more than it takes, of
// as few as possible. The owner may wait in the queue meanwhile; whoever can give comes to be asked also when it appears later.

// DefaultPreemptGrace is how long a preempted reservation may go on.
const DefaultPreemptGrace = Minute

// maxVictims bounds one reclaim's events, so that they fit into a commit; what is still missing is reclaimed in the next.
const maxVictims = 500

func (p *Policy) preemptGrace() Millis { return orDefault(p.PreemptGrace, DefaultPreemptGrace) }

// ReservationPreempting says that a reservation gives back at Expires what the owner of a floor asks for: Units of what it
// holds on Limit, or all of it, and then it is closed.
type ReservationPreempting struct {
	At          Instant `cbor:"1,keyasint,omitempty"`
	Reservation string  `cbor:"2,keyasint,omitempty"`
	Labels      Labels  `cbor:"3,keyasint,omitempty"`
	Expires     Instant `cbor:"4,keyasint,omitempty"`
	Limit       string  `cbor:"5,keyasint,omitempty"`   // the limit with the floor
	For         string  `cbor:"6,keyasint,omitempty"`   // the team that owns it
	Units       int64   `cbor:"120,keyasint,omitempty"` // of Limit; 0 for all
	Amount      Amount  `cbor:"121,keyasint,omitempty"` // what that is of the grant, as of now; empty for all
}

// Kind implements Event.
func (*ReservationPreempting) Kind() string { return KindReservationPreempting }

// reclaim preempts for the first choice that floors entitle the asker to and that nothing else is in the way of. It gives
// no events where there is none such, or where what was preempted before will do.
func (c *climb) reclaim() []Event {
	var first *plan
	underWay := false
	for _, on := range c.own {
		short, others := c.shortOfFloors(on)
		if len(short) == 0 {
			continue
		}
		if c.owes == nil {
			c.owes = map[choice]owes{}
		}
		c.owes[on] = owes{short, others}
		p := newPlan(c.state, c.env.Now)
		if len(others) > 0 || slices.ContainsFunc(short, func(a *ask) bool { return !p.reclaim(a, c.state.ownersBefore(a)) }) {
			continue
		}
		if first == nil {
			first = p
		}
		underWay = underWay || len(p.order) == 0
	}
	if first == nil || underWay {
		return nil
	}
	return first.events()
}

// shortOfFloors lists the asks that have no room on their limits although a floor guarantees it, and the other limits that
// are in the way. Where the account as a whole is not usable, there are none.
func (c *climb) shortOfFloors(on choice) (short []*ask, others []string) {
	s, now := c.state, c.env.Now
	if s.blocked(BlockAccount, on.account.ID) != nil || s.closedAccount(on.account.ID, now) != nil || s.usable(on.account, now) != nil {
		return nil, nil
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
		case s.owed(a, now):
			short = append(short, a)
		default:
			others = append(others, a.limit.ID)
		}
	}
	return short, others
}

// owed tells whether floors guarantee to an ask what it has no room for: it is within them, within what its team may take in
// all, and neither the provider nor a place in the queue is in the way.
func (s *State) owed(a *ask, now Instant) bool {
	return a.need() <= s.floorLeft(a) && a.need() <= s.mostLeft(a) && !a.closed(now) && s.keptFor(a, now) == nil &&
		a.counter.capacity(a.limit) > 0
}

// missing is how many units have to come back on a limit before an ask has room there, those that come before it
// included; negative where there is room to spare. It counts what is over the capacity, kept for others' floors, held back
// and expected outside, as room does.
func (s *State) missing(a *ask, before int64, now Instant) int64 {
	wanted := min(a.need()+before, s.floorLeft(a)) + s.keptByFloors(a, now)
	capacity := a.counter.capacity(a.limit)
	if a.limit.Window.Kind == WindowConcurrent {
		return wanted - (capacity - a.counter.Held)
	}
	wanted += s.heldBack(a, now)
	forecast := s.forecastKept(a.limit, a.counter, MaxCapacity)
	wanted += min(forecast, wanted) // it never keeps more than half of what is free
	return wanted - (capacity - a.counter.spent(a.limit) - a.counter.Held)
}

// ownersBefore is what queued reservations that come before an ask are owed of its limit by the same floors: it comes
// back to them first.
func (s *State) ownersBefore(a *ask) (need int64) {
	l := s.queue.lines[a.limit.ID]
	if l == nil {
		return 0
	}
	share := s.fairShare(a.labels.Team, s.Now)
	self := s.queue.entries[a.waiting]
	var own queueKey
	if self != nil {
		own = s.queueKey(self)
	}
	for _, lane := range l.lanes {
		if lane.team != a.labels.Team || !s.floorsFor(a.limit.ID, &Labels{Team: lane.team, Priority: lane.priority}) {
			continue
		}
		for _, w := range lane.entries[:min(queueDepth, len(lane.entries))] {
			if self != nil && queueOrder(s.keyWith(w, share), own) >= 0 {
				break // as do all that come after it in the lane
			}
			if s.freeElsewhere(w, l.on) {
				need += w.owedOn(l.on)
			}
		}
	}
	return need
}

// floorsFor tells whether a floor on a limit is for some work.
func (s *State) floorsFor(limit string, l *Labels) bool {
	return slices.ContainsFunc(s.index.shares[limit], func(o ownedShare) bool { return o.covers(l) && (o.Floor > 0 || o.FloorPart > 0) })
}

// plan is whom to preempt for one choice, before it becomes events.
type plan struct {
	state *State
	now   Instant
	order []*victim
	by    map[string]*victim // by reservation
}

// victim is one reservation that is to give something back. A take of no units is of all.
type victim struct {
	*Reservation
	takes []Take
}

func newPlan(s *State, now Instant) *plan { return &plan{state: s, now: now, by: map[string]*victim{}} }

// gives is what a reservation gives back on a limit by the plan.
func (p *plan) gives(r *Reservation, limit string) (units int64) {
	v, h := p.by[r.ID], r.hold(limit)
	if v == nil || h == nil {
		return 0
	}
	for _, t := range v.takes {
		if t.Units == 0 {
			return h.Held
		}
		units += p.state.backOn(h, t.Limit, t.Units, r.hold(t.Limit).Held)
	}
	return min(units, h.Held)
}

// givenPart is a part of a hold that is to come back.
type givenPart struct {
	*lentEntry
	units int64
}

// reclaim finds who gives back what an ask is short of: of the preemptible reservations that hold something on its limit
// borrowers first, then the lowest priority, then the newest; of those no more than it takes, and of the last no more than
// is needed. It tells whether all of them together do.
func (p *plan) reclaim(a *ask, before int64) (enough bool) {
	s := p.state
	short := s.stillMissing(a, before, p.now)
	for _, v := range p.order {
		short -= p.gives(v.Reservation, a.limit.ID)
	}
	if short <= 0 {
		return true
	}
	parts, left := p.parts(a, short)
	if left > 0 && len(parts) < maxVictims {
		return false
	}
	for _, part := range spare(parts, -left) {
		p.take(a, part)
	}
	return true
}

// parts gathers what may be taken back until it is enough; left is what is still short, negative for more than enough.
func (p *plan) parts(a *ask, short int64) (parts []givenPart, left int64) {
	givers := p.state.mayGive(a)
	if givers.all() < short {
		return nil, short
	}
	most := givers.most
	for _, groups := range givers.classes {
		if short <= 0 || len(parts) == maxVictims {
			break
		}
		newest(groups, func(e *lentEntry) bool {
			units := min(e.free-p.gives(e.Reservation, a.limit.ID), most[e.group.team])
			if len(e.Takes) == MaxTakes {
				units = 0
			}
			if units > 0 {
				parts = append(parts, givenPart{e, units})
				most[e.group.team] -= units
				short -= units
			}
			return short > 0 && len(parts) < maxVictims
		})
	}
	return parts, short
}

// spare leaves out whom what comes later has made unnecessary, and of the last takes no more than is needed.
func spare(parts []givenPart, excess int64) []givenPart {
	kept := parts[:0]
	for i, part := range parts {
		switch {
		case excess <= 0:
		case i == len(parts)-1:
			part.units -= excess
		case part.units <= excess:
			excess -= part.units
			continue
		}
		kept = append(kept, part)
	}
	return kept
}

// take adds a part to the plan.
func (p *plan) take(a *ask, part givenPart) {
	v := p.by[part.ID]
	if v == nil {
		v = &victim{Reservation: part.Reservation}
		p.by[part.ID] = v
		p.order = append(p.order, v)
	}
	t := Take{Limit: a.limit.ID, Units: part.units, For: a.labels.Team}
	if a.limit.Window.Kind == WindowConcurrent || part.units == part.hold(a.limit.ID).Held {
		t.Units = 0
		v.takes = nil
	}
	v.takes = append(v.takes, t)
}

// events tell the victims.
func (p *plan) events() (events []Event) {
	grace := p.now.Add(p.state.Config.Policy.preemptGrace())
	for _, v := range p.order {
		for _, t := range v.takes {
			e := &ReservationPreempting{
				At: p.now, Reservation: v.ID, Labels: v.Labels, Limit: t.Limit, For: t.For, Expires: grace, Units: t.Units,
			}
			if t.Units == 0 {
				e.Expires = min(v.Expires, grace)
			} else {
				e.Amount = v.share(t.Units, v.hold(t.Limit).Held)
			}
			events = append(events, e)
		}
	}
	return events
}

func (s *State) applyPreempting(e *ReservationPreempting) {
	r := s.reservations[e.Reservation]
	if r == nil || r.Preempting {
		s.breaks("reservation %s is preempted and is not live, or is so already", e.Reservation)
		return
	}
	notice := Notice{
		Kind: NoticePreempting, Reservation: r.ID, At: e.At, Expires: e.Expires, Amount: e.Amount,
		Reason: fmt.Sprintf("team %s reclaims its floor on %s", e.For, e.Limit),
	}
	if e.Units == 0 {
		r.Preempting, r.Warned, r.Unclaimed = true, true, false
		r.Expires, r.Deadline = e.Expires, min(r.Deadline, e.Expires)
	} else {
		notice.Reason += ": what is not needed there stays yours"
	}
	s.addTake(r, Take{Limit: e.Limit, Units: e.Units, At: e.Expires, For: e.For})
	s.schedule(r)
	if c := s.counters[e.Limit]; c != nil {
		c.reclaimUntil(e.For, e.Expires.Add(s.Config.Policy.preemptGrace()), e.At)
	}
	s.queue.touch(e.Limit)
	s.notify(r.actor(), notice)
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

// backAt is when all that is being reclaimed has come back; 0 for nothing.
func backAt(events []Event) (at Instant) {
	for _, e := range events {
		if p, ok := e.(*ReservationPreempting); ok {
			at = max(at, p.Expires)
		}
	}
	return at
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
