package quota

// walkMemo keeps what every entry of a line asks again and that cannot change while the line is walked: for whom lines are
// kept, and what the floors of limits lack. It lives no longer than the walk, so that nothing in it grows old.
type walkMemo struct {
	keepers []keptLine
	floors  []floorsOf
}

type keptLine struct {
	line   *line
	keeper *Waiting
}

type floorsOf struct {
	counter *Counter
	floors  []filledFloor
}

// filledFloor is a floor with what its owner's work lacks of it.
type filledFloor struct {
	*ownedShare
	floor, lacks int64
}

// remembering lets a walk ask with a memo.
func (s *State) remembering(walk func()) {
	if s.memo != nil {
		walk()
		return
	}
	s.memo = &walkMemo{}
	walk()
	s.memo = nil
}

// keeper is the head that a line is kept for, or nil.
func (s *State) keeper(l *line) *Waiting {
	if s.memo == nil {
		return s.findKeeper(l)
	}
	for i := range s.memo.keepers {
		if known := &s.memo.keepers[i]; known.line == l {
			return known.keeper
		}
	}
	w := s.findKeeper(l)
	s.memo.keepers = append(s.memo.keepers, keptLine{l, w})
	return w
}

// filledFloors lists the floors on a limit.
func (s *State) filledFloors(c *Counter) []filledFloor {
	if s.memo == nil {
		return s.fillFloors(c)
	}
	for i := range s.memo.floors {
		if known := &s.memo.floors[i]; known.counter == c {
			return known.floors
		}
	}
	floors := s.fillFloors(c)
	if s.counters[c.Limit] == c { // and no counter that is made up for one question
		s.memo.floors = append(s.memo.floors, floorsOf{c, floors})
	}
	return floors
}
