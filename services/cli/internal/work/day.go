package work

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
)

// The shape of agent work, from published measurements of some 357,000 model calls of developers' coding agents: per
// call a cached prefix of 119,000 tokens in the median, 875 fresh ones and 214 of output with a 90th percentile of
// 1,700; per prompt 8.8 calls in the mean, with a median near 3, a 90th percentile of 20 and a 99th of 86. All of them
// are heavy-tailed: log-normals with the sigma that their percentiles imply.
const (
	cachedMedian, cachedSigma = 119_000, 0.45
	freshMedian, freshSigma   = 875, 1.25
	outputMedian, outputSigma = 214, 1.62
	callsMedian, callsSigma   = 3, 1.48

	maxCallsPerJob    = 60      // longer ones exist; they would drown the rest of a small day
	maxContextTokens  = 190_000 // what fits the models' usual context window
	maxOutputPerCall  = 32_000
	cacheWritesShare  = 0.85 // of the fresh input that is written to the cache, for the next call to read
	callsReservedFor  = 9    // the mean number of calls: what an agent reserves the cached prefix for
	timidShare        = 0.3  // some agents reserve for half of that
	carelessShare     = 0.1  // some never extend what they reserved
	unfinishedJobs    = 6    // agents still at work at the end of the day
	unfinishedLease   = 15 * time.Minute
	hoursOfDay        = 24
	secondsOfHour     = 3600
	tokensOfShortTask = 12_000 // the cached prefix where a fresh conversation starts
)

// kind is a type of work with how large it is against the usual: the ratios between types are what is published of
// them, not their absolute size.
type kind struct {
	share    int // of the crew's jobs
	taskType estimate.Type
	calls    float64 // median number of calls
	cached   float64 // median cached prefix of a call
	scale    float64 // of fresh input and output
}

// crew is a team's agents with what they do.
type crew struct {
	principal string
	prefix    string // of the agents' names
	agents    int
	share     int // of all jobs
	provider  string
	models    []string
	kinds     []kind
	// patience is how long its agents wait in the queue, in real time: the day passes in seconds.
	patience time.Duration
	// least is the part of what they ask for that they would start with; 0 is all of it.
	least float64
	// generous multiplies what the crew reserves; a crew that is too generous gets advice to ask for less.
	generous float64
}

// fleet is who works on the day: the teams of the example configuration.
func fleet() []crew {
	const coding, research, support = "demo", "demo-research", "demo-support"
	return []crew{
		{coding, "builder", 8, 40, "claude", []string{"claude-sonnet-5", "claude-sonnet-5", "claude-opus-4-8"}, []kind{
			{45, estimate.CodeGeneration, 4, cachedMedian, 1.5}, {30, estimate.CodeReview, callsMedian, 90_000, 1},
			{15, estimate.Documentation, 2, 60_000, 1}, {10, estimate.QuickQuery, 1, tokensOfShortTask, 0.5},
		}, 2 * time.Second, 0.5, 1},
		{research, "researcher", 5, 25, "openai", []string{"gpt-5.1", "gpt-5.1", "gpt-5-mini"}, []kind{
			{60, estimate.Analysis, 3, 20_000, 2}, {25, estimate.Documentation, 2, 12_000, 1},
			{15, estimate.QuickQuery, 1, tokensOfShortTask, 0.5},
		}, time.Second, 0, 1},
		{support, "helpdesk", 6, 25, "claude", []string{"claude-haiku-4-5"}, []kind{
			{80, estimate.QuickQuery, 1, tokensOfShortTask, 0.5}, {20, estimate.Documentation, 2, 30_000, 1},
		}, 0, 0, 1},
		{coding, "nightly-audit", 1, 10, "claude", []string{"claude-sonnet-5"}, []kind{
			{100, estimate.Analysis, 1, 30_000, 0.5},
		}, 0, 0, 6},
	}
}

// dayShape is how much happens in each hour, from midnight on: little at night, peaks before noon and in the afternoon.
func dayShape() [hoursOfDay]float64 {
	return [hoursOfDay]float64{1, 1, 1, 1, 1, 2, 3, 6, 12, 18, 20, 17, 11, 14, 19, 20, 17, 12, 8, 6, 5, 4, 3, 2}
}

