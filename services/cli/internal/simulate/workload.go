package simulate

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// The shape of work, from published measurements of some 357,000 model calls of developers' coding agents and of 500
// SWE-bench tasks under 21 models: all heavy-tailed, log-normals with the sigma that the percentiles imply.
const (
	cachedMedian, cachedSigma = 119_000, 0.45
	freshMedian, freshSigma   = 875, 1.25
	outputMedian, outputSigma = 214, 1.62
	callsOfPrompt             = 3
	callMedianMS, callSigma   = 13_000, 0.9 // 38 seconds for the three calls of a median prompt

	maxCalls        = 160
	maxFresh        = 60_000
	maxOutput       = 32_000
	maxCached       = 190_000
	callsPerReport  = 8    // an agent reports after so many calls
	diesOf          = 1000 // one agent in so many...
	deaths          = 4    // ...times this dies at work
	nightShare      = 0.35 // of the daytime rate
	dayBegins       = 8    // hour
	dayEnds         = 20
	sampleOfJobs    = 4000
	seedOfWork      = 0x6a6f6273
	seedOfArrivals  = 0x61727269
	agentsOfATenant = 12
)

// kind is a type of work.
type kind struct {
	name          string
	of            string // whose it is, where what others of that type use tells little of it
	share         int
	calls, spread float64 // median and sigma of the number of calls
	cached        float64 // median cached prefix
	scale         float64 // of fresh input and output
}

// Tenant is who sends work: a principal with what its agents do.
type Tenant struct {
	Principal string
	Agents    string // what their names begin with; empty for the principal
	Team      string
	Provider  string
	Model     string
	// Share of the offered work of its provider, as a weight.
	Share      float64
	Priorities []Weighted
	Kinds      []kind
	// Rate is how the tenant's work is spread over time, as weights of equal parts of a period; nil means office hours.
	Rate []float64
	// Period is what Rate is spread over and repeats after; 0 means a day.
	Period quota.Millis
	// Begins is how far into the period the simulation starts.
	Begins quota.Millis
	// Size overrides what its jobs use that arrive so long after the beginning of a period, for clients of a trace.
	Size func(random *rand.Rand, after quota.Millis) []Call
	// Uses is what such a job uses in the mean.
	Uses func(after quota.Millis) quota.Tokens
	// Preemptible says that its work may be interrupted.
	Preemptible bool
}

// Weighted is a priority with how often it occurs.
type Weighted struct {
	Priority quota.Priority
	Weight   int
}

// Call is one call to a provider: what it uses and how long it takes.
type Call struct {
	Tokens quota.Tokens
	Takes  quota.Millis
}

// Job is one piece of work.
type Job struct {
	ID       string
	Tenant   *Tenant
	Agent    string
	Kind     string
	Priority quota.Priority
	Arrives  quota.Instant
	Steps    []Step
	Dies     int // the step after which the agent is heard of no more; -1 for never
}

// Step is what an agent does between two reports: calls, one after another.
type Step struct {
	Calls  []Call
	Amount quota.Amount // of all its calls
	Takes  quota.Millis
}

func stepOf(calls []Call) Step {
	s := Step{Calls: calls}
	for _, c := range calls {
		s.Amount = s.Amount.Add(quota.Amount{Tokens: c.Tokens, Requests: 1})
		s.Takes += c.Takes
	}
	return s
}

// within is how many of the step's calls are done after a time, and how long those took.
func (s *Step) within(after quota.Millis) (calls int, took quota.Millis) {
	for _, c := range s.Calls {
		if took+c.Takes > after {
			break
		}
		calls++
		took += c.Takes
	}
	return calls, took
}

// split makes two steps of one after so many calls, where there are more.
func (j *Job) split(at, calls int) {
	if all := j.Steps[at].Calls; calls < len(all) {
		j.Steps = slices.Insert(j.Steps, at+1, stepOf(all[calls:]))
		j.Steps[at] = stepOf(all[:calls])
		if j.Dies > at {
			j.Dies++
		}
	}
}

// part is what a call has used when it is broken off after a time.
func (c *Call) part(after quota.Millis) quota.Tokens {
	if after <= 0 || c.Takes <= 0 {
		return quota.Tokens{}
	}
	by := min(1, float64(after)/float64(c.Takes))
	return quota.Tokens{Input: int64(by * float64(c.Tokens.Input)), CacheRead: int64(by * float64(c.Tokens.CacheRead)), Output: int64(by * float64(c.Tokens.Output))}
}

// used is what the job uses from a step on.
func (j *Job) used(from int) (sum quota.Amount) {
	for _, s := range j.Steps[from:] {
		sum = sum.Add(s.Amount)
	}
	return sum
}

