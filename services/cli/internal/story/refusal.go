package story

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// known is what the latest configuration says of a limit, as far as stories need it.
type known struct {
	unit     quota.Unit
	heldFrom quota.Priority // of what is held back; 0 for nothing
	floors   []floor
}

// floor is what a team is guaranteed.
type floor struct {
	team string
	from quota.Priority // of its work; 0 for all of it
}

// know remembers in what units limits count, and for whom they keep something.
func (s *Story) know(c *quota.Config) {
	for i := range c.Limits {
		l := &c.Limits[i]
		k := known{unit: l.Unit}
		if l.HoldBack != nil && l.HoldBack.Percent > 0 {
			k.heldFrom = l.HoldBack.Priority
		}
		s.limits[l.ID] = k
	}
	for i := range c.Teams {
		for _, share := range c.Teams[i].Shares {
			if share.Floor > 0 || share.FloorPart > 0 {
				k := s.limits[share.Limit]
				k.floors = append(k.floors, floor{c.Teams[i].Name, share.From})
				s.limits[share.Limit] = k
			}
		}
	}
}

// refusal says what would have helped.
func (s *Story) refusal(r *quota.Result, at quota.Instant) {
	later := false
	for _, o := range r.Alternatives {
		s.Helpful = append(s.Helpful, alternative(&o, at))
		later = later || o.Kind == quota.AlternativeLater
	}
	if len(r.Alternatives) == 0 && r.Available > 0 && r.Available < r.Requested {
		s.Helpful = append(s.Helpful, fmt.Sprintf("asking for at most %s on %s", s.of(r.Limit, r.Available), r.Limit))
	}
	switch {
	case r.Code == quota.CodeProviderNotSupported:
		s.Helpful = append(s.Helpful, "a provider that is configured; an operator can add one with bursar apply")
	case r.Code == quota.CodeSubscriptionInfoUnavailable && !r.Retryable:
		s.Helpful = append(s.Helpful, fmt.Sprintf("an account that is open to team %s; an operator can add one with bursar apply", s.Labels.Team))
	case !r.Retryable:
		s.Helpful = append(s.Helpful, "waiting would not have helped: ask for less, or raise the limit")
	case r.Code == quota.CodeUnavailable:
		s.Helpful = append(s.Helpful, "the operator letting go of it: `bursar resume`")
	case r.RetryAfter > 0 && !later:
		s.Helpful = append(s.Helpful, fmt.Sprintf("asking again %s later, or a max_wait of as long", r.RetryAfter.Duration()))
	}
	if advice := s.keptFromIt(r.Limit); r.HeldBack > 0 && advice != "" {
		s.Helpful = append(s.Helpful, fmt.Sprintf("%s: %s of %s is left and kept for those", advice, s.of(r.Limit, r.HeldBack), r.Limit))
	}
}

// keptFromIt says what the work would have to be to have what a limit keeps for others; empty where that would not help, as
// with what is kept for spending outside.
func (s *Story) keptFromIt(limit string) string {
	k, others := s.limits[limit], false
	for _, f := range k.floors {
		if f.team == s.Labels.Team && f.from > s.Labels.Priority {
			return "a higher priority"
		}
		others = others || f.team != s.Labels.Team
	}
	switch {
	case k.heldFrom > s.Labels.Priority:
		return "a higher priority"
	case others:
		return "work of a team with a floor there"
	}
	return ""
}

func alternative(o *quota.Alternative, at quota.Instant) string {
	switch o.Kind {
	case quota.AlternativeSmaller:
		return fmt.Sprintf("min_tokens: %s were free on %s", screen.Count(o.Tokens), o.Account)
	case quota.AlternativeLater:
		return fmt.Sprintf("asking again %s later, or a max_wait of as long: %s may have room then", o.At.Sub(at).Duration(), cmp.Or(o.Account, o.Provider))
	default:
		return fmt.Sprintf("accepting %s: all of it was free there", strings.TrimSpace(strings.Join([]string{o.Provider, o.Account, o.Model}, " ")))
	}
}
