package quota

import (
	"cmp"
	"slices"
)

// When an entry that waits for windows will be granted is found by going through who stands before it, in order: each takes
// what such work is expected to use, of the first window that has it, and who would be reached after the end of its wait
// takes nothing. A window has what is left of it, with what running work is expected to give back, and all of it again at each
// reset; of that a part is for the owners of floors, who lend some of it to preemptible work, a part for high priorities, and no
// team has more of it than its ceiling. Who comes later is not foreseen.

const (
	// resetsAhead is how many resets of one limit are looked ahead.
	resetsAhead = 8
	// standIns is how many of those before an entry are looked at, evenly: each stands for as many.
	standIns = 64
)

// waitsFor is a window that an entry waits for.
type waitsFor struct {
	*Limit
	beside Place  // when what else is in the way there gives way
	places Place  // when a place is free; a reset is told to grant to as many as there are places for
	line   string // of those that wait for a place there; empty for none
}

// edge is what of a predicted interval is asked for.
type edge int

const (
	itsBegin edge = iota
	itsPoint
	itsEnd
)

// edge is that of the interval.
func (p *Place) edge(of edge) Instant {
	switch of {
	case itsBegin:
		return p.GrantFrom
	case itsPoint:
		return p.GrantAt
	default:
		return p.GrantTo
	}
}

// opening is a window of one limit that has something to grant, now or from its reset on.
type opening struct {
	at     Instant
	over   Millis // in what time it is granted to the end
	limit  int    // among those that are waited for
	all    int64  // that it has
	soon   int64  // of that, what is granted at once; the rest as running work gives back what it does not use
	taken  int64
	high   int64 // held back for priorities
	from   Priority
	floors []openFloor
	most   []teamPart // ceilings
	reset  bool       // else what there is now
	// letsGo marks the instant from which on the window of another opening holds back nothing any more: that of the same number.
	// In a list in order the number is its index.
	letsGo bool
	of     int
}

// fillsIn is in what time a window is granted to the end at most, where there are enough that wait for it; of a short window
// it is the eighth part of its length.
const fillsIn = 20 * Minute

// latest is how often that time passes at most before what is missing is given back.
const latest = 8

