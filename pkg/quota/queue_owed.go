package quota

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

// owed is what floors owe to an entry on a limit.
func (w *Waiting) owed(on string) int64 {
	for _, b := range w.Bounds {
		if b.On == on {
			return b.Owed
		}
	}
	return 0
}

// owedWalk goes through a line.
type owedWalk struct {
	state    *State
	line     *line
	lent     *lentLimit // nil where there is nothing to take back
	ahead    map[string]int64
	hopeless map[lentKey]bool
}

func newOwedWalk(s *State, l *line) *owedWalk {
	o := &owedWalk{state: s, line: l}
	if lent := s.lent[l.on]; lent != nil && lent.free > 0 {
		o.lent, o.ahead, o.hopeless = lent, map[string]int64{}, map[lentKey]bool{}
	}
	return o
}

// due tells whether enough can be taken back for an entry; its ask is given. Entries are to be asked about in the line's
// order, as far as they have no room.
func (o *owedWalk) due(w *Waiting, a ask) bool {
	if o.lent == nil {
		return false
	}
	s, team := o.state, w.Labels.Team
	before := o.ahead[team]
	if s.floorsFor(o.line.on, &w.Labels) {
		o.ahead[team] += w.owedOn(o.line.on)
	}
	key := lentKey{team, w.Labels.Priority}
	a.units = w.owed(o.line.on)
	if a.units == 0 || o.hopeless[key] || !s.owed(&a, s.Now) {
		return false
	}
	short := s.stillMissing(&a, before, s.Now)
	if short <= 0 {
		return false
	}
	givers := s.mayGive(&a)
	if givers.all() < short {
		o.hopeless[key] = true
		return false
	}
	return !s.helpedElsewhere(w, o.line.on)
}

// helpedElsewhere tells whether on another limit that an entry waits for enough comes back already: what it would take
// instead, on another account.
func (s *State) helpedElsewhere(w *Waiting, on string) bool {
	for _, b := range w.Bounds {
		limit, counter := s.index.byID[b.On], s.counters[b.On]
		if b.On == on || b.Owed == 0 || limit == nil {
			continue
		}
		a := s.askOf(w, limit, counter)
		a.units = b.Owed
		if !s.fits(&a, s.Now) && s.owed(&a, s.Now) && s.stillMissing(&a, s.ownersBefore(&a), s.Now) <= 0 {
			return true
		}
	}
	return false
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