// Day generates n jobs of one day of a fleet, in the order of time. The same seed gives the same day, but for the ids
// of calls, which begin with run: the day of another run is other work.
func Day(seed uint64, n int, run string) []Job {
	const stream = 0x6275_7273_6172 // keeps this generator apart from others with the same seed
	d := &dice{rand.New(rand.NewPCG(seed, stream))}
	crews := fleet()
	jobs := make([]Job, n)
	for i := range jobs {
		crew := d.crew(crews)
		jobs[i] = d.job(crew)
	}
	slices.SortStableFunc(jobs, func(a, b Job) int { return int(a.At - b.At) })
	leaveUnfinished(jobs)
	for i := range jobs {
		for k := range jobs[i].Calls {
			jobs[i].Calls[k].ID = fmt.Sprintf("%s-%d-%d", run, i+1, k+1)
		}
	}
	return jobs
}

// leaveUnfinished has the last job of some agents go on beyond the day.
func leaveUnfinished(jobs []Job) {
	seen := map[string]bool{}
	for i := len(jobs) - 1; i >= 0 && len(seen) < unfinishedJobs; i-- {
		if j := &jobs[i]; !seen[j.Agent] {
			seen[j.Agent], j.Unfinished, j.Lease = true, true, unfinishedLease
		}
	}
}

// dice draws what is random about a day.
type dice struct{ *rand.Rand }

// logNormal draws from the log-normal distribution of a median and a sigma, at least 1 and at most most.
func (d *dice) logNormal(median, sigma, most float64) int64 {
	return int64(min(most, max(1, math.Round(median*math.Exp(sigma*d.NormFloat64())))))
}

func (d *dice) crew(crews []crew) *crew {
	return &crews[d.weighted(len(crews), func(i int) int { return crews[i].share })]
}

// weighted draws an index with the chance of its share.
func (d *dice) weighted(n int, share func(int) int) int {
	total := 0
	for i := range n {
		total += share(i)
	}
	at := d.IntN(total)
	for i := range n {
		if at -= share(i); at < 0 {
			return i
		}
	}
	return n - 1
}

// moment draws a time of the day by its shape.
func (d *dice) moment() time.Duration {
	shape := dayShape()
	hour := d.weighted(hoursOfDay, func(i int) int { return int(shape[i]) })
	return time.Duration(hour)*time.Hour + time.Duration(d.IntN(secondsOfHour))*time.Second
}

func (d *dice) job(c *crew) Job {
	k := &c.kinds[d.weighted(len(c.kinds), func(i int) int { return c.kinds[i].share })]
	j := Job{
		At: d.moment(), Principal: c.principal, Agent: fmt.Sprintf("%s-%02d", c.prefix, d.IntN(c.agents)+1),
		Provider: c.provider, Model: c.models[d.IntN(len(c.models))], TaskType: k.taskType,
		Complexity: []estimate.Complexity{estimate.Low, estimate.Medium, estimate.Medium, estimate.High}[d.IntN(4)],
		Files:      d.logNormal(estimate.UsualFiles, 0.8, 200),
	}
	j.Calls = d.calls(c, k)
	j.Expected = d.expected(c, k)
	j.Generous, j.Careless = c.generous > 1, d.Float64() < carelessShare
	j.MinTokens, j.Patience = int64(c.least*float64(j.Expected.Tokens.Total())), c.patience
	return j
}

// calls draws what a job really spends. Fresh input of a provider with priced cache writes is mostly written to the
// cache; elsewhere it is plain input.
func (d *dice) calls(c *crew, k *kind) []Call {
	calls := make([]Call, d.logNormal(k.calls, callsSigma, maxCallsPerJob))
	for i := range calls {
		fresh := d.logNormal(freshMedian*k.scale, freshSigma, maxContextTokens)
		t := quota.Tokens{
			Input:     fresh,
			CacheRead: d.logNormal(k.cached, cachedSigma, maxContextTokens),
			Output:    d.logNormal(outputMedian*k.scale, outputSigma, maxOutputPerCall),
		}
		if c.provider == "claude" {
			t.CacheWrite5m = int64(float64(fresh) * cacheWritesShare)
			t.Input -= t.CacheWrite5m
		}
		calls[i].Tokens = t
	}
	return calls
}

// expected is what an agent adds to the estimate: the cached prefix for as many calls as such work usually takes.
func (d *dice) expected(c *crew, k *kind) quota.Amount {
	calls := math.Ceil(k.calls / callsMedian * callsReservedFor)
	if d.Float64() < timidShare {
		calls = math.Ceil(calls / 2)
	}
	return quota.Amount{Tokens: quota.Tokens{CacheRead: int64(calls * k.cached * c.generous)}, Requests: int64(calls)}
}
