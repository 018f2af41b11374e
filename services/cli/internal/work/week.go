package work

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bursarhq/bursar/pkg/estimate"
)

// Past is usage of days gone by that nobody reserved, as `bursar import` brings it from the logs of a program.
type Past struct {
	Agent   string
	Account string
	Calls   []PastCall
}

// PastCall is a call with when it was made.
type PastCall struct {
	Call
	Before time.Duration // the present day's beginning, in UTC
}

const (
	pastDays      = 6
	pastDeveloper = "developer"
	pastJobs      = 45 // a day, for a day of the fleet with usualJobs
	usualJobs     = 600
)

// Week generates what a developer spent on an account in the days before a day of the fleet with n jobs: Claude Code with an
// API key, at the hours of the day at which people work. The same seed gives the same week, but for the ids of calls.
func Week(seed uint64, n int, run, account string) Past {
	const stream = 0x7765_656b // keeps this generator apart from others with the same seed
	d := &dice{rand.New(rand.NewPCG(seed, stream))}
	c := &crew{provider: "claude", models: []string{"claude-sonnet-5", "claude-opus-4-8"}}
	k := &kind{taskType: estimate.CodeGeneration, calls: 4, cached: cachedMedian, scale: 1.5}
	p := Past{Agent: pastDeveloper, Account: account}
	for day := 1; day <= pastDays; day++ {
		for range max(1, pastJobs*n/usualJobs) {
			start := time.Duration(day)*hoursOfDay*time.Hour - d.moment()
			model := c.models[d.IntN(len(c.models))]
			for i, call := range d.calls(c, k) {
				call.Model = model
				p.Calls = append(p.Calls, PastCall{Call: call, Before: max(0, start-time.Duration(i)*time.Minute)})
			}
		}
	}
	slices.SortStableFunc(p.Calls, func(a, b PastCall) int { return int(b.Before - a.Before) })
	for i := range p.Calls {
		p.Calls[i].ID = fmt.Sprintf("%s-past-%d", run, i+1)
	}
	return p
}
