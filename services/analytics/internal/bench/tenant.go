package bench

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// What a tenant is made of. Its limits run out now and then, most of all by day.
const (
	tenantAgents     = 100 // at most: an agent makes callsAnHour, so that it uses what it reserves before that expires
	callsAnHour      = 40
	tenantPrincipals = 10
	tenantTeams      = 7
	tenantAccounts   = 6
	tenantProjects   = 12

	// callsOf is how many calls an agent reports of a reservation, one after the other; the last one settles it.
	callsOf = 8
	// meanTokens is about how many tokens a call uses.
	meanTokens = 55_000
	// stepsOf is how many agents do something in a commit, on the average of a day.
	stepsOf = 8
	// usageOf is how many usage rows there are to a step, for the length of a run: the rest are reserves and refusals.
	usageOf = 0.72

	// leastCapacity is that of a limit of a tenant that does little.
	leastCapacity = 3 * callsOf * meanTokens

	// shortSleep is how long an agent waits after a refusal at least.
	shortSleep = 5 * quota.Minute
)

// tenant decides the commits of one workspace with the real state machine: agents that reserve, report call after call and
// settle, refusals, waits, extensions, reservations left to expire, late usage, windows that open and end, warnings and
// observations. It is reproducible by its seed.
type tenant struct {
	rng    *rand.Rand
	state  *quota.State
	id     ledger.ID
	number uint64
	begin  quota.Instant
	now    quota.Instant
	agents []worker
	// step is the ledger time between two commits, config what the first of them applies.
	step   time.Duration
	config quota.Config
}

// worker is one agent.
type worker struct {
	actor          quota.Actor
	project        string
	task, provider string
	reservation    string
	calls          int
	asleep         quota.Instant
}

// newTenant returns the tenant of a seed that has about so many usage rows in a time.
func newTenant(seed, usage uint64, begin time.Time, span time.Duration) *tenant {
	t := &tenant{
		rng: rand.New(rand.NewPCG(seed, 2)), state: quota.NewState(), begin: quota.InstantOf(begin), now: quota.InstantOf(begin),
		step:   max(time.Millisecond, time.Duration(float64(span)*stepsOf*usageOf/float64(max(1, usage))).Round(time.Millisecond)),
		config: tenantConfig(float64(usage) / span.Hours()),
		agents: make([]worker, max(tenantProjects, min(tenantAgents, usage/uint64(span.Hours())/callsAnHour))),
	}
	t.id = t.randomID()
	for a := range t.agents {
		t.agents[a] = worker{
			actor:   quota.Actor{Principal: fmt.Sprintf("principal-%d", a%tenantPrincipals), Agent: fmt.Sprintf("agent-%d", a)},
			project: fmt.Sprintf("project-%d", a%tenantProjects),
		}
	}
	return t
}

// next decides the next commit, a step of time after the one before.
func (t *tenant) next() *ledger.Commit {
	t.now = t.now.Add(quota.MillisOf(t.step))
	t.number++
	c := &ledger.Commit{Ledger: t.id, Epoch: 1, Number: t.number, ID: t.randomID(), At: t.now}
	if t.number == 1 {
		c.Events = t.run(c.Events, quota.ApplyConfig{Actor: quota.Actor{Principal: "root"}, Config: t.config})
	}
	for due := t.state.NextDue(); due != 0 && due <= t.now; due = t.state.NextDue() {
		c.Events = t.run(c.Events, quota.Tick{})
	}
	// By day more is done than by night.
	hour := float64(t.now.Sub(t.begin)%quota.Day) / float64(quota.Hour)
	for range int(stepsOf*(1-0.7*math.Cos(hour*math.Pi/12)) + t.rng.Float64()) {
		c.Events = t.work(c.Events, &t.agents[t.rng.IntN(len(t.agents))])
	}
	if t.rng.IntN(1000) == 0 {
		c.Events = t.observe(c.Events)
	}
	return c
}

// run decides a command and applies its events.
func (t *tenant) run(events []quota.Event, command quota.Command) []quota.Event {
	decided, _ := t.decide(command)
	return append(events, decided...)
}

