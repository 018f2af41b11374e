package quota

import "slices"

// A line is everything that waits for one thing. Its entries stand in lanes, one per team and priority: within a lane the
// order is age and never changes, so that the line's order is found by comparing the heads of its lanes.
type line struct {
	on    string
	lanes []*lane
	size  int
	units int64 // that its entries need, all together
	// linked counts the choices of its entries in whose way other lines stand too, by line.
	linked map[string]int

	// dueAt is what due found as of the instant asOf; stale says that something changed since.
	dueAt, asOf Instant
	stale       bool
}

// lane is what waits in a line of one team at one priority. Whatever else decides a place (see queueOrder) has to be part of
// what tells lanes apart.
type lane struct {
	team     string
	priority Priority
	entries  []*Waiting // oldest first
}

// tryAgain is the line of entries without bounds.
const tryAgain = ""

func (w *Waiting) standsIn(visit func(on string)) {
	if len(w.Bounds) == 0 {
		visit(tryAgain)
	}
	for i, b := range w.Bounds {
		if !slices.ContainsFunc(w.Bounds[:i], func(o Bound) bool { return o.On == b.On }) {
			visit(b.On)
		}
	}
}

func (q *queue) line(w *Waiting) {
	w.standsIn(func(on string) {
		l := q.lines[on]
		if l == nil {
			l = &line{on: on}
			q.lines[on] = l
		}
		l.add(w)
	})
	q.link(w, 1)
}

func (q *queue) unline(w *Waiting) {
	q.link(w, -1)
	w.standsIn(func(on string) {
		l := q.lines[on]
		if l.remove(w); l.size == 0 {
			delete(q.lines, on)
		}
	})
}

// touch says that what a line waits for has changed.
func (q *queue) touch(on string) {
	if l := q.lines[on]; l != nil {
		l.stale = true
		for other := range l.linked {
			q.lines[other].stale = true
		}
	}
}

func (q *queue) touchAll() {
	for _, l := range q.lines {
		l.stale = true
	}
}

// forecast is an entry's need, bounded so that the sum over a full queue fits an int64.
func (w *Waiting) forecast(on string) int64 { return min(w.need(on), MaxCapacity/10) }

func (l *line) lane(w *Waiting) *lane {
	for _, lane := range l.lanes {
		if lane.team == w.Labels.Team && lane.priority == w.Labels.Priority {
			return lane
		}
	}
	return nil
}

func (l *line) add(w *Waiting) {
	found := l.lane(w)
	if found == nil {
		found = &lane{team: w.Labels.Team, priority: w.Labels.Priority}
		l.lanes = append(l.lanes, found)
	}
	i, _ := slices.BinarySearchFunc(found.entries, w, byAge)
	found.entries = slices.Insert(found.entries, i, w)
	l.size++
	l.units += w.forecast(l.on)
	l.stale = true
}

func (l *line) remove(w *Waiting) {
	found := l.lane(w)
	i, ok := slices.BinarySearchFunc(found.entries, w, byAge)
	if !ok {
		return
	}
	found.entries = slices.Delete(found.entries, i, i+1)
	l.size--
	l.units -= w.forecast(l.on)
	l.stale = true
	if len(found.entries) == 0 {
		l.lanes = slices.DeleteFunc(l.lanes, func(o *lane) bool { return o == found })
	}
}

// verdict is what is to be done after an entry of a line.
type verdict int

const (
	goOn   verdict = iota // to the next
	goPast                // to the next; this one is held up by something else than the line's limit
	stop
)

// each visits the first entries of the line in order, up to the most that are looked at, until visit says to stop. The
// first of those for whom the limit has a floor are looked at wherever they stand: what is guaranteed to them is nobody
// else's.
func (s *State) each(l *line, visit func(*Waiting) verdict) {
	at, keys := make([]int, len(l.lanes)), make([]queueKey, len(l.lanes))
	for i, lane := range l.lanes {
		keys[i] = s.queueKey(lane.entries[0])
	}
	for looked, visited := 0, 0; looked < queueDepth && visited < min(mostVisited, l.size); visited++ {
		best := -1
		for i, lane := range l.lanes {
			if at[i] < len(lane.entries) && (best < 0 || queueOrder(keys[i], keys[best]) < 0) {
				best = i
			}
		}
		if best < 0 {
			return
		}
		lane := l.lanes[best]
		switch visit(lane.entries[at[best]]) {
		case goOn:
			looked++
		case stop:
			return
		}
		if at[best]++; at[best] < len(lane.entries) {
			keys[best] = s.keyWith(lane.entries[at[best]], keys[best].share)
		}
	}
	if l.size <= queueDepth {
		return
	}
	for i, lane := range l.lanes {
		if at[i] >= ownersDepth || !s.floorsFor(l.on, &Labels{Team: lane.team, Priority: lane.priority}) {
			continue
		}
		for _, w := range lane.entries[at[i]:min(ownersDepth, len(lane.entries))] {
			if visit(w) == stop {
				return
			}
		}
	}
}

// head is the entry that comes first.
func (s *State) head(l *line) *Waiting {
	var head *Waiting
	var first queueKey
	for _, lane := range l.lanes {
		if key := s.queueKey(lane.entries[0]); head == nil || queueOrder(key, first) < 0 {
			head, first = lane.entries[0], key
		}
	}
	return head
}

// before counts the entries of the line that come before one that stands in it.
func (s *State) before(l *line, w *Waiting) (n int) {
	key := s.queueKey(w)
	for _, lane := range l.lanes {
		n += s.beforeIn(lane, key)
	}
	return n
}

// beforeIn counts the entries of a lane that come before a place.
func (s *State) beforeIn(l *lane, key queueKey) int {
	share := s.fairShare(l.team, s.Now)
	n, _ := slices.BinarySearchFunc(l.entries, key, func(o *Waiting, k queueKey) int { return queueOrder(s.keyWith(o, share), k) })
	return n
}
