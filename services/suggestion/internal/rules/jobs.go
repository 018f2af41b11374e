package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

// workKey tells work apart that is advised about together.
type workKey struct{ team, task, provider, model string }

func keyOf(j *workload.Job) workKey {
	l := &j.Labels
	return workKey{l.Team, l.TaskType, l.Provider, l.Model}
}

// name says what work it is.
func (k workKey) name() string {
	work := "work of no stated type"
	if k.task != "" {
		work = k.task
	}
	if k.team != "" {
		work += " of team " + k.team
	}
	return work
}

func (k workKey) compare(o workKey) int {
	return cmp.Or(cmp.Compare(k.team, o.team), cmp.Compare(k.task, o.task), cmp.Compare(k.provider, o.provider), cmp.Compare(k.model, o.model))
}

// work sums up jobs of a key.
type work struct {
	key      workKey
	jobs     int64
	reserved int64 // of them, with a reservation that was granted
	overruns int64 // used more than was reserved
	tokens   quota.Tokens
	paid     quota.Tokens // of them, on accounts that are paid by use
	spent    int64        // micro-USD there
	days     map[int64]bool
}

// works sums up the jobs by key, in the order of the keys.
func (in *Input) works() []work {
	sums := map[workKey]*work{}
	for i := range in.Jobs {
		j := &in.Jobs[i]
		if !j.Granted && !j.Unreserved {
			continue
		}
		k := keyOf(j)
		w := sums[k]
		if w == nil {
			w = &work{key: k, days: map[int64]bool{}}
			sums[k] = w
		}
		w.add(j, in.paidByUse(j.Labels.Account))
	}
	list := make([]work, 0, len(sums))
	for _, w := range sums {
		list = append(list, *w)
	}
	slices.SortFunc(list, func(a, b work) int { return a.key.compare(b.key) })
	return list
}

func (w *work) add(j *workload.Job, paid bool) {
	used := j.Used().Tokens
	w.jobs++
	w.tokens = w.tokens.Add(used)
	w.days[dayOf(j.Arrives)] = true
	if paid {
		w.spent += j.Cost
		w.paid = w.paid.Add(used)
	}
	if j.Granted {
		w.reserved++
		if used.Total() > j.Held().Tokens.Total() {
			w.overruns++
		}
	}
}

func dayOf(at quota.Instant) int64 { return int64(at) / int64(quota.Day) }

// hourOf is the hour of the day, in UTC.
func hourOf(at quota.Instant) int { return int(int64(at) % int64(quota.Day) / int64(quota.Hour)) }

// paidByUse tells whether what an account uses costs money by the token.
func (in *Input) paidByUse(account string) bool {
	a, ok := in.Config.Account(account)
	return ok && a.Kind == quota.KindAPI
}

// limit finds a limit of the configuration; nil for none.
func (in *Input) limit(id string) *quota.Limit {
	for i := range in.Config.Limits {
		if in.Config.Limits[i].ID == id {
			return &in.Config.Limits[i]
		}
	}
	return nil
}

// refused lists the jobs that were never granted, or not at once, by the limit that refused them last.
func (in *Input) refused() map[string][]*workload.Job {
	found := map[string][]*workload.Job{}
	for i := range in.Jobs {
		if j := &in.Jobs[i]; j.Tries > 0 && j.Limit != "" {
			found[j.Limit] = append(found[j.Limit], j)
		}
	}
	return found
}

// worth is the price of what jobs used, or would have used, at the catalogue's prices.
func (in *Input) worth(jobs []*workload.Job) (sum int64) {
	for _, j := range jobs {
		if rate, ok := in.Prices.Rate(j.Labels.Model, j.Arrives, false); ok {
			sum += rate.Cost(j.Used().Tokens)
		}
	}
	return sum
}

// measure is what an amount takes of a limit.
func measure(l *quota.Limit, a quota.Amount, cost int64) int64 {
	switch l.Unit {
	case quota.UnitMicroUSD:
		return cost
	case quota.UnitRequests:
		return max(a.Requests, 1)
	}
	w := l.Weights
	if w == (quota.Weights{}) {
		w = quota.DefaultWeights(l.Unit)
	}
	return weigh(w, a.Tokens)
}

// who lists whose jobs they are, most often first.
func who(jobs []*workload.Job) []Occurrence {
	type key struct{ principal, agent, team string }
	sums := map[key]*Occurrence{}
	for _, j := range jobs {
		k := key{j.Labels.Principal, j.Labels.Agent, j.Labels.Team}
		o := sums[k]
		if o == nil {
			o = &Occurrence{Principal: k.principal, Agent: k.agent, Team: k.team, First: j.Arrives}
			sums[k] = o
		}
		o.Count++
		o.First, o.Last = min(o.First, j.Arrives), max(o.Last, j.Arrives)
	}
	list := make([]Occurrence, 0, len(sums))
	for _, o := range sums {
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b Occurrence) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Team, b.Team))
	})
	return list[:min(len(list), maxOccurrences)]
}

// clock writes an hour of the day.
func clock(hour int) string { return fmt.Sprintf("%02d:00", hour%24) }
