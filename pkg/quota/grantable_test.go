package quota

import "testing"

// grantableCase is one row: limits, and how many tokens of output could ever be granted under them.
type grantableCase struct {
	limits   []Limit
	teams    []Team
	model    string // gpt-5 where empty
	actor    Actor  // ann where empty
	priority Priority
	want     int64 // of 10,000
	stops    string
}

func grantableCases() map[string]grantableCase {
	limit := func(id string, change func(*Limit)) Limit {
		l := Limit{ID: id, Name: id, Unit: UnitTokens, Capacity: 1000, Window: Window{Kind: WindowCalendar, Period: PeriodDay, Zone: "UTC"}}
		change(&l)
		return l
	}
	account := func(id, account string, capacity int64) Limit {
		return limit(id, func(l *Limit) { l.Scope.Account, l.Capacity = account, capacity })
	}
	perMinute := func(l *Limit) { l.Scope.Account, l.Window = "api-1", Window{Kind: WindowBucket, Duration: Minute} }
	heldBack := func(l *Limit) { l.HoldBack = &HoldBack{Percent: 30, Priority: PriorityHigh} }
	money := func(l *Limit) { l.Unit, l.Capacity = UnitMicroUSD, 30_000 }
	weighted := func(l *Limit) { l.Weights = Weights{Input: 1000, Output: 3000} }
	shared := limit("all", func(*Limit) {})
	bob := Actor{"bob", "b1"}
	opus := []Limit{session("max", 5000), limit("opus", func(l *Limit) { l.Scope = Scope{Account: "max-1", ModelGroup: "opus"} })}
	floor := []Team{{Name: "core", Shares: []Share{{Limit: "all", Floor: 400}}}}
	return map[string]grantableCase{
		"no limit":                            {want: 10_000},
		"a limit for all":                     {limits: []Limit{shared}, want: 1000, stops: "all"},
		"the widest account":                  {limits: []Limit{account("a", "api-1", 300), account("b", "api-2", 700)}, want: 700, stops: "b"},
		"of those that are open":              {limits: []Limit{account("a", "api-1", 300), account("b", "api-2", 700)}, actor: bob, want: 300, stops: "a"},
		"an account without a limit":          {limits: []Limit{account("a", "api-1", 300)}, want: 10_000},
		"the narrower of the account and all": {limits: []Limit{account("a", "api-1", 3000), account("b", "api-2", 7000), shared}, want: 1000, stops: "all"},
		"a group of models":                   {limits: opus, model: "opus-4", want: 1000, stops: "opus"},
		"a model outside the group":           {limits: opus, model: "haiku-4", want: 10_000},
		"limits per minute grant at once":     {limits: []Limit{limit("rpm", perMinute), account("b", "api-2", 700)}, want: 10_000},
		"held back from normal work":          {limits: []Limit{limit("all", heldBack)}, want: 700, stops: "all"},
		"not from high":                       {limits: []Limit{limit("all", heldBack)}, priority: PriorityHigh, want: 1000, stops: "all"},
		"high beyond what one may is normal":  {limits: []Limit{limit("all", heldBack)}, actor: bob, priority: PriorityHigh, want: 700, stops: "all"},
		"money, at the price of the model":    {limits: []Limit{limit("all", money)}, want: 2000, stops: "all"},
		"money without a price":               {limits: []Limit{limit("all", money)}, model: "unpriced", want: 10_000},
		"output that weighs three times":      {limits: []Limit{limit("all", weighted)}, want: 333, stops: "all"},
		"floors of other teams":               {limits: []Limit{shared}, teams: floor, actor: bob, want: 600, stops: "all"},
		"one's own floor":                     {limits: []Limit{shared}, teams: floor, want: 1000, stops: "all"},
		"the most that a team may have":       {limits: []Limit{shared}, teams: []Team{{Name: "core", Shares: []Share{{Limit: "all", Most: 250}}}}, want: 250, stops: "all"},
		"a limit of the agent":                {limits: []Limit{shared, limit("mine", func(l *Limit) { l.Scope.Agent, l.Capacity = "a1", 50 })}, want: 50, stops: "mine"},
		"of another agent":                    {limits: []Limit{shared, limit("theirs", func(l *Limit) { l.Scope.Agent, l.Capacity = "b1", 50 })}, want: 1000, stops: "all"},
		"places for reservations":             {limits: []Limit{shared, limit("live", func(l *Limit) { l.Window, l.Capacity = Window{Kind: WindowConcurrent}, 2 })}, want: 1000, stops: "all"},
	}
}

// What is said to be grantable is granted in a ledger of which nothing is used, and one token more never is.
func TestGrantable(t *testing.T) {
	t.Parallel()
	for name, c := range grantableCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			model, actor := "gpt-5", ann
			if c.model != "" {
				model = c.model
			}
			if c.actor != (Actor{}) {
				actor = c.actor
			}
			fresh := func() *ledger {
				l := &ledger{t: t, state: NewState(), now: t0}
				config := testConfig(c.limits...)
				config.Teams = c.teams
				l.must(ApplyConfig{Config: config})
				return l
			}
			l := fresh()
			work := &Work{Actor: actor, Model: model, Priority: c.priority, Amount: Amount{Tokens: Tokens{Output: 10_000}, Requests: 1}}
			most := l.state.Grantable(work, Env{Now: l.now, Prices: testPrices})
			if got := most.Amount.Tokens; got != (Tokens{Output: c.want}) || most.Limit != c.stops {
				t.Fatalf("%+v, stopped by %q; want %d of output, stopped by %q", got, most.Limit, c.want, c.stops)
			}
			if c.stops == "" {
				return
			}
			ask := func(l *ledger, tokens int64) Result {
				return l.reserve(tokens, func(r *Reserve) {
					r.Actor, r.Model, r.Priority = actor, model, c.priority
					if model == "gpt-5" {
						r.Provider = "openai"
					}
				})
			}
			if r := ask(fresh(), c.want+1); r.OK() || r.Retryable {
				t.Errorf("one token more: %+v, want that it is refused for good", r)
			}
			if r := ask(l, c.want); !r.OK() {
				t.Errorf("%d tokens: %s %s", c.want, r.Code, r.Message)
			}
			if again := l.state.Grantable(work, Env{Now: l.now, Prices: testPrices}); again != most {
				t.Errorf("with all of it held %+v could ever be granted, want %+v as before", again, most)
			}
		})
	}
}
