// Package fleet makes ledgers for tests: commits that the real state machine decided for a small fleet
// of agents, reproducible by their seed.
//
// The mix covers every kind of event that analytics projects: grants on several providers, refusals,
// extensions, renewals, usage with and without call ids, late and unknown usage, overruns, unpriced
// models, every way to close, waits and preemption, warnings, rollovers, observations, blocks and configuration changes.
package fleet

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Start is the ledger time of the first commit: a Wednesday evening, so that a run of some length
// crosses a midnight, a week and a month.
var start = quota.InstantOf(time.Date(2026, 9, 30, 20, 0, 0, 0, time.UTC))

// Fleet decides commits one after the other. It is not safe for concurrent use.
type Fleet struct {
	rng    *rand.Rand
	state  *quota.State
	now    quota.Instant
	id     ledger.ID
	number uint64
	prev   ledger.Hash
	serial int
	open   []string
	closed []string
	lent   int // what is done of the present loan; see loan.go
	// step is the ledger time between two commits.
	step quota.Millis
}

// New returns the fleet of a seed. step is the ledger time between two commits.
func New(seed uint64, step time.Duration) *Fleet {
	f := &Fleet{rng: rand.New(rand.NewPCG(seed, 1)), state: quota.NewState(), now: start, step: quota.MillisOf(step)}
	f.id = f.randomID()
	return f
}

// Ledger returns the id of the ledger.
func (f *Fleet) Ledger() ledger.ID { return f.id }

// Totals returns the folded totals after the last commit.
func (f *Fleet) Totals() quota.Totals { return f.state.Totals() }

// Limits returns how every limit stands after the last commit, by its id.
func (f *Fleet) Limits() map[string]*quota.LimitView {
	views := map[string]*quota.LimitView{}
	for _, v := range f.state.Limits(f.now) {
		views[v.Limit.ID] = &v
	}
	return views
}

// SetStep changes the ledger time between two commits.
func (f *Fleet) SetStep(step time.Duration) { f.step = quota.MillisOf(step) }

// Next decides the next commit out of the given number of commands, and returns it with its bytes.
// Zero commands make an empty commit.
func (f *Fleet) Next(commands int) (*ledger.Commit, []byte, error) {
	f.now = f.now.Add(f.step)
	f.number++
	c := &ledger.Commit{Ledger: f.id, Epoch: 1, Number: f.number, ID: f.randomID(), Prev: f.prev}
	switch {
	case f.number == 1:
		c.Events = append(c.Events, &quota.EpochClaimed{Epoch: 1, Writer: "fleet"})
		c.Events = append(c.Events, f.run(quota.ApplyConfig{Actor: operator, Config: config()})...)
	case commands > 0:
		for due := f.state.NextDue(); due != 0 && due <= f.now; due = f.state.NextDue() {
			c.Events = append(c.Events, f.run(quota.Tick{})...)
		}
		for range commands {
			c.Events = append(c.Events, f.run(f.command())...)
		}
	}
	c.At = f.now
	c.Totals = f.state.Totals()
	data, err := ledger.Encode(c)
	if err != nil {
		return nil, nil, err
	}
	f.prev = ledger.HashOf(data)
	return c, data, nil
}

func (f *Fleet) randomID() (id ledger.ID) {
	binary.LittleEndian.PutUint64(id[:], f.rng.Uint64())
	sum := sha256.Sum256(id[:8])
	copy(id[8:], sum[:8])
	return id
}

// run decides a command and applies its events.
func (f *Fleet) run(command quota.Command) []quota.Event {
	events, result := quota.Decide(f.state, command, quota.Env{Now: f.now, Prices: prices{}})
	for _, event := range events {
		quota.Apply(f.state, event)
	}
	if reserve, ok := command.(quota.Reserve); ok && result.OK() && reserve.Provider != lender {
		f.open = append(f.open, reserve.Reservation)
	}
	return events
}

var (
	operator = quota.Actor{Principal: "root"}
	models   = map[string][]string{"claude": {"opus-4", "sonnet-4"}, "openai": {"gpt-5", "unheard-of"}}
	tasks    = []string{"code_generation", "code_review", "documentation", "analysis", "quick_query"}
	levels   = []string{"simple", "medium", "complex"}
)

// agents is the number of agents; each belongs to one of two principals.
const agents = 12

func (f *Fleet) actor() quota.Actor {
	n := f.rng.IntN(agents)
	return quota.Actor{Principal: []string{"ann", "ben"}[n%2], Agent: fmt.Sprintf("agent-%d", n)}
}

// command draws the next thing that happens.
func (f *Fleet) command() quota.Command {
	draw := f.rng.IntN(1000)
	switch {
	case draw < 20:
		return f.loan()
	case draw < 400 || len(f.open) == 0:
		return f.reserve()
	case draw < 600:
		return f.report(f.open[f.rng.IntN(len(f.open))])
	case draw < 900:
		return f.end()
	case draw < 930 && len(f.closed) > 0:
		return f.report(f.closed[f.rng.IntN(len(f.closed))])
	case draw < 935:
		return f.report("unheard-of")
	case draw < 970:
		id := f.open[f.rng.IntN(len(f.open))]
		return quota.Extend{Actor: f.holder(id), Reservation: id, Amount: quota.Amount{Tokens: f.tokens(2000)}, Lifetime: quota.Hour}
	default:
		return f.rare()
	}
}

