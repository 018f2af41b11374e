package allocator

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/limits"
)

// sources is the workspace as the active sources of limits see it.
type sources struct{ *workspace }

var _ limits.Ledger = sources{}

// Accounts gives the configuration and the resets while this process serves.
func (s sources) Accounts(context.Context) (*limits.View, bool) {
	if !s.serving.Load() {
		return nil, false
	}
	view, ok := s.ask(writer.Request{Read: func(state *quota.State, now quota.Instant) any { return viewOf(state, now) }}).Value.(*limits.View)
	return view, ok && view != nil
}

func viewOf(s *quota.State, now quota.Instant) *limits.View {
	v := &limits.View{Config: s.Config, Resets: map[string][]time.Time{}}
	asked := false
	for i := range s.Config.Accounts {
		asked = asked || s.Config.Accounts[i].LimitsSource != nil
	}
	if !asked {
		return v
	}
	for _, l := range s.Limits(now) {
		if account := l.Limit.Scope.Account; account != "" && l.End != 0 {
			v.Resets[account] = append(v.Resets[account], l.End.Time())
		}
	}
	return v
}

// Observe hands in what a source told, as the workspace itself.
func (s sources) Observe(_ context.Context, c quota.ObserveAll) (recorded bool, problem string) {
	id := uuid.Must(uuid.NewV7())
	r := s.ask(writer.Request{Key: ledger.KeyOf("", string(id[:])), IssuedAt: wire.RequestID(id).Made(), Command: c}).Result
	if !r.OK() {
		return false, r.Message
	}
	return true, ""
}
