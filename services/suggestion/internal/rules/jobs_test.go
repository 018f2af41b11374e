package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

// world is a scene with jobs: each is in the window, too.
type world struct {
	*scene
	jobs []workload.Job
}

// monday is midnight UTC of a Monday.
const monday = quota.Instant(1_780_272_000_000)

func newWorld(t testing.TB, change ...func(*quota.Config)) *world {
	t.Helper()
	s := newScene(t, change...)
	s.now = monday
	return &world{scene: s}
}

func (w *world) input() *Input {
	plans, err := price.Plans()
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortStableFunc(w.jobs, func(a, b workload.Job) int { return int(a.Arrives - b.Arrives) })
	return &Input{Window: w.w, Jobs: w.jobs, Prices: w.prices, Plans: plans}
}

// at is an hour of a day.
func at(day, hour int) quota.Instant {
	return monday.Add(quota.Millis(day)*quota.Day + quota.Millis(hour)*quota.Hour)
}

// job is work of agent "w" of team a for half an hour; change alters it.
func (w *world) job(day, hour int, account, model, task string, tokens quota.Tokens, change ...func(*workload.Job)) {
	rate, _ := w.prices.Rate(model, at(day, hour), false)
	provider := "claude"
	if account == "gpt" {
		provider = "openai"
	}
	j := workload.Job{
		Labels: quota.Labels{
			Principal: "ci", Agent: "w", Team: "a", Provider: provider, Account: account, Model: model, TaskType: task, Priority: quota.PriorityNormal,
		},
		Arrives: at(day, hour), Asked: quota.Amount{Tokens: tokens, Requests: 1}, Granted: true, Lasts: 30 * quota.Minute, Cost: rate.Cost(tokens),
		Steps: []workload.Step{{After: quota.Minute, Used: quota.Amount{Tokens: tokens, Requests: 1}}},
	}
	for _, f := range change {
		f(&j)
	}
	w.jobs = append(w.jobs, j)
	if j.Granted || j.Unreserved {
		w.fold(&quota.UsageRecorded{At: j.Arrives, OccurredAt: j.Arrives, Labels: j.Labels, Tokens: tokens, Rate: rate, Cost: j.Cost})
	}
}

// refusedBy makes a job that was refused n times within an hour.
func refusedBy(limit string, n int64) func(*workload.Job) {
	return func(j *workload.Job) {
		j.Granted, j.Limit, j.Tries, j.Waited, j.Labels.Account = false, limit, n, 30*quota.Minute, ""
	}
}

func by(principal, agent, team string) func(*workload.Job) {
	return func(j *workload.Job) { j.Labels.Principal, j.Labels.Agent, j.Labels.Team = principal, agent, team }
}

func out(n int64) quota.Tokens { return quota.Tokens{Output: n} }

const (
	sonnet = "claude-sonnet-4-6"
	opus   = "claude-opus-4-8"
)

// ruleCase is one case of a rule: the change that is advised, or none.
type ruleCase struct {
	name   string
	config func(*quota.Config)
	play   func(w *world)
	want   whatif.Change // the zero value is silence
	saving int64
	basis  Basis
}

func checkRule(t *testing.T, rule Rule, name string, cases []ruleCase) {
	t.Helper()
	for _, row := range cases {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if row.config != nil {
				w = newWorld(t, row.config)
			}
			row.play(w)
			found := rule(w.input())
			if row.want == (whatif.Change{}) {
				if len(found) > 0 {
					t.Fatalf("got %+v, want silence", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("got %d pieces of advice, want one: %+v", len(found), found)
			}
			a := found[0]
			if a.Change != row.want {
				t.Errorf("change %+v, want %+v", a.Change, row.want)
			}
			if row.basis == "" {
				row.basis = AvoidableSpend
			}
			if diff := a.Saving - row.saving; diff < -50 || diff > 50 || a.Basis != row.basis {
				t.Errorf("saving %d in the sense of %s, want %d of %s", a.Saving, a.Basis, row.saving, row.basis)
			}
			if a.Rule != name || a.Title == "" || a.Advice == "" || a.Confidence <= 0 || a.Confidence >= whole || len(a.Evidence) == 0 {
				t.Errorf("got %+v", a)
			}
			if text := a.Title + "; " + a.Advice; strings.Contains(text, " %") {
				t.Errorf("percentages are written as everywhere else, 85%%: %s", text)
			}
		})
	}
}

