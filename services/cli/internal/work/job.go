// Package work holds the jobs that a replay does: what an agent asks for, and what it then really spends.
//
// Jobs come from traces of real systems ([FromTrace]) or from a generator of a day of a fleet ([Day]). Both are
// deterministic: the same files, or the same seed, give the same jobs in the same order.
package work

import (
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/cli/internal/trace"
)

// Job is one piece of work of one agent: it estimates, reserves, makes its calls and settles.
type Job struct {
	// At is when it begins, counted from the start of the replay at its own pace.
	At time.Duration
	// Principal holds the credentials; empty means the one of the command line.
	Principal string
	Agent     string

	Provider   string
	Account    string // optional: only this account
	Model      string
	TaskType   estimate.Type
	Complexity estimate.Complexity
	Priority   quota.Priority // 0 takes what the estimate proposes
	Files      int64
	// Expected is what the agent reserves on top of an estimate of the table: that knows nothing of the conversation
	// so far, which is read from the cache with every call.
	Expected quota.Amount
	// MinTokens is the smallest grant that the agent takes; 0 takes all or nothing.
	MinTokens int64
	// Patience is how long it waits in the queue for a grant, in real time; 0 takes a refusal at once.
	Patience time.Duration

	// Generous agents add it to estimates that know the conversation too; Careless ones never extend, and overrun.
	Generous, Careless bool

	// Calls are what it spends.
	Calls []Call
	// Unfinished says that the replay ends while the agent is still at work: it reports its calls and does not settle,
	// and Lease after the last of them the reservation expires.
	Unfinished bool
	Lease      time.Duration // 0 leaves it to the configuration
}

// Call is one call to the provider.
type Call struct {
	ID     string // the provider's id of the call; empty for none
	Model  string // empty for the job's
	Tokens quota.Tokens
}

// Used is the sum of the calls.
func (j *Job) Used() (sum quota.Tokens) {
	for _, c := range j.Calls {
		sum = sum.Add(c.Tokens)
	}
	return sum
}

// Pattern says what a trace leaves out: who asks, and for what.
type Pattern struct {
	Agents   int // the calls are dealt out to this many
	Provider string
	Account  string
	Model    string // where the trace tells none
	TaskType estimate.Type
}

// PatternOf gives the pattern that suits a format, for 16 agents.
func PatternOf(format trace.Format) Pattern {
	const agents = 16
	switch format {
	case trace.ClaudeCode:
		return Pattern{Agents: agents, Provider: "claude", Model: "claude-sonnet-5", TaskType: estimate.CodeGeneration}
	case trace.Mooncake:
		return Pattern{Agents: agents, Provider: "openai", Model: "gpt-5-mini", TaskType: estimate.Analysis}
	}
	return Pattern{Agents: agents, Provider: "openai", Model: "gpt-5-mini", TaskType: estimate.QuickQuery}
}

// FromTrace makes a job of each call. Calls of one session go to one agent, others are dealt out in turn.
func FromTrace(t *trace.Trace, p Pattern) []Job {
	jobs := make([]Job, len(t.Calls))
	sessions := map[string]int{}
	for i := range t.Calls {
		call := &t.Calls[i]
		agent := i % p.Agents
		if call.Session != "" {
			known, ok := sessions[call.Session]
			if !ok {
				known = len(sessions) % p.Agents
				sessions[call.Session] = known
			}
			agent = known
		}
		model := call.Model
		if model == "" {
			model = p.Model
		}
		jobs[i] = Job{
			At: sinceStart(t, i), Agent: fmt.Sprintf("agent-%02d", agent+1),
			Provider: p.Provider, Account: p.Account, Model: model,
			TaskType: p.TaskType, Files: estimate.UsualFiles,
			Expected: quota.Amount{Requests: 1},
			Calls:    []Call{{ID: call.ID, Tokens: call.Tokens}},
		}
	}
	return jobs
}

// sinceStart is how long after the first call with a time a call was made; calls without a time come first.
func sinceStart(t *trace.Trace, i int) time.Duration {
	if t.Calls[i].At.IsZero() {
		return 0
	}
	for first := range t.Calls {
		if at := t.Calls[first].At; !at.IsZero() {
			return t.Calls[i].At.Sub(at)
		}
	}
	return 0
}
