package quota

import (
	"cmp"
	"slices"
)

// DefaultShareHalfLife is how long ago use counts half in fair shares.
const DefaultShareHalfLife = Day

// TeamUse is what a team has spent, in tokens, weighing less the longer ago it was.
type TeamUse struct {
	Team string  `cbor:"1,keyasint,omitempty"`
	Used int64   `cbor:"2,keyasint,omitempty"` // as of At
	At   Instant `cbor:"3,keyasint,omitempty"`
}

// fairShare is how much a team has had lately for its weight: what it spent, decayed, and what it holds. Who has had less
// waits in front.
func (s *State) fairShare(team string, now Instant) int64 {
	var had int64
	if u := s.uses[team]; u != nil {
		had = decayed(u.Used, now.Sub(u.At), s.Config.Policy.shareHalfLife())
	}
	return (had + s.heldByTeam[team]) / s.Config.weight(team)
}

func (p *Policy) shareHalfLife() Millis { return orDefault(p.ShareHalfLife, DefaultShareHalfLife) }

// useTeam adds to what a team has spent.
func (s *State) useTeam(team string, tokens int64, at Instant) {
	if s.uses == nil {
		return // a scratch state
	}
	u := s.uses[team]
	if u == nil {
		u = &TeamUse{Team: team, At: at}
		s.uses[team] = u
	}
	u.Used = max(0, decayed(u.Used, at.Sub(u.At), s.Config.Policy.shareHalfLife())+tokens)
	u.At = at
}

// TeamUse tells what a team has had lately for its weight, in tokens; see fairShare.
func (s *State) TeamUse(team string, now Instant) int64 { return s.fairShare(team, max(now, s.Now)) }

func (s *State) usesInOrder() []TeamUse {
	list := make([]TeamUse, 0, len(s.uses))
	for _, u := range s.uses {
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b TeamUse) int { return cmp.Compare(a.Team, b.Team) })
	return list
}
