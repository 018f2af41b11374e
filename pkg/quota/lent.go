package quota

import (
	"cmp"
	"container/heap"
	"slices"
)

// What preemptible reservations hold on limits with floors is indexed by who holds it, so that finding whom to preempt takes
// as long as there are victims, however many reservations there are.

// lentKey is whose work it is.
type lentKey struct {
	team     string
	priority Priority
}

// lentLimit is all that preemptible reservations hold on one limit.
type lentLimit struct {
	entries map[string]*lentEntry // by reservation
	groups  map[lentKey]*lentGroup
	free    int64            // that nobody takes back yet
	back    map[string]int64 // that is taken back, by the team that it is for; "" for whoever comes first
}

// lentGroup is what the work of one team and priority holds.
type lentGroup struct {
	lentKey
	free, back int64
	entries    lentHeap // with something free, the newest first
}

// lentEntry is one reservation's hold.
type lentEntry struct {
	*Reservation
	group    *lentGroup
	free     int64
	promised []promise
	index    int // in the group's heap; -1 while nothing is free
}

// promise is a part of a hold that is to come back.
type promise struct {
	team  string
	units int64
}

// promises lists what comes back of a hold.
func (r *Reservation) promises(h *Hold) (list []promise) {
	left := h.Held
	add := func(team string, units int64) {
		if units = min(units, left); units > 0 {
			list = append(list, promise{team, units})
			left -= units
		}
	}
	for _, t := range r.Takes {
		if t.Limit == h.Limit && t.Units > 0 {
			add(t.For, t.Units)
		}
	}
	if !r.Preempting {
		return list
	}
	team := ""
	for _, t := range r.Takes {
		if t.Limit == h.Limit && t.Units == 0 {
			team = t.For
		}
	}
	add(team, left)
	return list
}

// relend brings the index up to date with a hold; it is called whenever one changes.
func (s *State) relend(r *Reservation, h *Hold) {
	if s.lent == nil || !r.Preemptible || len(s.index.shares[h.Limit]) == 0 {
		return
	}
	l := s.lent[h.Limit]
	if l == nil {
		l = &lentLimit{entries: map[string]*lentEntry{}, groups: map[lentKey]*lentGroup{}, back: map[string]int64{}}
		s.lent[h.Limit] = l
	}
	e := l.entries[r.ID]
	if e == nil {
		if h.Held == 0 {
			return
		}
		key := lentKey{r.Labels.Team, r.Labels.Priority}
		if l.groups[key] == nil {
			l.groups[key] = &lentGroup{lentKey: key}
		}
		e = &lentEntry{Reservation: r, group: l.groups[key], index: -1}
		l.entries[r.ID] = e
	}
	var promised []promise
	if r.Live() {
		promised = r.promises(h)
	}
	l.move(e, h.Held, promised)
	if h.Held == 0 {
		delete(l.entries, r.ID)
	}
}

// move sets what an entry has free and has promised.
func (l *lentLimit) move(e *lentEntry, held int64, promised []promise) {
	free, g := held, e.group
	for _, p := range e.promised {
		l.back[p.team] -= p.units
		g.back -= p.units
	}
	for _, p := range promised {
		l.back[p.team] += p.units
		g.back += p.units
		free -= p.units
	}
	l.free += free - e.free
	g.free += free - e.free
	e.free, e.promised = free, promised
	switch {
	case free > 0 && e.index < 0:
		heap.Push(&g.entries, e)
	case free == 0 && e.index >= 0:
		heap.Remove(&g.entries, e.index)
	}
}

func (s *State) relendAll(r *Reservation) {
	for i := range r.Holds {
		s.relend(r, &r.Holds[i])
	}
}

// relendEverything rebuilds the index: the configuration has changed, and with it which limits have floors.
func (s *State) relendEverything() {
	s.lent = map[string]*lentLimit{}
	for _, r := range s.reservations {
		s.relendAll(r)
	}
}

// lentHeap orders entries by age, the newest first.
type lentHeap []*lentEntry

func newerFirst(a, b *lentEntry) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(b.ID, a.ID)) }

