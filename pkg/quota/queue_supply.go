package quota

import (
	"cmp"
	"slices"
)

// When an entry that waits for windows will be granted is found by going through who stands before it, in order: each takes
// what such work is expected to use, of the first window that has it, and who would be reached after the end of its wait
// takes nothing. A window has what is left of it, with what running work is expected to give back, and all of it again at each
// reset; of that a part is for the owners of floors only, and a part for high priorities. Who comes later is not foreseen.

const (
	// resetsAhead is how many resets of one limit are looked ahead.
	resetsAhead = 8
	// standIns is how many of those before an entry are looked at, evenly: each stands for as many.
	standIns = 64
)

// opening is a window of one limit that has something to grant, now or from its reset on.
type opening struct {
	at     Instant
	over   Millis // in what time it is granted to the end
	limit  int    // among those that are waited for
	all    int64  // that it has
	soon   int64  // of that, what is granted at once; the rest as running work gives back what it does not use
	taken  int64
	shared int64
	high   int64 // held back for priorities
	from   Priority
	floors []ownedPart
	reset  bool // else what there is now
}

// fillsIn is in what time a window is granted to the end at most, where there are enough that wait for it; of a short window
// it is the eighth part of its length.
const fillsIn = 20 * Minute

// latest is how often that time passes at most before what is missing is given back.
const latest = 8

// reached is when an opening has granted what was taken of it to work with these labels. What it keeps for others is not
// granted: who waits though there is something left waits until running work has given back what is missing, multiplied.
func (o *opening) reached(l *Labels, times int64) Instant {
	kept := max(0, o.all-o.taken-o.has(l))
	late, back := o.taken+kept-o.soon, o.all-o.soon
	switch {
	case o.reset: // no work runs on what is kept, so that nothing of it comes back
		granted := o.all - kept
		soon := partOf(o.soon, granted, max(1, o.all))
		late, back = o.taken-soon, granted-soon
	case kept > o.soon:
		late = o.taken + partOf(kept-o.soon, times, 1000)
	}
	if late <= 0 {
		return o.at
	}
	back = max(1, back)
	return o.at.Add(Millis(partOf(int64(o.over), min(late, latest*back), back)))
}

// ownedPart is what a window has for the owner of a floor.
type ownedPart struct {
	*ownedShare
	left int64
}

// has is what work with these labels may take of an opening.
func (o *opening) has(l *Labels) (n int64) {
	if o.taken >= o.all {
		return 0
	}
	for i := range o.floors {
		if f := &o.floors[i]; f.covers(l) {
			n += f.left
		}
	}
	if o.from != 0 && l.Priority >= o.from {
		n += o.high
	}
	return n + o.shared
}

// take takes units: first of what is for nobody else.
func (o *opening) take(l *Labels, units int64) {
	o.taken += units
	from := func(pool *int64) {
		n := min(units, *pool)
		*pool -= n
		units -= n
	}
	for i := range o.floors {
		if o.floors[i].covers(l) {
			from(&o.floors[i].left)
		}
	}
	from(&o.shared)
	if o.from != 0 && l.Priority >= o.from {
		from(&o.high)
	}
}

// openings lists what the windows that an entry waits for have to grant, soonest first.
func (s *State) openings(limits []*Limit, now Instant) (list []opening) {
	for i, l := range limits {
		c := s.counters[l.ID]
		back := c.comesBack()
		period := l.Window.Duration
		if l.Window.Kind != WindowSession {
			period = c.End.Sub(c.Start)
		}
		open := func(c *Counter, units, soon int64) opening {
			o := s.opens(l, c, units)
			o.at, o.limit, o.soon, o.over = now, i, soon, min(fillsIn, max(1, period/8))
			return o
		}
		list = append(list, open(c, c.available(l)+back, c.available(l)))
		if c.End == 0 || period <= 0 {
			continue
		}
		fresh := &Counter{Limit: l.ID, Learned: c.Learned, Estimate: c.Estimate}
		all := c.capacity(l)
		first := max(0, all-(c.Held-back))
		next, later := open(fresh, first, c.uses(first)), open(fresh, all, c.uses(all))
		for n := range resetsAhead {
			next.at, next.reset = max(now, c.End.Add(Millis(n)*period)), true
			list = append(list, next)
			next = later
		}
	}
	slices.SortStableFunc(list, func(a, b opening) int { return cmp.Compare(a.at, b.at) })
	return list
}

// opens divides what a window has: floors first, then what is held back, the rest is for all.
func (s *State) opens(l *Limit, c *Counter, units int64) opening {
	o := opening{all: units}
	s.eachFloor(c, func(share *ownedShare, _, lacks int64) {
		part := min(units, lacks)
		units -= part
		o.floors = append(o.floors, ownedPart{share, part})
	})
	if l.HoldBack != nil {
		o.from, o.high = l.HoldBack.Priority, min(units, percentOf(c.capacity(l), l.HoldBack.Percent*1000))
	}
	o.shared = units - o.high
	return o
}

