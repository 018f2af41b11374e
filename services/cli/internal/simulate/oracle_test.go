package simulate

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// How exact can a prediction of a grant be? An oracle copies the whole simulation at the moment of the question, with every
// running job's true calls and end, and lets the copy go on. Of the future arrivals it knows
//
//   - all: then it is always right, because nothing else is random. That the copy is one is tested by this;
//   - none: what it says is what a predictor can know that is told everything about the present;
//   - how many to expect: it draws them anew, several times, and says the median.
//
// An informed broker knows no job's true use either, but what jobs of a kind use in general: informed_test.go.

// foresight is what an oracle knows of future arrivals.
type foresight int

const (
	knowsAll foresight = iota
	knowsNone
	knowsRates
	knowsKinds // and rates, but of no job what it will use
)

// fork copies a simulation. Of jobs that have not arrived yet it keeps those that keep is true for.
func (e *engine) fork(t *testing.T, o *Options, keep func(*run) bool) (*engine, []*run) {
	t.Helper()
	state, err := quota.Restore(e.state.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	f := &engine{
		policy: e.policy, state: state, now: e.now, end: e.end, runs: map[string]*run{}, most: e.most, nextCheck: e.end,
		guess: e.guess.copy(), measure: newMeasure(&o.Config, tenants(&o.Config), e.end.Sub(start)), silent: true,
	}
	maps.Copy(f.measure.present, e.measure.present)
	copies := map[*run]*run{}
	of := func(r *run) *run {
		if copies[r] == nil {
			c, j := *r, *r.Job
			j.Steps = slices.Clone(j.Steps)
			c.Job, c.predictions = &j, slices.Clone(r.predictions)
			copies[r] = &c
		}
		return copies[r]
	}
	for id, r := range e.runs {
		f.runs[id] = of(r)
	}
	f.plans = e.plans.Copy(func(p plan) (plan, bool) {
		if p.run.attempt == 0 && !keep(p.run) {
			return plan{}, false
		}
		return plan{of(p.run), p.do}, true
	})
	list := slices.Collect(maps.Values(copies))
	slices.SortFunc(list, func(a, b *run) int { return cmp.Compare(a.ID, b.ID) })
	return f, list
}

func (g *guesser) copy() *guesser {
	c := newGuesser(g.learned)
	for kind, h := range g.seen {
		one := *h
		one.sorted, one.order = slices.Clone(h.sorted), slices.Clone(h.order)
		c.seen[kind] = &one
	}
	return c
}

// grantOf lets time pass until a reservation is granted; 0 where it never is.
func (e *engine) grantOf(reservation string) quota.Instant {
	r := e.runs[reservation]
	for r != nil && r.queued && r.reservation == reservation && len(e.broken) == 0 {
		at, ok := e.next()
		if !ok || at > e.end {
			return 0
		}
		e.advance(at)
	}
	if r == nil || !r.working && r.grantedAt == 0 {
		return 0
	}
	return r.grantedAt
}

// question is a wait of which the grant is to be predicted.
type question struct {
	reservation    string
	priority       quota.Priority
	since, granted quota.Instant
}

// askedIn runs a simulation and lists the waits of a minute and more that ended with a grant.
func askedIn(t *testing.T, o *Options) (asked []*question) {
	t.Helper()
	e := begin(t, o)
	waiting := map[string]*question{}
	e.each(func() {
		for id, r := range e.runs {
			if r.queued && waiting[id] == nil {
				waiting[id] = &question{reservation: id, priority: r.Priority, since: r.waitedSince}
			}
		}
		for id, q := range waiting {
			r := e.runs[id]
			if r != nil && r.queued {
				continue
			}
			delete(waiting, id)
			if r != nil && r.grantedAt.Sub(q.since) >= leastWait {
				q.granted = r.grantedAt
				asked = append(asked, q)
			}
		}
	})
	slices.SortFunc(asked, func(a, b *question) int { return int(a.since - b.since) })
	return asked
}

func begin(t *testing.T, o *Options) *engine {
	t.Helper()
	e, jobs, err := prepare(*o)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		r := &run{Job: j, kind: j.Tenant.kindOf(j.Kind)}
		e.planAt(r, j.Arrives, (*engine).arrive)
	}
	return e
}

// each lets all of the time pass and looks after each step.
func (e *engine) each(look func()) {
	for {
		at, ok := e.next()
		if !ok || at > e.end {
			return
		}
		e.advance(at)
		look()
	}
}

