package quota

import (
	"cmp"
	"math"
)

// Team is what configuration says of who is charged, beside the limits of its own.
type Team struct {
	Name   string  `cbor:"1,keyasint,omitempty"`
	Weight int64   `cbor:"2,keyasint,omitempty"` // its part of what is shared, relative to other teams; 0 means 1
	Shares []Share `cbor:"3,keyasint,omitempty"`
	FanOut FanOut  `cbor:"4,keyasint,omitempty"`
}

// MaxWeight bounds a team's weight.
const MaxWeight = 1000

// Share says what a team is to have of a limit that others use too. Parts are in thousandths of a percent of the limit's
// capacity, so that they follow what is learned of it; where both are given the number of units counts.
type Share struct {
	Limit string `cbor:"1,keyasint,omitempty"` // a Limit.ID
	// Floor is guaranteed: nobody else's work is granted what the team has not taken of it in the present window.
	Floor     int64 `cbor:"2,keyasint,omitempty"`
	FloorPart int64 `cbor:"3,keyasint,omitempty"`
	// From keeps the floor for the team's work of at least this priority, also against the rest of its own work; 0 is
	// for all of it.
	From Priority `cbor:"4,keyasint,omitempty"`
	// LendPart is how much of the floor preemptible work of others may have while it is not taken: what they hold comes
	// back when the owner asks for it, what they have spent does not.
	LendPart int64 `cbor:"5,keyasint,omitempty"`
	// Most is what the team may take in all, floor and borrowed; 0 means that there is no bound but the limit.
	Most     int64 `cbor:"6,keyasint,omitempty"`
	MostPart int64 `cbor:"7,keyasint,omitempty"`
}

// wholePart is all of a limit, in the unit of parts.
const wholePart = 100_000

// ownedShare is a share with its team.
type ownedShare struct {
	team string
	*Share
}

// covers tells whether the share's floor is for work with these labels.
func (o *ownedShare) covers(l *Labels) bool { return o.team == l.Team && l.Priority >= o.From }

// units is a number of units, or a part of a capacity, rounded up.
func units(given, part, capacity int64) int64 {
	if given > 0 {
		return given
	}
	return percentOf(capacity, part)
}

// TeamCount is what the work of one team and priority has of a limit.
type TeamCount struct {
	Team     string   `cbor:"1,keyasint,omitempty"`
	Priority Priority `cbor:"2,keyasint,omitempty"`
	Used     int64    `cbor:"3,keyasint,omitempty"` // in the present window
	Held     int64    `cbor:"-"`                    // the sum of its live reservations
}

// sharedBetweenTeams tells whether it is known of a limit which team has what of it: of what counts, and is not a team's or
// an agent's own.
func (l *Limit) sharedBetweenTeams() bool {
	return l.Window.Kind != WindowBucket && l.Scope.Team == "" && l.Scope.Agent == ""
}

// of finds what a team's work has of the counter's limit.
func (c *Counter) of(team string, priority Priority) *TeamCount {
	for i := range c.Teams {
		if t := &c.Teams[i]; t.Team == team && t.Priority == priority {
			return t
		}
	}
	c.Teams = append(c.Teams, TeamCount{Team: team, Priority: priority})
	return &c.Teams[len(c.Teams)-1]
}

// taken is what a team's work of at least a priority has of the limit: used in this window, and held.
func (c *Counter) taken(team string, from Priority) int64 {
	return c.takenBetween(team, from, noPriority)
}

// takenBetween is the same for priorities from one up to but excluding another.
func (c *Counter) takenBetween(team string, from, below Priority) (n int64) {
	for i := range c.Teams {
		if t := &c.Teams[i]; t.Team == team && t.Priority >= from && t.Priority < below {
			n += t.Used + t.Held
		}
	}
	return n
}

// newTeamWindow forgets what teams have used, and which of them hold nothing.
func (c *Counter) newTeamWindow() {
	kept := c.Teams[:0]
	for _, t := range c.Teams {
		if t.Used = 0; t.Held != 0 {
			kept = append(kept, t)
		}
	}
	c.Teams = kept
}

// shareRoom is the rule of floors and of what a team may take at most. Of the room that a limit has it leaves what the
// owners of floors that are not for this work have not taken yet, but for what they lend to preemptible work.
func (s *State) shareRoom(a *ask, room int64, now Instant) int64 {
	shares := s.index.shares[a.limit.ID]
	if len(shares) == 0 || room <= 0 {
		return room
	}
	return max(0, min(room-s.keptByFloors(a, now), s.mostLeft(a)))
}

