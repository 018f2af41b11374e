package whatif

import (
	"fmt"
	"testing"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

// monday is midnight UTC of a Monday in June 2026.
const monday = quota.Instant(1_780_272_000_000)

const sonnet, opus = "claude-sonnet-4-6", "claude-opus-4-8" // 15 and 25 micro-USD an output token

// world is a subscription with windows of 5 hours and 7 days, an API account, and two teams.
func world() quota.Config {
	session := quota.Window{Kind: quota.WindowSession, Duration: 5 * quota.Hour}
	week := quota.Window{Kind: quota.WindowSession, Duration: 7 * quota.Day}
	return quota.Config{
		Providers: []quota.Provider{{Name: "claude"}},
		Accounts: []quota.Account{
			{ID: "max", Provider: "claude", Kind: quota.KindSubscription, Tier: "max_5x"},
			{ID: "api", Provider: "claude", Kind: quota.KindAPI},
		},
		Limits: []quota.Limit{
			{ID: "max/session", Name: "session", Scope: quota.Scope{Account: "max"}, Unit: quota.UnitTokens, Window: session, Capacity: 1_000_000},
			{ID: "max/weekly", Name: "weekly", Scope: quota.Scope{Account: "max"}, Unit: quota.UnitTokens, Window: week, Capacity: 20_000_000},
			{ID: "a/day", Scope: quota.Scope{Team: "a"}, Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}, Capacity: 5_000_000},
		},
		Principals: []quota.Principal{
			{Name: "ann", Team: "a", MaxPriority: quota.PriorityHigh}, {Name: "ben", Team: "b", MaxPriority: quota.PriorityHigh},
		},
		Policy: quota.DefaultPolicy(),
	}
}

// did is work on an account at an hour of a day, of output tokens, half an hour long.
func did(account, principal string, day, hour int, tokens int64) workload.Job {
	team := map[string]string{"ann": "a", "ben": "b"}[principal]
	amount := quota.Amount{Tokens: quota.Tokens{Output: tokens}, Requests: 1}
	return workload.Job{
		Labels: quota.Labels{
			Principal: principal, Agent: "w", Team: team, Provider: "claude", Account: account, Model: sonnet, TaskType: "analysis", Priority: quota.PriorityNormal,
		},
		Arrives: monday.Add(quota.Millis(day)*quota.Day + quota.Millis(hour)*quota.Hour), Asked: amount, Granted: true, Lasts: 30 * quota.Minute,
		Steps: []workload.Step{{After: 10 * quota.Minute, Used: amount}},
	}
}

// wanted is work that was refused at once.
func wanted(principal, limit string, day, hour int, tokens int64) workload.Job {
	j := did("", principal, day, hour, tokens)
	j.Granted, j.Tries, j.Limit = false, 1, limit
	return j
}

// imported is work that was never reserved.
func imported(account string, day, hour int, tokens int64) workload.Job {
	j := did(account, "ann", day, hour, tokens)
	j.Granted, j.Unreserved, j.Lasts = false, true, 0
	j.Steps[0].After = 0
	return j
}

func input(t testing.TB, config quota.Config, jobs ...workload.Job) *Input {
	t.Helper()
	prices, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	plans, err := price.Plans()
	if err != nil {
		t.Fatal(err)
	}
	return &Input{Config: config, Prices: prices, Jobs: jobs, From: monday, To: monday.Add(3*quota.Day - 1), Month: func(provider, tier string) int64 {
		for _, p := range plans {
			if p.Provider == provider && p.Tier == tier {
				return p.Month
			}
		}
		return 0
	}}
}

// each makes jobs for each of three days.
func each(jobs ...func(day int) workload.Job) (all []workload.Job) {
	for day := range 3 {
		for _, j := range jobs {
			all = append(all, j(day))
		}
	}
	return all
}

