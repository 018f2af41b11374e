package front

import (
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/engine"
)

// observe hands in what a provider said. The raw form is read here, so that every agent, in whatever language, can hand
// on what it got; all that it tells of is one command, and with it one commit.
func (f *Front) observe(r *request, b *wire.ObserveRequest) {
	if b.Raw == nil {
		f.command(r, b, b.Command(r.actor, ""))
		return
	}
	read := b.ReadRaw(r.actor, time.Now())
	if len(read.Command.Said) > 0 {
		f.commandAs(r, b, read.Command, func(buffer []byte, result *quota.Result, notices []quota.Notice) []byte {
			return wire.AppendReply(buffer, read.Reply(result, wire.NoticesOf(notices)))
		})
		return
	}
	// It tells of no window: nothing is recorded, and only a wrong account is refused.
	f.opt.Engine.Submit(&engine.Call{
		Request: writer.Request{Actor: r.actor, Read: f.present(func(s *quota.State, _ quota.Instant) any {
			if _, ok := s.Config.Account(b.Account); !ok {
				p, _ := s.Config.Principal(r.actor.Principal)
				return wire.NewError(quota.CodeInvalid, "%s", s.Config.UnknownAccount(b.Account, &p))
			}
			return read
		})},
		Done: func(reply *writer.Reply) { f.answerRead(r, reply) },
	})
}