// daily plays something on each of n days.
func daily(n int, play func(w *world, day int)) func(*world) {
	return func(w *world) {
		for day := range n {
			play(w, day)
		}
	}
}

func onlyAPI(c *quota.Config) { c.Accounts = c.Accounts[1:2] }

func TestPlanSize(t *testing.T) {
	t.Parallel()
	tier := func(name string) func(*quota.Config) {
		return func(c *quota.Config) { c.Accounts[0].Tier = name }
	}
	checkRule(t, PlanSize, RulePlanSize, []ruleCase{
		// 300,000 output tokens a day fit a Pro session: 4.5 USD a day against 0.657.
		{name: "one small plan carries a little work", config: onlyAPI, play: daily(5, func(w *world, day int) { w.job(day, 9, "api", sonnet, "", out(300_000)) }),
			want: whatif.Change{Kind: whatif.AddAccounts, Provider: "claude", Tier: "pro", Amount: 1}, saving: 5*4_500_000 - 3_285_421},
		// 15 M a day in one slot: five sessions of Max 20x are 12 M, but the week is 100 M; two plans carry all.
		{name: "several large ones carry a lot", config: onlyAPI, play: daily(5, func(w *world, day int) { w.job(day, 9, "api", sonnet, "", out(15_000_000)) }),
			want: whatif.Change{Kind: whatif.AddAccounts, Provider: "claude", Tier: "max_20x", Amount: 2}, saving: 5*225_000_000 - 65_708_418},
		{name: "too little to pay for any", config: onlyAPI, play: daily(5, func(w *world, day int) { w.job(day, 9, "api", sonnet, "", out(30_000)) })},
		{name: "two days are no month", config: onlyAPI, play: daily(2, func(w *world, day int) { w.job(day, 9, "api", sonnet, "", out(300_000)) })},
		{name: "the subscription there is has room", play: daily(5, func(w *world, day int) { w.job(day, 9, "api", sonnet, "", out(300_000)) })},
		{name: "a provider without plans", config: func(c *quota.Config) {
			c.Providers = append(c.Providers, quota.Provider{Name: "other"})
			c.Accounts = []quota.Account{{ID: "api", Provider: "other", Kind: quota.KindAPI}}
		}, play: daily(5, func(w *world, day int) { w.job(day, 9, "api", sonnet, "", out(300_000)) })},
		{name: "a plan that is hardly used", config: tier("max_20x"), play: daily(5, func(w *world, day int) { w.job(day, 9, "max", sonnet, "", out(50_000)) }),
			want: whatif.Change{Kind: whatif.ChangeTier, Account: "max", Provider: "claude", Tier: "pro"}, saving: 5 * 180_000_000 * 16 / 487},
		{name: "a plan that is needed", config: tier("max_5x"), play: daily(5, func(w *world, day int) { w.job(day, 9, "max", sonnet, "", out(2_000_000)) })},
		{name: "the smallest there is", config: tier("pro"), play: daily(5, func(w *world, day int) { w.job(day, 9, "max", sonnet, "", out(1000)) })},
		{name: "nothing is known of a plan that nobody used", config: tier("max_20x"), play: func(*world) {}},
	})
}