// kindOf finds a kind of a tenant's work by its name.
func (t *Tenant) kindOf(name string) *kind {
	i := max(0, slices.IndexFunc(t.Kinds, func(k kind) bool { return k.name == name }))
	return &t.Kinds[i]
}

func kinds() (prompt, task, query kind) {
	return kind{"code_review", "", 60, callsOfPrompt, 1.48, cachedMedian, 1}, kind{"code_generation", "", 10, 30, 0.6, 60_000, 1.2},
		kind{"quick_query", "", 30, 1, 0.8, 12_000, 0.6}
}

// tenants says who works in a world: known teams as their names say, others as if they were developers.
func tenants(c *quota.Config) []*Tenant {
	prompt, task, query := kinds()
	var all []*Tenant
	for _, p := range c.Principals {
		for _, provider := range providersOf(c, &p) {
			t := &Tenant{
				Principal: p.Name, Team: p.Team, Provider: provider, Model: modelOf(c, provider), Share: 1,
				Priorities: []Weighted{{quota.PriorityLow, 1}, {quota.PriorityNormal, 3}}, Kinds: []kind{prompt, task, query},
			}
			switch p.Team {
			case "core":
				t.Share, t.Priorities = 3, []Weighted{{quota.PriorityNormal, 4}, {quota.PriorityHigh, 1}}
			case "review":
				t.Share, t.Priorities, t.Kinds = 1, []Weighted{{quota.PriorityHigh, 1}}, []kind{prompt, query}
			case "research":
				t.Share, t.Priorities = 3, []Weighted{{quota.PriorityLow, 1}, {quota.PriorityNormal, 2}}
			case "bots": // they work day and night, and want more than anybody
				t.Share, t.Priorities, t.Rate, t.Preemptible = 3, []Weighted{{quota.PriorityLow, 1}}, []float64{1}, true
			}
			all = append(all, t)
		}
	}
	return all
}

// providersOf lists the providers with an account that is open to a principal.
func providersOf(c *quota.Config, p *quota.Principal) (names []string) {
	for _, a := range c.Accounts {
		open := len(a.Teams) == 0 || slices.Contains(a.Teams, p.Team)
		open = open && (len(p.Accounts) == 0 || slices.Contains(p.Accounts, a.ID))
		if open && !slices.Contains(names, a.Provider) {
			names = append(names, a.Provider)
		}
	}
	return names
}

// dice draws what is random about work.
type dice struct{ *rand.Rand }

func (d dice) logNormal(median, sigma, most float64) int64 {
	return int64(min(most, max(1, math.Round(median*math.Exp(sigma*d.NormFloat64())))))
}

func (d dice) kind(t *Tenant) *kind {
	total := 0
	for _, k := range t.Kinds {
		total += k.share
	}
	at := d.IntN(total)
	for i := range t.Kinds {
		if at -= t.Kinds[i].share; at < 0 {
			return &t.Kinds[i]
		}
	}
	return &t.Kinds[0]
}

func (d dice) priority(t *Tenant) quota.Priority {
	total := 0
	for _, w := range t.Priorities {
		total += w.Weight
	}
	at := d.IntN(total)
	for _, w := range t.Priorities {
		if at -= w.Weight; at < 0 {
			return w.Priority
		}
	}
	return quota.PriorityNormal
}

func (d dice) calls(k *kind) []Call {
	calls := make([]Call, d.logNormal(k.calls, k.spread, maxCalls))
	for i := range calls {
		calls[i] = Call{Takes: quota.Millis(d.logNormal(callMedianMS, callSigma, 600_000)), Tokens: quota.Tokens{
			Input:     d.logNormal(freshMedian*k.scale, freshSigma, maxFresh),
			CacheRead: d.logNormal(k.cached, cachedSigma, maxCached),
			Output:    d.logNormal(outputMedian*k.scale, outputSigma, maxOutput),
		}}
	}
	return calls
}

// job draws one piece of work that arrives so long after the start.
func (d dice) job(t *Tenant, after quota.Millis) *Job {
	k := d.kind(t)
	j := &Job{Tenant: t, Kind: k.name, Priority: d.priority(t), Agent: fmt.Sprintf("%s-%02d", cmp.Or(t.Agents, t.Principal), d.IntN(agentsOfATenant)+1), Dies: -1}
	calls := d.calls(k)
	if t.Size != nil {
		calls = t.Size(d.Rand, (t.Begins+after)%t.Period)
	}
	for part := range slices.Chunk(calls, callsPerReport) {
		j.Steps = append(j.Steps, stepOf(part))
	}
	if d.IntN(diesOf) < deaths {
		j.Dies = d.IntN(len(j.Steps))
	}
	return j
}

