package simulate

import (
	"maps"
	"math"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// decayHalf is the time after which use counts half for fairness.
const decayHalf = quota.Day

// warmUp is from when on fairness is looked at: before, nothing much has happened.
const warmUp = quota.Day / 2

// measure gathers what a simulation shows.
type measure struct {
	meters  map[string]meter // by limit
	byUnit  map[string]meter // by provider, one of its accounts'
	perMS   map[string]float64
	weights map[string]int64 // of teams

	present map[string]int64 // units used in the present windows, by account

	used     float64 // units on the meters, as a share of what one millisecond of all capacity gives
	beyond   float64 // of those, what a window had no room for: running work goes on when it is used up
	idleHeld float64 // held and returned unused: units × milliseconds
	waits    map[quota.Priority][]waited
	gave     map[quota.Priority]int
	undone   map[quota.Priority]int64 // tokens of the calls that were never made because their job was given up
	wanted   map[quota.Priority]int64 // tokens of all jobs
	all      map[quota.Priority]int
	first    judged // predicted grants, as the reply said
	half     judged // and as they stood at half of the wait
	floors   *floors
	heads    *heads
	lostHere float64 // what interruptions lost, on the meters as used

	granting, interrupts, extended, stalled, died, terminal, done, refused429 int
	covered                                                                   int
	reserved, returned                                                        int64
	preempting, preempted                                                     int
	lostTokens                                                                int64

	teams map[string]*teamMeasure
	jain  []float64
}

// teamMeasure is what one team wanted and had, decayed, in milliseconds of the capacity of its provider.
type teamMeasure struct {
	wanted, had decaying
}

// decaying is a sum that halves each decayHalf.
type decaying struct {
	sum float64
	at  quota.Instant
}

func (d *decaying) add(n float64, at quota.Instant) {
	d.sum = d.as(at) + n
	d.at = at
}

func (d *decaying) as(at quota.Instant) float64 {
	return d.sum * math.Exp2(-float64(at.Sub(d.at))/float64(decayHalf))
}

func newMeasure(c *quota.Config, all []*Tenant, length quota.Millis) *measure {
	m := &measure{
		present: map[string]int64{}, meters: map[string]meter{}, byUnit: map[string]meter{}, perMS: map[string]float64{}, weights: map[string]int64{},
		floors: newFloors(c), heads: newHeads(),
		waits: map[quota.Priority][]waited{}, gave: map[quota.Priority]int{}, undone: map[quota.Priority]int64{}, wanted: map[quota.Priority]int64{}, all: map[quota.Priority]int{}, teams: map[string]*teamMeasure{},
	}
	for id, one := range meters(c, length) {
		a, _ := c.Account(id)
		m.meters[one.limit.ID] = one
		m.byUnit[a.Provider] = one
		m.perMS[a.Provider] += one.perMS
	}
	for _, t := range all {
		m.teams[t.Team] = &teamMeasure{}
		m.weights[t.Team] = 1
		for _, of := range c.Teams {
			if of.Name == t.Team && of.Weight > 0 {
				m.weights[t.Team] = of.Weight
			}
		}
	}
	return m
}

// arrived counts what a job wants.
func (m *measure) arrived(r *run) {
	m.all[r.Priority]++
	m.wanted[r.Priority] += r.Job.used(0).Tokens.Total()
	provider := r.Tenant.Provider
	m.teams[r.Tenant.Team].wanted.add(units(m.byUnit[provider].limit.Weights, r.Job.used(0).Tokens)/m.perMS[provider], r.Arrives)
}

// waited is a wait, and how long that is in windows of the account that was waited for.
type waited struct {
	span    quota.Millis
	windows float64
}

func (m *measure) waited(r *run, at quota.Instant) {
	span := at.Sub(r.waitedSince)
	window := lasts(m.byUnit[r.Tenant.Provider].limit.Window)
	m.waits[r.Priority] = append(m.waits[r.Priority], waited{span, float64(span) / float64(max(1, window))})
}

// granted counts a wait.
func (m *measure) granted(r *run, at quota.Instant) {
	m.granting++
	m.floors.answered(r, at.Sub(r.askedAt))
	m.waited(r, at)
}

// gaveUp counts a wait that was in vain, as long as it was.
func (m *measure) gaveUp(r *run, at quota.Instant) {
	m.gave[r.Priority]++
	m.undone[r.Priority] += r.Job.used(r.at).Tokens.Total()
	m.floors.answered(r, at.Sub(r.askedAt))
	m.waited(r, at)
}

// finished judges the estimate of a job.
func (m *measure) finished(r *run) {
	m.done++
	if r.total.Total() <= r.estimated {
		m.covered++
	}
}

// lost counts what a call that was broken off had used.
func (m *measure) lost(r *run, t quota.Tokens) {
	m.lostTokens += t.Total()
	m.lostHere += units(m.byUnit[r.Tenant.Provider].limit.Weights, t)
}

// usedUp tells whether an account's window has nothing left, so that the provider refuses.
func (m *measure) usedUp(account string) bool {
	for _, one := range m.meters {
		if one.limit.Scope.Account == account {
			return m.present[account] >= one.limit.Capacity
		}
	}
	return false
}

// saw looks at every event of the ledger.
func (m *measure) saw(event quota.Event) {
	m.floors.saw(event)
	switch e := event.(type) {
	case *quota.UsageRecorded:
		for _, c := range e.Charges {
			if one, ok := m.meters[c.Limit]; ok {
				m.used += float64(c.Amount)
				account := one.limit.Scope.Account
				m.present[account] += c.Amount
				m.beyond += float64(min(c.Amount, max(0, m.present[account]-one.limit.Capacity)))
				if t := m.teams[e.Labels.Team]; t != nil {
					t.had.add(float64(c.Amount)/m.perMS[e.Labels.Provider], e.At)
				}
			}
		}
	case *quota.WindowRolled:
		if one, ok := m.meters[e.Next.Limit]; ok {
			m.present[one.limit.Scope.Account] = 0
		}
	case *quota.ReservationClosed:
		if e.Outcome == quota.OutcomePreempted {
			m.preempted++
		}
		m.reserved += e.Granted.Tokens.Total()
		m.returned += max(0, e.Granted.Tokens.Total()-e.Used.Tokens.Total())
		for _, back := range e.Returned {
			if _, ok := m.meters[back.Limit]; ok {
				m.idleHeld += float64(back.Amount) * float64(e.At.Sub(e.GrantedAt))
			}
		}
	}
}

// sample takes the fairness of the present.
func (m *measure) sample(e *engine) {
	if e.now.Sub(start) < warmUp {
		return
	}
	var wants []want
	var total float64
	for _, name := range slices.Sorted(maps.Keys(m.teams)) {
		t := m.teams[name]
		had := t.had.as(e.now)
		total += had
		wants = append(wants, want{weight: float64(m.weights[name]), wanted: t.wanted.as(e.now), had: had})
	}
	if total > 0 {
		m.jain = append(m.jain, jain(wants, total))
	}
}

// want is one team's side of fairness.
type want struct{ weight, wanted, had float64 }

// jain is Jain's index over what each team had as a share of what was fair: 1 when all had the same share of it. Fair is
// what weighted max-min sharing of the total would have given: nobody more than wanted, the rest by weight.
func jain(wants []want, total float64) float64 {
	fair := maxMin(wants, total)
	var sum, squares, n float64
	for i, w := range wants {
		if fair[i] <= 0 {
			continue
		}
		x := w.had / fair[i]
		sum, squares, n = sum+x, squares+x*x, n+1
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (n * squares)
}

// maxMin shares a total by weight, nobody more than wanted.
func maxMin(wants []want, total float64) []float64 {
	fair := make([]float64, len(wants))
	full := make([]bool, len(wants))
	for range wants {
		var weight float64
		left := total
		for i, w := range wants {
			if full[i] {
				left -= fair[i]
			} else {
				weight += w.weight
			}
		}
		if weight == 0 {
			break
		}
		again := false
		for i, w := range wants {
			if full[i] {
				continue
			}
			if fair[i] = left * w.weight / weight; fair[i] >= w.wanted {
				fair[i], full[i], again = w.wanted, true, true
			}
		}
		if !again {
			break
		}
	}
	return fair
}