func TestModelChoice(t *testing.T) {
	t.Parallel()
	many := func(n int, account, model, task string, change ...func(*workload.Job)) func(*world) {
		return func(w *world) {
			for i := range n {
				w.job(i%3, 9, account, model, task, out(10_000), change...)
			}
		}
	}
	downgrade := whatif.Change{Kind: whatif.UseModel, Team: "a", TaskType: "documentation", Model: opus, ToModel: "claude-sonnet-5"}
	over := func(j *workload.Job) { j.Asked.Tokens.Output = 1000 }
	checkRule(t, ModelChoice, RuleModelChoice, []ruleCase{
		// 10 × 10,000 tokens at 25 and, until September, at 10 micro-USD.
		{name: "simple work on a dear model", play: many(10, "api", opus, "documentation"), want: downgrade, saving: 10 * 10_000 * 15},
		{name: "hard work without an example", play: many(10, "api", opus, "code_generation")},
		{name: "hard work that the cheaper model does already", play: func(w *world) {
			many(10, "api", opus, "code_generation")(w)
			many(5, "max", "claude-sonnet-5", "code_generation")(w)
		}, want: whatif.Change{Kind: whatif.UseModel, Team: "a", TaskType: "code_generation", Model: opus, ToModel: "claude-sonnet-5"}, saving: 10 * 10_000 * 15},
		{name: "work that outgrows its estimate", play: many(10, "api", opus, "documentation", over)},
		{name: "an example that outgrows its estimate", play: func(w *world) {
			many(10, "api", opus, "code_generation")(w)
			many(5, "max", "claude-sonnet-5", "code_generation", over)(w)
		}},
		{name: "on a subscription no money is saved", play: many(10, "max", opus, "documentation")},
		{name: "four jobs are no pattern", play: many(4, "api", opus, "documentation")},
		{name: "the cheapest there is", play: many(10, "api", "claude-haiku-4-5", "documentation")},
	})
}

func TestCacheUse(t *testing.T) {
	t.Parallel()
	many := func(w *world, task string, tokens quota.Tokens) {
		for i := range 5 {
			w.job(i, 9, "api", sonnet, task, tokens)
		}
	}
	checkRule(t, CacheUse, RuleCacheUse, []ruleCase{
		{name: "written and never read", play: func(w *world) { many(w, "analysis", quota.Tokens{CacheWrite5m: 1_000_000}) },
			want: whatif.Change{Kind: whatif.SkipCache, Team: "a", TaskType: "analysis", Model: sonnet}, saving: 5 * 750_000},
		{name: "written and read again", play: func(w *world) {
			many(w, "analysis", quota.Tokens{CacheWrite5m: 1_000_000, CacheRead: 1_000_000})
		}},
		// At 80 % of 1 M tokens instead of none, 800,000 cost 0.3 instead of 3 USD a million.
		{name: "read less than other work", play: func(w *world) {
			many(w, "analysis", quota.Tokens{Input: 1_000_000})
			many(w, "code_review", quota.Tokens{Input: 200_000, CacheRead: 800_000})
			many(w, "documentation", quota.Tokens{Input: 200_000, CacheRead: 800_000})
		}, want: whatif.Change{Kind: whatif.ReadCache, Team: "a", TaskType: "analysis", Model: sonnet, Amount: 80}, saving: 5 * 800_000 * 27 / 10},
		{name: "about as much as other work", play: func(w *world) {
			many(w, "analysis", quota.Tokens{Input: 350_000, CacheRead: 650_000})
			many(w, "code_review", quota.Tokens{Input: 200_000, CacheRead: 800_000})
			many(w, "documentation", quota.Tokens{Input: 200_000, CacheRead: 800_000})
		}},
		{name: "nothing to compare with", play: func(w *world) { many(w, "analysis", quota.Tokens{Input: 1_000_000}) }},
		{name: "little input", play: func(w *world) { many(w, "analysis", quota.Tokens{CacheWrite5m: 10_000}) }},
	})
}

func TestPeakShift(t *testing.T) {
	t.Parallel()
	busy := func(task string, priority quota.Priority, refusals int64) func(*world) {
		return daily(3, func(w *world, day int) {
			w.job(day, 9, "max", sonnet, task, out(800_000), func(j *workload.Job) { j.Labels.Priority = priority })
			w.job(day, 15, "max", sonnet, "code_review", out(100_000))
			w.job(day, 10, "", sonnet, "code_review", out(100_000), refusedBy("max/session", refusals))
		})
	}
	shift := func(task string) whatif.Change {
		return whatif.Change{Kind: whatif.ShiftWork, Limit: "max/session", Team: "a", TaskType: task, FromHour: 8, ToHour: 11, Shift: 8 * quota.Hour}
	}
	checkRule(t, PeakShift, RulePeakShift, []ruleCase{
		{name: "analysis in the busy hours", play: busy("analysis", quota.PriorityNormal, 3), want: shift("analysis"), saving: 3 * 1_500_000, basis: DelayedWork},
		{name: "anything of low priority", play: busy("code_review", quota.PriorityLow, 3), want: shift("code_review"), saving: 3 * 1_500_000, basis: DelayedWork},
		{name: "somebody waits for it", play: busy("code_generation", quota.PriorityNormal, 3)},
		{name: "it is urgent", play: busy("analysis", quota.PriorityHigh, 3)},
		{name: "hardly ever refused", play: busy("analysis", quota.PriorityNormal, 1)},
		{name: "on one day only", play: func(w *world) {
			w.job(0, 9, "max", sonnet, "analysis", out(800_000))
			w.job(0, 10, "", sonnet, "code_review", out(100_000), refusedBy("max/session", 20))
		}},
	})
}

