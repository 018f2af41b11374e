package simulate

import (
	"cmp"
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

	Utilisation float64 `json:"utilisation"` // of the windows, without what was lost
	Beyond      float64 `json:"beyond"`      // of the windows, beyond their capacity: part of Utilisation
	Left        float64 `json:"left"`        // of the windows: work that had come by the end and was neither done nor given up
	IdleHeld    float64 `json:"idle_held"`   // of the windows, held and returned unused
	Returned    float64 `json:"returned"`    // of what was reserved
	Fairness    float64 `json:"fairness"`    // Jain's index of decayed shares, mean over the hours

	Waits     []Waits `json:"waits"` // by priority, lowest first
	WorstWait float64 `json:"worst_wait_s"`

	Coverage float64 `json:"coverage"` // of estimates

	// Predicted grants are those of waits of a minute and more: as the reply to the reserve said them, and as they stood
	// at half of the wait.
	AtFirst Prediction `json:"predicted_at_first"`
	AtHalf  Prediction `json:"predicted_at_half"`

	Floors     Floors  `json:"floors"`
	Passed     int     `json:"heads_passed"`        // entries of the queue that were gone past as the head of a line
	PassedMost float64 `json:"heads_passed_most_s"` // the longest time from the first of it to the last
	Queued     int     `json:"queued"`              // entries of the queue
	Moved      int     `json:"queue_moves"`         // how often one was said to wait for something else: events in the ledger

	Interrupted    int     `json:"interrupted"` // reservations that ended before the work did
	Preempting     int     `json:"preempting"`  // reservations that were told to end for the owner of a floor
	Preempted      int     `json:"preempted"`   // of those, closed by time and not by their agent
	LostTokens     int64   `json:"lost_tokens"` // by interruptions: of calls that were broken off
	Lost           float64 `json:"lost"`        // the same, of the windows
	Died           int     `json:"died"`        // agents that were heard of no more
	Extended       int     `json:"extended"`    // extensions granted
	Stalled        int     `json:"stalled"`     // extensions refused for the time being
	ProviderDenied int     `json:"provider_denied"`
	NeverGranted   int     `json:"never_granted"` // refused for good

	waits       map[quota.Priority][]waited
	first, half judged
	each        []*Report // of the seeds, in order; nil for one
}

// Prediction is how predicted grants fared. Errors are shares of the wait; -1 where there is none.
type Prediction struct {
	Judged   int     `json:"judged"`
	Unknown  int     `json:"unknown"` // nothing was predicted
	P50      float64 `json:"p50"`
	P90      float64 `json:"p90"`
	Coverage float64 `json:"coverage"` // grants within the predicted interval
}

func (j *judged) prediction() Prediction {
	p := Prediction{Judged: len(j.errors), Unknown: j.unknown, P50: -1, P90: -1}
	if p.Judged > 0 {
		slices.Sort(j.errors)
		p.P50, p.P90 = j.errors[rank(p.Judged, 0.5)], j.errors[rank(p.Judged, 0.9)]
		p.Coverage = float64(j.covered) / float64(p.Judged)
	}
	return p
}

// Floors says how the floors of teams fared; see floors.go.
type Floors struct {
	Steps  int `json:"steps"`  // grants and extensions on limits with floors
	Broken int `json:"broken"` // of those, that took what is guaranteed to others
	Asks   int `json:"asks"`   // for what a floor guarantees and does not lend
	Late   int `json:"late"`   // of those, not granted at once
	// Overspent are those of Asks that were not granted at once because others had used more of the window than they had
	// reserved, so that too little was left; they do not count as late.
	Overspent int     `json:"overspent"`
	Longest   float64 `json:"longest_s"` // the longest wait of those
}

// Waits are the waits of one priority, those that were given up included.
type Waits struct {
	Priority string  `json:"priority"`
	Jobs     int     `json:"jobs"`
	GaveUp   int     `json:"gave_up"`
	Tokens   int64   `json:"tokens"`        // that all jobs want
	Undone   int64   `json:"tokens_undone"` // of those, of jobs that gave up, without what these had done
	P50      float64 `json:"p50_s"`
	P99      float64 `json:"p99_s"`
	Max      float64 `json:"max_s"`
	// WindowsP99 is P99 counted in windows of the account that was waited for: five hours, or a day.
	WindowsP99 float64 `json:"p99_windows"`
}

