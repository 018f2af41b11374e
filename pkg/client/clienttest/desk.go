// Package clienttest answers requests in a test's process the way the allocator does: it decides with the real state
// machine and remembers request ids, but keeps nothing and elects nobody.
//
// It guarantees the protocol, and lets a test make it lose replies, refuse for want of a leader, or fall silent. It
// takes one workspace and never expires anything by itself: a test calls [Desk.Do] with a quota.Tick.
package clienttest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Fault is what a Desk does to a request.
type Fault int

// The faults.
const (
	None      Fault = iota
	LoseReply       // decide, and say nothing
	Swallow         // do nothing and say nothing
	NoLeader        // answer unavailable without deciding
	Break           // answer internal without deciding
)

// Desk serves the agent and admin verbs of a workspace.
type Desk struct {
	workspace string
	nc        *nats.Conn
	// Interfere, if set, is asked about each request before it is decided, with the number of requests so far.
	Interfere func(verb string, request wire.Request, n int) Fault

	mu       sync.Mutex
	state    *quota.State
	answered map[answerKey]answer
	requests int
	decided  int
	subs     []*nats.Subscription
}

type answerKey struct {
	principal string
	id        wire.RequestID
}

type answer struct {
	hash   wire.ParamsHash
	result quota.Result
}

// prices knows one model.
type prices struct{}

// PricedModel is the model that has a price: one dollar per million tokens of every class.
const PricedModel = "priced-model"

func (prices) Rate(model string, _ quota.Instant, _ bool) (quota.Rate, bool) {
	const dollar = 1_000_000
	if model != PricedModel {
		return quota.Rate{}, false
	}
	return quota.Rate{Input: dollar, CacheRead: dollar, CacheWrite5m: dollar, CacheWrite1h: dollar, Output: dollar}, true
}

// Config is a workspace with one API account "api-1" of provider "claude", 100,000 tokens a day, 5 reservations at
// once, and anyone as a member of team "core".
func Config() quota.Config {
	policy := quota.DefaultPolicy()
	policy.MinLease = 10 // ms, so that tests can watch leases
	policy.ExpiringNotice = 0
	return quota.Config{
		Policy:    policy,
		Providers: []quota.Provider{{Name: "claude"}},
		Accounts:  []quota.Account{{ID: "api-1", Provider: "claude", Kind: quota.KindAPI}},
		Limits: []quota.Limit{
			{ID: "api-1/day", Name: "day", Scope: quota.Scope{Account: "api-1"}, Unit: quota.UnitTokens, Capacity: 100_000,
				Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}, Weights: quota.DefaultWeights(quota.UnitTokens)},
			{ID: "api-1/live", Name: "live", Scope: quota.Scope{Account: "api-1"}, Unit: quota.UnitRequests, Capacity: 5,
				Window: quota.Window{Kind: quota.WindowConcurrent}},
		},
		Unlisted: &quota.Principal{Team: "core", MaxPriority: quota.PriorityHigh},
	}
}

// Open serves a workspace on a connection until [Desk.Shut].
func Open(nc *nats.Conn, workspace string, config quota.Config) (*Desk, error) {
	d := &Desk{workspace: workspace, nc: nc, state: quota.NewState(), answered: map[answerKey]answer{}}
	if r := d.Do(quota.ApplyConfig{Actor: quota.Actor{Principal: "root"}, Config: config}); !r.OK() {
		return nil, fmt.Errorf("apply the configuration: %s", r.Message)
	}
	return d, d.Serve()
}