func (t *tenant) decide(command quota.Command) ([]quota.Event, quota.Result) {
	decided, result := quota.Decide(t.state, command, quota.Env{Now: t.now, Prices: tenantPrices{}})
	for _, event := range decided {
		quota.Apply(t.state, event)
	}
	return decided, result
}

// work lets an agent do its next step.
func (t *tenant) work(events []quota.Event, a *worker) []quota.Event {
	switch {
	case t.now < a.asleep:
		return events
	case a.reservation == "":
		return t.reserve(events, a)
	}
	a.calls++
	switch draw := t.rng.IntN(1000); {
	case draw < 4: // left to expire
		a.reservation = ""
		return events
	case draw < 10:
		events = t.run(events, quota.Release{Actor: a.actor, Reservation: a.reservation, Reason: "not needed"})
		a.reservation = ""
		return events
	case draw < 20:
		events = t.run(events, quota.Extend{Actor: a.actor, Reservation: a.reservation, Amount: quota.Amount{Tokens: quota.Tokens{Input: meanTokens}}, Lifetime: quota.Hour})
	}
	item := t.call(a)
	if a.calls < callsOf {
		return t.run(events, quota.Report{Actor: a.actor, Reservation: a.reservation, Items: []quota.UsageItem{item}})
	}
	events = t.run(events, quota.Settle{Actor: a.actor, Reservation: a.reservation, Items: []quota.UsageItem{item}})
	a.reservation = ""
	return events
}

var (
	tenantProviders = [2]string{"claude", "openai"}
	tenantModels    = [2][3]string{{"claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"}, {"gpt-5", "gpt-5-mini", "gpt-5-codex"}}
	tenantTasks     = [5]string{"code_generation", "code_review", "documentation", "analysis", "quick_query"}
	tenantLevels    = [3]string{"simple", "medium", "complex"}
)

func (t *tenant) reserve(events []quota.Event, a *worker) []quota.Event {
	p := t.rng.IntN(2)
	// An agent stays at a task for a while.
	if a.task == "" || t.rng.IntN(20) == 0 {
		a.task = tenantTasks[t.rng.IntN(len(tenantTasks))]
	}
	a.provider, a.calls = tenantProviders[p], 0
	tokens := int64(callsOf * meanTokens * (0.6 + t.rng.Float64()*1.2))
	r := quota.Reserve{
		Actor: a.actor, Reservation: t.requestID(), Provider: a.provider, Model: tenantModels[p][t.rng.IntN(3)], TaskType: a.task,
		Complexity: tenantLevels[t.rng.IntN(3)], Priority: quota.Priority(1 + t.rng.IntN(3)),
		Amount: quota.Amount{Tokens: quota.Tokens{Input: tokens / 20, CacheRead: tokens * 9 / 10, CacheWrite5m: tokens / 25, Output: tokens / 100}, Requests: callsOf},
	}
	if t.rng.IntN(4) > 0 {
		r.Files = t.rng.Int64N(30)
	}
	if t.rng.IntN(3) > 0 {
		r.Estimated = int64(float64(tokens) * (0.7 + t.rng.Float64()*0.6))
	}
	if t.rng.IntN(3) == 0 {
		r.MaxWait = 2 * quota.Minute
	}
	decided, result := t.decide(r)
	switch {
	case result.Queue != nil:
		a.reservation, a.asleep = r.Reservation, t.now.Add(r.MaxWait)
	case result.OK():
		a.reservation = r.Reservation
	default:
		a.asleep = t.now.Add(max(shortSleep, quota.Millis(t.rng.Int64N(int64(quota.Hour)))))
	}
	return append(events, decided...)
}

// call is a call to a provider that has just been made, or one in some thousands that is told of days later.
func (t *tenant) call(a *worker) quota.UsageItem {
	item := quota.UsageItem{
		OccurredAt: t.now - quota.Instant(t.rng.Int64N(int64(quota.Minute))), CallID: t.callID(), Project: a.project,
		Tokens: quota.Tokens{Input: t.about(2_500), CacheRead: t.about(49_000), CacheWrite5m: t.about(2_800), Output: t.about(700)},
	}
	if t.rng.IntN(5000) == 0 {
		item.OccurredAt -= quota.Instant(t.rng.Int64N(int64(3 * quota.Day)))
		item.Source, item.Session = "transcript:claude-code", t.requestID()
	}
	return item
}

