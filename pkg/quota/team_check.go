package quota

import "slices"

// checkTeams verifies that what is known by team adds up to what is known in all.
func (s *State) checkTeams(say func(string, ...any)) {
	live, unused := map[string]int{}, map[string]int64{}
	held := map[string]map[TeamCount]int64{}
	for _, r := range s.reservations {
		live[r.Labels.Team]++
		unused[r.Labels.Team] += r.unused()
		for _, h := range r.Holds {
			if held[h.Limit] == nil {
				held[h.Limit] = map[TeamCount]int64{}
			}
			held[h.Limit][TeamCount{Team: r.Labels.Team, Priority: r.Labels.Priority}] += h.Held
		}
	}
	if len(live) != len(s.liveByTeam) {
		say("%d teams are indexed, there are %d", len(s.liveByTeam), len(live))
	}
	s.checkLent(say)
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

// checkFloors verifies of a grant that what is left of each limit still covers what floors guarantee to others. It is the
// floors' invariant, by arithmetic of its own: nothing is granted out of what the owner of a floor has not taken of it, but
// for the part that it lends to preemptible work and to owners who ask for what is guaranteed to them and not lent.
func (s *State) checkFloors(r *Reservation, held []LimitAmount) {
	for _, h := range held {
		l := s.index.byID[h.Limit]
		if l == nil || h.Amount == 0 || len(s.index.shares[h.Limit]) == 0 {
			continue
		}
		c := s.counters[h.Limit]
		capacity := c.capacity(l)
		if capacity == 0 {
			continue // nothing is guaranteed of what is not known
		}
		var own int64 // guaranteed to it before, and not lent
		if t := s.Config.team(r.Labels.Team); t != nil {
			before := TeamCount{Team: t.Name, Priority: r.Labels.Priority, Held: -h.Amount}
			t.lacking(c, capacity, before, func(share *Share, floor, lacks int64) {
				if r.Labels.Priority >= share.From {
					own += max(0, lacks-percentOf(floor, share.LendPart))
				}
			})
		}
		lent := r.Preemptible || own >= h.Amount
		guaranteed, left := int64(0), max(0, capacity-c.spent(l)-c.Held)
		for i := range s.Config.Teams {
			t := &s.Config.Teams[i]
			t.lacking(c, capacity, TeamCount{}, func(share *Share, floor, lacks int64) {
				if t.Name == r.Labels.Team && r.Labels.Priority >= share.From {
					return
				}
				if lent {
					lacks -= percentOf(floor, share.LendPart)
				}
				guaranteed += max(0, lacks)
			})
		}
		if guaranteed > left {
			s.breaks("reservation %s was granted %d of %s: %d are left, floors guarantee %d to others", r.ID, h.Amount, l.ID, left, guaranteed)
		}
	}
}

// lacking visits the team's floors on a limit with what it has not taken of each, with one count more. The team's highest
// work is counted first, against the floor that is for the fewest.
func (t *Team) lacking(c *Counter, capacity int64, more TeamCount, visit func(share *Share, floor, lacks int64)) {
	counted := noPriority // priorities below it are not counted yet
	var have int64
	for from := PriorityCritical; from >= 0; from-- {
		for i := range t.Shares {
			share := &t.Shares[i]
			if share.Limit != c.Limit || share.From != from {
				continue
			}
			for _, n := range append(slices.Clone(c.Teams), more) {
				if n.Team == t.Name && n.Priority >= from && n.Priority < counted {
					have += n.Used + n.Held
				}
			}
			counted = from
			floor := share.Floor
			if floor == 0 {
				floor = percentOf(capacity, share.FloorPart)
			}
			visit(share, floor, max(0, floor-have))
			have = max(0, have-floor)
		}
	}
}

// checkLent verifies that the index of preemptible holds is what the reservations hold and have promised.
func (s *State) checkLent(say func(string, ...any)) {
	type sums struct{ free, back int64 }
	want, entries := map[string]map[lentKey]sums{}, map[string]int{}
	for _, r := range s.reservations {
		for i := range r.Holds {
			h := &r.Holds[i]
			if !r.Preemptible || h.Held == 0 || len(s.index.shares[h.Limit]) == 0 {
				continue
			}
			var back int64
			for _, p := range r.promises(h) {
				back += p.units
			}
			if want[h.Limit] == nil {
				want[h.Limit] = map[lentKey]sums{}
			}
			key := lentKey{r.Labels.Team, r.Labels.Priority}
			of := want[h.Limit][key]
			want[h.Limit][key] = sums{of.free + h.Held - back, of.back + back}
			entries[h.Limit]++
		}
	}
	for limit, l := range s.lent {
		var free, back, promised int64
		for key, g := range l.groups {
			if got := (sums{g.free, g.back}); got != want[limit][key] {
				say("limit %s: %d of what team %s lent at %s are free and %d come back, the index says %+v", limit, want[limit][key].free, key.team, key.priority, want[limit][key].back, got)
			}
			free, back = free+g.free, back+g.back
		}
		for _, units := range l.back {
			promised += units
		}
		if free != l.free || back != promised || len(l.entries) != entries[limit] {
			say("limit %s: %d free and %d promised of %d preemptible holds are indexed, there are %d and %d of %d", limit, l.free, promised, len(l.entries), free, back, entries[limit])
		}
		delete(entries, limit)
	}
	if len(entries) > 0 {
		say("preemptible holds are not indexed on %v", entries)
	}
}
