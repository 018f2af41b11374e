package front

import (
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/allocator/internal/estimates"
)

// estimate makes an answer the reply: capped at what the agent could ever be granted, at the price of a model.
func (f *Front) estimate(model string, answer estimates.Answer, actor quota.Actor, s *quota.State, now quota.Instant) any {
	most, capped := grantable(s, actor, now)
	capped = capped && answer.Total > most.tokens
	if capped {
		answer.Total = most.tokens
	}
	rate, priced := f.opt.Prices(&s.Config).Rate(model, now, false)
	reply := wire.EstimateReplyOf(answer.Table, answer.Tokens(), rate, priced && model != "", nil)
	answer.Into(&reply)
	if capped {
		reply.CappedBy = most.limit
	}
	return &reply
}

// bound is how many tokens a limit could ever grant.
type bound struct {
	tokens int64
	limit  string
}

// grantable is the most that the limits an agent may use could ever grant at once: on the widest of its accounts, under
// all limits that do not ask for the account. false means that nothing bounds it. It is generous: limits of some models
// only, of weighted or other units, and rates do not count, nor does what is spent already.
func grantable(s *quota.State, actor quota.Actor, now quota.Instant) (bound, bool) {
	principal, _ := s.Config.Principal(actor.Principal)
	narrowest := map[string]bound{} // by account; empty for every account
	for _, v := range s.Limits(now) {
		l := &v.Limit
		window := l.Window.Kind == quota.WindowSession || l.Window.Kind == quota.WindowCalendar
		if !window || l.Unit != quota.UnitTokens || l.Weights != quota.DefaultWeights(l.Unit) || v.Capacity <= 0 || l.Scope.ModelGroup != "" ||
			!concerns(&l.Scope, &s.Config, &principal, actor.Agent) {
			continue
		}
		if n, known := narrowest[l.Scope.Account]; !known || v.Capacity < n.tokens {
			narrowest[l.Scope.Account] = bound{v.Capacity, l.ID}
		}
	}
	shared, bounded := narrowest[""]
	widest, found := bound{}, false
	for i := range s.Config.Accounts {
		id := s.Config.Accounts[i].ID
		if !concerns(&quota.Scope{Account: id}, &s.Config, &principal, actor.Agent) {
			continue
		}
		n, known := narrowest[id]
		if !known {
			return shared, bounded // an account without a bound
		}
		if n.tokens > widest.tokens {
			widest, found = n, true
		}
	}
	if found && (!bounded || widest.tokens < shared.tokens) {
		return widest, true
	}
	return shared, bounded
}