// Serve subscribes; for a desk that was shut.
func (d *Desk) Serve() error {
	for _, kind := range []wire.Kind{wire.KindAgent, wire.KindAdmin} {
		filter, err := wire.KindFilter(d.workspace, kind)
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		sub, err := d.nc.Subscribe(filter, d.serve)
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		d.subs = append(d.subs, sub)
	}
	if err := d.nc.Flush(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Shut stops serving: requests find no responders.
func (d *Desk) Shut() error {
	var errs []error
	for _, sub := range d.subs {
		errs = append(errs, sub.Unsubscribe())
	}
	d.subs = nil
	return errors.Join(append(errs, d.nc.Flush())...)
}

// Do decides a command as of now.
func (d *Desk) Do(command quota.Command) quota.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.decide(command)
}

func (d *Desk) decide(command quota.Command) quota.Result {
	env := quota.Env{Now: max(d.state.Now, quota.InstantOf(time.Now())), Prices: prices{}}
	events, result := quota.Decide(d.state, command, env)
	for _, e := range events {
		quota.Apply(d.state, e)
	}
	return result
}

// Look calls look with the state, which it must not keep.
func (d *Desk) Look(look func(*quota.State)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	look(d.state)
}

// Counts gives how many requests came in, and how many of them were decided rather than answered again.
func (d *Desk) Counts() (requests, decided int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests, d.decided
}

func (d *Desk) serve(msg *nats.Msg) {
	subject, err := wire.ParseSubject(msg.Subject)
	if err != nil || !wire.ReplyAllowed(d.workspace, subject.Principal, msg.Reply) {
		return
	}
	d.mu.Lock()
	body := d.answer(subject, msg.Data)
	d.mu.Unlock()
	if body != nil {
		_ = msg.Respond(body) // the connection is closing: nobody waits any more
	}
}

// answer makes the reply; nil for none.
func (d *Desk) answer(subject wire.Subject, data []byte) []byte {
	d.requests++
	request, err := wire.DecodeRequest(subject.Kind, subject.Verb, data)
	if err != nil {
		return wire.AppendError(nil, err, nil)
	}
	fault := None
	if d.Interfere != nil {
		fault = d.Interfere(subject.Verb, request, d.requests)
	}
	switch fault {
	case Swallow:
		return nil
	case NoLeader:
		return wire.AppendError(nil, wire.Unavailable(0, "no leader"), nil)
	case Break:
		return wire.AppendError(nil, errors.New("a secret"), nil)
	case None, LoseReply:
	}
	by := quota.Actor{Principal: subject.Principal, Agent: subject.Agent}
	if a, ok := request.(wire.Acknowledging); ok && len(a.Acknowledged()) > 0 {
		d.decide(quota.Acknowledge{Actor: by, Notices: a.Acknowledged()})
	}
	body := d.reply(by, request)
	if fault == LoseReply {
		return nil
	}
	return body
}

func (d *Desk) reply(by quota.Actor, request wire.Request) []byte {
	notices := d.state.Notices(by)
	switch r := request.(type) {
	case wire.Commanding:
		read := rawOf(by, r)
		if read != nil && len(read.Command.Said) == 0 {
			return wire.AppendReply(nil, read.Reply(new(quota.Result), wire.NoticesOf(notices)))
		}
		key := answerKey{by.Principal, r.ID()}
		known, ok := d.answered[key]
		if ok && known.hash != r.ParamsHash() {
			return wire.AppendError(nil, wire.NewError(quota.CodeConflict, "request id %s was used for another request", r.ID()), notices)
		}
		if !ok {
			d.decided++
			command := r.Command(by, fmt.Sprintf("r-%d", d.decided))
			if read != nil {
				command = read.Command
			}
			known = answer{r.ParamsHash(), d.decide(command)}
			d.answered[key] = known
		}
		if read != nil && known.result.OK() {
			return wire.AppendReply(nil, read.Reply(&known.result, wire.NoticesOf(d.state.Notices(by))))
		}
		return wire.AppendResult(nil, r, &known.result, d.state.Notices(by))
	case *wire.EstimateRequest:
		return estimated(r, wire.NoticesOf(notices))
	case *wire.StatusRequest:
		return wire.AppendReply(nil, d.status(by, notices))
	case *wire.ListRequest:
		return wire.AppendReply(nil, wire.ReservationsReply{Now: wire.TimeOf(d.state.Now), Reservations: d.held(by), Notices: wire.NoticesOf(notices)})
	}
	return wire.AppendError(nil, wire.NewError(quota.CodeInvalid, "the desk does not serve %s", request.Verb()), notices)
}

// rawOf reads a raw observation; nil for anything else.
func rawOf(by quota.Actor, r wire.Commanding) *wire.Observed {
	if o, ok := r.(*wire.ObserveRequest); ok && o.Raw != nil {
		return o.ReadRaw(by, time.Now())
	}
	return nil
}

func (d *Desk) held(by quota.Actor) []wire.ReservationView {
	views := []wire.ReservationView{}
	for _, r := range d.state.HeldBy(by) {
		views = append(views, wire.ReservationViewOf(&r))
	}
	return views
}

func (d *Desk) status(by quota.Actor, notices []quota.Notice) wire.StatusReply {
	totals := wire.TotalsOf(d.state.Totals(), d.state.Live(), d.state.LiveAgents())
	reply := wire.StatusReply{
		Now: wire.TimeOf(d.state.Now), Principal: by.Principal, Agent: by.Agent, Reservations: d.held(by), Totals: &totals,
		Notices: wire.NoticesOf(notices),
	}
	for _, v := range d.state.Limits(d.state.Now) {
		reply.Limits = append(reply.Limits, wire.LimitOf(&v))
	}
	return reply
}

// Push sends an agent its pending notices at once, without their ids, as the allocator does.
func (d *Desk) Push(principal, agent string) error {
	var pending []quota.Notice
	d.Look(func(s *quota.State) { pending = s.Notices(quota.Actor{Principal: principal, Agent: agent}) })
	subject, err := wire.NoticeSubject(d.workspace, principal, agent)
	if err != nil {
		return fmt.Errorf("push notices: %w", err)
	}
	for _, n := range wire.NoticesOf(pending) {
		n.ID = 0
		if err := d.nc.Publish(subject, wire.AppendReply(nil, n)); err != nil {
			return fmt.Errorf("push notices: %w", err)
		}
	}
	return nil
}
