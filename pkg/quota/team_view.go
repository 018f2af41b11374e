package quota

import (
	"cmp"
	"slices"
)

// TeamView is how a team stands.
type TeamView struct {
	Team   string
	Weight int64
	Had    int64 // tokens it had lately, decayed, with what it holds, for its weight: who has had less waits in front
	Live   int64 // reservations
	Held   int64 // tokens that they have not used
	Shares []ShareView
}

// ShareView is what a team has of a limit it has a share of, in the limit's unit.
type ShareView struct {
	Limit    string
	Unit     Unit
	From     Priority // the floor is for work of at least this priority; 0 for all
	Floor    int64
	Taken    int64 // of the limit, by the work that the floor is for
	Borrowed int64 // by the team beyond its floors
	Most     int64 // what the team may take in all; 0 for no bound but the limit's
}

// Teams lists the teams that are configured to share, and those that hold or had something lately, by name.
func (s *State) Teams(now Instant) []TeamView {
	now = max(now, s.Now)
	names := map[string]bool{}
	for i := range s.Config.Teams {
		names[s.Config.Teams[i].Name] = true
	}
	for team := range s.liveByTeam {
		names[team] = true
	}
	for team := range s.uses {
		names[team] = true
	}
	views := make([]TeamView, 0, len(names))
	for name := range names {
		v := TeamView{
			Team: name, Weight: s.Config.weight(name), Had: s.fairShare(name, now), Live: int64(s.liveByTeam[name]), Held: s.heldByTeam[name],
		}
		if t := s.Config.team(name); t != nil {
			for j := range t.Shares {
				v.Shares = append(v.Shares, s.viewShare(name, &t.Shares[j]))
			}
		}
		views = append(views, v)
	}
	slices.SortFunc(views, func(a, b TeamView) int { return cmp.Compare(a.Team, b.Team) })
	return views
}

func (s *State) viewShare(team string, share *Share) ShareView {
	v := ShareView{Limit: share.Limit, From: share.From}
	limit, counter := s.index.byID[share.Limit], s.counters[share.Limit]
	if limit == nil || counter == nil {
		return v
	}
	capacity := counter.capacity(limit)
	v.Unit, v.Floor, v.Most = limit.Unit, units(share.Floor, share.FloorPart, capacity), units(share.Most, share.MostPart, capacity)
	v.Taken = counter.taken(team, share.From)
	v.Borrowed = s.beyondFloors(team, counter)
	return v
}