// answer is what an oracle says now of a question.
func (e *engine) answer(t *testing.T, o *Options, q *question, knows foresight, draws int) quota.Instant {
	t.Helper()
	if knows != knowsRates {
		f, _ := e.fork(t, o, func(*run) bool { return knows == knowsAll })
		return f.grantOf(q.reservation)
	}
	said := e.draws(t, o, q, knows, draws)
	return said[len(said)/2]
}

// draws lets copies go on whose future is drawn anew, and lists when they grant, in order of time.
func (e *engine) draws(t *testing.T, o *Options, q *question, knows foresight, draws int) (said []quota.Instant) {
	t.Helper()
	for n := range draws {
		f, runs := e.fork(t, o, func(*run) bool { return false })
		if knows == knowsKinds {
			f.drawRest(runs, o.Seed+uint64(n))
		}
		for _, j := range workload(&o.Config, tenants(&o.Config), o.Days, o.Load, o.Seed+uint64(1_000_000*(n+1))) {
			if j.Arrives > e.now {
				j.ID = fmt.Sprintf("drawn-%s", j.ID)
				f.planAt(&run{Job: j, kind: j.Tenant.kindOf(j.Kind)}, j.Arrives, (*engine).arrive)
			}
		}
		if at := f.grantOf(q.reservation); at != 0 {
			said = append(said, at)
		} else {
			said = append(said, e.end)
		}
	}
	slices.Sort(said)
	return said
}

// TestOracle is the bound of what predictions of grants can be. It samples a few waits of a day, and asks that an oracle
// that knows all is right to the millisecond; with ORACLE=LOAD,SAMPLES,DRAWS,SEED it prints how far off the others are.
func TestOracle(t *testing.T) {
	t.Parallel()
	load, samples, draws, seed, days, c := 1.2, 3, 0, 5, 1, village(t)
	if text := os.Getenv("ORACLE"); text != "" {
		if _, err := fmt.Sscanf(text, "%g,%d,%d,%d", &load, &samples, &draws, &seed); err != nil {
			t.Fatal(err)
		}
		days, c = 3, world(t)
	}
	o := &Options{Config: c, Days: days, Load: load, Seed: uint64(seed), Policy: Bursar()}
	asked := askedIn(t, o)
	if len(asked) < samples {
		t.Fatalf("only %d waits", len(asked))
	}
	step := len(asked) / samples
	type moment struct {
		*question
		half bool
		at   quota.Instant
	}
	var moments []moment
	for i := range samples {
		q := asked[i*step]
		moments = append(moments, moment{q, false, q.since}, moment{q, true, q.since.Add(q.granted.Sub(q.since) / 2)})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
	errors := map[string][]float64{}
	e := begin(t, o)
	e.each(func() {
		for len(moments) > 0 && moments[0].at <= e.now {
			m := moments[0]
			moments = moments[1:]
			if r := e.runs[m.reservation]; r == nil || !r.queued {
				continue // granted at the same instant
			}
			note := func(who string, said quota.Instant) {
				if said == 0 {
					said = e.end
				}
				errors[fmt.Sprintf("half=%v %s", m.half, who)] = append(errors[fmt.Sprintf("half=%v %s", m.half, who)],
					math.Abs(float64(said.Sub(m.granted)))/float64(m.granted.Sub(m.since)))
			}
			if at := e.answer(t, o, m.question, knowsAll, 0); at != m.granted {
				t.Errorf("%s was granted at %d, the copy at %d says %d", m.reservation, m.granted, e.now, at)
			}
			if draws == 0 {
				continue
			}
			note("a knows no arrivals", e.answer(t, o, m.question, knowsNone, 0))
			note("c knows their rates, drawn "+strconv.Itoa(draws)+" times", e.answer(t, o, m.question, knowsRates, draws))
			said := e.draws(t, o, m.question, knowsKinds, draws)
			note("d knows rates and kinds of jobs, drawn "+strconv.Itoa(draws)+" times", said[len(said)/2])
			note("e the same, the point that most draws are near", likeliest(said, m.since))
			note("ledger", e.state.Place(m.reservation, e.now).GrantAt)
		}
	})
	for _, who := range slices.Sorted(maps.Keys(errors)) {
		list := errors[who]
		slices.Sort(list)
		near, _ := slices.BinarySearch(list, nearEnough)
		t.Logf("load %.1f, %s: %d waits, off by %.0f %% p50, %.0f %% p90, %.0f %% of them by less than a quarter",
			load, who, len(list), 100*list[rank(len(list), 0.5)], 100*list[rank(len(list), 0.9)], 100*float64(near)/float64(len(list)))
	}
}
