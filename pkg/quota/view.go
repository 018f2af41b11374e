package quota

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// LimitView is one limit as an operator sees it.
type LimitView struct {
	Limit     Limit
	Start     Instant // by which charges name the window; 0 while a session is not open, and for buckets and concurrent limits
	Began     Instant // the same, or before it where a session was in use before we heard of it
	End       Instant
	Capacity  int64 // 0 where it is not known
	Used      int64 // for buckets: what is missing to the burst, never negative
	Held      int64
	Outside   int64
	Available int64
	Over      int64
	Observed  *Observation
	Fresh     bool // the observation may be relied on
	// ClosedUntil is until when the provider refuses; 0 for open.
	ClosedUntil Instant
	// Forecast is the spending outside that is expected until the reset; ForecastKept and HeldBack are what is kept of
	// Available for it, and for the priorities of Limit.HoldBack.
	Forecast     int64
	ForecastKept int64
	HeldBack     int64
	HeldUntil    Instant   // when HeldBack is let go; 0 for not before the reset
	Learned      *Estimate // of the capacity; nil where nothing was learned
	// Told is what the provider told of a limit per minute, nil for nothing; ToldStale says that it was long ago.
	Told      *ToldLimit
	ToldStale bool
}

// Spent is what counts towards warnings.
func (v *LimitView) Spent() int64 { return v.Used + v.Outside }

func (s *State) viewLimit(l *Limit, now Instant) LimitView {
	c := s.counters[l.ID]
	v := LimitView{
		Limit: *l, Start: c.Start, Began: c.began(l), End: c.End, Capacity: c.capacity(l), Held: c.Held, Used: c.Used, Outside: c.outside(l),
	}
	if now < c.ClosedUntil {
		v.ClosedUntil = c.ClosedUntil
	}
	if c.Observed != nil {
		o := *c.Observed
		v.Observed, v.Fresh = &o, c.fresh(now, s.Config.Policy.ObservationLead)
	}
	if c.Estimate != nil {
		learned := *c.Estimate
		v.Learned = &learned
	}
	if c.Told != nil {
		told := *c.Told
		v.Told, v.ToldStale = &told, told.stale(now)
	}
	switch l.Window.Kind {
	case WindowConcurrent:
		v.Available = max(0, l.Capacity-c.Held)
		v.Over = max(0, c.Held-l.Capacity)
	case WindowBucket:
		level := c.bucketLevel(l, now) / int64(l.Window.Duration)
		v.Used = c.burst(l) - max(0, level)
		v.Available, v.Over, v.Held = max(0, level), max(0, -level), 0
		v.Capacity, v.Outside = c.burst(l), 0
	default:
		v.Available = c.available(l)
		room := s.parts(&ask{labels: &Labels{}, limit: l, counter: c}, now)
		v.Forecast, v.ForecastKept, v.HeldBack = c.forecast(l), room.Forecast, min(room.HeldBack, v.Available)
		if v.HeldBack > 0 {
			v.HeldUntil = room.Until
		}
		if v.Capacity > 0 {
			v.Over = max(0, v.Used+v.Outside+v.Held-v.Capacity)
		}
	}
	return v
}

// Limits lists every limit in the order of the configuration. now may be later than State.Now; windows that end
// between the two are shown as of State.Now.
func (s *State) Limits(now Instant) []LimitView {
	views := make([]LimitView, len(s.Config.Limits))
	for i := range s.Config.Limits {
		views[i] = s.viewLimit(&s.Config.Limits[i], max(now, s.Now))
	}
	return views
}

// Reservation finds one of an actor's reservations, open or recently closed.
func (s *State) Reservation(id string, actor Actor) (Reservation, bool) {
	r := s.owned(id, actor)
	if r == nil {
		return Reservation{}, false
	}
	return r.copy(), true
}

// Reservations lists those that match, oldest first: the live ones, and the recently closed ones if asked for.
func (s *State) Reservations(closedToo bool, match func(*Reservation) bool) []Reservation {
	found, _, _ := s.ReservationsAfter("", math.MaxInt, closedToo, match)
	return found
}

// ReservationsAfter lists as many as limit says of those that match, oldest first, from after the one with an id on, and
// whether there are more; it fails where the id is of none that matches. Without an id it begins with the oldest.
func (s *State) ReservationsAfter(id string, limit int, closedToo bool, match func(*Reservation) bool) (list []Reservation, more, ok bool) {
	var after *Reservation
	if id != "" {
		if after = s.reservations[id]; after == nil && closedToo {
			after = s.closed[id]
		}
		if after == nil || !match(after) {
			return nil, false, false
		}
	}
	var first oldest
	if limit < math.MaxInt {
		first.most = limit + 1
	}
	add := func(set map[string]*Reservation) {
		for _, r := range set {
			if (after == nil || olderFirst(after, r) < 0) && match(r) {
				first.add(r)
			}
		}
	}
	add(s.reservations)
	if closedToo {
		add(s.closed)
	}
	found := first.inOrder()
	more = len(found) > limit
	found = found[:min(limit, len(found))]
	list = make([]Reservation, len(found))
	for i, r := range found {
		list[i] = r.copy()
	}
	return list, more, true
}

// HeldBy lists the live reservations of an actor, oldest first.
func (s *State) HeldBy(actor Actor) []Reservation {
	left := s.liveByAgent[actor]
	if left == 0 {
		return nil
	}
	held := make([]Reservation, 0, left)
	for _, r := range s.reservations {
		if r.actor() != actor {
			continue
		}
		held = append(held, r.copy())
		if left--; left == 0 {
			break
		}
	}
	slices.SortFunc(held, func(a, b Reservation) int { return olderFirst(&a, &b) })
	return held
}

func olderFirst(a, b *Reservation) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID))
}

// oldest keeps the oldest of many without sorting all of them; most is 0 for all.
type oldest struct {
	most int
	list []*Reservation
	last *Reservation // of the most that were the oldest when they were last sorted: what is younger is none of them
}

func (o *oldest) add(r *Reservation) {
	const slack = 4 // sorted whenever so many times as many have come together
	if o.last != nil && olderFirst(o.last, r) < 0 {
		return
	}
	o.list = append(o.list, r)
	if o.most > 0 && len(o.list) >= slack*o.most {
		o.inOrder()
	}
}

func (o *oldest) inOrder() []*Reservation {
	slices.SortFunc(o.list, olderFirst)
	if o.most > 0 && len(o.list) >= o.most {
		o.list = o.list[:o.most]
		o.last = o.list[o.most-1]
	}
	return o.list
}

func (r *Reservation) copy() Reservation {
	clone := *r
	clone.Holds = append([]Hold(nil), r.Holds...)
	return clone
}

// Notices lists what an agent has not acknowledged, oldest first.
func (s *State) Notices(actor Actor) []Notice { return append([]Notice(nil), s.notices[actor]...) }

// Blocks lists the operator's blocks, by target and name.
func (s *State) Blocks() []BlockPlaced {
	list := make([]BlockPlaced, 0, len(s.blocks))
	for _, b := range s.blocks {
		list = append(list, b)
	}
	sort.Slice(list, func(i, j int) bool {
		return list[i].Target < list[j].Target || list[i].Target == list[j].Target && list[i].Name < list[j].Name
	})
	return list
}
