package writer

import (
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// submit takes one request.
func (w *Writer) submit(r *Request) {
	switch {
	case w.phase == Halted:
		w.unavailable(r.Token, "the ledger is halted; an operator has to look", waitForSpace)
	case w.phase != Serving:
		w.unavailable(r.Token, "this writer does not serve now; ask again with the same request id", waitForLeader)
	case w.full:
		w.unavailable(r.Token, "the ledger's bucket is full; an operator has to make room", waitForSpace)
	case w.waiting >= MaxWaiting:
		w.unavailable(r.Token, fmt.Sprintf("%d requests wait already, the bound", MaxWaiting), waitForRoom)
	case r.Read != nil:
		w.read(r)
	case len(w.queue) == 0 && w.decide(r, w.time.Mono):
	default:
		w.queue = append(w.queue, pending{*r, w.time.Mono})
		w.wait(w.time.Mono)
	}
}

// wait counts one more unanswered request.
func (w *Writer) wait(arrived time.Duration) {
	if w.waiting == 0 || arrived < w.oldest {
		w.oldest = arrived
	}
	w.waiting++
}

// read answers from the state as it is, after everything in it is in the log.
func (w *Writer) read(r *Request) {
	state := w.ledger.State()
	value, notices := r.Read(state, w.clock.now), state.Notices(r.Actor)
	after := w.lastGroup()
	if after == nil {
		w.do(&Reply{Token: r.Token, Result: new(quota.Result), Value: value, Now: w.clock.now, Notices: notices, Version: w.ledger.Position().Number, Ledger: w.ledger.Position().Ledger})
		return
	}
	after.waiters = append(after.waiters, waiter{token: r.Token, arrived: w.time.Mono, answer: -1, value: value, now: w.clock.now, notices: notices})
	w.wait(w.time.Mono)
}

// lastGroup is the newest group that is not in the log, or nil.
func (w *Writer) lastGroup() *group {
	switch {
	case !w.draft.empty():
		return w.draft
	case w.flight != nil:
		return w.flight.group
	default:
		return nil
	}
}

// decideQueue decides what waits, as long as it fits.
func (w *Writer) decideQueue() {
	for len(w.queue) > 0 && w.leads() {
		all := w.queue
		w.queue = all[1:]
		w.waiting--
		if !w.decide(&all[0].Request, all[0].arrived) {
			w.queue = all
			w.waiting++
			return
		}
	}
	if len(w.queue) == 0 {
		w.queue = nil
	}
}

// decide answers a command, or attaches it to the answer that it already has. It gives false when the draft has no
// room; the command then waits for the next one.
func (w *Writer) decide(r *Request, arrived time.Duration) bool {
	if w.repeated(r, arrived) {
		return true
	}
	if refusal := w.outOfMemory(r); refusal != nil {
		w.do(&Reply{Token: r.Token, Result: refusal, Now: w.clock.now})
		return true
	}
	if !w.tick() {
		if !w.leads() {
			w.unavailable(r.Token, "the decision cannot be recorded", waitForSpace)
		}
		return !w.leads()
	}
	state := w.ledger.State()
	events, result := quota.Decide(state, r.Command, quota.Env{Now: w.clock.now, Prices: w.prices})
	answer := ledger.Answer{Key: r.Key, Params: r.Params, IssuedAt: r.IssuedAt, Result: result}
	fits, err := w.draft.add(events, &answer, w.clock.now)
	if err == nil && !fits && !w.draft.closed {
		events, answer.Result = nil, quota.Result{Code: quota.CodeInvalid,
			Message: fmt.Sprintf("the request does not fit one commit of %d bytes; send it in parts", ledger.MaxCommitBytes)}
		fits, err = w.draft.add(nil, &answer, w.clock.now)
	}
	if err != nil {
		w.unavailable(r.Token, "the decision cannot be recorded", waitForSpace)
		w.halt(err.Error())
		return true
	}
	if !fits {
		return false
	}
	w.draft.waiters = append(w.draft.waiters, waiter{
		token: r.Token, arrived: arrived, answer: len(w.draft.answers) - 1, now: w.clock.now, notices: state.Notices(r.Actor),
	})
	w.wait(arrived)
	w.apply(events)
	return true
}

// apply folds what was decided and taken into the draft.
func (w *Writer) apply(events []quota.Event) {
	state := w.ledger.State()
	for _, e := range events {
		quota.Apply(state, e)
	}
	if broken := state.Broken(); len(broken) > 0 {
		w.halt("a decision broke an invariant and is not written: " + broken[0])
		return
	}
	w.reprice()
}

// reprice looks up the catalogue when the configuration has changed.
func (w *Writer) reprice() {
	if config := &w.ledger.State().Config; w.prices == nil || w.priced != config.Version {
		w.prices, w.priced = w.opt.Prices(config), config.Version
	}
}

// tick lets time pass in the state. It gives false when what is due does not fit into the draft, or the reign ended.
func (w *Writer) tick() bool {
	if w.prices == nil {
		w.reprice()
	}
	state := w.ledger.State()
	for due := state.NextDue(); due != 0 && due <= w.clock.now; due = state.NextDue() {
		events, _ := quota.Decide(state, quota.Tick{}, quota.Env{Now: w.clock.now, Prices: w.prices})
		if len(events) == 0 {
			break
		}
		fits, err := w.draft.add(events, nil, w.clock.now)
		if err != nil || !fits && !w.draft.closed {
			w.halt(fmt.Sprintf("what is due at %d does not fit one commit: %v", due, err))
			return false
		}
		if !fits {
			return false
		}
		if w.apply(events); !w.leads() {
			return false
		}
	}
	return true
}

// repeated handles a request id that was decided before: the same answer, or a conflict when it asks for something else.
func (w *Writer) repeated(r *Request, arrived time.Duration) bool {
	if ref, ok := w.ledger.Lookup(r.Key, r.IssuedAt); ok {
		if ref.Params != r.Params {
			w.do(&Reply{Token: r.Token, Result: otherParams(), Now: w.clock.now})
			return true
		}
		w.do(FetchAnswer{Token: r.Token, Revision: ref.Revision, Index: ref.Index, Now: w.clock.now, Notices: w.ledger.State().Notices(r.Actor)})
		return true
	}
	g, i, ok := w.undecided(r.Key)
	if !ok {
		return false
	}
	again := waiter{token: r.Token, arrived: arrived, answer: i, now: w.clock.now, notices: w.ledger.State().Notices(r.Actor)}
	if g.answers[i].Params != r.Params {
		again.answer, again.result = -1, otherParams()
	}
	g.waiters = append(g.waiters, again)
	w.wait(arrived)
	return true
}

// undecided finds a request id in the groups that are not in the log yet.
func (w *Writer) undecided(key ledger.Key) (g *group, answer int, ok bool) {
	if i, ok := w.draft.keys[key]; ok {
		return w.draft, i, true
	}
	if w.flight != nil {
		if i, ok := w.flight.keys[key]; ok {
			return w.flight.group, i, true
		}
	}
	return nil, 0, false
}

func otherParams() *quota.Result {
	return &quota.Result{Code: quota.CodeConflict,
		Message: "this request id was used for another request; use a new one for each request, and the same one only to repeat it"}
}

// outOfMemory refuses a request id that may have been answered and forgotten, or that cannot be remembered.
func (w *Writer) outOfMemory(r *Request) *quota.Result {
	now := w.clock.now
	undecided := len(w.draft.answers)
	if w.flight != nil {
		undecided += len(w.flight.answers)
	}
	switch {
	case r.IssuedAt <= max(w.ledger.Floor(), now.Add(-w.ledger.Horizon())):
		return &quota.Result{Code: quota.CodeInvalid,
			Message: "the request id is too old: it may have been answered and forgotten, so it is never run; read the status and use a new id"}
	case r.IssuedAt > now.Add(ledger.MaxAhead):
		return &quota.Result{Code: quota.CodeInvalid,
			Message: fmt.Sprintf("the time in the request id is %d ms in the future, at most %d are allowed; set the clock", r.IssuedAt.Sub(now), ledger.MaxAhead)}
	case !w.ledger.Room(undecided+1, now):
		return &quota.Result{Code: quota.CodeUnavailable, Retryable: true, RetryAfter: waitForRoom,
			Message: fmt.Sprintf("%d request ids are remembered, the bound, and the oldest is younger than %d ms", ledger.MaxRemembered, ledger.MinMemory)}
	}
	return nil
}