// mostLeft is what the ask's team may still take in all.
func (s *State) mostLeft(a *ask) int64 {
	left, capacity := int64(math.MaxInt64), a.counter.capacity(a.limit)
	shares := s.index.shares[a.limit.ID]
	for i := range shares {
		if o := &shares[i]; o.team == a.labels.Team {
			if most := units(o.Most, o.MostPart, capacity); most > 0 {
				left = min(left, most-a.counter.taken(o.team, 0))
			}
		}
	}
	return left
}

// mostEver is what floors and shares leave to an ask in a window of which nothing is taken.
func (s *State) mostEver(a *ask, capacity int64) int64 {
	return s.shareRoom(a.unspent(), capacity, s.Now)
}

// unspent is the ask as it would be in a window of which nothing is taken.
func (a *ask) unspent() *ask {
	fresh := *a
	fresh.counter = a.counter.untouched(a.limit)
	return &fresh
}

// eachFloor visits the floors on a limit with what each lacks.
func (s *State) eachFloor(c *Counter, visit func(o *ownedShare, floor, lacks int64)) {
	for _, f := range s.filledFloors(c) {
		visit(f.ownedShare, f.floor, f.lacks)
	}
}

// fillFloors fills the floors on a limit with what their owners' work has of it. A team's floors for higher priorities are
// filled first, and what is over goes into those for lower ones: no unit fills two floors, so they add up.
func (s *State) fillFloors(c *Counter) []filledFloor {
	shares := s.index.shares[c.Limit]
	if len(shares) == 0 {
		return nil
	}
	list := make([]filledFloor, len(shares))
	capacity := c.capacity(s.index.byID[c.Limit])
	var pool int64
	above := noPriority
	for i := range shares {
		o := &shares[i]
		if i > 0 && shares[i-1].team != o.team {
			pool, above = 0, noPriority
		}
		pool += c.takenBetween(o.team, o.From, above)
		above = o.From
		floor := units(o.Floor, o.FloorPart, capacity)
		filled := min(floor, pool)
		pool -= filled
		list[i] = filledFloor{o, floor, floor - filled}
	}
	return list
}

// noPriority is above every priority.
const noPriority = PriorityCritical + 1

// keptByFloors is what the floors that are not for an ask keep from it.
func (s *State) keptByFloors(a *ask, now Instant) (kept int64) {
	promised := s.promised(a)
	s.eachFloor(a.counter, func(o *ownedShare, floor, lacks int64) {
		if o.covers(a.labels) || lacks == 0 {
			return
		}
		if a.preemptible && s.lends(o, a, now) || promised {
			lacks -= percentOf(floor, o.LendPart)
		}
		kept += max(0, lacks)
	})
	return kept
}

// promised tells whether an ask is for no more than what floors guarantee to it and do not lend. What others have lent,
// and what was spent of that, is not taken from it.
func (s *State) promised(a *ask) bool {
	var left int64
	s.eachFloor(a.counter, func(o *ownedShare, floor, lacks int64) {
		if o.covers(a.labels) {
			left += max(0, lacks-percentOf(floor, o.LendPart))
		}
	})
	return left > 0 && a.need() <= left
}

// floorLeft is what the floors that are for an ask still guarantee to it.
func (s *State) floorLeft(a *ask) (left int64) {
	s.eachFloor(a.counter, func(o *ownedShare, _, lacks int64) {
		if o.covers(a.labels) {
			left += lacks
		}
	})
	return left
}

// beyondFloors is what a team's work has of a limit that none of its floors is for: it has borrowed that.
func (s *State) beyondFloors(team string, c *Counter) int64 {
	left := c.taken(team, 0)
	s.eachFloor(c, func(o *ownedShare, floor, lacks int64) {
		if o.team == team {
			left -= floor - lacks
		}
	})
	return left
}

func (c *Config) team(name string) *Team {
	for i := range c.Teams {
		if c.Teams[i].Name == name {
			return &c.Teams[i]
		}
	}
	return nil
}

func (c *Config) weight(team string) int64 {
	if t := c.team(team); t != nil {
		return cmp.Or(t.Weight, 1)
	}
	return 1
}

// countTeam moves what a team's work has of a limit.
func (s *State) countTeam(l *Limit, c *Counter, labels *Labels, used, held int64) {
	if !l.sharedBetweenTeams() || used == 0 && held == 0 {
		return
	}
	t := c.of(labels.Team, labels.Priority)
	t.Used += used
	t.Held += held
}
