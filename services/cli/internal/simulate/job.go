package simulate

import (
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
)

// run is one job under way.
type run struct {
	*Job
	kind        *kind
	account     string
	at          int    // the step that is next, or under way
	reservation string // of the present attempt; empty while nothing is asked for
	attempt     int
	stepSince   quota.Instant
	queued      bool
	working     bool
	interrupts  int
	turn        uint64 // of what was planned for the run, the latest; older plans are void
	grantedAt   quota.Instant
	estimated   int64 // tokens, at first
	held        quota.Amount
	used        quota.Amount // of the present reservation
	total       quota.Tokens
	waitedSince quota.Instant // of the present wait
	over        bool
	predictions []prediction // of the present wait, oldest first
	asksAgain   bool         // for its place, while it waits
	promised    promise      // by floors: what was asked for at askedAt and is not granted yet
	askedAt     quota.Instant
}

func (r *run) actor() quota.Actor { return quota.Actor{Principal: r.Tenant.Principal, Agent: r.Agent} }

// arrive begins a job.
func (e *engine) arrive(r *run) {
	r.waitedSince = e.now
	e.measure.arrived(r)
	e.ask(r)
}

// ask reserves for what is left of a job.
func (e *engine) ask(r *run) {
	left := r.waitedSince.Add(patience(r.Priority)).Sub(e.now)
	if left <= 0 {
		e.giveUp(r)
		return
	}
	r.attempt++
	r.reservation = fmt.Sprintf("%s/%d", r.ID, r.attempt)
	amount, least := e.guess.rest(r.kind, r.total.Total())
	c := quota.Reserve{
		Actor: r.actor(), Reservation: r.reservation, Provider: r.Tenant.Provider, Model: r.Tenant.Model, TaskType: r.Kind,
		Amount: quota.Amount{Tokens: e.fitting(r, amount), Requests: int64(len(r.Steps) - r.at)},
	}
	if e.policy.Priorities {
		c.Priority = r.Priority
	}
	if e.policy.Queue {
		c.MaxWait, c.Preemptible = left, r.Tenant.Preemptible
	}
	if e.policy.Shrink {
		c.MinTokens = min(least, c.Amount.Tokens.Total())
	}
	e.runs[r.reservation] = r
	if r.attempt == 1 {
		r.estimated = c.Amount.Tokens.Total()
	}
	if r.promised == promisesNothing { // asked for again, where it was promised before
		r.promised, r.askedAt = e.measure.floors.promises(e.state, r, c.Amount, e.now), e.now
	}
	result := e.do(c)
	switch {
	case result.OK() && result.Queue != nil:
		r.queued = true
		e.predicted(r, result.Queue)
	case result.OK():
		r.account, r.held = result.Account, result.Granted
		e.granted(r)
	default:
		e.refused(r, &result)
	}
}

// fitting cuts an estimate to what one window of the provider can ever grant, so that no estimate makes a limit unusable.
func (e *engine) fitting(r *run, t quota.Tokens) quota.Tokens {
	most := e.most[r.Tenant.Provider]
	if n := units(most.Weights, t); most.Capacity > 0 && n > float64(most.Capacity)*largestShare {
		by := float64(most.Capacity) * largestShare / n
		t = quota.Tokens{Input: int64(float64(t.Input) * by), CacheRead: int64(float64(t.CacheRead) * by), Output: int64(float64(t.Output) * by)}
	}
	return t
}

// refused has a job ask again later, or give up where that is of no use.
func (e *engine) refused(r *run, result *quota.Result) {
	delete(e.runs, r.reservation)
	r.reservation = ""
	if !result.Retryable {
		e.measure.terminal++
		e.giveUp(r)
		return
	}
	wait := e.policy.BackOff
	if e.policy.Queue && result.RetryAfter > 0 {
		wait = min(result.RetryAfter, backOff)
	}
	e.plan(r, wait, (*engine).ask)
}

func (e *engine) giveUp(r *run) {
	r.over, r.queued = true, false
	e.measure.gaveUp(r, e.now)
}

// claim is the sign of life after a grant from the queue.
func (e *engine) claim(r *run) {
	e.do(quota.Report{Actor: r.actor(), Reservation: r.reservation})
	e.granted(r)
}

// granted starts the work.
func (e *engine) granted(r *run) {
	e.measure.granted(r, e.now)
	r.queued, r.working, r.grantedAt, r.used = false, true, e.now, quota.Amount{}
	e.tryStep(r)
}

// step works on until the next report. An agent that dies is heard of no more.
func (e *engine) step(r *run) {
	if r.Dies == r.at {
		r.over, r.working = true, false
		e.measure.died++
		return
	}
	r.stepSince = e.now
	e.plan(r, r.Steps[r.at].Takes, (*engine).report)
}

