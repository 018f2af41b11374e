package quota

// checkTeams verifies that what is known by team adds up to what is known in all.
func (s *State) checkTeams(say func(string, ...any)) {
	live, unused, preemptible := map[string]int{}, map[string]int64{}, 0
	held := map[string]map[TeamCount]int64{}
	for _, r := range s.reservations {
		live[r.Labels.Team]++
		unused[r.Labels.Team] += r.unused()
		if r.Preemptible {
			preemptible++
		}
		for _, h := range r.Holds {
			if held[h.Limit] == nil {
				held[h.Limit] = map[TeamCount]int64{}
			}
			held[h.Limit][TeamCount{Team: r.Labels.Team, Priority: r.Labels.Priority}] += h.Held
		}
	}
	if len(live) != len(s.liveByTeam) || preemptible != len(s.preemptible) {
		say("%d teams and %d preemptible reservations are indexed, there are %d and %d", len(s.liveByTeam), len(s.preemptible), len(live), preemptible)
	}
	for team, n := range live {
		if s.liveByTeam[team] != n || s.heldByTeam[team] != unused[team] {
			say("team %s: %d live and %d unused tokens are indexed, there are %d and %d", team, s.liveByTeam[team], s.heldByTeam[team], n, unused[team])
		}
	}
	for i := range s.Config.Limits {
		if l := &s.Config.Limits[i]; l.sharedBetweenTeams() {
			s.checkTeamsOf(s.counters[l.ID], held[l.ID], say)
		}
	}
}

func (s *State) checkTeamsOf(c *Counter, held map[TeamCount]int64, say func(string, ...any)) {
	if c == nil {
		return
	}
	var used, all int64
	for _, t := range c.Teams {
		if t.Used < 0 || t.Held < 0 || t.Held != held[TeamCount{Team: t.Team, Priority: t.Priority}] {
			say("limit %s: team %s at %s has used %d and holds %d, its reservations hold %d", c.Limit, t.Team, t.Priority, t.Used, t.Held,
				held[TeamCount{Team: t.Team, Priority: t.Priority}])
		}
		used += t.Used
		all += t.Held
	}
	if used > c.Used || all != c.Held {
		say("limit %s: teams have used %d of %d, and hold %d of %d", c.Limit, used, c.Used, all, c.Held)
	}
}

// checkFloors verifies of a grant that what is left of each limit still covers what floors guarantee to others.
func (s *State) checkFloors(r *Reservation, held []LimitAmount) {
	for _, h := range held {
		l, shares := s.index.byID[h.Limit], s.index.shares[h.Limit]
		if l == nil || h.Amount == 0 || len(shares) == 0 {
			continue
		}
		c := s.counters[h.Limit]
		capacity := c.capacity(l)
		if capacity == 0 {
			continue // nothing is guaranteed of what is not known
		}
		lent := r.Preemptible || r.promised(h, l, c, shares)
		guaranteed, left := int64(0), max(0, capacity-c.spent(l)-c.Held)
		for i := range shares {
			if o := &shares[i]; !o.covers(&r.Labels) {
				guaranteed += o.guaranteed(c, capacity, lent)
			}
		}
		if guaranteed > left {
			s.breaks("reservation %s was granted %d of %s: %d are left, floors guarantee %d to others", r.ID, h.Amount, l.ID, left, guaranteed)
		}
	}
}

// promised tells whether what was granted, and is counted already, is within what floors guarantee to it and do not lend.
func (r *Reservation) promised(h LimitAmount, l *Limit, c *Counter, shares []ownedShare) bool {
	var left, own int64
	for i := range shares {
		if o := &shares[i]; o.covers(&r.Labels) {
			floor := units(o.Floor, o.FloorPart, c.capacity(l))
			left += max(0, floor-percentOf(floor, o.LendPart)-(c.taken(o.team, o.From)-h.Amount))
			own++
		}
	}
	return own > 0 && h.Amount <= left
}

// guaranteed is what the owner of a floor has not taken of it, less what it lends at most.
func (o *ownedShare) guaranteed(c *Counter, capacity int64, lent bool) int64 {
	floor := o.Floor
	if floor == 0 {
		floor = percentOf(capacity, o.FloorPart)
	}
	left := floor
	for _, t := range c.Teams {
		if t.Team == o.team && t.Priority >= o.From {
			left -= t.Used + t.Held
		}
	}
	if lent {
		left -= percentOf(floor, o.LendPart)
	}
	return max(0, left)
}
