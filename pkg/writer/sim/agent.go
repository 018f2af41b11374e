package sim

import (
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/writer"
)

// horizon is how long request ids are remembered in the simulation.
const horizon = 30 * quota.Second

// agent sends one command after the other and repeats each, with the same request id, until it is answered.
type agent struct {
	world  *world
	name   string
	guest  bool // of the team that borrows; the others own the floor
	rounds int
	made   int // operations so far
	script []func()
	now    *operation
	past   []*operation // answered commands
	done   bool
}

// operation is one request with all its repetitions.
type operation struct {
	agent    *agent
	request  writer.Request
	text     string
	attempt  int
	answered bool
	result   quota.Result
	then     func(quota.Result)
}

func newAgent(w *world, i int) *agent {
	return &agent{world: w, name: fmt.Sprintf("agent-%d", i), guest: i%2 == 1, rounds: 1 + w.rand.IntN(3)}
}

func (a *agent) waitsFor() string {
	if a.now == nil {
		return "the configuration"
	}
	return fmt.Sprintf("%s (attempt %d)", a.now.text, a.now.attempt)
}

// simConfig has a limit of every kind, small enough to be reached. The capacity of the session is configured, or 0: then
// only the provider tells it.
func simConfig(sharedUnits int64, stints bool) quota.Config {
	policy := quota.DefaultPolicy()
	policy.MaxLifetime, policy.MinLease, policy.RequestHorizon = 25*quota.Second, 4*quota.Second, horizon
	policy.ExpiringNotice, policy.ClosedKept = 2*quota.Second, 20
	policy.QueueAgeing, policy.QueueSkip, policy.GrantGrace = 4*quota.Second, 3*quota.Second, 5*quota.Second
	policy.PreemptGrace = preemptGrace
	tokens := func(id string, capacity int64, w quota.Window) quota.Limit {
		return quota.Limit{ID: id, Name: id, Scope: quota.Scope{Account: "acc"}, Unit: quota.UnitTokens, Capacity: capacity, Window: w}
	}
	c := quota.Config{
		Providers: []quota.Provider{{Name: "openai"}},
		Accounts:  []quota.Account{{ID: "acc", Provider: "openai", Kind: quota.KindAPI}},
		Limits: []quota.Limit{
			tokens("day", 4_000, quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}),
			tokens(shared, sharedUnits, quota.Window{Kind: quota.WindowSession, Duration: 15 * quota.Second}),
			{ID: "agents", Name: "agents", Unit: quota.UnitRequests, Capacity: 3, Window: quota.Window{Kind: quota.WindowConcurrent}},
			{ID: "rpm", Name: "rpm", Scope: quota.Scope{Account: "acc"}, Unit: quota.UnitRequests, Capacity: minuteUnits, Window: quota.Window{Kind: quota.WindowBucket, Duration: quota.Minute}},
		},
		Principals: []quota.Principal{{Name: guest, Team: guests, MaxPriority: quota.PriorityNormal}},
		Unlisted:   &quota.Principal{Team: owners, MaxPriority: quota.PriorityNormal},
		Policy:     policy,
		Teams:      simTeams(),
	}
	if stints {
		held := tokens(stint, stintUnits, quota.Window{Kind: quota.WindowSession, Duration: stintLasts})
		held.HoldBack = &quota.HoldBack{Percent: stintHeldBack, Priority: quota.PriorityHigh, Until: stintUntil}
		c.Limits = append(c.Limits, held)
	}
	return c
}

// configure is the first request of all; the others begin when it is answered.
func (a *agent) configure() {
	a.do("apply", quota.ApplyConfig{Actor: quota.Actor{Principal: "op"}, Config: simConfig(a.world.sharedUnits, a.world.stints)}, func(r quota.Result) {
		if !r.OK() && a.world.oracle.ledger.State().Config.Version == 0 {
			a.world.violate("the configuration was refused: %s", r.Message)
		}
		for _, other := range a.world.agents {
			a.world.after(a.world.upTo(time.Second), other.round)
		}
	})
}