// reached is when an opening has granted what was taken of it. What it keeps for others is not granted: who waits though there is
// something left waits until running work has given back what is missing, multiplied. A reset grants as much at once as there is
// and has places, or evenly all in the time that it takes to the end.
func (o *opening) reached(kept, times int64, evenly bool) Instant {
	late, back := o.taken+kept-o.soon, o.all-o.soon
	switch {
	case o.reset: // no work runs on what is kept, so that nothing of it comes back
		granted := o.all - kept
		soon := partOf(o.soon, granted, max(1, o.all))
		if evenly {
			soon = 0
		}
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

// openFloor is a floor in a window: of what it lacks its owner lends so much, to preemptible work only where it does not ask
// itself.
type openFloor struct {
	filledFloor
	lent  int64
	lends bool
}

// teamPart is what a team may still take of a window, below its ceiling.
type teamPart struct {
	team string
	left int64
}

// whole gives an opening with what is held back of it; where something is let go, that of which it is.
func whole(opens []opening, i int) (o *opening, high int64) {
	if o = &opens[i]; o.letsGo {
		return &opens[o.of], 0
	}
	return o, o.high
}

// has is what an opening has for an entry that needs so much, with so much held back: the rules are those of room, of what is
// kept for floors and held back.
func (o *opening) has(w *Waiting, need, high int64) int64 {
	left := o.all - o.taken
	if left <= 0 {
		return 0
	}
	var own, kept, unlent int64 // what floors guarantee to the entry; what they keep from it, and from what they guarantee
	for i := range o.floors {
		f := &o.floors[i]
		notLent := max(0, f.lacks-f.lent)
		switch {
		case f.covers(&w.Labels):
			own += notLent
		case f.lends && w.Wish.Preemptible:
			kept, unlent = kept+notLent, unlent+notLent
		default:
			kept, unlent = kept+f.lacks, unlent+notLent
		}
	}
	switch {
	case own > 0 && need <= own: // promised, without what floors lend
		left -= unlent
	case w.Labels.Priority < o.from:
		left -= kept + high
	default:
		left -= kept
	}
	for i := range o.most {
		if m := &o.most[i]; m.team == w.Labels.Team {
			left = min(left, m.left)
		}
	}
	return max(0, left)
}

// take takes units.
func (o *opening) take(w *Waiting, units int64) {
	o.taken += units
	for i := range o.most {
		if m := &o.most[i]; m.team == w.Labels.Team {
			m.left -= units
		}
	}
	for i := range o.floors {
		if f := &o.floors[i]; f.covers(&w.Labels) {
			n := min(units, f.lacks)
			f.lacks -= n
			units -= n
		}
	}
}

// openings lists what the windows that an entry waits for have to grant, soonest first; each is what entries are expected to
// use of each limit, in the mean.
func (s *State) openings(windows []waitsFor, each []int64, now Instant) []opening {
	list := make([]opening, 0, len(windows)*(1+resetsAhead))
	for i := range windows {
		l := windows[i].Limit
		c := s.counters[l.ID]
		back := c.comesBack(c.Held)
		period := c.length(l)
		over := min(fillsIn, max(1, period/8))
		present, first, later := s.ceilings(l, c)
		here := s.opens(l, c)
		if c.letGo(l, now) {
			here.high = 0
		}
		here.of = len(list)
		here.at, here.over, here.limit, here.all, here.soon, here.most = now, over, i, c.available(l)+back, c.available(l), present
		for i := range here.floors {
			f := &here.floors[i]
			f.lends = s.lends(f.ownedShare, &ask{limit: l, counter: c}, now)
		}
		list = append(list, here)
		if c.End == 0 || period <= 0 {
			continue
		}
		list = letsGo(list, l, c.End, period)
		then := s.opens(l, &Counter{Limit: l.ID, Learned: c.Learned, Estimate: c.Estimate})
		all := c.capacity(l)
		then.over, then.limit, then.reset = over, i, true
		for n := range resetsAhead {
			then.at, then.all, then.most = max(now, c.End.Add(Millis(n)*period)), all, later
			if n == 0 { // a part of what is held goes on into the next window
				then.all, then.most = max(0, all-(c.Held-back)), first
			}
			if n < 2 {
				then.soon = s.atOnce(l, c.uses(then.all), each[i])
			}
			then.of = len(list)
			list = letsGo(append(list, then), l, c.End.Add(Millis(n+1)*period), period)
		}
	}
	slices.SortStableFunc(list, func(a, b opening) int { return cmp.Compare(a.at, b.at) })
	for i := range list {
		if o := &list[i]; o.letsGo {
			o.of = slices.IndexFunc(list, func(whose opening) bool { return !whose.letsGo && whose.of == o.of })
		}
	}
	return list
}

// letsGo adds when the window of the last opening, which ends at a time, lets go what it holds back.
func letsGo(list []opening, l *Limit, ends Instant, period Millis) []opening {
	whose := &list[len(list)-1]
	if whose.high == 0 || l.HoldBack.Until == 0 {
		return list
	}
	at := max(whose.at, ends.Add(-l.HoldBack.last(period)))
	return append(list, opening{at: at, limit: whose.limit, from: whose.from, letsGo: true, of: whose.of})
}

// atOnce is how much of what a window has at its reset is granted in that instant: what goes with the places that its account
// has for work at the same time.
func (s *State) atOnce(l *Limit, units, each int64) int64 {
	for _, places := range s.index.byAccount[l.Scope.Account] {
		everybodys := places.Scope.Team == "" && places.Scope.Agent == "" && places.Scope.ModelGroup == ""
		if everybodys && places.Window.Kind == WindowConcurrent && each > 0 && places.Capacity < units/each {
			units = places.Capacity * each
		}
	}
	return units
}

// opens tells what a window has, and what of it is kept for whom.
func (s *State) opens(l *Limit, c *Counter) (o opening) {
	for _, f := range s.filledFloors(c) {
		o.floors = append(o.floors, openFloor{f, percentOf(f.floor, f.LendPart), true})
	}
	if l.HoldBack != nil {
		o.from, o.high = l.HoldBack.Priority, percentOf(c.capacity(l), l.HoldBack.Percent*1000)
	}
	return o
}

// ceilings lists what each team that has one may still take: of the present window, of the next, into which a part of what it
// holds goes on, and of those after that.
func (s *State) ceilings(l *Limit, c *Counter) (present, next, later []teamPart) {
	capacity, shares := c.capacity(l), s.index.shares[l.ID]
	for i := range shares {
		share := &shares[i]
		most := units(share.Most, share.MostPart, capacity)
		if most == 0 {
			continue
		}
		var held int64
		for _, t := range c.Teams {
			if t.Team == share.team {
				held += t.Held
			}
		}
		back := c.comesBack(held)
		present = append(present, teamPart{share.team, most - c.taken(share.team, 0) + back})
		next = append(next, teamPart{share.team, most - (held - back)})
		later = append(later, teamPart{share.team, most})
	}
	return present, next, later
}

// afresh gives a copy of openings to take from: another one that was taken from already, or a new one where there is none.
func afresh(used, opens []opening) []opening {
	if used == nil {
		used = slices.Clone(opens)
		var owned, most int
		for i := range opens {
			owned, most = owned+len(opens[i].floors), most+len(opens[i].most)
		}
		floors, ceilings := make([]openFloor, 0, owned), make([]teamPart, 0, most)
		for i := range used {
			used[i].floors, floors = copyTo(floors, opens[i].floors)
			used[i].most, ceilings = copyTo(ceilings, opens[i].most)
		}
		return used
	}
	for i := range used {
		used[i].taken = opens[i].taken
		copy(used[i].floors, opens[i].floors)
		copy(used[i].most, opens[i].most)
	}
	return used
}

// copyTo appends a list to another that has room for it, and gives what was appended as a list of its own.
func copyTo[T any](room, list []T) (copied, all []T) {
	from := len(room)
	room = append(room, list...)
	return slices.Clip(room[from:]), room
}

// comesBack is what is expected to come back of units that are held: as much as came back of all that was held before.
func (c *Counter) comesBack(held int64) int64 {
	return partOf(held, c.ReturnedSum, max(1, c.WithinSum+c.ReturnedSum))
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
	copies int64
	uses   []int64 // by limit: what all of them are expected to use there; 0 where they do not wait for it
}

// standsBefore samples who stands before an entry in any line for these limits, in order.
func (s *State) standsBefore(w *Waiting, windows []waitsFor) []standIn {
	lanes, all := s.lanesBefore(w, windows)
	stride := max(1, (all+standIns-1)/standIns)
	room, list := make([]int64, 0, (standIns+len(lanes))*len(windows)), make([]standIn, 0, standIns+len(lanes))
	at, keys := make([]int, len(lanes)), make([]queueKey, len(lanes))
	for i, p := range lanes {
		keys[i] = s.queueKey(p.entries[0])
	}
	for {
		first := -1
		for i, p := range lanes {
			if at[i] < p.before && (first < 0 || queueOrder(keys[i], keys[first]) < 0) {
				first = i
			}
		}
		if first < 0 {
			return list
		}
		p, i, from := lanes[first], at[first], len(room)
		b := standIn{Waiting: p.entries[i], copies: int64(min(stride, p.before-i))}
		room = s.usesOf(&b, windows, room)
		b.uses = room[from:]
		list = append(list, b)
		if at[first] += stride; at[first] < p.before {
			keys[first] = s.keyWith(p.entries[at[first]], keys[first].share)
		}
	}
}

// usesInTheMean is what an entry and those before it are expected to use of each limit, in the mean of those that wait for it.
func (s *State) usesInTheMean(w *Waiting, before []standIn, windows []waitsFor) []int64 {
	each := s.usesOf(&standIn{Waiting: w, copies: 1}, windows, nil)
	for i := range each {
		sum, copies := each[i], int64(1)
		for j := range before {
			if b := &before[j]; b.uses[i] > 0 {
				sum, copies = sum+b.uses[i], copies+b.copies
			}
		}
		each[i] = sum / copies
	}
	return each
}

// usesOf appends what a stand-in is expected to use of each window.
func (s *State) usesOf(b *standIn, windows []waitsFor, to []int64) []int64 {
	for i := range windows {
		l := windows[i].Limit
		need := s.needs(b.Waiting, l)
		if need > 0 {
			need = s.counters[l.ID].uses(min(MaxCapacity/standIns, max(need, l.measure(b.Wish.Amount, 0)))) * b.copies
		}
		to = append(to, need)
	}
	return to
}

// needs is what an entry needs of a window: also where only a place of the window's account is in its way.
func (s *State) needs(w *Waiting, l *Limit) int64 {
	if n := w.need(l.ID); n > 0 {
		return n
	}
	for i := range w.Bounds {
		places := s.index.byID[w.Bounds[i].On]
		if places != nil && places.Window.Kind == WindowConcurrent && places.Scope.Account == l.Scope.Account {
			all, least := w.Wish.Amount.Tokens.Total(), w.Wish.MinTokens
			if least == 0 || least > all {
				least = all
			}
			return partOf(l.measure(w.Wish.Amount, 0), least, max(1, all))
		}
	}
	return 0
}

// laneBefore is a lane with how many of it stand before an entry.
type laneBefore struct {
	*lane
	before int
}

// lanesBefore finds them in the lines for some windows and for places beside them. Entries that wait for the same stand in several
// lines: of each team and priority the longest lane counts.
func (s *State) lanesBefore(w *Waiting, windows []waitsFor) (lanes []laneBefore, all int) {
	key := s.queueKey(w)
	longest := map[lentKey]int{}
	look := func(line *line) {
		for _, lane := range line.lanes {
			n := s.beforeIn(lane, key)
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
	for i := range windows {
		for _, on := range []string{windows[i].ID, windows[i].line} {
			if line := s.queue.lines[on]; line != nil && on != tryAgain {
				look(line)
			}
		}
	}
	return lanes, all
}

// reach predicts an edge of the grant's interval for an entry that waits for windows, with what stands before it multiplied, in
// thousandths; 0 where none is in sight. It takes from the openings.
func (s *State) reach(w *Waiting, windows []waitsFor, opens []opening, before []standIn, times int64, of edge) Instant {
	for i := range before {
		serve(opens, &before[i], times)
	}
	for i := range opens {
		o, high := whole(opens, i)
		on := &windows[o.limit]
		need := max(1, partOf(s.needs(w, on.Limit), times, 1000))
		has := o.has(w, need, high)
		if has < need {
			continue
		}
		kept := max(0, o.all-o.taken-has)
		o.take(w, need)
		at := max(opens[i].at, o.reached(kept, times, of == itsEnd), on.beside.edge(of))
		if !o.reset {
			at = max(at, on.places.edge(of))
		}
		return at
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
		if b.uses[o.limit] == 0 || o.letsGo && b.Labels.Priority >= o.from {
			continue
		}
		if left < 0 {
			left = partOf(b.uses[o.limit], times, 1000)
		}
		o, high := whole(opens, i)
		n := min(left, o.has(b.Waiting, left, high))
		if n == 0 {
			continue
		}
		o.take(b.Waiting, n)
		if left -= n; left == 0 {
			return
		}
	}
}