// workload draws the jobs of some days in the order of their arrival, so many that they would use load times what the
// accounts of each provider have. The same seed gives the same jobs whatever the policy.
func workload(c *quota.Config, all []*Tenant, days int, load float64, seed uint64) []*Job {
	capacity := map[string]float64{}
	weights := map[string]quota.Weights{}
	for _, m := range meters(c, quota.Millis(days)*quota.Day) {
		a, _ := c.Account(m.limit.Scope.Account)
		capacity[a.Provider] += m.perMS
		weights[a.Provider] = m.limit.Weights
	}
	length := quota.Millis(days) * quota.Day
	all = beginning(all, seed)
	shares := map[string]float64{}
	for _, t := range all {
		shares[t.Provider] += t.Share * t.present(length)
	}
	var jobs []*Job
	for i, t := range all {
		if capacity[t.Provider] == 0 || t.present(length) == 0 {
			continue
		}
		d := dice{rand.New(rand.NewPCG(seed, seedOfWork+uint64(i)))}
		perMS := load * capacity[t.Provider] * t.Share / shares[t.Provider] / mean(t, weights[t.Provider], length)
		for _, at := range d.arrivals(t, perMS, length) {
			j := d.job(t, at.Sub(start))
			j.Arrives = at
			jobs = append(jobs, j)
		}
	}
	slices.SortStableFunc(jobs, func(a, b *Job) int { return cmp.Compare(a.Arrives, b.Arrives) })
	for i, j := range jobs {
		j.ID = fmt.Sprintf("job-%06d", i+1)
	}
	return jobs
}

// mean is what a tenant's job uses in the mean, in units of a limit with these weights.
func mean(t *Tenant, w quota.Weights, length quota.Millis) float64 {
	if t.Uses != nil {
		return max(1, t.meanUse(w, length))
	}
	d := dice{rand.New(rand.NewPCG(seedOfWork, seedOfArrivals))}
	var sum float64
	for range sampleOfJobs {
		sum += units(w, d.job(t, 0).used(0).Tokens)
	}
	return max(1, sum/sampleOfJobs)
}

// meanUse is the same for a client of a trace, by how much of its work arrives when.
func (t *Tenant) meanUse(w quota.Weights, length quota.Millis) float64 {
	parts, each := t.within(length)
	var sum, all float64
	for i, weight := range parts {
		sum += weight * units(w, t.Uses((t.Begins+quota.Millis(i)*each)%t.Period))
		all += weight
	}
	return sum / all
}

// beginning has tenants whose period is of several days begin with another day of it for each seed.
func beginning(all []*Tenant, seed uint64) []*Tenant {
	all = slices.Clone(all)
	for i, t := range all {
		if days := uint64(t.Period / quota.Day); days > 1 {
			begun := *t
			begun.Begins = quota.Millis(seed%days) * quota.Day
			all[i] = &begun
		}
	}
	return all
}

// shape is how the tenant's work is spread, and over what time.
func (t *Tenant) shape() (weights []float64, period quota.Millis) {
	weights, period = t.Rate, t.Period
	if weights == nil {
		weights = officeHours()
	}
	if period == 0 {
		period = quota.Day
	}
	return weights, period
}

// weightAt is that of the part of the shape that a time so long after the start falls into.
func (t *Tenant) weightAt(after float64, weights []float64, period quota.Millis) float64 {
	return weights[int(math.Mod(float64(t.Begins)+after, float64(period))/float64(period)*float64(len(weights)))]
}

// within lists the weights of the parts of a time from the start, and how long each is.
func (t *Tenant) within(length quota.Millis) (parts []float64, each quota.Millis) {
	weights, period := t.shape()
	each = period / quota.Millis(len(weights))
	for at := quota.Millis(0); at < length; at += each {
		parts = append(parts, t.weightAt(float64(at), weights, period))
	}
	return parts, each
}

// present is how much work a tenant has in a time from the start, as a multiple of what it has in as long a time on average.
func (t *Tenant) present(length quota.Millis) float64 {
	weights, period := t.shape()
	all := average(weights)
	switch {
	case all == 0:
		return 0
	case length%period == 0:
		return 1
	}
	parts, _ := t.within(length)
	return average(parts) / all
}

// arrivals draws a Poisson process whose rate follows the day, by thinning.
func (d dice) arrivals(t *Tenant, perMS float64, length quota.Millis) (at []quota.Instant) {
	weights, period := t.shape()
	most, usual := slices.Max(weights), average(weights)
	if usual == 0 {
		return nil
	}
	peak := perMS * most / usual
	for now := 0.0; ; {
		now += d.ExpFloat64() / peak
		if now >= float64(length) {
			return at
		}
		if d.Float64()*most < t.weightAt(now, weights, period) {
			at = append(at, start.Add(quota.Millis(now)))
		}
	}
}

func officeHours() []float64 {
	shape := make([]float64, 24)
	for hour := range shape {
		shape[hour] = nightShare
		if hour >= dayBegins && hour < dayEnds {
			shape[hour] = 1
		}
	}
	return shape
}
