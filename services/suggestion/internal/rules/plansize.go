package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

const (
	// RulePlanSize is the name of [PlanSize].
	RulePlanSize = "plan_size"
	// maxPlans bounds how many of one plan are advised at once.
	maxPlans = 5
	// daysOfMonth is the mean length of a month.
	daysOfMonth = 30.4375
	// leastDays of usage are needed to speak of a month.
	leastDays = 3
)

// PlanSize finds how many of which subscription pay: more of them where use is paid by the token, or a smaller one where
// a plan is hardly used.
//
// A further plan: for each provider, the API spending of the last days that no subscription had room for is laid into the
// windows of one to maxPlans plans of each kind, six hours by six hours, within their capacities and weights; the combination that leaves the smallest bill of
// spending and fees is proposed. It breaks even from the API spending on that its fee and the share it carries come to.
//
// A smaller plan: an account whose windows would have held all its use at the capacities of a cheaper plan.
//
// The confidence is wilson(k, n) over the n days, k of which were better with the change. With fewer than leastDays days
// of usage nothing is said: a month is not to be told from an afternoon.
func PlanSize(in *Input) []Advice {
	var found []Advice
	for _, p := range in.Config.Providers {
		if a, ok := in.morePlans(p.Name); ok {
			found = append(found, a)
		}
	}
	for _, a := range in.Config.Accounts {
		if a, ok := in.smallerPlan(&a); ok {
			found = append(found, a)
		}
	}
	return found
}

// fleet is a number of plans with what they would carry.
type fleet struct {
	plan    price.Plan
	n       int64
	carried int64 // micro-USD of API spending
	fees    int64
	better  int64 // days on which more was carried than the fees
}

func (f *fleet) saving() int64 { return f.carried - f.fees }

// morePlans proposes further plans of a provider.
func (in *Input) morePlans(provider string) (Advice, bool) {
	jobs := in.apiJobs(provider)
	days := in.daysOf(jobs)
	if days < leastDays {
		return Advice{}, false
	}
	var spent int64
	for _, j := range jobs {
		spent += j.usage.Cost
	}
	jobs = in.withoutRoom(provider, jobs)
	var best fleet
	for _, plan := range in.Plans {
		if plan.Provider != provider {
			continue
		}
		for n := int64(1); n <= maxPlans; n++ {
			f := carriedBy(plan, n, jobs, days)
			if f.saving() > best.saving() {
				best = f
			}
		}
	}
	if best.saving() < MinSpend {
		return Advice{}, false
	}
	return in.buy(&best, provider, spent, days), true
}

// timedJob is a job with when it was.
type timedJob struct {
	job
	at quota.Instant
}

// apiJobs lists what was used on a provider's API accounts, the earliest first.
func (in *Input) apiJobs(provider string) (jobs []timedJob) {
	for _, s := range in.inOrder() {
		var slot []job
		for k, u := range s.Usage {
			if a, ok := in.Config.Account(k.Account); ok && a.Kind == quota.KindAPI && a.Provider == provider && u.Cost > 0 {
				slot = append(slot, job{k, u})
			}
		}
		slices.SortFunc(slot, func(a, b job) int { return cmp.Or(a.before(b), cmp.Compare(a.key.Account, b.key.Account)) })
		for _, j := range slot {
			jobs = append(jobs, timedJob{j, s.Start})
		}
	}
	return jobs
}

// withoutRoom takes away what the subscriptions that there are had room for: that costs nothing more ([ProviderSwitch]).
func (in *Input) withoutRoom(provider string, jobs []timedJob) (left []timedJob) {
	rooms := slices.DeleteFunc(in.rooms(), func(r room) bool {
		return r.account.Provider != provider || len(r.long)+len(r.short) == 0
	})
	for _, j := range jobs {
		for i := range rooms {
			if rooms[i].admits(j.key, true, nil) {
				_, saving := rooms[i].carry(j.at, j.job, true)
				j.usage = j.usage.less(saving)
			}
		}
		if j.usage.Cost > 0 {
			left = append(left, j)
		}
	}
	return left
}

// daysOf counts the days from the first job to now.
func (in *Input) daysOf(jobs []timedJob) int64 {
	if len(jobs) == 0 {
		return 0
	}
	return dayOf(in.Now) - dayOf(jobs[0].at) + 1
}

// carriedBy lays jobs into the windows of n plans.
func carriedBy(plan price.Plan, n int64, jobs []timedJob, days int64) fleet {
	f := fleet{plan: plan, n: n, fees: int64(float64(n*plan.Month*days) / daysOfMonth)}
	account, limits, ok := config.Plan(plan.Provider, plan.Tier, "new")
	if !ok {
		return f
	}
	rooms := make([]room, n)
	for i := range rooms {
		rooms[i] = emptyRoom(account, limits, days)
	}
	daily := map[int64]int64{}
	for _, j := range jobs {
		left := j.job
		for i := range rooms {
			_, saving := rooms[i].carry(j.at, left, true)
			f.carried += saving
			daily[dayOf(j.at)] += saving
			left.usage = left.usage.less(saving)
		}
	}
	for _, carried := range daily {
		if carried > f.fees/days {
			f.better++
		}
	}
	return f
}

// less is what is left of usage when a part of its price is taken away.
func (u Usage) less(cost int64) Usage {
	part := func(n int64) int64 { return n - scale(n, cost, u.Cost) }
	t := u.Tokens
	u.Tokens = quota.Tokens{Input: part(t.Input), CacheRead: part(t.CacheRead), CacheWrite5m: part(t.CacheWrite5m), CacheWrite1h: part(t.CacheWrite1h), Output: part(t.Output)}
	u.Cost = max(0, u.Cost-cost)
	return u
}