// round plans the life of one reservation.
func (a *agent) round() {
	w := a.world
	if a.rounds--; a.rounds < 0 {
		a.done, a.now = true, nil
		return
	}
	id := fmt.Sprintf("%s/%d", a.name, a.made)
	amount := int64(50 + w.rand.IntN(600))
	switch few := w.rand.IntN(4); {
	case few == 0 || a.guest && few == 1:
		amount = int64(20 + w.rand.IntN(60)) // so little that all of it may have to go back
	case few == 3:
		amount = int64(600 + w.rand.IntN(400)) // so much that others are in the way
	}
	a.script = nil
	a.aside()
	reserve := quota.Reserve{
		Actor: a.actor(), Reservation: id, Provider: "openai", Model: "m", Lease: quota.Millis(4000 + w.rand.IntN(6000)),
		Amount: quota.Amount{Tokens: quota.Tokens{Output: amount}},
	}
	a.terms(&reserve)
	a.script = append(a.script, func() {
		a.do("reserve "+id, reserve, func(r quota.Result) {
			switch {
			case r.OK() && r.Queue != nil:
				a.await(id, amount)
			case r.OK():
				a.plan(id, amount)
			}
			a.next()
		})
	})
	a.next()
}

// plan is what happens with a reservation that was granted.
func (a *agent) plan(id string, amount int64) {
	w := a.world
	call := fmt.Sprintf("call-%s", id)
	var used int64
	for range w.rand.IntN(3) {
		used += w.rand.Int64N(amount*2/3 + 1)
		items := []quota.UsageItem{{CallID: call, Tokens: quota.Tokens{Output: used}}}
		w.oracle.calls[call] = max(w.oracle.calls[call], used)
		a.add("report "+id, quota.Report{Actor: a.actor(), Reservation: id, Items: items})
		if w.rand.IntN(3) == 0 {
			a.add("report again "+id, quota.Report{Actor: a.actor(), Reservation: id, Items: items})
		}
		if w.rand.IntN(4) == 0 {
			a.add("extend "+id, quota.Extend{Actor: a.actor(), Reservation: id, Amount: quota.Amount{Tokens: quota.Tokens{Output: 40}}, Lifetime: 3 * quota.Second})
		}
		a.aside()
	}
	switch w.rand.IntN(6) {
	case 0: // forgotten: it expires
	case 1:
		a.add("release "+id, quota.Release{Actor: a.actor(), Reservation: id})
		a.add("release again "+id, quota.Release{Actor: a.actor(), Reservation: id})
	case 2:
		a.add("settle a ghost", quota.Settle{Actor: a.actor(), Reservation: "ghost", Account: "acc", Items: []quota.UsageItem{{Tokens: quota.Tokens{Output: 1}}}})
		fallthrough
	default:
		a.add("settle "+id, quota.Settle{Actor: a.actor(), Reservation: id, Items: []quota.UsageItem{{CallID: call, Tokens: quota.Tokens{Output: used}}}})
	}
}

func (a *agent) add(text string, cmd quota.Command) {
	a.script = append(a.script, func() { a.do(text, cmd, func(quota.Result) { a.next() }) })
}

// aside plans something that is not part of a reservation's life.
func (a *agent) aside() {
	w := a.world
	switch w.rand.IntN(8) {
	case 0, 1:
		a.script = append(a.script, a.read)
	case 2:
		a.script = append(a.script, a.repeat)
	case 3:
		a.script = append(a.script, a.reuse)
	case 4:
		if w.chance(0.5) {
			a.script = append(a.script, func() { w.fault(IDTooOld); a.strange(-quota.Hour) })
		}
	case 6:
		a.observe()
	case 7:
		a.tell()
	case 5:
		if w.chance(0.5) {
			a.script = append(a.script, func() { w.fault(IDAhead); a.strange(quota.Hour) })
		}
	}
}

// next does the next thing of the script.
func (a *agent) next() {
	w := a.world
	if len(a.script) == 0 {
		w.after(w.upTo(w.think), a.round)
		return
	}
	do := a.script[0]
	a.script = a.script[1:]
	w.after(w.upTo(w.think), do)
}

func (a *agent) do(text string, cmd quota.Command, then func(quota.Result)) {
	a.made++
	id := fmt.Sprintf("%s/%d", a.name, a.made)
	a.send(&operation{agent: a, text: text, then: then, request: writer.Request{
		Actor: a.actor(), Key: ledger.KeyOf("p", id), Params: ledger.ParamsOf([]byte(text)), IssuedAt: a.world.wall(), Command: cmd,
	}})
}