func TestWindowStart(t *testing.T) {
	t.Parallel()
	day := func(first, refused int) func(*world) {
		return daily(3, func(w *world, day int) {
			w.job(day, first, "max", sonnet, "", out(900_000))
			w.job(day, refused, "", sonnet, "", out(100_000), refusedBy("max/session", 1))
		})
	}
	checkRule(t, WindowStart, RuleWindowStart, []ruleCase{
		{name: "from 9, out at 12", play: day(9, 12), want: whatif.Change{Kind: whatif.OpenWindow, Account: "max", Limit: "max/session", Amount: 7 * 60}, saving: 3 * 1_500_000, basis: DelayedWork},
		{name: "it resets before it runs out", play: day(9, 15)},
		{name: "it would have to open the day before", play: day(1, 4)},
		{name: "on one day only", play: func(w *world) {
			w.job(0, 9, "max", sonnet, "", out(900_000))
			w.job(0, 12, "", sonnet, "", out(100_000), refusedBy("max/session", 1))
		}},
		{name: "a week cannot be opened for a day", play: daily(3, func(w *world, day int) {
			w.job(day, 9, "max", sonnet, "", out(900_000))
			w.job(day, 12, "", sonnet, "", out(100_000), refusedBy("max/weekly", 1))
		})},
	})
}

func TestIdleFloor(t *testing.T) {
	t.Parallel()
	floor := func(lent int64) func(*quota.Config) {
		return func(c *quota.Config) {
			c.Teams = []quota.Team{{Name: "b", Shares: []quota.Share{{Limit: "max/session", Floor: 4_000_000, LendPart: lent}}}}
		}
	}
	play := func(used int64, held bool, n int) func(*world) {
		return func(w *world) {
			w.job(0, 9, "max", sonnet, "", out(used), by("ben", "w", "b"))
			for i := range n {
				w.job(i%3, 10, "", sonnet, "", out(100_000), refusedBy("max/session", 1), func(j *workload.Job) { j.HeldBack = held })
			}
		}
	}
	checkRule(t, IdleFloor, RuleIdleFloor, []ruleCase{
		{name: "a tenth is used", config: floor(0), play: play(400_000, true, 6), saving: 6 * 1_500_000, basis: DelayedWork,
			want: whatif.Change{Kind: whatif.LendFloor, Team: "b", Limit: "max/session", Amount: 90}},
		{name: "it is needed", config: floor(0), play: play(3_000_000, true, 6)},
		{name: "it is lent", config: floor(90_000), play: play(400_000, true, 6)},
		{name: "refused for other reasons", config: floor(0), play: play(400_000, false, 6)},
		{name: "five are nobody's fault", config: floor(0), play: play(400_000, true, 5)},
		{name: "there is no floor", play: play(400_000, true, 6)},
	})
}

func TestIdleLimit(t *testing.T) {
	t.Parallel()
	use := func(days int, tokens int64) func(*world) {
		return daily(days, func(w *world, day int) { w.job(day, 9, "api", sonnet, "", out(tokens)) })
	}
	checkRule(t, IdleLimit, RuleIdleLimit, []ruleCase{
		// Of 1 M a day 100,000 are used: 150,000 do; the rest is 850,000 × 15 micro-USD on each of four days.
		{name: "a tenth is used", play: use(4, 100_000), saving: 4 * 850_000 * 15, basis: whatif.BoundedRisk,
			want: whatif.Change{Kind: whatif.SetCapacity, Limit: "team/day", Team: "a", Amount: 150_000}},
		{name: "most of it is used", play: use(4, 600_000)},
		{name: "two days say little", play: use(2, 100_000)},
		{name: "a team that does nothing", play: func(*world) {}},
	})
}