// emptyRoom is all that the windows of a plan have.
func emptyRoom(account quota.Account, limits []quota.Limit, days int64) room {
	r := room{account: account}
	for _, l := range limits {
		duration := durationOf(l.Window)
		if l.Scope.ModelGroup != "" || l.Unit != quota.UnitTokens || l.Capacity == 0 || duration == 0 {
			continue
		}
		s := space{weights: l.Weights, bySlot: map[int64]int64{}}
		if duration >= quota.Day {
			s.left = scale(l.Capacity, days*int64(quota.Day), int64(duration))
			r.long = append(r.long, s)
		} else {
			s.perSlot = scale(l.Capacity, int64(SlotLength), int64(duration))
			r.short = append(r.short, s)
		}
	}
	return r
}

// monthly projects what some days came to.
func monthly(sum, days int64) int64 { return int64(float64(sum) / float64(days) * daysOfMonth) }

func (in *Input) buy(f *fleet, provider string, spent, days int64) Advice {
	what := fmt.Sprintf("%d × %s %s", f.n, provider, f.plan.Tier)
	fee := f.n * f.plan.Month
	even := scale(fee, spent, f.carried)
	return Advice{
		Rule:    RulePlanSize,
		Subject: Subject{Provider: provider},
		Title:   fmt.Sprintf("API use of %s comes to %s a month; %s for %s a month would carry %d%% of it", provider, usd(monthly(spent, days)), what, usd(fee), percent(f.carried, spent)),
		Advice: fmt.Sprintf("Add %s and prefer it to the API. It breaks even from %s of API use a month on. A plan is for the person who works with it: give it to those who use most.",
			what, usd(even)),
		Saving: f.saving(), Basis: AvoidableSpend, Confidence: wilson(f.better, days),
		Change: whatif.Change{Kind: whatif.AddAccounts, Provider: provider, Tier: f.plan.Tier, Amount: f.n},
		Evidence: []Evidence{
			{"api_spending", spent, unitMicroUSD},
			{"api_spending_of_a_month", monthly(spent, days), unitMicroUSD},
			{"plans", f.n, unitCount},
			{"fee_of_a_month", fee, unitMicroUSD},
			{"carried", f.carried, unitMicroUSD},
			{"break_even_of_a_month", even, unitMicroUSD},
			{"days", days, unitCount},
			{"days_better", f.better, unitCount},
		},
	}
}

// smallerPlan proposes a cheaper plan for an account that does not need its own.
func (in *Input) smallerPlan(a *quota.Account) (Advice, bool) {
	present, ok := in.planOf(a)
	if !ok {
		return Advice{}, false
	}
	first, used := quota.Instant(0), Usage{}
	for _, s := range in.inOrder() {
		for k, u := range s.Usage {
			if k.Account == a.ID {
				if first == 0 {
					first = s.Start
				}
				used.Tokens, used.Cost = used.Tokens.Add(u.Tokens), used.Cost+u.Cost
			}
		}
	}
	days := dayOf(in.Now) - dayOf(first) + 1
	if first == 0 || days < leastDays {
		return Advice{}, false
	}
	for _, plan := range in.Plans { // the cheapest that would do
		if plan.Provider == a.Provider && plan.Month < present.Month && in.would(a, plan) {
			return in.shrink(a, present, plan, used, days), true
		}
	}
	return Advice{}, false
}

// planOf finds the price of an account's plan.
func (in *Input) planOf(a *quota.Account) (price.Plan, bool) {
	i := slices.IndexFunc(in.Plans, func(p price.Plan) bool { return p.Provider == a.Provider && p.Tier == a.Tier })
	if i < 0 || a.Kind != quota.KindSubscription {
		return price.Plan{}, false
	}
	return in.Plans[i], true
}

// would tells whether a plan's windows hold what the account used in each slot and in all.
func (in *Input) would(a *quota.Account, plan price.Plan) bool {
	account, limits, ok := config.Plan(plan.Provider, plan.Tier, a.ID)
	if !ok {
		return false
	}
	r := emptyRoom(account, limits, int64(Length/quota.Day))
	for _, s := range in.inOrder() {
		for k, u := range s.Usage {
			if k.Account != a.ID || u.Tokens.Total() == 0 {
				continue
			}
			const price = 1_000_000 // what is carried of it shows what fits
			u.Cost = price
			if _, carried := r.carry(s.Start, job{k, u}, true); carried < price {
				return false
			}
		}
	}
	return true
}

func (in *Input) shrink(a *quota.Account, present, plan price.Plan, used Usage, days int64) Advice {
	return Advice{
		Rule:    RulePlanSize,
		Subject: Subject{Provider: a.Provider, Account: a.ID},
		Title:   fmt.Sprintf("Subscription %s is on %s for %s a month; %s for %s would have held all its use", a.ID, present.Tier, usd(present.Month), plan.Tier, usd(plan.Month)),
		Advice:  fmt.Sprintf("Change %s to %s, unless it is to take over more work.", a.ID, plan.Tier),
		Saving:  int64(float64((present.Month-plan.Month)*days) / daysOfMonth), Basis: AvoidableSpend, Confidence: wilson(days, days),
		Change: whatif.Change{Kind: whatif.ChangeTier, Account: a.ID, Provider: a.Provider, Tier: plan.Tier},
		Evidence: []Evidence{
			{"fee_of_a_month", present.Month, unitMicroUSD},
			{"fee_of_the_smaller_plan", plan.Month, unitMicroUSD},
			{"used_at_api_prices", used.Cost, unitMicroUSD},
			{"used_tokens", used.Tokens.Total(), unitTokens},
			{"days", days, unitCount},
		},
	}
}