func (h lentHeap) Len() int           { return len(h) }
func (h lentHeap) Less(i, j int) bool { return newerFirst(h[i], h[j]) < 0 }
func (h lentHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for container/heap.
func (h *lentHeap) Push(x any) {
	e := x.(*lentEntry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop is for container/heap.
func (h *lentHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	e.index, old[len(old)-1] = -1, nil
	*h = old[:len(old)-1]
	return e
}

// frontier walks heaps in order without changing them.
type frontier []frontierEntry

type frontierEntry struct {
	of lentHeap
	at int
}

func (f frontier) Len() int           { return len(f) }
func (f frontier) Less(i, j int) bool { return newerFirst(f[i].of[f[i].at], f[j].of[f[j].at]) < 0 }
func (f frontier) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }

// Push is for container/heap.
func (f *frontier) Push(x any) { *f = append(*f, x.(frontierEntry)) }

// Pop is for container/heap.
func (f *frontier) Pop() any {
	old := *f
	e := old[len(old)-1]
	*f = old[:len(old)-1]
	return e
}

// newest visits the entries of groups from the newest on, until visit gives false; it tells whether it came to the end.
func newest(groups []*lentGroup, visit func(*lentEntry) bool) bool {
	var f frontier
	for _, g := range groups {
		if len(g.entries) > 0 {
			f = append(f, frontierEntry{g.entries, 0})
		}
	}
	heap.Init(&f)
	for len(f) > 0 {
		e := heap.Pop(&f).(frontierEntry)
		if !visit(e.of[e.at]) {
			return false
		}
		for child := 2*e.at + 1; child <= 2*e.at+2 && child < len(e.of); child++ {
			heap.Push(&f, frontierEntry{e.of, child})
		}
	}
	return true
}

// givers are whose work may be taken back for an ask.
type givers struct {
	classes [][]*lentGroup   // who gives first is in front; within a class the newest does
	most    map[string]int64 // that each team may lose
}

// all is what they may lose together.
func (g *givers) all() (units int64) {
	for _, n := range g.most {
		units += n
	}
	return units
}

// mayGive finds the givers for an ask: other teams with what they have beyond their floors, and the asker's own team with
// what its lower priorities hold. Borrowers come first, then the lower priority.
func (s *State) mayGive(a *ask) (found givers) {
	l := s.lent[a.limit.ID]
	if l == nil || l.free == 0 {
		return givers{}
	}
	var groups []*lentGroup
	most := map[string]int64{}
	ownBorrows := s.beyondFloors(a.labels.Team, a.counter) > 0
	last := func(g *lentGroup) int {
		if g.team == a.labels.Team && !ownBorrows {
			return 1
		}
		return 0
	}
	for key, g := range l.groups {
		if g.free == 0 || key.team == a.labels.Team && key.priority >= a.labels.Priority {
			continue
		}
		if _, seen := most[key.team]; !seen {
			most[key.team] = s.mayLose(l, key.team, a)
		}
		if most[key.team] > 0 {
			groups = append(groups, g)
		}
	}
	order := func(x, y *lentGroup) int {
		return cmp.Or(cmp.Compare(last(x), last(y)), cmp.Compare(x.priority, y.priority))
	}
	slices.SortFunc(groups, order)
	for i, g := range groups {
		if n := len(found.classes); i > 0 && order(groups[i-1], g) == 0 {
			found.classes[n-1] = append(found.classes[n-1], g)
		} else {
			found.classes = append(found.classes, []*lentGroup{g})
		}
	}
	found.most = most
	return found
}

// mayLose is what may be taken of a team's work on a limit in all: never what its own floors guarantee to it.
func (s *State) mayLose(l *lentLimit, team string, a *ask) (units int64) {
	for key, g := range l.groups {
		if key.team == team && (team != a.labels.Team || key.priority < a.labels.Priority) {
			units += g.free
		}
	}
	if team == a.labels.Team {
		return units
	}
	beyond := s.beyondFloors(team, a.counter)
	for key, g := range l.groups {
		if key.team == team {
			beyond -= g.back
		}
	}
	return min(units, beyond)
}
