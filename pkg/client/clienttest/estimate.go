package clienttest

import (
	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

func estimated(r *wire.EstimateRequest, notices []wire.Notice) []byte {
	task, err := r.Task()
	if err != nil {
		return wire.AppendError(nil, err, nil)
	}
	e, err := estimate.For(task)
	if err != nil {
		return wire.AppendError(nil, wire.NewError(quota.CodeInvalid, "%v", err), nil)
	}
	rate, priced := prices{}.Rate(r.Model, 0, false)
	tokens := quota.Tokens{Input: e.InputTokens, Output: e.OutputTokens}
	return wire.AppendReply(nil, wire.EstimateReplyOf(e, tokens, rate, priced, notices))
}
