package front

import (
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/allocator/internal/estimates"
)

// estimate makes an answer the reply: capped at what the agent could ever be granted, at the price of a model. The state
// machine's own rules say what that is.
func (f *Front) estimate(model string, answer estimates.Answer, actor quota.Actor, s *quota.State, now quota.Instant) any {
	prices := f.opt.Prices(&s.Config)
	env := quota.Env{Now: now, Prices: prices}
	priority, _ := quota.ParsePriority(string(answer.Table.Priority))
	tokens, cappedBy := answer.Tokens(), ""
	// Of what could never be granted at all an estimate is left as it is: the reserve says why.
	most := s.Grantable(&quota.Work{Actor: actor, Model: model, Priority: priority, Amount: quota.Amount{Tokens: tokens, Requests: 1}}, env)
	if most.Limit != "" && most.Amount.Tokens.Total() > 0 {
		tokens, cappedBy = most.Amount.Tokens, most.Limit
	}
	rate, priced := prices.Rate(model, now, false)
	reply := wire.EstimateReplyOf(answer.Table, tokens, rate, priced && model != "", nil)
	answer.Into(&reply)
	reply.CappedBy = cappedBy
	return &reply
}