// report records a step; the last one settles.
func (e *engine) report(r *run) {
	step := r.Steps[r.at]
	r.stepSince = 0
	r.used, r.total = r.used.Add(step.Amount), r.total.Add(step.Amount.Tokens)
	items := []quota.UsageItem{{Tokens: step.Amount.Tokens, Requests: step.Amount.Requests}}
	if r.at++; r.at == len(r.Steps) {
		e.do(quota.Settle{Actor: r.actor(), Reservation: r.reservation, Items: items})
		e.finished(r)
		return
	}
	e.do(quota.Report{Actor: r.actor(), Reservation: r.reservation, Items: items})
	e.goOn(r)
}

func (e *engine) finished(r *run) {
	r.over, r.working = true, false
	e.guess.learn(r.kind, r.total)
	e.measure.finished(r)
}

// goOn does the next step, after an extension where the reservation is nearly used up.
func (e *engine) goOn(r *run) {
	if !r.working {
		return
	}
	if r.at == 0 { // nothing is done yet
		e.tryStep(r)
		return
	}
	left := r.held.Tokens.Total() - r.used.Tokens.Total()
	if need := r.total.Total() / int64(r.at); left >= need { // a step like those before
		e.tryStep(r)
		return
	}
	more, _ := e.guess.rest(r.kind, r.total.Total())
	result := e.do(quota.Extend{
		Actor: r.actor(), Reservation: r.reservation, Amount: quota.Amount{Tokens: e.fitting(r, more), Requests: int64(len(r.Steps) - r.at)},
	})
	switch {
	case result.OK():
		e.measure.extended++
		r.held = result.Granted
		e.tryStep(r)
	case result.Code == quota.CodeClosed || result.Code == quota.CodeAllocationNotFound:
		e.interrupted(r)
	case e.policy.Queue:
		e.measure.stalled++
		e.settleAndWait(r)
	default:
		e.measure.stalled++
		e.stall(r)
	}
}

// tryStep works on, unless the provider refuses because its window is used up: then the job waits for the reset.
func (e *engine) tryStep(r *run) {
	if e.measure.usedUp(r.account) {
		e.measure.refused429++
		e.stall(r)
		return
	}
	e.step(r)
}

// settleAndWait gives back what is held and takes a place in the queue for the rest.
func (e *engine) settleAndWait(r *run) {
	r.working = false
	e.do(quota.Settle{Actor: r.actor(), Reservation: r.reservation})
	r.reservation, r.waitedSince = "", e.now
	r.interrupts++
	e.ask(r)
}

// stall keeps the reservation alive and tries again.
func (e *engine) stall(r *run) {
	r.stepSince = 0
	e.plan(r, e.policy.BackOff, (*engine).goOnAlive)
}

func (e *engine) goOnAlive(r *run) {
	e.do(quota.Report{Actor: r.actor(), Reservation: r.reservation})
	e.goOn(r)
}

// giveWay ends the work on a reservation that is being preempted: the agent goes on for as many calls as end within the
// grace, hands in what it has used, and waits for the rest. A call that takes longer is broken off at once.
func (e *engine) giveWay(r *run, until quota.Instant) {
	switch {
	case r.Dies == r.at: // it hears nothing
	case r.stepSince == 0:
		e.plan(r, 0, (*engine).settleAndWait)
	default:
		_, took := r.Steps[r.at].within(until.Sub(r.stepSince))
		e.planAt(r, max(e.now, r.stepSince.Add(took)), (*engine).stop)
	}
}

// stop breaks off, gives back what is held and waits for the rest.
func (e *engine) stop(r *run) {
	if e.breakOff(r); r.at < len(r.Steps) {
		e.settleAndWait(r)
		return
	}
	e.do(quota.Settle{Actor: r.actor(), Reservation: r.reservation})
	e.finished(r)
}

// interrupted asks anew for the rest of a job whose reservation was taken away.
func (e *engine) interrupted(r *run) {
	e.breakOff(r)
	r.interrupts++
	e.measure.interrupts++
	if r.at == len(r.Steps) {
		e.finished(r)
		return
	}
	r.working, r.reservation, r.waitedSince = false, "", e.now
	e.ask(r)
}

// breakOff hands in the calls of the step under way that are done. The one that is not has to be made again: what it has
// used is lost.
func (e *engine) breakOff(r *run) {
	if r.stepSince == 0 || r.at == len(r.Steps) {
		return
	}
	done, took := r.Steps[r.at].within(e.now.Sub(r.stepSince))
	under := e.now.Sub(r.stepSince.Add(took))
	r.stepSince = 0
	if done > 0 {
		r.split(r.at, done)
		step := r.Steps[r.at]
		r.at++
		r.used, r.total = r.used.Add(step.Amount), r.total.Add(step.Amount.Tokens)
		e.handIn(r, step.Amount)
	}
	if r.at == len(r.Steps) {
		return
	}
	if lost := r.Steps[r.at].Calls[0].part(under); lost.Total() > 0 {
		e.measure.lost(r, lost)
		e.handIn(r, quota.Amount{Tokens: lost, Requests: 1})
	}
}

func (e *engine) handIn(r *run, used quota.Amount) {
	e.do(quota.Report{Actor: r.actor(), Reservation: r.reservation, Items: []quota.UsageItem{{Tokens: used.Tokens, Requests: used.Requests}}})
}
