package quota

import "slices"

// An entry that waits for what a floor guarantees to it is tried again as soon as enough can be taken back from others,
// however late those have appeared. Whether that is so is asked of the index of preemptible holds, entry by entry in the
// order of the line, and of each team and priority no further than to the first for which it is not enough.

// owedOn is what an entry takes of a limit when it gets all that it is owed.
func (w *Waiting) owedOn(on string) int64 {
	for _, b := range w.Bounds {
		if b.On == on {
			return min(max(b.Units, b.Owed), MaxCapacity/10)
		}
	}
	return 0
}

// walk goes through a line, entry by entry in its order, and tells when each is to be tried again.
type walk struct {
	state    *State
	line     *line
	now      Instant
	keeper   *Waiting // for whom the line is kept as a whole, or nil
	lent     bool     // whether there is anything to take back
	ahead    map[string]int64
	hopeless map[lentKey]bool
	heldUp   bool // the last entry has room on the line's limit, and not on another
	shut     []shutLimit
	soonest  Instant // at which one of those so far is to be tried again; 0 for none
}

// shutLimit is a limit that has no room for so many units of some work, and that time alone does not open before at; 0 is for
// never. Entries of the same work that come after need not be asked about: there is no more room for more units, nor for who
// comes later, nor sooner.
type shutLimit struct {
	on          string
	work        lentKey
	preemptible bool
	units       int64
	at          Instant
}

// shuts tells whether it is known that a bound keeps an entry waiting, and no less long than until another one is tried.
func (k *walk) shuts(w *Waiting, b *Bound) bool {
	return b.Owed == 0 && slices.ContainsFunc(k.shut, func(s shutLimit) bool {
		return s.on == b.On && s.units <= b.Units &&
			s.work.team == w.Labels.Team && s.work.priority == w.Labels.Priority && s.preemptible == w.Wish.Preemptible &&
			(s.at == 0 || b.On == k.line.on && k.soonest != 0 && k.soonest <= s.at)
	})
}

// shuttingOut remembers that an entry has no room on a limit before a time. What a bucket has no room for it has at a time that
// depends on how much is asked.
func (k *walk) shuttingOut(w *Waiting, b *Bound, limit *Limit, at Instant) {
	if limit.Window.Kind != WindowBucket {
		k.shut = append(k.shut, shutLimit{b.On, lentKey{w.Labels.Team, w.Labels.Priority}, w.Wish.Preemptible, b.Units, at})
	}
}

// next tells how to go on after an entry that is not ready.
func (k *walk) next() verdict {
	if k.heldUp {
		return goPast
	}
	return goOn
}

func newWalk(s *State, l *line, now Instant) *walk {
	k := &walk{state: s, line: l, now: now}
	if lent := s.lent[l.on]; lent != nil && lent.free > 0 {
		k.lent, k.hopeless = true, map[lentKey]bool{}
	}
	if len(s.index.shares[l.on]) > 0 {
		k.ahead = map[string]int64{}
	} else if w := s.keeper(l); w != nil && !s.leaves(l, w, 1, max(now, s.counters[l.on].heldUntil(s.index.byID[l.on]))) {
		k.keeper = w // but what floors guarantee is not kept from anybody
	}
	return k
}

// endsBefore tells whether the line is kept for somebody who comes before an entry.
func (k *walk) endsBefore(w *Waiting) bool { return k.keeper != nil && w != k.keeper }

