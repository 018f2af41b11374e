package simulate

import (
	"math"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Report is what one simulation showed, or several with the same load and policy together: shares are then means over
// the seeds, counts are sums, and quantiles are of all waits. Shares are from 0 to 1, spans in seconds.
type Report struct {
	Policy string  `json:"policy"`
	Load   float64 `json:"load"`
	Seeds  int     `json:"seeds"`
	Days   int     `json:"days"`
	Jobs   int     `json:"jobs"`
	Done   int     `json:"done"`

	Utilisation float64 `json:"utilisation"` // of the windows
	IdleHeld    float64 `json:"idle_held"`   // of the windows, held and returned unused
	Returned    float64 `json:"returned"`    // of what was reserved
	Fairness    float64 `json:"fairness"`    // Jain's index of decayed shares, mean over the hours

	Waits     []Waits `json:"waits"` // by priority, lowest first
	WorstWait float64 `json:"worst_wait_s"`

	Coverage      float64 `json:"coverage"`       // of estimates
	PredictionP90 float64 `json:"prediction_p90"` // error of predicted grants, as a share of the wait; -1 for none
	Predicted     int     `json:"predicted"`      // waits with a prediction
	Unpredicted   int     `json:"unpredicted"`    // waits without one

	Interrupted    int   `json:"interrupted"` // reservations that ended before the work did
	Preempted      int   `json:"preempted"`   // of those, taken back for others
	LostTokens     int64 `json:"lost_tokens"` // by interruptions
	Died           int   `json:"died"`        // agents that were heard of no more
	Extended       int   `json:"extended"`    // extensions granted
	Stalled        int   `json:"stalled"`     // extensions refused for the time being
	ProviderDenied int   `json:"provider_denied"`
	NeverGranted   int   `json:"never_granted"` // refused for good

	waits  map[quota.Priority][]quota.Millis
	errors []float64
}

// Waits are the waits of one priority, those that were given up included.
type Waits struct {
	Priority string  `json:"priority"`
	Jobs     int     `json:"jobs"`
	GaveUp   int     `json:"gave_up"`
	P50      float64 `json:"p50_s"`
	P99      float64 `json:"p99_s"`
	Max      float64 `json:"max_s"`
}

func (m *measure) report(e *engine, o *Options, jobs []*Job) *Report {
	var capacity float64
	for _, perMS := range m.perMS {
		capacity += perMS
	}
	length := float64(e.end.Sub(start))
	r := &Report{
		Policy: o.Policy.Name, Load: o.Load, Seeds: 1, Days: o.Days, Jobs: len(jobs), Done: m.done,
		Utilisation: m.used / (capacity * length), IdleHeld: m.idleHeld / (capacity * length * length),
		Returned: share(float64(m.returned), float64(m.reserved)), Fairness: average(m.jain),
		Coverage: share(float64(m.covered), float64(m.done)), Unpredicted: m.unknown,
		Interrupted: m.interrupts, Preempted: m.preempted, LostTokens: m.lostTokens, Died: m.died, Extended: m.extended, Stalled: m.stalled,
		ProviderDenied: m.refused429, NeverGranted: m.terminal, waits: m.waits, errors: m.errors,
	}
	for p := quota.PriorityLow; p <= quota.PriorityCritical; p++ {
		if m.all[p] > 0 {
			r.Waits = append(r.Waits, Waits{Priority: p.String(), Jobs: m.all[p], GaveUp: m.gave[p]})
		}
	}
	r.rank()
	return r
}

// rank fills in the quantiles.
func (r *Report) rank() {
	r.Predicted, r.PredictionP90, r.WorstWait = len(r.errors), -1, 0
	if len(r.errors) > 0 {
		slices.Sort(r.errors)
		r.PredictionP90 = r.errors[rank(len(r.errors), 0.9)]
	}
	for i := range r.Waits {
		w := &r.Waits[i]
		p, _ := quota.ParsePriority(w.Priority)
		waits := r.waits[p]
		if len(waits) == 0 {
			continue
		}
		slices.Sort(waits)
		at := func(q float64) float64 { return waits[rank(len(waits), q)].Duration().Seconds() }
		w.P50, w.P99, w.Max = at(0.5), at(0.99), at(1)
		r.WorstWait = max(r.WorstWait, w.Max)
	}
}

// Merge puts reports of several seeds together. They must be of the same load and policy, and at least one.
func Merge(reports []*Report) *Report {
	all := *reports[0]
	all.waits, all.errors, all.Waits = map[quota.Priority][]quota.Millis{}, nil, nil
	n := float64(len(reports))
	var shares [5]float64
	counts := []*int{&all.Seeds, &all.Jobs, &all.Done, &all.Unpredicted, &all.Interrupted, &all.Preempted, &all.Died, &all.Extended, &all.Stalled, &all.ProviderDenied, &all.NeverGranted}
	for _, c := range counts {
		*c = 0
	}
	all.LostTokens = 0
	for _, r := range reports {
		for i, s := range []float64{r.Utilisation, r.IdleHeld, r.Returned, r.Fairness, r.Coverage} {
			shares[i] += s / n
		}
		for i, c := range []int{r.Seeds, r.Jobs, r.Done, r.Unpredicted, r.Interrupted, r.Preempted, r.Died, r.Extended, r.Stalled, r.ProviderDenied, r.NeverGranted} {
			*counts[i] += c
		}
		all.LostTokens += r.LostTokens
		all.errors = append(all.errors, r.errors...)
		all.addWaits(r)
	}
	all.Utilisation, all.IdleHeld, all.Returned, all.Fairness, all.Coverage = shares[0], shares[1], shares[2], shares[3], shares[4]
	all.rank()
	return &all
}

func (r *Report) addWaits(o *Report) {
	for _, w := range o.Waits {
		i := slices.IndexFunc(r.Waits, func(known Waits) bool { return known.Priority == w.Priority })
		if i < 0 {
			i = len(r.Waits)
			r.Waits = append(r.Waits, Waits{Priority: w.Priority})
		}
		r.Waits[i].Jobs += w.Jobs
		r.Waits[i].GaveUp += w.GaveUp
	}
	for p, waits := range o.waits {
		r.waits[p] = append(r.waits[p], waits...)
	}
}

// rank is the index of a quantile among n sorted values.
func rank(n int, q float64) int { return max(0, int(math.Ceil(q*float64(n)))-1) }

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

func average(of []float64) float64 {
	var sum float64
	for _, x := range of {
		sum += x
	}
	return share(sum, float64(len(of)))
}
