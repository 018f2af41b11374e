package workload

import "github.com/bursarhq/bursar/pkg/quota"

// Job is one piece of work: a reservation, a reserve that was refused, or usage without a reservation.
type Job struct {
	Labels  quota.Labels
	Arrives quota.Instant // when it was first asked for
	Asked   quota.Amount
	Steps   []Step       // what happened after the grant, in order
	Lasts   quota.Millis // from the grant to the end
	// Waited is from Arrives to the grant, or to the last try of work that was never granted.
	Waited quota.Millis
	// Tries is how often it was refused.
	Tries int64
	// Limit refused last.
	Limit       string
	HeldBack    bool // the limit had something left, which it kept for others
	Granted     bool
	Unreserved  bool
	Preemptible bool
	MaxWait     quota.Millis // it may be queued for so long
	Cost        int64        // micro-USD of what was used
	Unpriced    int64        // tokens of it without a price
	CostHeld    int64        // micro-USD of what was reserved
	Live        bool         // still open
}

// Step is usage or an extension, some time after the grant.
type Step struct {
	After    quota.Millis
	Used     quota.Amount
	Extended quota.Amount
}

// MaxSteps bounds the steps of a job; beyond it neighbours are put together.
const MaxSteps = 8

// Used is the sum of the steps.
func (j *Job) Used() (sum quota.Amount) {
	for _, s := range j.Steps {
		sum = sum.Add(s.Used)
	}
	return sum
}

// Held is what was granted, with extensions.
func (j *Job) Held() quota.Amount {
	sum := j.Asked
	for _, s := range j.Steps {
		sum = sum.Add(s.Extended)
	}
	return sum
}

// Ends is when the job was over.
func (j *Job) Ends() quota.Instant { return j.Arrives.Add(j.Waited + j.Lasts) }

// step adds what happened at an instant.
func (j *Job) step(at quota.Instant, s Step) {
	s.After = max(0, at.Sub(j.Arrives)-j.Waited)
	if last := len(j.Steps) - 1; last >= 0 && j.Steps[last].After == s.After && s.Extended == (quota.Amount{}) {
		j.Steps[last].Used = j.Steps[last].Used.Add(s.Used)
		return
	}
	if len(j.Steps) == MaxSteps {
		j.merge()
	}
	j.Steps = append(j.Steps, s)
}

// merge puts the two neighbours together that are closest in time.
func (j *Job) merge() {
	best := 1
	for i := 2; i < len(j.Steps); i++ {
		if j.Steps[i].After-j.Steps[i-1].After < j.Steps[best].After-j.Steps[best-1].After {
			best = i
		}
	}
	a, b := j.Steps[best-1], j.Steps[best]
	j.Steps[best-1] = Step{After: a.After, Used: a.Used.Add(b.Used), Extended: a.Extended.Add(b.Extended)}
	j.Steps = append(j.Steps[:best], j.Steps[best+1:]...)
}

// Kind tells work apart for which estimates are alike.
type Kind struct{ Team, TaskType string }

// Kind gives the kind of a job.
func (j *Job) Kind() Kind { return Kind{j.Labels.Team, j.Labels.TaskType} }
