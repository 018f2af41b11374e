package simulate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bursarhq/bursar/pkg/agenda"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Options say what is simulated.
type Options struct {
	Config  quota.Config
	Tenants []*Tenant // nil for those that the configuration names
	Days    int
	Load    float64 // of what the accounts can serve
	Seed    uint64
	Policy  Policy
}

const (
	// MaxDays bounds a simulation.
	MaxDays = 366
	// largestShare of a window is the most that one reservation asks for.
	largestShare = 0.5
	// checkEvery is how often all invariants are checked.
	checkEvery = quota.Hour
	// stuck is how many ticks at one instant mean that time does not move on.
	stuck = 1_000_000
)

// ErrBroken says that an invariant of the ledger did not hold.
var ErrBroken = errors.New("the books do not add up")

// engine is one simulation.
type engine struct {
	policy  Policy
	state   *quota.State
	now     quota.Instant
	end     quota.Instant
	plans   agenda.Agenda[plan]
	runs    map[string]*run // by reservation
	guess   *guesser
	measure *measure
	most    map[string]quota.Limit // by provider: the window with the least capacity
	broken  []string
	silent  bool // agents do not ask for their place again

	nextCheck quota.Instant
}

// Run simulates and reports. Its errors are those of the context and [ErrBroken].
func Run(ctx context.Context, o Options) (*Report, error) {
	e, jobs, err := prepare(o)
	if err != nil {
		return nil, err
	}
	runs := make([]*run, len(jobs))
	for i, j := range jobs {
		runs[i] = &run{Job: j, kind: j.Tenant.kindOf(j.Kind)}
		e.planAt(runs[i], j.Arrives, (*engine).arrive)
	}
	if err := e.until(ctx, e.end); err != nil {
		return nil, err
	}
	e.now = e.end
	e.sample()
	if len(e.broken) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrBroken, strings.Join(e.broken, "; "))
	}
	return e.measure.report(e, &o, runs), nil
}

// until lets time pass, and checks the invariants each hour.
func (e *engine) until(ctx context.Context, end quota.Instant) error {
	for len(e.broken) == 0 {
		at, ok := e.next()
		if !ok || at > end {
			break
		}
		if at >= e.nextCheck {
			if err := ctx.Err(); err != nil {
				return err
			}
			e.sample()
			e.nextCheck = at.Add(checkEvery)
		}
		e.advance(at)
	}
	return nil
}

func prepare(o Options) (*engine, []*Job, error) {
	config := o.Policy.Configure(o.Config)
	e := &engine{
		policy: o.Policy, state: quota.NewState(), now: start, end: start.Add(quota.Millis(o.Days) * quota.Day),
		runs: map[string]*run{}, guess: newGuesser(o.Policy.Learned), most: smallest(&config), nextCheck: start,
	}
	all := o.Tenants
	if all == nil {
		all = tenants(&config)
	}
	jobs := workload(&config, all, o.Days, o.Load, o.Seed)
	if len(jobs) == 0 {
		return nil, nil, errors.New("nothing to simulate: no principal can use an account whose windows have a capacity in tokens")
	}
	e.measure = newMeasure(&o.Config, all, e.end.Sub(start))
	if r := e.do(quota.ApplyConfig{Config: config}); !r.OK() {
		return nil, nil, fmt.Errorf("the configuration was refused: %s", r.Message)
	}
	return e, jobs, nil
}

// smallest finds for each provider the token window of an account that holds least.
func smallest(c *quota.Config) map[string]quota.Limit {
	found := map[string]quota.Limit{}
	for _, l := range c.Limits {
		a, ok := c.Account(l.Scope.Account)
		if !ok || l.Unit != quota.UnitTokens || l.Capacity == 0 || lasts(l.Window) == 0 {
			continue
		}
		if known, ok := found[a.Provider]; !ok || l.Capacity < known.Capacity {
			found[a.Provider] = l
		}
	}
	return found
}

// next is when something happens next: in the world, or in the ledger by time alone.
func (e *engine) next() (at quota.Instant, ok bool) {
	due := e.state.NextDue()
	planned, ok := e.plans.Next()
	switch {
	case !ok:
		return due, due != 0
	case due != 0 && due <= planned:
		return max(due, e.now), true
	default:
		return planned, true
	}
}

// advance lets time pass up to an instant and does what was planned for it.
func (e *engine) advance(at quota.Instant) {
	e.now = max(e.now, at)
	e.ticks()
	for {
		planned, ok := e.plans.Next()
		if !ok || planned > e.now || len(e.broken) > 0 {
			return
		}
		if _, turn, p := e.plans.Take(); turn == p.run.turn && !p.run.over {
			p.do(e, p.run)
		}
		e.ticks()
	}
}

// ticks lets the ledger do what is due, one step at a time, as a writer does before each command.
func (e *engine) ticks() {
	for n := 0; ; n++ {
		due := e.state.NextDue()
		if due == 0 || due > e.now || len(e.broken) > 0 {
			return
		}
		if n == stuck {
			e.broken = append(e.broken, "ticks at one instant do not end")
			return
		}
		events, _ := quota.Decide(e.state, quota.Tick{}, quota.Env{Now: e.now, Prices: flat{}})
		e.apply(events)
	}
}

// do decides a command and applies its events.
func (e *engine) do(c quota.Command) quota.Result {
	e.ticks()
	events, result := quota.Decide(e.state, c, quota.Env{Now: e.now, Prices: flat{}})
	e.apply(events)
	return result
}

func (e *engine) apply(events []quota.Event) {
	e.measure.passing(e.state, events)
	for _, event := range events {
		quota.Apply(e.state, event)
		e.measure.saw(event)
	}
	if broken := e.state.Broken(); len(broken) > 0 {
		e.broken = append(e.broken, broken...)
	}
	for _, event := range events {
		e.heard(event)
	}
}

// heard tells agents what became of their reservations without their doing.
func (e *engine) heard(event quota.Event) {
	switch ev := event.(type) {
	case *quota.ReservationGranted:
		if r := e.runs[ev.Reservation]; r != nil && ev.QueuedAt != 0 {
			e.measure.predictedGrant(r, e.now)
			r.account, r.held = ev.Labels.Account, ev.Amount
			e.plan(r, 0, (*engine).claim)
		}
	case *quota.ReservationDequeued:
		if r := e.runs[ev.Reservation]; r != nil && ev.Outcome != quota.QueueGranted {
			e.plan(r, 0, (*engine).giveUp)
		}
	case *quota.ReservationPreempting:
		e.measure.preempting++
		if r := e.runs[ev.Reservation]; r != nil && r.working && !r.over {
			e.giveWay(r, ev.Expires)
		}
	case *quota.ReservationClosed:
		r := e.runs[ev.Reservation]
		delete(e.runs, ev.Reservation)
		if r != nil && !r.over && r.working && ev.Outcome != quota.OutcomeSettled {
			e.plan(r, 0, (*engine).interrupted)
		}
	}
}

// sample checks the invariants and measures what is measured now and then.
func (e *engine) sample() {
	e.broken = append(e.broken, e.state.Check()...)
	e.measure.sample(e)
}

// plan has something done with a run after a time, instead of what was planned before.
func (e *engine) plan(r *run, after quota.Millis, do func(*engine, *run)) {
	e.planAt(r, e.now.Add(after), do)
}

func (e *engine) planAt(r *run, at quota.Instant, do func(*engine, *run)) {
	r.turn = e.plans.Add(at, plan{r, do})
}

// plan is something to be done.
type plan struct {
	run *run
	do  func(*engine, *run)
}
