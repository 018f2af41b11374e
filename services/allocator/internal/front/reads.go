package front

import (
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/engine"
	"github.com/bursarhq/bursar/services/allocator/internal/estimates"
)

// read submits a question. It is computed from the state on the engine's goroutine and sent once everything it saw is
// in the log; values are copies.
func (f *Front) read(r *request) {
	var compute func(*quota.State, quota.Instant) any
	switch b := r.body.(type) {
	case *wire.EstimateRequest:
		task, err := b.Task()
		if err != nil {
			f.refuse(r, err, nil)
			return
		}
		by := estimates.Asker{Agent: r.actor.Agent, Model: b.Model}
		if b.Files != nil {
			by.Files = *b.Files
		}
		answer, err := f.opt.Estimates.Estimate(task, by)
		if err != nil {
			f.refuse(r, wire.NewError(quota.CodeInvalid, "%v", err), nil)
			return
		}
		compute = func(s *quota.State, now quota.Instant) any { return f.estimate(b.Model, answer, r.actor, s, now) }
	case *wire.StatusRequest:
		compute = func(s *quota.State, now quota.Instant) any { return status(b, r.actor, s, now) }
	case *wire.ListRequest:
		mine := func(v *quota.Reservation) bool {
			return v.Labels.Principal == r.actor.Principal && v.Labels.Agent == r.actor.Agent
		}
		compute = func(s *quota.State, now quota.Instant) any {
			return list(s, now, page{b.Closed, b.Limit, b.After}, mine)
		}
	case *wire.ReservationsRequest:
		compute = func(s *quota.State, now quota.Instant) any {
			return list(s, now, page{b.Closed, b.Limit, b.After}, func(v *quota.Reservation) bool { return matches(b, v) })
		}
	case *wire.AccountsRequest:
		compute = func(s *quota.State, now quota.Instant) any { return accounts(b, s, now) }
	case *wire.QueueRequest:
		compute = func(s *quota.State, now quota.Instant) any { return queue(b, s, now) }
	case *wire.EstimatesRequest:
		compute = func(*quota.State, quota.Instant) any { return f.opt.Estimates.Report() }
	case *wire.GetConfigRequest:
		compute = func(s *quota.State, _ quota.Instant) any {
			return &wire.ConfigReply{ConfigVersion: s.Config.Version, Config: wire.ConfigOf(&s.Config)}
		}
	default:
		f.refuse(r, wire.NewError(quota.CodeInvalid, "the verb %q is not served here", r.verb), nil)
		return
	}
	f.opt.Engine.Submit(&engine.Call{
		Request: writer.Request{Actor: r.actor, Read: f.present(compute)},
		Done:    func(reply *writer.Reply) { f.answerRead(r, reply) },
	})
}

// present refuses an answer that might be of the past: of a process that was paused or cut off, and replaced meanwhile.
// It is asked afterwards, since the pause may come in between.
func (f *Front) present(compute func(*quota.State, quota.Instant) any) func(*quota.State, quota.Instant) any {
	return func(s *quota.State, now quota.Instant) any {
		answer := compute(s, now)
		if !f.opt.Sure() {
			return wire.Unavailable(0, "this process is not sure that it still leads; ask again")
		}
		return answer
	}
}

func (f *Front) answerRead(r *request, reply *writer.Reply) {
	notices := wire.NoticesOf(reply.Notices)
	switch v := reply.Value.(type) {
	case error:
		f.refuse(r, v, reply.Notices)
		return
	case *forgotten:
		f.readLog(func() { f.recall(r, v, reply.Notices) })
		return
	case *wire.EstimateReply:
		v.Notices = notices
	case *wire.StatusReply:
		v.Notices, v.LedgerID = notices, reply.Ledger.String()
	case *wire.Observed:
		observed := v.Reply(new(quota.Result), notices)
		reply.Value = &observed
	case *wire.ReservationsReply:
		if r.actor.Agent != "" {
			v.Notices = notices
		}
	case nil:
		f.refuse(r, wire.ErrorOfResult(reply.Result, false), reply.Notices)
		return
	}
	f.send(r, wire.AppendReply(nil, reply.Value), quota.CodeOK)
}

func status(b *wire.StatusRequest, actor quota.Actor, s *quota.State, now quota.Instant) any {
	principal, _ := s.Config.Principal(actor.Principal)
	totals := wire.TotalsOf(s.Totals(), s.Live(), s.LiveAgents())
	reply := &wire.StatusReply{
		Now: wire.TimeOf(now), Principal: actor.Principal, Agent: actor.Agent, Team: principal.Team,
		ConfigVersion: s.Config.Version, Totals: &totals,
	}
	for _, v := range s.Limits(now) {
		if concerns(&v.Limit.Scope, &s.Config, &principal, actor.Agent) {
			reply.Limits = append(reply.Limits, wire.LimitOf(&v))
		}
	}
	reply.Queue = waitingOf(s, now, actor, b.ReservationID)
	if b.ReservationID != "" && len(reply.Queue) > 0 {
		return reply
	}
	if b.ReservationID != "" {
		r, ok := s.Reservation(b.ReservationID, actor)
		if !ok {
			return &forgotten{b.ReservationID, reply}
		}
		reply.Reservations = []wire.ReservationView{wire.ReservationViewOf(&r)}
		return reply
	}
	for _, r := range s.HeldBy(actor) {
		reply.Reservations = append(reply.Reservations, wire.ReservationViewOf(&r))
	}
	return reply
}