// about draws from an exponential distribution, cut off where it is eight times as large.
func (t *tenant) about(mean float64) int64 { return int64(min(t.rng.ExpFloat64(), 8) * mean) }

// observe tells what the provider of one account says of its session, nearly what the books say.
func (t *tenant) observe(events []quota.Event) []quota.Event {
	for _, v := range t.state.Limits(t.now) {
		if v.Limit.ID != "account-0/session" || v.Start == 0 {
			continue
		}
		percent := min(100_000, v.Used*100_000/v.Capacity*(99+t.rng.Int64N(3))/100)
		return t.run(events, quota.Observe{Actor: quota.Actor{Principal: "principal-0"}, Account: "account-0", Window: "session", PercentMilli: &percent, ResetAt: v.End, Source: "status line"})
	}
	return events
}

// requestID is a UUID of version 7, as clients choose them.
func (t *tenant) requestID() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(t.now)<<16|7<<12|t.rng.Uint64()&0xfff)
	binary.BigEndian.PutUint64(id[8:], t.rng.Uint64()>>2|1<<63)
	return id.String()
}

// callID is as a provider's are.
func (t *tenant) callID() string {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	id := []byte("msg_01")
	for range 22 {
		id = append(id, digits[t.rng.IntN(len(digits))])
	}
	return string(id)
}

func (t *tenant) randomID() (id ledger.ID) {
	binary.LittleEndian.PutUint64(id[:8], t.rng.Uint64())
	binary.LittleEndian.PutUint64(id[8:], t.rng.Uint64())
	return id
}

// tenantPrices are those of large, middling and small models.
type tenantPrices struct{}

// Rate implements quota.Prices.
func (tenantPrices) Rate(model string, _ quota.Instant, _ bool) (quota.Rate, bool) {
	price := int64(1_000_000)
	for _, models := range tenantModels {
		for i, name := range models {
			if name == model {
				price *= int64(5 - 2*i)
			}
		}
	}
	return quota.Rate{Input: price, CacheRead: price / 10, CacheWrite5m: price * 5 / 4, CacheWrite1h: price * 2, Output: price * 5}, true
}

// tenantConfig has a session limit and a weekly one of each account, for so many calls an hour. Some run out.
func tenantConfig(calls float64) quota.Config {
	c := quota.Config{Policy: quota.DefaultPolicy(), Unlisted: &quota.Principal{MaxPriority: quota.PriorityNormal}}
	for _, name := range tenantProviders {
		c.Providers = append(c.Providers, quota.Provider{Name: name})
	}
	for p := range tenantPrincipals {
		c.Principals = append(c.Principals, quota.Principal{
			Name: fmt.Sprintf("principal-%d", p), Team: fmt.Sprintf("team-%d", p%tenantTeams), MaxPriority: quota.PriorityCritical,
		})
	}
	for a := range tenantAccounts {
		id, used := fmt.Sprintf("account-%d", a), calls*meanTokens/tenantAccounts
		kind := []quota.AccountKind{quota.KindSubscription, quota.KindAPI}[a%2]
		c.Accounts = append(c.Accounts, quota.Account{ID: id, Provider: tenantProviders[a%2], Kind: kind})
		limit := func(name string, hours, room float64, w quota.Window) quota.Limit {
			return quota.Limit{ID: id + "/" + name, Name: name, Scope: quota.Scope{Account: id}, Unit: quota.UnitTokens, Window: w,
				Capacity: max(leastCapacity, int64(used*hours*room))}
		}
		c.Limits = append(c.Limits,
			limit("session", 5, 0.9+float64(a)*0.12, quota.Window{Kind: quota.WindowSession, Duration: 5 * quota.Hour}),
			limit("weekly", 7*24, 0.95+float64(a)*0.06, quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodWeek}))
	}
	return c
}
