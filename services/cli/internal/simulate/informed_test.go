package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// The informed oracle knows what a broker can know and nothing else: the ledger with its rules, how often work arrives, and
// what jobs of a kind use and how long they take in general. Of a job under way it knows the calls that were reported, and
// for how long the present ones take already. What it says of a grant is the bound of what can be predicted.

// nearEnough is the error that the goal allows, as a share of the wait.
const nearEnough = 0.25

// mostRedraws is how often the rest of a job is drawn until it goes with what is known of it.
const mostRedraws = 3000

// drawRest draws anew what is left of every job that has arrived. Work that is being taken back goes on as it is.
func (e *engine) drawRest(runs []*run, seed uint64) {
	d := dice{rand.New(rand.NewPCG(seed, uint64(e.now)))}
	preempting := map[string]bool{}
	for _, r := range e.state.Reservations(false, func(r *quota.Reservation) bool { return r.Preempting }) {
		preempting[r.ID] = true
	}
	for _, r := range runs {
		if r.attempt == 0 || r.over || preempting[r.reservation] {
			continue
		}
		r.drawRest(d, e.now)
		if r.working && r.stepSince != 0 && r.Dies != r.at {
			e.planAt(r, r.stepSince.Add(r.Steps[r.at].Takes), (*engine).report)
		}
	}
}

// drawRest keeps the steps that are done and draws those to come: more calls than were made, the first of which take
// longer than they have until now. A job for which that is not found stays as it is.
func (r *run) drawRest(d dice, now quota.Instant) {
	made, under := 0, quota.Millis(-1)
	for _, s := range r.Steps[:r.at] {
		made += len(s.Calls)
	}
	if r.working && r.stepSince != 0 {
		under = now.Sub(r.stepSince)
	}
	for range mostRedraws {
		calls := d.calls(r.kind)
		if len(calls) <= made {
			continue
		}
		var steps []Step
		for part := range slices.Chunk(calls[made:], callsPerReport) {
			steps = append(steps, stepOf(part))
		}
		if steps[0].Takes <= under {
			continue
		}
		r.Steps, r.Dies = append(slices.Clone(r.Steps[:r.at]), steps...), -1
		if d.IntN(diesOf) < deaths {
			r.Dies = r.at + d.IntN(len(steps))
		}
		return
	}
}

// likeliest is the point that has most of the draws within what the goal allows.
func likeliest(said []quota.Instant, since quota.Instant) (best quota.Instant) {
	most := -1
	for _, at := range said {
		near := 0
		for _, granted := range said {
			if math.Abs(float64(at.Sub(granted))) <= nearEnough*float64(granted.Sub(since)) {
				near++
			}
		}
		if near > most {
			best, most = at, near
		}
	}
	return best
}

// What is drawn goes with what is known.
func TestTheRestOfAJobIsDrawnAnew(t *testing.T) {
	t.Parallel()
	prompt, _, _ := kinds()
	call := Call{Tokens: quota.Tokens{Output: 7}, Takes: quota.Second}
	other := 0
	for seed := range uint64(50) {
		j := &Job{Steps: []Step{stepOf(slices.Repeat([]Call{call}, callsPerReport)), stepOf([]Call{call})}, Dies: -1}
		r := &run{Job: j, kind: &prompt, at: 1, working: true, stepSince: start}
		r.drawRest(dice{rand.New(rand.NewPCG(seed, 1))}, start.Add(quota.Minute))
		if r.Steps[0].Amount.Tokens.Output != 7*callsPerReport || len(r.Steps) < 2 {
			t.Fatalf("seed %d: what is done was changed: %+v", seed, r.Steps)
		}
		if r.Steps[1].Takes != quota.Second {
			other++
			if r.Steps[1].Takes <= quota.Minute {
				t.Errorf("seed %d: a step takes %d ms, and is under way for a minute", seed, r.Steps[1].Takes)
			}
		}
	}
	if other < 45 {
		t.Errorf("only %d of 50 were drawn anew", other)
	}
	if at := likeliest([]quota.Instant{100, 1000, 1010, 1020, 5000}, 0); at != 1000 {
		t.Errorf("the likeliest is %d", at)
	}
}
