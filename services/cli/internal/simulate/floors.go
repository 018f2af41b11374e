package simulate

import (
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Floors are looked at from outside: by the events alone, and by the configuration of the world, whatever a policy makes
// of it. Two questions are asked:
//
//   - at every step that grants or extends: does it leave of the limit what the owners of floors have not taken yet? They
//     lend a part of that to preemptible work; what is spent of it, those who take only of their own floor need not make
//     up for. If not the floor is broken. (Spending beyond a reservation is no decision.)
//   - at every ask of an owner that is for no more than what is guaranteed and not lent: is it granted at once? One case is
//     set apart: the limit has not enough left that is neither used nor held, and it would have, had nobody else used more
//     in this window than was reserved. No decision gave that away, and none can take it back.

// floors follows what is taken of the limits that have floors.
type floors struct {
	limits      map[string]*floored
	preemptible map[string]bool // live reservations

	steps  int // grants and extensions on such limits
	broken int // of those, that took what is guaranteed to others

	asks      int // that a floor guarantees, without what it lends
	late      int // of those, not granted at once
	overspent int // not granted at once either, because others had used more than they reserved
	longest   quota.Millis
}

// floored is one limit with floors.
type floored struct {
	limit  quota.Limit
	shares []ownedFloor
	start  quota.Instant
	used   int64
	held   int64
	teams  map[teamWork]*taken
}

// taken is what some work has of a limit: over is what it used in this window beyond its reservations.
type taken struct{ used, held, over int64 }

type ownedFloor struct {
	team        string
	from        quota.Priority
	floor, lent int64
}

type teamWork struct {
	team     string
	priority quota.Priority
}

func workOf(l *quota.Labels) teamWork { return teamWork{l.Team, l.Priority} }

func newFloors(c *quota.Config) *floors {
	f := &floors{limits: map[string]*floored{}, preemptible: map[string]bool{}}
	for _, l := range c.Limits {
		one := &floored{limit: l, teams: map[teamWork]*taken{}}
		for _, t := range c.Teams {
			for _, s := range t.Shares {
				floor := s.Floor
				if floor == 0 {
					floor = partOf(l.Capacity, s.FloorPart)
				}
				if s.Limit == l.ID && floor > 0 {
					one.shares = append(one.shares, ownedFloor{t.Name, s.From, floor, partOf(floor, s.LendPart)})
				}
			}
		}
		if len(one.shares) > 0 {
			f.limits[l.ID] = one
		}
	}
	return f
}

// partOf is a part of something, in thousandths of a percent, rounded up.
func partOf(n, part int64) int64 { return (n*part + 99_999) / 100_000 }

func (o *ownedFloor) covers(w teamWork) bool { return o.team == w.team && w.priority >= o.from }

// of is what a team's work has of the limit.
func (l *floored) of(w teamWork) *taken {
	if l.teams[w] == nil {
		l.teams[w] = &taken{}
	}
	return l.teams[w]
}

// left is what the owner of a floor has not taken of it.
func (l *floored) left(o *ownedFloor) int64 {
	left := o.floor
	for w, t := range l.teams {
		if o.covers(w) {
			left -= t.used + t.held
		}
	}
	return max(0, left)
}

// saw follows an event.
func (f *floors) saw(event quota.Event) {
	switch e := event.(type) {
	case *quota.ConfigApplied:
		for _, span := range e.Opened {
			f.begin(span.Limit, span.Start)
		}
	case *quota.WindowOpened:
		f.begin(e.Span.Limit, e.Span.Start)
	case *quota.WindowRolled:
		f.begin(e.Next.Limit, e.Next.Start)
	case *quota.ReservationGranted:
		f.preemptible[e.Reservation] = e.Preemptible
		f.hold(e.Holds, &e.Labels, e.Preemptible)
	case *quota.ReservationExtended:
		f.hold(e.Holds, &e.Labels, f.preemptible[e.Reservation])
	case *quota.ReservationClosed:
		delete(f.preemptible, e.Reservation)
		for _, back := range e.Returned {
			f.move(back.Limit, &e.Labels, taken{held: -back.Amount})
		}
	case *quota.ReservationShrunk:
		for _, back := range e.Returned {
			f.move(back.Limit, &e.Labels, taken{held: -back.Amount})
		}
	case *quota.UsageRecorded:
		for _, c := range e.Charges {
			t := taken{held: -c.Within}
			if l := f.limits[c.Limit]; l != nil && c.Window == l.start {
				t.used, t.over = c.Amount, c.Amount-c.Within
			}
			f.move(c.Limit, &e.Labels, t)
		}
	}
}

func (f *floors) move(limit string, labels *quota.Labels, by taken) {
	if l := f.limits[limit]; l != nil {
		l.used += by.used
		l.held += by.held
		t := l.of(workOf(labels))
		t.used += by.used
		t.held += by.held
		t.over += by.over
	}
}

// begin starts a limit's next window: what is held moves on.
func (f *floors) begin(limit string, start quota.Instant) {
	if l := f.limits[limit]; l != nil {
		l.start = start
		l.used = 0
		for _, t := range l.teams {
			t.used, t.over = 0, 0
		}
	}
}

// hold follows a grant or an extension and looks whether it breaks a floor.
func (f *floors) hold(held []quota.LimitAmount, labels *quota.Labels, preemptible bool) {
	for _, h := range held {
		l := f.limits[h.Limit]
		if l == nil || h.Amount == 0 {
			continue
		}
		lent := preemptible || h.Amount <= l.guaranteed(workOf(labels))
		f.move(h.Limit, labels, taken{held: h.Amount})
		f.steps++
		var guaranteed int64
		for i := range l.shares {
			if o := &l.shares[i]; !o.covers(workOf(labels)) {
				left := l.left(o)
				if lent {
					left = max(0, left-o.lent)
				}
				guaranteed += left
			}
		}
		if guaranteed > max(0, l.limit.Capacity-l.used-l.held) {
			f.broken++
		}
	}
}

// promise is what floors promise to one ask.
type promise int

const (
	promisesNothing promise = iota
	promisesAll             // and it is there
	promisesSpent           // others have used it beyond what they reserved
)

// promises tells what floors promise of what a job asks for: it is guaranteed on one account, without what is lent, and no
// other limit of that account is in the way. Where several accounts promise it, one that can keep it decides.
func (f *floors) promises(s *quota.State, r *run, amount quota.Amount, now quota.Instant) promise {
	work := teamWork{r.Tenant.Team, r.Priority}
	by := map[string]promise{} // account
	for _, v := range s.Limits(now) {
		account := v.Limit.Scope.Account
		if a, ok := s.Config.Account(account); !ok || a.Provider != r.Tenant.Provider {
			continue
		}
		so, known := by[account]
		if !known {
			so = promisesAll
		}
		switch on := f.promise(&v, work, amount); {
		case so == promisesNothing || on == promisesNothing:
			by[account] = promisesNothing
		default:
			by[account] = max(so, on) // spent, where one limit is
		}
	}
	found := promisesNothing
	for _, so := range by {
		if so == promisesAll {
			return so
		}
		found = max(found, so)
	}
	return found
}

// promise tells what one limit promises of an amount.
func (f *floors) promise(v *quota.LimitView, work teamWork, amount quota.Amount) promise {
	need := int64(1)
	if v.Limit.Unit == quota.UnitTokens {
		need = int64(units(v.Limit.Weights, amount.Tokens)) + 1
	}
	l := f.limits[v.Limit.ID]
	if l == nil {
		if need > v.Available-heldBack(v, work.priority) {
			return promisesNothing
		}
		return promisesAll
	}
	free := l.limit.Capacity - l.used - l.held
	switch {
	case need > l.guaranteed(work):
		return promisesNothing
	case need > free && need <= free+l.overBy(work):
		return promisesSpent
	default:
		return promisesAll
	}
}

// heldBack is what a limit without floors keeps from work of a priority.
func heldBack(v *quota.LimitView, p quota.Priority) int64 {
	if v.Limit.HoldBack == nil || p >= v.Limit.HoldBack.Priority {
		return 0
	}
	return v.HeldBack
}

// overBy is what was used beyond reservations by work that no floor of the asker's is for: what the owner itself has used
// is missing of its own floor already.
func (l *floored) overBy(w teamWork) (n int64) {
	for other, t := range l.teams {
		if !slices.ContainsFunc(l.shares, func(o ownedFloor) bool { return o.covers(w) && o.covers(other) }) {
			n += t.over
		}
	}
	return n
}

// guaranteed is what is left for some work of the floors that are for it, without what they lend.
func (l *floored) guaranteed(w teamWork) (n int64) {
	for i := range l.shares {
		if o := &l.shares[i]; o.covers(w) {
			n += max(0, l.left(o)-o.lent)
		}
	}
	return n
}

// answered counts an ask that floors promise.
func (f *floors) answered(r *run, wait quota.Millis) {
	so := r.promised
	if r.promised = promisesNothing; so == promisesNothing {
		return
	}
	f.asks++
	switch {
	case wait == 0:
	case so == promisesSpent:
		f.overspent++
	default:
		f.late++
		f.longest = max(f.longest, wait)
	}
}