// again copies openings, so that they can be taken from.
func again(opens []opening) []opening {
	var parts int
	for i := range opens {
		parts += len(opens[i].floors)
	}
	list, room := slices.Clone(opens), make([]ownedPart, 0, parts)
	for i := range list {
		from := len(room)
		room = append(room, list[i].floors...)
		list[i].floors = slices.Clip(room[from:])
	}
	return list
}

// comesBack is what is expected to come back of what is held: as much as came back of all that was held before.
func (c *Counter) comesBack() int64 {
	return partOf(c.Held, c.ReturnedSum, max(1, c.WithinSum+c.ReturnedSum))
}

// uses is what work is expected to use of a grant, in the same way.
func (c *Counter) uses(units int64) int64 {
	if c.WithinSum == 0 {
		return units
	}
	return partOf(units, c.WithinSum, c.WithinSum+c.ReturnedSum)
}

// standIn is an entry before the one that asks, and how many it stands for.
type standIn struct {
	*Waiting
	key    queueKey
	copies int64
	uses   []int64 // by limit: what all of them are expected to use there; 0 where they do not wait for it
}

// standsBefore samples who stands before an entry in any line for these limits, in order.
func (s *State) standsBefore(w *Waiting, limits []*Limit) (list []standIn) {
	lanes, all := s.lanesBefore(w, limits)
	stride := max(1, (all+standIns-1)/standIns)
	room := make([]int64, 0, (standIns+len(lanes))*len(limits))
	for _, p := range lanes {
		for i := 0; i < p.before; i += stride {
			b := standIn{Waiting: p.entries[i], key: s.queueKey(p.entries[i]), copies: int64(min(stride, p.before-i))}
			from := len(room)
			room = s.usesOf(&b, limits, room)
			b.uses = room[from:]
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b standIn) int { return queueOrder(a.key, b.key) })
	return list
}

// usesOf appends what a stand-in is expected to use of each limit.
func (s *State) usesOf(b *standIn, limits []*Limit, to []int64) []int64 {
	for _, l := range limits {
		need := b.need(l.ID)
		if need > 0 {
			need = s.counters[l.ID].uses(min(MaxCapacity/standIns, max(need, l.measure(b.Wish.Amount, 0)))) * b.copies
		}
		to = append(to, need)
	}
	return to
}

// laneBefore is a lane with how many of it stand before an entry.
type laneBefore struct {
	*lane
	before int
}

// lanesBefore finds them in the lines for some limits. Entries that wait for the same stand in several lines: of each team and priority the longest lane
// counts.
func (s *State) lanesBefore(w *Waiting, limits []*Limit) (lanes []laneBefore, all int) {
	key := s.queueKey(w)
	longest := map[lentKey]int{}
	for _, l := range limits {
		line := s.queue.lines[l.ID]
		if line == nil {
			continue
		}
		for _, lane := range line.lanes {
			n, _ := slices.BinarySearchFunc(lane.entries, key, func(o *Waiting, k queueKey) int { return queueOrder(s.queueKey(o), k) })
			work := lentKey{lane.team, lane.priority}
			i, known := longest[work]
			switch {
			case n == 0:
			case !known:
				longest[work] = len(lanes)
				lanes, all = append(lanes, laneBefore{lane, n}), all+n
			case n > lanes[i].before:
				all += n - lanes[i].before
				lanes[i] = laneBefore{lane, n}
			}
		}
	}
	return lanes, all
}

// reach predicts the grant of an entry that waits for windows, with what stands before it multiplied, in thousandths; 0
// where none is in sight. It takes from the openings.
func (s *State) reach(w *Waiting, limits []*Limit, opens []opening, before []standIn, times int64) Instant {
	for i := range before {
		serve(opens, &before[i], times)
	}
	for i := range opens {
		o := &opens[i]
		if need := max(1, partOf(w.need(limits[o.limit].ID), times, 1000)); o.has(&w.Labels) >= need {
			o.take(&w.Labels, need)
			return o.reached(&w.Labels, times)
		}
	}
	return 0
}

// serve lets an entry take what it is expected to use, multiplied.
func serve(opens []opening, b *standIn, times int64) {
	left := int64(-1)
	for i := range opens {
		o := &opens[i]
		if o.at >= b.Until {
			return
		}
		if b.uses[o.limit] == 0 {
			continue
		}
		if left < 0 {
			left = partOf(b.uses[o.limit], times, 1000)
		}
		n := min(left, o.has(&b.Labels))
		if n == 0 {
			continue
		}
		o.take(&b.Labels, n)
		if left -= n; left == 0 {
			return
		}
	}
}