// ready is when an entry is to be tried again as far as the line's limit is in its way: at once (the walk's time) where a
// choice can serve it, or enough can be taken back for one; later, where only time is needed; 0 where something else has to
// happen first. Every entry of the line is to be asked about once, in order.
func (k *walk) ready(w *Waiting) (at Instant) {
	s, on := k.state, k.line.on
	before := k.ahead[w.Labels.Team]
	if k.ahead != nil && s.floorsFor(on, &w.Labels) && s.freeElsewhere(w, on) {
		k.ahead[w.Labels.Team] += w.owedOn(on)
	}
	k.heldUp = false
	for bounds := range w.choicesOn(on) {
		if t := k.choiceReady(w, bounds, before); t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	if at != 0 && (k.soonest == 0 || at < k.soonest) {
		k.soonest = at
	}
	return at
}

// choiceReady is the same for one choice: when all that is in its way has given way.
func (k *walk) choiceReady(w *Waiting, bounds []Bound, before int64) Instant {
	s, at, comes, takes := k.state, k.now, false, false
	if k.shuts(w, &bounds[0]) {
		return 0
	}
	for i := range bounds {
		b := &bounds[i]
		a, ok := s.askFor(w, b)
		if !ok {
			return s.clearedAt(b.On)
		}
		if s.fits(&a, k.now) {
			k.heldUp = k.heldUp || b.On == k.line.on
			continue
		}
		back := nothingComes
		switch {
		case b.Owed == 0 || len(bounds) == 1 && !k.lent:
		case b.On == k.line.on:
			back = k.back(w, b, a, before)
		default:
			back = k.back(w, b, a, s.ownersBefore(&a))
		}
		if back == canBeTaken {
			takes = true
			continue
		}
		t := s.roomAt(&a)
		if i == 0 && back == nothingComes {
			k.shuttingOut(w, b, a.limit, t)
		}
		if t == 0 && back == nothingComes {
			return 0
		}
		comes, at = comes || t == 0, max(at, t)
	}
	if comes && !takes || takes && s.helpedElsewhere(w, bounds) {
		return 0
	}
	return at
}

// back is what is to be hoped of a floor.
type back int

const (
	nothingComes back = iota
	comesBack         // what is missing is being taken back
	canBeTaken        // it can be
)

// back tells what is to be hoped for an entry that a floor owes something, with so much owed to others before it.
func (k *walk) back(w *Waiting, b *Bound, a ask, before int64) back {
	s, key := k.state, lentKey{w.Labels.Team, w.Labels.Priority}
	own := b.On == k.line.on
	a.units = b.Owed
	if own && k.hopeless[key] || !s.owed(&a, s.Now) {
		return nothingComes
	}
	short := s.stillMissing(&a, before, s.Now)
	if short <= 0 {
		return comesBack
	}
	givers := s.mayGive(&a)
	if givers.all() >= short {
		return canBeTaken
	}
	if own && k.hopeless != nil {
		k.hopeless[key] = true
	}
	return nothingComes
}

// helpedElsewhere tells whether for another choice enough comes back already: an entry would take that instead, on another
// account.
func (s *State) helpedElsewhere(w *Waiting, but []Bound) bool {
	for bounds := range w.choices() {
		if &bounds[0] == &but[0] {
			continue
		}
		helped := true
		for i := range bounds {
			helped = helped && s.fitsOrComes(w, &bounds[i])
		}
		if helped {
			return true
		}
	}
	return false
}

// fitsOrComes tells whether a limit has room for an entry, or what a floor owes to it there comes back.
func (s *State) fitsOrComes(w *Waiting, b *Bound) bool {
	a, ok := s.askFor(w, b)
	if !ok || s.fits(&a, s.Now) {
		return ok
	}
	a.units = b.Owed
	return b.Owed > 0 && s.owed(&a, s.Now) && s.stillMissing(&a, s.ownersBefore(&a), s.Now) <= 0
}

// backFor is when what an entry is owed on a limit comes back at the latest; 0 where nothing is under way.
func (s *State) backFor(w *Waiting, b Bound, now Instant) Instant {
	c := s.counters[b.On]
	if c == nil || b.Owed == 0 {
		return 0
	}
	for _, r := range c.Reclaims {
		if at := r.Until.Add(-s.Config.Policy.preemptGrace()); r.Team == w.Labels.Team && at > now {
			return at
		}
	}
	return 0
}

// stillMissing is what is missing beyond what comes back already for the ask's team, or for whoever comes first.
func (s *State) stillMissing(a *ask, before int64, now Instant) int64 {
	short := s.missing(a, before, now)
	if l := s.lent[a.limit.ID]; l != nil {
		short -= l.back[a.labels.Team] + l.back[""]
	}
	return short
}