func (m *measure) report(e *engine, o *Options, runs []*run) *Report {
	var capacity float64
	for _, perMS := range m.perMS {
		capacity += perMS
	}
	length := float64(e.end.Sub(start))
	var left float64
	for _, r := range runs {
		if !r.over {
			left += units(m.byUnit[r.Tenant.Provider].limit.Weights, r.Job.used(r.at).Tokens)
		}
	}
	r := &Report{
		Policy: o.Policy.Name, Load: o.Load, Seeds: 1, Days: o.Days, Jobs: len(runs), Done: m.done,
		Utilisation: (m.used - m.lostHere) / (capacity * length), Beyond: m.beyond / (capacity * length), Left: left / (capacity * length), IdleHeld: m.idleHeld / (capacity * length * length),
		Returned: share(float64(m.returned), float64(m.reserved)), Fairness: average(m.jain),
		Coverage: share(float64(m.covered), float64(m.done)), Lost: m.lostHere / (capacity * length),
		Interrupted: m.interrupts, Preempting: m.preempting, Preempted: m.preempted, LostTokens: m.lostTokens, Died: m.died, Extended: m.extended, Stalled: m.stalled,
		ProviderDenied: m.refused429, NeverGranted: m.terminal, Passed: m.heads.passed, PassedMost: m.heads.longest.Duration().Seconds(),
		Queued: m.heads.queued, Moved: m.heads.moved,
		Floors: Floors{m.floors.steps, m.floors.broken, m.floors.asks, m.floors.late, m.floors.overspent, m.floors.longest.Duration().Seconds()},
		waits:  m.waits, first: m.first, half: m.half,
	}
	for p := quota.PriorityLow; p <= quota.PriorityCritical; p++ {
		if m.all[p] > 0 {
			r.Waits = append(r.Waits, Waits{Priority: p.String(), Jobs: m.all[p], GaveUp: m.gave[p], Tokens: m.wanted[p], Undone: m.undone[p]})
		}
	}
	r.rank()
	return r
}

// rank fills in the quantiles.
func (r *Report) rank() {
	r.AtFirst, r.AtHalf, r.WorstWait = r.first.prediction(), r.half.prediction(), 0
	for i := range r.Waits {
		w := &r.Waits[i]
		p, _ := quota.ParsePriority(w.Priority)
		waits := r.waits[p]
		if len(waits) == 0 {
			continue
		}
		slices.SortFunc(waits, func(a, b waited) int { return cmp.Compare(a.windows, b.windows) })
		w.WindowsP99 = waits[rank(len(waits), 0.99)].windows
		slices.SortFunc(waits, func(a, b waited) int { return cmp.Compare(a.span, b.span) })
		at := func(q float64) float64 { return waits[rank(len(waits), q)].span.Duration().Seconds() }
		w.P50, w.P99, w.Max = at(0.5), at(0.99), at(1)
		r.WorstWait = max(r.WorstWait, w.Max)
	}
}

// Merge puts reports of several seeds together. They must be of the same load and policy, and at least one.
func Merge(reports []*Report) *Report {
	all := Report{
		Policy: reports[0].Policy, Load: reports[0].Load, Days: reports[0].Days, waits: map[quota.Priority][]waited{}, each: reports,
	}
	for _, r := range reports {
		shares, counts := all.sums()
		more, counted := r.sums()
		for i, s := range more {
			*shares[i] += *s / float64(len(reports))
		}
		for i, c := range counted {
			*counts[i] += *c
		}
		all.LostTokens += r.LostTokens
		all.PassedMost, all.Floors.Longest = max(all.PassedMost, r.PassedMost), max(all.Floors.Longest, r.Floors.Longest)
		all.first.merge(&r.first)
		all.half.merge(&r.half)
		all.addWaits(r)
	}
	all.rank()
	return &all
}

// sums lists what is averaged over seeds, and what is added up.
func (r *Report) sums() (shares []*float64, counts []*int) {
	return []*float64{&r.Utilisation, &r.Beyond, &r.Left, &r.IdleHeld, &r.Lost, &r.Returned, &r.Fairness, &r.Coverage}, []*int{
		&r.Seeds, &r.Jobs, &r.Done, &r.Interrupted, &r.Preempting, &r.Preempted, &r.Died, &r.Extended, &r.Stalled, &r.ProviderDenied,
		&r.NeverGranted, &r.Queued, &r.Moved, &r.Passed, &r.Floors.Steps, &r.Floors.Broken, &r.Floors.Asks, &r.Floors.Late, &r.Floors.Overspent,
	}
}

func (j *judged) merge(o *judged) {
	j.errors = append(j.errors, o.errors...)
	j.covered, j.unknown = j.covered+o.covered, j.unknown+o.unknown
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
		r.Waits[i].Tokens += w.Tokens
		r.Waits[i].Undone += w.Undone
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
