package quota

import "fmt"

// Broken lists the invariants that applying events has broken so far. It is empty unless a log was altered or a rule
// is wrong; a writer that sees it must stop.
func (s *State) Broken() []string { return s.broken }

// checkCounter asserts what must hold of a counter after every event that touches it.
func (s *State) checkCounter(c *Counter) {
	s.queue.touch(c.Limit)
	if c.Held < 0 || c.Used < 0 || c.GrantedSum != c.WithinSum+c.ReturnedSum+c.Held {
		s.breaks("limit %s: granted %d, used within %d, returned %d, held %d, used %d", c.Limit, c.GrantedSum, c.WithinSum, c.ReturnedSum, c.Held, c.Used)
	}
}

// Check verifies every invariant over the whole state and returns what is wrong, in words. It takes time in the number
// of live reservations; commits check only what they touch.
func (s *State) Check() []string {
	found := append([]string(nil), s.broken...)
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	held := map[string]int64{}
	var live int64
	agents := map[Actor]int{}
	for id, r := range s.reservations {
		if !r.Live() || r.ID != id {
			say("reservation %s: listed as live with outcome %q", id, r.Outcome)
		}
		live += max(0, r.Granted.Tokens.Total()-r.Used.Tokens.Total())
		agents[r.actor()]++
		for _, h := range r.Holds {
			held[h.Limit] += h.Held
		}
		checkHolds(r, say)
	}
	for _, r := range s.closed {
		checkHolds(r, say)
		for _, h := range r.Holds {
			if h.Held != 0 {
				say("reservation %s: closed, and holds %d on %s", r.ID, h.Held, h.Limit)
			}
		}
	}
	if live != s.totals.HeldTokens() {
		say("live reservations hold %d tokens, the totals say %d", live, s.totals.HeldTokens())
	}
	if len(agents) != len(s.liveByAgent) || len(s.due) != len(s.reservations) {
		say("%d agents and %d leases are indexed, there are %d and %d", len(s.liveByAgent), len(s.due), len(agents), len(s.reservations))
	}
	s.checkQueue(say)
	s.checkTeams(say)
	for i := range s.Config.Limits {
		s.checkLimit(&s.Config.Limits[i], held, say)
	}
	return found
}

func checkHolds(r *Reservation, say func(string, ...any)) {
	for _, h := range r.Holds {
		if h.Held < 0 || h.Within < 0 || h.Returned < 0 || h.Over < 0 || h.Granted != h.Within+h.Returned+h.Held {
			say("reservation %s on %s: granted %d, used within %d, returned %d, held %d, over %d", r.ID, h.Limit, h.Granted, h.Within, h.Returned, h.Held, h.Over)
		}
	}
}

func (s *State) checkLimit(l *Limit, held map[string]int64, say func(string, ...any)) {
	c := s.counters[l.ID]
	if c == nil {
		say("limit %s has no counter", l.ID)
		return
	}
	if c.Held != held[l.ID] {
		say("limit %s: %d held, reservations hold %d", l.ID, c.Held, held[l.ID])
	}
	if c.Held < 0 || c.Used < 0 || c.Since < 0 || c.Since > c.Used || c.GrantedSum != c.WithinSum+c.ReturnedSum+c.Held {
		say("limit %s: granted %d, used within %d, returned %d, held %d, used %d", l.ID, c.GrantedSum, c.WithinSum, c.ReturnedSum, c.Held, c.Used)
	}
	switch l.Window.Kind {
	case WindowBucket:
		if c.Level > c.burst(l)*int64(l.Window.Duration) && c.LevelAt == s.Now {
			say("limit %s: level %d above burst", l.ID, c.Level)
		}
	case WindowConcurrent:
	default:
		v := s.viewLimit(l, s.Now)
		if v.Available < 0 || v.Over < 0 || v.Outside < 0 || v.Capacity > 0 && v.Capacity+v.Over != v.Available+v.Held+v.Used+v.Outside {
			say("limit %s: %d + over %d ≠ available %d + held %d + used %d + outside %d", l.ID, v.Capacity, v.Over, v.Available, v.Held, v.Used, v.Outside)
		}
	}
}