func TestFanOut(t *testing.T) {
	t.Parallel()
	crowd := func(n int, victims int) func(*world) {
		return func(w *world) {
			for range n {
				w.job(0, 9, "max", sonnet, "", out(10_000), by("ci", "loop", "a"))
			}
			for i := range 3 {
				w.job(0, 8, "max", sonnet, "", out(10_000), by("ben", string(rune('x'+i)), "b"))
			}
			for range victims {
				w.job(0, 9, "", sonnet, "", out(100_000), by("ben", "x", "b"), refusedBy("max/session", 1))
			}
		}
	}
	checkRule(t, FanOut, RuleFanOut, []ruleCase{
		{name: "twelve at once, and others are refused", play: crowd(12, 4), want: whatif.Change{Kind: whatif.BoundFanOut, Team: "a", Amount: 2}, saving: 4 * 1_500_000, basis: DelayedWork},
		{name: "nobody is refused", play: crowd(12, 0)},
		{name: "seven at once are nothing", play: crowd(7, 4)},
		{name: "it is bounded already", play: crowd(12, 4), config: func(c *quota.Config) {
			c.Teams = []quota.Team{{Name: "a", FanOut: quota.FanOut{LivePerAgent: 2}}}
		}},
		{name: "they were refused at another time", play: func(w *world) {
			crowd(12, 0)(w)
			w.job(1, 9, "", sonnet, "", out(100_000), by("ben", "x", "b"), refusedBy("max/session", 1))
		}},
	})
}

func TestRetryStorm(t *testing.T) {
	t.Parallel()
	storm := func(jobs int, tries int64, change ...func(*workload.Job)) func(*world) {
		return func(w *world) {
			for i := range jobs {
				w.job(i%3, 9, "", sonnet, "", out(100_000), append([]func(*workload.Job){refusedBy("max/session", tries)}, change...)...)
			}
		}
	}
	checkRule(t, RetryStorm, RuleRetryStorm, []ruleCase{
		{name: "fifty tries for two jobs", play: storm(2, 25), saving: 2 * 1_500_000, basis: DelayedWork,
			want: whatif.Change{Kind: whatif.WaitInQueue, Principal: "ci", Agent: "w", Amount: int64(queueFor)}},
		{name: "a few tries each", play: storm(20, 2)},
		{name: "few tries in all", play: storm(2, 10)},
		{name: "it waits in the queue already", play: storm(2, 25, func(j *workload.Job) { j.MaxWait = quota.Hour })},
	})
}

// What relieves a limit depends on whose it is.
func TestRelief(t *testing.T) {
	t.Parallel()
	refuse := func(limit string) func(*world) {
		return func(w *world) {
			w.now = at(0, 12)
			w.deny(limit, "w1", 6)
			for range 2 {
				w.job(0, 11, "", sonnet, "", out(300_000), refusedBy(limit, 3))
			}
		}
	}
	checkRule(t, QuotaManagement, RuleQuotaManagement, []ruleCase{
		{name: "our own is raised by what it refused", play: refuse("team/day"), saving: 3_000_000, basis: DelayedWork,
			want: whatif.Change{Kind: whatif.SetCapacity, Limit: "team/day", Team: "a", Amount: 1_600_000}},
		{name: "a subscription goes to the next plan", play: refuse("max/session"), saving: 3_000_000, basis: DelayedWork,
			config: func(c *quota.Config) { c.Accounts[0].Tier = "max_5x" },
			want:   whatif.Change{Kind: whatif.ChangeTier, Account: "max", Provider: "claude", Tier: "max_20x"}},
		{name: "where there is none, the work waits", play: refuse("max/session"), saving: 3_000_000, basis: DelayedWork,
			config: func(c *quota.Config) { c.Accounts[0].Tier = "max_20x" },
			want:   whatif.Change{Kind: whatif.WaitInQueue, Principal: "ci", Agent: "w1", Amount: int64(queueFor)}},
		{name: "five times are nobody's fault", play: func(w *world) { w.deny("team/day", "w1", 5) }},
	})
}