// rare draws something that seldom happens.
func (f *Fleet) rare() quota.Command {
	switch f.rng.IntN(5) {
	case 0:
		return quota.Block{Actor: operator, Target: quota.BlockTeam, Name: "guests", Reason: "month end"}
	case 1:
		return quota.Unblock{Actor: operator, Target: quota.BlockTeam, Name: "guests"}
	case 2:
		percent := f.rng.Int64N(100_000)
		return quota.Observe{Actor: operator, Account: "max-1", Window: "session", PercentMilli: &percent, ResetAt: f.now.Add(2 * quota.Hour), Source: "status line"}
	case 3:
		id := f.open[f.rng.IntN(len(f.open))]
		f.forget(id)
		return quota.Revoke{Actor: operator, Reservation: id, Reason: "needed elsewhere"}
	default:
		c := config()
		c.Limits[0].Capacity += f.rng.Int64N(1000)
		if f.rng.IntN(2) == 0 { // what waits for more is refused
			c.Limits[0].Capacity /= 100
		}
		return quota.ApplyConfig{Actor: operator, Config: c}
	}
}

func (f *Fleet) reserve() quota.Command {
	provider := []string{"claude", "openai"}[f.rng.IntN(2)]
	f.serial++
	reserve := quota.Reserve{
		Actor: f.actor(), Reservation: fmt.Sprintf("r-%d", f.serial), Provider: provider,
		Model: models[provider][f.rng.IntN(2)], TaskType: tasks[f.rng.IntN(len(tasks))], Complexity: levels[f.rng.IntN(len(levels))],
		Priority: quota.Priority(1 + f.rng.IntN(4)),
		Amount:   quota.Amount{Tokens: f.tokens(20_000), Requests: 1 + f.rng.Int64N(5)},
		Lease:    10 * quota.Minute,
		// Some wait when quota is short, and some may be preempted.
		MaxWait: []quota.Millis{0, 0, quota.Minute, quota.Hour}[f.rng.IntN(4)], Preemptible: f.rng.IntN(4) > 0,
	}
	// Some say how many files they touch, and some what they were told beforehand, too much or too little.
	reserve.Files = int64(f.serial % 4)
	if f.serial%3 > 0 {
		reserve.Estimated = reserve.Amount.Tokens.Total() * int64(1+f.serial%5) / 3
	}
	return reserve
}

// tokens draws amounts of every class.
func (f *Fleet) tokens(most int64) quota.Tokens {
	return quota.Tokens{
		Input: f.rng.Int64N(most), CacheRead: f.rng.Int64N(most), CacheWrite5m: f.rng.Int64N(most / 4),
		CacheWrite1h: f.rng.Int64N(most / 8), Output: f.rng.Int64N(most / 2),
	}
}

// holder finds who may speak for a reservation.
func (f *Fleet) holder(id string) quota.Actor {
	for _, r := range f.state.Reservations(true, func(r *quota.Reservation) bool { return r.ID == id }) {
		return quota.Actor{Principal: r.Labels.Principal, Agent: r.Labels.Agent}
	}
	return f.actor()
}

func (f *Fleet) items() []quota.UsageItem {
	items := make([]quota.UsageItem, 1+f.rng.IntN(2))
	for i := range items {
		f.serial++
		items[i] = quota.UsageItem{OccurredAt: f.now - quota.Instant(f.rng.Int64N(int64(quota.Hour))), Tokens: f.tokens(9000), Batch: f.rng.IntN(10) == 0}
		if f.rng.IntN(2) == 0 {
			items[i].CallID = fmt.Sprintf("call-%d", f.serial-f.rng.IntN(3))
		}
	}
	return items
}

func (f *Fleet) report(id string) quota.Command {
	if f.rng.IntN(10) == 0 { // learned from a transcript
		items := f.items()
		for i := range items {
			items[i].Source, items[i].Session, items[i].Project = "transcript:claude-code", "s-"+id, "shop"
		}
		return quota.Report{Actor: f.holder(id), Account: "api-1", Model: "gpt-5", Items: items}
	}
	return quota.Report{Actor: f.holder(id), Reservation: id, Account: "api-1", Model: "gpt-5", Items: f.items()}
}

func (f *Fleet) end() quota.Command {
	id := f.open[f.rng.IntN(len(f.open))]
	holder := f.holder(id)
	f.forget(id)
	switch f.rng.IntN(10) {
	case 0:
		return quota.Release{Actor: holder, Reservation: id, Reason: "not needed"}
	case 1:
		return quota.Tick{} // left to expire
	default:
		return quota.Settle{Actor: holder, Reservation: id, Items: f.items()}
	}
}

// closedKept bounds what late usage is drawn from.
const closedKept = 50

func (f *Fleet) forget(id string) {
	for i := range f.open {
		if f.open[i] == id {
			f.open[i] = f.open[len(f.open)-1]
			f.open = f.open[:len(f.open)-1]
			break
		}
	}
	f.closed = append(f.closed, id)
	if len(f.closed) > closedKept {
		f.closed = f.closed[1:]
	}
}