func TestChanges(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change Change
		basis  Basis
		config func(*quota.Config)
		jobs   []workload.Job
		saving int64 // of three days
	}{
		{name: "work moves to a subscription with room", change: Change{Kind: PreferAccount, Account: "api", Target: "max"}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job { return did("api", "ann", d, 9, 100_000) }), saving: 3 * 1_500_000},
		{name: "as far as there is room", change: Change{Kind: PreferAccount, Account: "api", Target: "max"}, basis: AvoidableSpend,
			jobs: each(
				func(d int) workload.Job { return did("max", "ben", d, 9, 900_000) },
				func(d int) workload.Job { return did("api", "ann", d, 10, 80_000) },
				func(d int) workload.Job { return did("api", "ann", d, 11, 80_000) },
			), saving: 3 * 1_200_000},
		{name: "usage that nobody reserved moves too", change: Change{Kind: PreferAccount, Account: "api", Target: "max"}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job { return imported("api", d, 9, 100_000) }), saving: 3 * 1_500_000},
		{name: "no room, no saving", change: Change{Kind: PreferAccount, Account: "api", Target: "max"}, basis: AvoidableSpend,
			jobs: each(
				func(d int) workload.Job { return imported("max", d, 9, 1_000_000) },
				func(d int) workload.Job { return did("api", "ann", d, 10, 80_000) },
			), saving: 0},
		{name: "another plan carries it for its fee", change: Change{Kind: AddAccounts, Provider: "claude", Tier: "max_5x", Amount: 1}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job { return did("api", "ann", d, 9, 1_000_000) }), saving: 3 * (15_000_000 - 3_285_420)},
		{name: "a plan that nobody uses is its fee", change: Change{Kind: AddAccounts, Provider: "claude", Tier: "pro", Amount: 2}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job { return did("max", "ann", d, 9, 1000) }), saving: -3 * 2 * 657_084},
		{name: "a smaller plan would do", change: Change{Kind: ChangeTier, Account: "max", Provider: "claude", Tier: "pro"}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job { return did("max", "ann", d, 9, 1000) }), saving: 3 * (3_285_420 - 657_084)},
		{name: "a smaller plan refuses work, at its price", change: Change{Kind: ChangeTier, Account: "max", Provider: "claude", Tier: "pro"}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job { return did("max", "ann", d, 9, 900_000) }), saving: 3 * (3_285_420 - 657_084 - 13_500_000)},
		{name: "a higher limit lets work in", change: Change{Kind: SetCapacity, Limit: "a/day", Amount: 500_000}, basis: DelayedWork,
			config: func(c *quota.Config) { c.Limits[2].Capacity = 300_000 },
			jobs: each(
				func(d int) workload.Job { return did("api", "ann", d, 9, 300_000) },
				func(d int) workload.Job { return wanted("ann", "a/day", d, 10, 200_000) },
			), saving: 3 * 3_000_000},
		{name: "a higher limit where another one binds", change: Change{Kind: SetCapacity, Limit: "a/day", Amount: 9_000_000}, basis: DelayedWork,
			config: func(c *quota.Config) { c.Accounts = c.Accounts[:1] },
			jobs: each(
				func(d int) workload.Job { return did("max", "ann", d, 9, 1_000_000) },
				func(d int) workload.Job { return wanted("ann", "a/day", d, 10, 200_000) },
			), saving: 0},
		{name: "smaller reservations hold less", change: Change{Kind: ReserveLess, Team: "a", TaskType: "analysis", Amount: 20}, basis: FreedBudget,
			jobs: each(func(d int) workload.Job { return unused(did("api", "ann", d, 9, 100_000), 90_000) }), saving: 3 * 80_000 * 15},
		{name: "of another team they do not", change: Change{Kind: ReserveLess, Team: "b", TaskType: "analysis", Amount: 20}, basis: FreedBudget,
			jobs: each(func(d int) workload.Job { return unused(did("api", "ann", d, 9, 100_000), 90_000) }), saving: 0},
		{name: "another model is cheaper", change: Change{Kind: UseModel, Team: "a", TaskType: "analysis", Model: opus, ToModel: sonnet}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job { return on(did("api", "ann", d, 9, 100_000), opus) }), saving: 3 * 1_000_000},
		{name: "on a subscription it saves no money", change: Change{Kind: UseModel, Team: "a", TaskType: "analysis", Model: opus, ToModel: sonnet}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job { return on(did("max", "ann", d, 9, 100_000), opus) }), saving: 0},
		{name: "input that is read from the cache", change: Change{Kind: ReadCache, Team: "a", TaskType: "analysis", Amount: 50}, basis: AvoidableSpend,
			jobs:   each(func(d int) workload.Job { return fed(did("api", "ann", d, 9, 1), quota.Tokens{Input: 1_000_000}) }),
			saving: 3 * 500_000 * 27 / 10},
		{name: "writes that are never read", change: Change{Kind: SkipCache, Team: "a", TaskType: "analysis"}, basis: AvoidableSpend,
			jobs: each(func(d int) workload.Job {
				return fed(did("api", "ann", d, 9, 1), quota.Tokens{CacheWrite5m: 1_000_000})
			}),
			saving: 3 * 750_000},
		{name: "work that is shifted to the evening", change: Change{Kind: ShiftWork, Team: "b", TaskType: "analysis", FromHour: 9, ToHour: 11, Shift: 10 * quota.Hour}, basis: DelayedWork,
			config: func(c *quota.Config) { c.Accounts = c.Accounts[:1] },
			jobs: each(
				func(d int) workload.Job { return did("max", "ben", d, 9, 800_000) },
				func(d int) workload.Job { return wanted("ann", "max/session", d, 10, 500_000) },
			), saving: 3 * 7_500_000},
		{name: "a window that is opened early resets early", change: Change{Kind: OpenWindow, Account: "max", Amount: 7 * 60}, basis: DelayedWork,
			config: func(c *quota.Config) { c.Accounts = c.Accounts[:1] },
			jobs: each(
				func(d int) workload.Job { return did("max", "ben", d, 9, 900_000) },
				func(d int) workload.Job { return wanted("ann", "max/session", d, 13, 500_000) },
			), saving: 3 * 7_500_000},
		{name: "a floor that is lent", change: Change{Kind: LendFloor, Team: "a", Limit: "max/session", Amount: 100}, basis: DelayedWork,
			config: func(c *quota.Config) {
				c.Accounts = c.Accounts[:1]
				c.Teams = []quota.Team{{Name: "a", Shares: []quota.Share{{Limit: "max/session", Floor: 800_000}}}}
			},
			jobs: each(func(d int) workload.Job { return wanted("ben", "max/session", d, 10, 500_000) }), saving: 3 * 7_500_000},
		{name: "work that waits is done later", change: Change{Kind: WaitInQueue, Principal: "ann", Agent: "w", Amount: int64(6 * quota.Hour)}, basis: DelayedWork,
			config: func(c *quota.Config) { c.Accounts = c.Accounts[:1] },
			jobs: each(
				func(d int) workload.Job { return did("max", "ben", d, 9, 900_000) },
				func(d int) workload.Job { return wanted("ann", "max/session", d, 10, 500_000) },
			), saving: 3 * 7_500_000},
		{name: "an agent that holds no more than it may", change: Change{Kind: BoundFanOut, Team: "b", Amount: 2}, basis: DelayedWork,
			config: func(c *quota.Config) { c.Accounts = c.Accounts[:1] },
			jobs: each(
				func(d int) workload.Job { return unused(did("max", "ben", d, 9, 300_000), 250_000) },
				func(d int) workload.Job { return unused(did("max", "ben", d, 9, 300_000), 250_000) },
				func(d int) workload.Job { return unused(did("max", "ben", d, 9, 300_000), 250_000) },
				func(d int) workload.Job { return wanted("ann", "max/session", d, 9, 300_000) },
			), saving: 3 * (4_500_000)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config := world()
			if row.config != nil {
				row.config(&config)
			}
			in := input(t, config, row.jobs...)
			before := fmt.Sprint(in.Config, in.Jobs)
			proof := Compare(Run(in).Days, Run(in, &row.change).Days, row.basis)
			if diff := proof.Saving - row.saving; diff < -100 || diff > 100 {
				t.Errorf("saving %d, want %d\nwas  %+v\nwith %+v", proof.Saving, row.saving, proof.Base, proof.With)
			}
			if got := proof.Shows(1); got != (row.saving > 0) {
				t.Errorf("it shows something: %v, with confidence %d", got, proof.Confidence)
			}
			if fmt.Sprint(in.Config, in.Jobs) != before {
				t.Error("a replay changed what it was given")
			}
		})
	}
}

