package quota

import (
	"cmp"
	"iter"
	"slices"
)

// An entry waits until one of its choices can serve it, and a choice can as soon as all that stands in its way gives way. So
// its bounds list, choice by choice, every limit that was in the way when it was tried: one that contends for two limits
// stands in the lines of both, and is not tried before both have room. What has been in its way once stays on the list while
// it waits, since it may be again; so it changes lines no more often than there are limits that bind it.

// choices lists the bounds of each choice by itself. Those of one choice stand side by side.
func (w *Waiting) choices() iter.Seq[[]Bound] {
	return func(yield func([]Bound) bool) {
		for from := 0; from < len(w.Bounds); {
			to := from + 1
			for to < len(w.Bounds) && w.Bounds[from].Choice != 0 && w.Bounds[to].Choice == w.Bounds[from].Choice {
				to++
			}
			if !yield(w.Bounds[from:to:to]) {
				return
			}
			from = to
		}
	}
}

// choicesOn lists the choices that something is in the way of.
func (w *Waiting) choicesOn(on string) iter.Seq[[]Bound] {
	return func(yield func([]Bound) bool) {
		for bounds := range w.choices() {
			if boundOn(bounds, on) != nil && !yield(bounds) {
				return
			}
		}
	}
}

func boundOn(bounds []Bound, on string) *Bound {
	for i := range bounds {
		if bounds[i].On == on {
			return &bounds[i]
		}
	}
	return nil
}

// bounds lists what the choices wait for: for each what was in its way when the least was asked of it. A choice that can
// never grant is not waited for; none at all means that waiting is of no use.
func (c *climb) bounds() (bounds []Bound) {
	last := map[choice]int{}
	var refusals []*refused
	for i := range c.refusals {
		r := &c.refusals[i]
		if !r.retryable {
			continue
		}
		if i, again := last[r.choice]; again {
			refusals[i] = r // a later refusal of the same choice is of a smaller amount
			continue
		}
		last[r.choice] = len(refusals)
		refusals = append(refusals, r)
	}
	var number int64
	for _, r := range refusals {
		group := c.inTheWay(r)
		if len(group) > 1 {
			slices.SortStableFunc(group, func(a, b Bound) int { return cmp.Compare(c.state.patience(a.On), c.state.patience(b.On)) })
			number++
			for i := range group {
				group[i].Choice = number
			}
		}
		bounds = append(bounds, group...)
	}
	return bounds
}

// patience orders limits by how long they keep one waiting: windows, then what refills, then places. A line is kept for its
// head on one after the other (see helped).
func (s *State) patience(on string) int {
	switch l := s.index.byID[on]; {
	case l == nil || l.countsSpending():
		return 0
	case l.Window.Kind == WindowBucket:
		return 1
	default:
		return 2
	}
}

// inTheWay lists what a choice waits for.
func (c *climb) inTheWay(r *refused) []Bound {
	list := []Bound{{On: r.watch, Units: r.requested}}
	waiting := c.state.queue.entries[c.waiting]
	var fit []Bound // on what it waited for before
	for i := range r.asks {
		a := &r.asks[i]
		b := Bound{On: a.limit.ID, Units: a.need()}
		switch {
		case b.On == r.watch:
		case !c.state.fits(a, c.env.Now):
			list = append(list, b)
		case waiting != nil && boundOn(waiting.Bounds, b.On) != nil:
			fit = append(fit, b)
		}
	}
	owes := c.owes[r.choice]
	for _, other := range owes.others {
		if boundOn(list, other) == nil {
			return append(list, fit...) // nothing can be taken back before something else gives way, which is not waited for
		}
	}
	list = append(list, fit...)
	for _, a := range owes.short {
		b := boundOn(list, a.limit.ID)
		if b == nil {
			list = append(list, Bound{On: a.limit.ID, Units: r.needs(a.limit.ID)})
			b = &list[len(list)-1]
		}
		b.Owed = a.need()
	}
	return list
}

// needs is what the least that was asked for needs of a limit.
func (r *refused) needs(limit string) int64 {
	for i := range r.asks {
		if r.asks[i].limit.ID == limit {
			return r.asks[i].need()
		}
	}
	return 0
}

// owes is what floors guarantee to a choice and others have.
type owes struct {
	short  []*ask   // on these limits
	others []string // what else is in its way
}

// sameBounds tells whether two lists are of the same bounds, in whatever order their choices stand.
func sameBounds(a, b []Bound) bool {
	return slices.EqualFunc(inOrder(a), inOrder(b), slices.Equal[[]Bound])
}

// inOrder lists the choices by what they wait for.
func inOrder(bounds []Bound) (choices [][]Bound) {
	w := Waiting{Bounds: bounds}
	order := func(a, b Bound) int {
		return cmp.Or(cmp.Compare(a.On, b.On), cmp.Compare(a.Units, b.Units), cmp.Compare(a.Owed, b.Owed))
	}
	for c := range w.choices() {
		c = slices.Clone(c)
		for i := range c {
			c[i].Choice = 0
		}
		slices.SortFunc(c, order)
		choices = append(choices, c)
	}
	slices.SortFunc(choices, func(a, b []Bound) int { return slices.CompareFunc(a, b, order) })
	return choices
}

// askFor is what an entry asks of a bound; ok is false where that is no limit, or gone.
func (s *State) askFor(w *Waiting, b *Bound) (a ask, ok bool) {
	limit, counter := s.index.byID[b.On], s.counters[b.On]
	if limit == nil || counter == nil {
		return ask{}, false
	}
	a = s.askOf(w, limit, counter)
	a.units = b.Units
	return a, true
}

// freeElsewhere tells whether nothing but what stands on one limit keeps an entry from being granted there: of some choice,
// the other limits have room, or what floors owe to it.
func (s *State) freeElsewhere(w *Waiting, on string) bool {
	for bounds := range w.choicesOn(on) {
		free := true
		for i := range bounds {
			b := &bounds[i]
			if b.On == on || b.Owed > 0 {
				continue
			}
			a, ok := s.askFor(w, b)
			free = free && ok && s.fits(&a, s.Now)
		}
		if free {
			return true
		}
	}
	return false
}

// eachLink visits the pairs of lines that share a choice, in both directions.
func (w *Waiting) eachLink(visit func(on, other string)) {
	for bounds := range w.choices() {
		for i := range bounds {
			for j := range bounds {
				if i != j {
					visit(bounds[i].On, bounds[j].On)
				}
			}
		}
	}
}

// link counts with which other lines a line shares choices: what changes there may make a choice of its entries possible.
func (q *queue) link(w *Waiting, by int) {
	w.eachLink(func(on, other string) {
		l := q.lines[on]
		if l.linked == nil {
			l.linked = map[string]int{}
		}
		if l.linked[other] += by; l.linked[other] == 0 {
			delete(l.linked, other)
		}
	})
}