func (a *agent) read() {
	a.made++
	a.send(&operation{agent: a, text: "read", then: func(quota.Result) { a.next() }, request: writer.Request{
		Actor: a.actor(), Read: func(s *quota.State, _ quota.Instant) any { return s.Totals() },
	}})
}

// repeat sends an answered request once more.
func (a *agent) repeat() {
	if len(a.past) == 0 {
		a.next()
		return
	}
	old := a.past[a.world.rand.IntN(len(a.past))]
	a.world.fault(IDRepeated)
	a.send(&operation{agent: a, text: old.text + ", repeated", request: old.request, then: func(quota.Result) { a.next() }})
}

// reuse sends something else with the id of an answered request.
func (a *agent) reuse() {
	if len(a.past) == 0 {
		a.next()
		return
	}
	old := a.past[len(a.past)-1]
	a.world.fault(IDReused)
	request := old.request
	request.Params = ledger.ParamsOf([]byte("something else"))
	request.Command = quota.Reserve{Actor: a.actor(), Reservation: "stolen", Provider: "openai", Model: "m"}
	a.send(&operation{agent: a, text: old.text + ", reused", request: request, then: func(quota.Result) { a.next() }})
}

// strange sends a request whose id is from another time.
func (a *agent) strange(by quota.Millis) {
	a.made++
	a.send(&operation{agent: a, text: fmt.Sprintf("an id of %d ms from now", by), then: func(quota.Result) { a.next() }, request: writer.Request{
		Actor: a.actor(), Key: ledger.KeyOf("p", fmt.Sprintf("%s/%d", a.name, a.made)), IssuedAt: a.world.wall().Add(by),
		Command: quota.Release{Actor: a.actor(), Reservation: "ghost"},
	}})
}

// send begins an operation.
func (a *agent) send(op *operation) {
	a.now = op
	op.try()
}

// try sends the request once, to who seems to lead, and once more if nothing is heard.
func (op *operation) try() {
	if op.answered {
		return
	}
	w := op.agent.world
	op.attempt++
	attempt := op.attempt
	w.after(giveUp, func() {
		if op.attempt == attempt {
			op.try()
		}
	})
	to := op.target()
	calls := []*call{op.call()}
	if w.chance(w.rates.wire) {
		w.fault(SentTwice)
		calls = append(calls, op.call())
	}
	w.say("%s: %s, attempt %d, to node %d", op.agent.name, op.text, op.attempt, to.index)
	w.after(w.latency(), func() {
		if !to.submit(calls...) {
			w.after(200*time.Millisecond+w.upTo(300*time.Millisecond), func() { op.again(attempt) })
		}
	})
}

func (op *operation) again(attempt int) {
	if op.attempt == attempt {
		op.try()
	}
}

func (op *operation) target() *node {
	w := op.agent.world
	if w.chance(w.rates.wire) {
		w.fault(SentElsewhere)
		return w.nodes[w.rand.IntN(len(w.nodes))]
	}
	for _, n := range w.nodes {
		if n.serving {
			return n
		}
	}
	return w.nodes[w.rand.IntN(len(w.nodes))]
}

// call is the request as one process gets it.
func (op *operation) call() *call {
	attempt := op.attempt
	return &call{request: op.request, reply: func(r *writer.Reply) { op.receive(attempt, r) }}
}

// receive takes a reply. One that is late is as good as another.
func (op *operation) receive(attempt int, r *writer.Reply) {
	w := op.agent.world
	if w.chance(w.rates.wire) {
		w.fault(ReplyLost)
		return
	}
	if op.answered {
		return
	}
	if r.Result.Code == quota.CodeUnavailable {
		w.after(min(time.Second, r.Result.RetryAfter.Duration())+w.upTo(200*time.Millisecond), func() { op.again(attempt) })
		return
	}
	w.say("%s: %s is answered %q", op.agent.name, op.text, r.Result.Code)
	op.answered, op.result = true, *r.Result
	if op.request.Command != nil {
		op.agent.past = append(op.agent.past, op)
	}
	op.then(*r.Result)
}
