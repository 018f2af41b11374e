package story

import (
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// preempting tells of who lent a floor that it is to go back, all of it or a part.
func (s *Story) preempting(e *quota.ReservationPreempting) {
	why := []string{fmt.Sprintf("team %s asked for what its floor on %s guarantees, and this was preemptible", e.For, e.Limit)}
	if advice := "not to be preemptible, where it then fits beside the floor; or a floor for its own team on " + e.Limit; !slices.Contains(s.Helpful, advice) {
		s.Helpful = append(s.Helpful, advice)
	}
	if e.Units == 0 {
		s.say(e.At, why, "told that it is preempted at %s", s.clock(e.Expires))
		return
	}
	why = append(why, fmt.Sprintf("%s of %s are needed there, and no more is taken", s.of(e.Limit, e.Units), e.Limit))
	s.say(e.At, why, "told that it gives %s tokens back at %s and keeps the rest", screen.Count(e.Amount.Tokens.Total()), s.clock(e.Expires))
}

// owed tells of who waits what a floor guarantees to it.
func (s *Story) owed(bounds []quota.Bound) (why []string) {
	for _, b := range bounds {
		if b.Owed > 0 {
			why = append(why, fmt.Sprintf("a floor guarantees %s on %s, and others have it: they give it back", s.of(b.On, b.Owed), b.On))
		}
	}
	return why
}

// shrunk tells what has gone back.
func (s *Story) shrunk(e *quota.ReservationShrunk) {
	s.Granted -= e.Amount.Tokens.Total()
	s.say(e.At, s.returned(e.Returned), "gave %s tokens back for the floor of team %s, and goes on with %s", screen.Count(e.Amount.Tokens.Total()), e.For, screen.Count(s.Granted))
}