// forgotten is the status of an agent about a reservation that is not in the state any more, or never was.
type forgotten struct {
	id    string
	reply *wire.StatusReply
}

// recall completes such a status from the log, beside everything else.
func (f *Front) recall(r *request, v *forgotten, notices []quota.Notice) {
	found, err := f.archive.find(f.reading, v.id, r.actor)
	if err != nil {
		f.refuseRead(r, err, notices)
		return
	}
	v.reply.Reservations = []wire.ReservationView{wire.ReservationViewOf(found)}
	v.reply.Notices = wire.NoticesOf(notices)
	f.send(r, wire.AppendReply(nil, v.reply), quota.CodeOK)
}

// concerns tells whether a limit can bind work of an agent.
func concerns(scope *quota.Scope, c *quota.Config, p *quota.Principal, agent string) bool {
	if scope.Team != "" && scope.Team != p.Team || scope.Agent != "" && scope.Agent != agent {
		return false
	}
	if scope.Account == "" {
		return true
	}
	account, ok := c.Account(scope.Account)
	return ok && among(account.Teams, p.Team) && among(p.Accounts, account.ID)
}

// among tells whether a name is in a list that allows everything when it is empty.
func among(list []string, name string) bool {
	for _, n := range list {
		if n == name {
			return true
		}
	}
	return len(list) == 0
}

// page is which part of a list is asked for.
type page struct {
	closed bool
	limit  int64
	after  string
}

func list(s *quota.State, now quota.Instant, p page, match func(*quota.Reservation) bool) any {
	limit := int(p.limit)
	if limit == 0 {
		limit = wire.DefaultListLimit
	}
	found, more, ok := s.ReservationsAfter(p.after, limit, p.closed, match)
	if !ok {
		return wire.NewError(quota.CodeInvalid, "after names no reservation of this list; begin again without it")
	}
	reply := &wire.ReservationsReply{Now: wire.TimeOf(now), Reservations: []wire.ReservationView{}}
	for i := range found {
		reply.Reservations = append(reply.Reservations, wire.ReservationViewOf(&found[i]))
	}
	if more {
		reply.Next = found[limit-1].ID
	}
	return reply
}

func matches(b *wire.ReservationsRequest, r *quota.Reservation) bool {
	for _, field := range [...]struct{ want, have string }{
		{b.ReservationID, r.ID}, {b.Principal, r.Labels.Principal}, {b.Agent, r.Labels.Agent}, {b.Team, r.Labels.Team},
		{b.Provider, r.Labels.Provider}, {b.Account, r.Labels.Account},
	} {
		if field.want != "" && field.want != field.have {
			return false
		}
	}
	return true
}

func accounts(b *wire.AccountsRequest, s *quota.State, now quota.Instant) any {
	totals := wire.TotalsOf(s.Totals(), s.Live(), s.LiveAgents())
	reply := &wire.AccountsReply{Now: wire.TimeOf(now), ConfigVersion: s.Config.Version, Accounts: []wire.Account{}, Totals: &totals}
	byAccount := map[string][]wire.Limit{}
	for _, v := range s.Limits(now) {
		if id := v.Limit.Scope.Account; id != "" {
			byAccount[id] = append(byAccount[id], wire.LimitOf(&v))
		} else if b.Account == "" {
			reply.Limits = append(reply.Limits, wire.LimitOf(&v))
		}
	}
	for i := range s.Config.Accounts {
		if a := &s.Config.Accounts[i]; b.Account == "" || a.ID == b.Account {
			watch := s.Watch(a.ID)
			if now >= watch.ClosedUntil {
				watch.ClosedUntil = 0 // it is over
			}
			reply.Accounts = append(reply.Accounts, wire.AccountOf(a, byAccount[a.ID], &watch))
		}
	}
	if b.Account != "" && len(reply.Accounts) == 0 {
		return wire.NewError(quota.CodeInvalid, "%s", s.Config.UnknownAccount(b.Account, nil))
	}
	if b.Account == "" {
		reply.Teams = wire.TeamsOf(s.Teams(now))
	}
	for _, block := range s.Blocks() {
		reply.Blocks = append(reply.Blocks, wire.BlockOf(&block))
	}
	return reply
}