// unused makes a job use less than it reserved.
func unused(j workload.Job, n int64) workload.Job {
	j.Steps[0].Used.Tokens.Output -= n
	return j
}

func on(j workload.Job, model string) workload.Job {
	j.Labels.Model = model
	return j
}

// fed makes a job use other tokens.
func fed(j workload.Job, tokens quota.Tokens) workload.Job {
	j.Asked.Tokens, j.Steps[0].Used.Tokens = tokens, tokens
	return j
}

// The sum of a few even days is sure only as far as the formula says; uneven days are less sure; one day says little.
// TestADayThatIsReplayedInPartCountsInPart: three days from noon to noon lie in four days of the calendar, and cost no more
// than three days from midnight on.
func TestADayThatIsReplayedInPartCountsInPart(t *testing.T) {
	t.Parallel()
	config := world()
	config.Limits = append(config.Limits, quota.Limit{
		ID: "b/day", Scope: quota.Scope{Team: "b"}, Unit: quota.UnitMicroUSD, Capacity: 1_000_000, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay},
	})
	sum := func(from, to quota.Instant) (fees, exposed int64) {
		in := input(t, config)
		in.From, in.To = from, to
		for _, d := range Run(in).Days {
			fees += d.Fees
			exposed += d.Exposed
		}
		return fees, exposed
	}
	noon := monday.Add(12 * quota.Hour)
	wantFees, wantExposed := sum(monday, monday.Add(3*quota.Day))
	fees, exposed := sum(noon, noon.Add(3*quota.Day))
	if wantFees != 3*3_285_420 || wantExposed != 3_000_000 || wantFees-fees > 3 || wantExposed-exposed > 3 || fees > wantFees || exposed > wantExposed {
		t.Errorf("from noon on fees of %d and %d allowed, from midnight on %d and %d", fees, exposed, wantFees, wantExposed)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name                  string
		gains                 []float64
		low, high, confidence int64
	}{
		{"nothing", []float64{0, 0, 0}, 0, 0, 0},
		{"one day", []float64{100}, 100, 100, 207},
		{"one bad day", []float64{-100}, -100, -100, 0},
		{"three even days", []float64{100, 100, 100}, -73, 673, 963},          // s = 50: 300 ± 4.303 · 50 · √3; t = 3.46 with 2
		{"seven even days", []float64{9, 9, 9, 9, 9, 9, 9}, 34, 92, 999},      // s = 4.5: 63 ± 2.447 · 4.5 · √7
		{"one day of seven", []float64{70, 0, 0, 0, 0, 0, 0}, -101, 241, 822}, // s = 26.5; t = 1
		{"a loss", []float64{-10, -10, -12}, -72, 8, 37},                      // s = 5.33,
	} {
		low, high, confidence := spread(row.gains)
		if low != row.low || high != row.high || confidence != row.confidence {
			t.Errorf("%s: got %d to %d with %d, want %d to %d with %d", row.name, low, high, confidence, row.low, row.high, row.confidence)
		}
	}
}

// The same input gives the same days.
func TestRunIsDeterministic(t *testing.T) {
	t.Parallel()
	in := input(t, world(), busy(300)...)
	if a, b := fmt.Sprint(Run(in)), fmt.Sprint(Run(in)); a != b {
		t.Errorf("got\n%s\nand\n%s", a, b)
	}
}

// busy is work all over three days.
func busy(n int) (jobs []workload.Job) {
	for i := range n {
		j := did([]string{"max", "api"}[i%2], []string{"ann", "ben"}[i/2%2], 0, 0, int64(1000+i%7*300))
		j.Arrives = monday.Add(quota.Millis(i) * 3 * quota.Day / quota.Millis(n))
		jobs = append(jobs, j)
	}
	return jobs
}

func BenchmarkRun(b *testing.B) {
	const jobs = 10_000
	in := input(b, world(), busy(jobs)...)
	for b.Loop() {
		Run(in)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jobs, "ns/job")
}
