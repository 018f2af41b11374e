package quota

import (
	"fmt"
	"slices"
	"testing"
)

// pool is a configuration with three subscriptions of one provider, one of another, and a window on each.
func pool(policy Policy) Config {
	c := Config{
		Providers: []Provider{
			{Name: "claude", ModelGroups: []ModelGroup{{Name: "opus", Models: []string{"opus-*"}}, {Name: "small", Models: []string{"haiku"}}}},
			{Name: "openai", ModelGroups: []ModelGroup{{Name: "gpt", Models: []string{"gpt-*"}}}},
		},
		Unlisted: &Principal{Team: "core", MaxPriority: PriorityCritical},
		Policy:   policy,
	}
	add := func(id, provider string) {
		c.Accounts = append(c.Accounts, Account{ID: id, Provider: provider, Kind: KindSubscription})
		c.Limits = append(c.Limits, Limit{ID: id + "/s", Name: "session", Scope: Scope{Account: id}, Unit: UnitTokens, Capacity: 1000, Window: Window{Kind: WindowSession, Duration: 5 * Hour}})
	}
	add("m1", "claude")
	add("m2", "claude")
	add("m3", "claude")
	add("o1", "openai")
	c.Limits = append(c.Limits, Limit{ID: "m1/opus", Scope: Scope{Account: "m1", ModelGroup: "opus"}, Unit: UnitTokens, Capacity: 1000, Window: Window{Kind: WindowSession, Duration: 7 * Day}})
	return c
}

func newPool(t *testing.T, ladder ...Rung) *ledger {
	t.Helper()
	l := newLedger(t)
	policy := DefaultPolicy()
	policy.Ladder = ladder
	l.must(ApplyConfig{Config: pool(policy)})
	return l
}

// fill holds units of an account by another agent.
func (l *ledger) fill(account string, tokens int64) {
	l.t.Helper()
	if r := l.reserve(tokens, func(r *Reserve) { r.Actor, r.Account = Actor{"bob", "b"}, account }); !r.OK() {
		l.t.Fatalf("fill %s: %+v", account, r)
	}
}

// spend uses units of an account by another agent, which opens its window.
func (l *ledger) spend(account string, tokens int64) {
	l.t.Helper()
	l.must(Report{Actor: Actor{"bob", "b"}, Reservation: "none", Account: account, Model: "opus-4", Items: out(tokens)}.known(l))
}

// known makes a report of usage without a reservation, which is answered as not found, one that must be answered so.
func (r Report) known(l *ledger) Command {
	events, result := Decide(l.state, r, Env{Now: l.now, Prices: testPrices})
	if result.Code != CodeAllocationNotFound {
		l.t.Fatalf("report without a reservation: %+v", result)
	}
	l.apply(events)
	return Tick{}
}

func TestTheLadder(t *testing.T) {
	t.Parallel()
	full := func(l *ledger) {
		for _, a := range []string{"m1", "m2", "m3"} {
			l.fill(a, 1000)
		}
	}
	for name, c := range map[string]struct {
		ladder  []Rung
		before  func(*ledger)
		change  func(*Reserve)
		account string
		model   string
		granted int64
		queued  bool
		code    Code
	}{
		"full on the first":       {nil, func(*ledger) {}, nil, "m1", "opus-4", 600, false, CodeOK},
		"another account":         {nil, func(l *ledger) { l.fill("m1", 500) }, nil, "m2", "opus-4", 600, false, CodeOK},
		"smaller":                 {nil, func(l *ledger) { l.fill("m1", 500); l.fill("m2", 600); l.fill("m3", 800) }, func(r *Reserve) { r.MinTokens = 100 }, "m1", "opus-4", 500, false, CodeOK},
		"not smaller than of use": {nil, func(l *ledger) { l.fill("m1", 500); l.fill("m2", 600); l.fill("m3", 800) }, func(r *Reserve) { r.MinTokens = 501 }, "", "", 0, false, CodeInsufficientQuota},
		"another model":           {nil, func(l *ledger) { l.spend("m1", 1000); l.wait(6 * Hour) }, func(r *Reserve) { r.Account, r.AcceptModels = "m1", []string{"haiku"} }, "m1", "haiku", 600, false, CodeOK},
		"smaller before another model": {nil, func(l *ledger) { l.spend("m1", 900); l.wait(6 * Hour) }, func(r *Reserve) {
			r.Account, r.AcceptModels, r.MinTokens = "m1", []string{"haiku"}, 50
		}, "m1", "opus-4", 100, false, CodeOK},
		"part of another model": {nil, func(l *ledger) { l.spend("m1", 1000); l.wait(6 * Hour); l.haiku(700) }, func(r *Reserve) {
			r.Account, r.AcceptModels, r.MinTokens = "m1", []string{"haiku"}, 50
		}, "m1", "haiku", 300, false, CodeOK},
		"not a model of a spent account": {nil, func(l *ledger) { l.spend("m1", 1000) }, func(r *Reserve) { r.Account, r.AcceptModels = "m1", []string{"haiku"} }, "", "", 0, false, CodeInsufficientQuota},
		"another provider":               {nil, full, func(r *Reserve) { r.AcceptProviders, r.AcceptModels = []string{"openai"}, []string{"gpt-5"} }, "o1", "gpt-5", 600, false, CodeOK},
		"a model of a provider":          {nil, full, func(r *Reserve) { r.AcceptProviders, r.AcceptModels = []string{"openai"}, []string{"openai/o9"} }, "o1", "o9", 600, false, CodeOK},
		"not a model it does not have":   {nil, full, func(r *Reserve) { r.AcceptProviders, r.AcceptModels = []string{"openai"}, []string{"o9"} }, "", "", 0, false, CodeInsufficientQuota},
		"only acceptable accounts":       {nil, func(l *ledger) { l.fill("m1", 500) }, func(r *Reserve) { r.AcceptAccounts = []string{"m3"} }, "m3", "opus-4", 600, false, CodeOK},
		"an account besides":             {nil, func(l *ledger) { l.fill("m1", 500) }, func(r *Reserve) { r.Account, r.AcceptAccounts = "m1", []string{"m3"} }, "m3", "opus-4", 600, false, CodeOK},
		"the queue":                      {nil, full, func(r *Reserve) { r.MaxWait = Hour }, "", "", 0, true, CodeOK},
		"the queue is not asked for":     {nil, full, nil, "", "", 0, false, CodeInsufficientQuota},
		"no queue by configuration":      {[]Rung{RungFull, RungAccount}, full, func(r *Reserve) { r.MaxWait = Hour }, "", "", 0, false, CodeInsufficientQuota},
		"the queue before a provider": {[]Rung{RungFull, RungAccount, RungQueue, RungModel}, full, func(r *Reserve) {
			r.MaxWait, r.AcceptProviders, r.AcceptModels = Hour, []string{"openai"}, []string{"gpt-5"}
		}, "", "", 0, true, CodeOK},
		"a provider where none waits":   {[]Rung{RungFull, RungAccount, RungQueue, RungModel}, full, func(r *Reserve) { r.AcceptProviders, r.AcceptModels = []string{"openai"}, []string{"gpt-5"} }, "o1", "gpt-5", 600, false, CodeOK},
		"smaller before another accout": {[]Rung{RungFull, RungSmaller, RungAccount}, func(l *ledger) { l.fill("m1", 500); l.fill("m2", 600); l.fill("m3", 800) }, func(r *Reserve) { r.MinTokens = 1 }, "m1", "opus-4", 500, false, CodeOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newPool(t, c.ladder...)
			c.before(l)
			r := l.reserve(600, func(r *Reserve) {
				if c.change != nil {
					c.change(r)
				}
			})
			if r.Code != c.code || (r.Queue != nil) != c.queued || r.Granted.Tokens.Total() != c.granted {
				t.Fatalf("got %+v", r)
			}
			if r.OK() && !c.queued && (r.Account != c.account || r.Model != c.model) {
				t.Fatalf("granted %s on %s", r.Model, r.Account)
			}
		})
	}
}

// haiku holds units of m1 for another model than opus.
func (l *ledger) haiku(tokens int64) {
	l.t.Helper()
	if r := l.reserve(tokens, on("m1"), func(r *Reserve) { r.Actor, r.Model = Actor{"bob", "b"}, "haiku" }); !r.OK() {
		l.t.Fatalf("haiku: %+v", r)
	}
}

func TestWhatIsAfterTheQueueIsTriedAtItsEnd(t *testing.T) {
	t.Parallel()
	l := newPool(t, RungFull, RungAccount, RungQueue, RungModel)
	for _, a := range []string{"m1", "m2", "m3"} {
		l.fill(a, 1000)
	}
	r := l.reserve(600, func(r *Reserve) {
		r.Reservation, r.MaxWait, r.AcceptProviders, r.AcceptModels = "q", Minute, []string{"openai"}, []string{"gpt-5"}
	})
	if r.Queue == nil {
		t.Fatalf("not queued: %+v", r)
	}
	l.wait(Minute)
	if got := l.state.reservations["q"]; got == nil || got.Labels.Account != "o1" {
		t.Fatalf("not granted elsewhere at the end of the wait: %+v", got)
	}
}

// TestAnUnknownProviderThatWouldDoIsRefused: even where the one asked for has all of it.
func TestAnUnknownProviderThatWouldDoIsRefused(t *testing.T) {
	t.Parallel()
	l := newPool(t)
	wish := func(r *Reserve) {
		r.Provider, r.Account, r.MaxWait, r.AcceptProviders = "", "m1", Hour, []string{"openai", "opneai"}
	}
	r := l.reserve(600, wish)
	if r.Code != CodeProviderNotSupported || r.Provider != "opneai" || r.Retryable || r.Queue != nil {
		t.Errorf("got %+v", r)
	}
	if want := `provider "opneai" in accept_providers is not configured; known are claude, openai`; r.Message != want {
		t.Errorf("told %q, want %q", r.Message, want)
	}
	events, _ := Decide(l.state, Reserve{Actor: ann, Reservation: "x", Account: "m1", Model: "opus-4", Amount: Amount{Tokens: Tokens{Output: 1}},
		AcceptProviders: []string{"opneai"}}, Env{Now: l.now, Prices: testPrices})
	if denied, ok := events[0].(*ReservationDenied); !ok || denied.Labels.Provider != "claude" {
		t.Errorf("the refusal is recorded as %+v, want it with the provider that was asked", events[0])
	}
	if v := l.limit("m1/s"); v.Held != 0 {
		t.Errorf("a refusal holds %d", v.Held)
	}
}

// TestAProviderThatGoesLeavesWhoWaits: what was known when it was asked for ends no wait.
func TestAProviderThatGoesLeavesWhoWaits(t *testing.T) {
	t.Parallel()
	l := newPool(t)
	for _, a := range []string{"m1", "m2", "m3"} {
		l.fill(a, 1000)
	}
	l.reserve(1000, func(r *Reserve) { r.Actor, r.Provider, r.Model = Actor{"bob", "b"}, "openai", "gpt-5" })
	if r := l.reserve(600, func(r *Reserve) {
		r.Reservation, r.MaxWait, r.AcceptProviders, r.AcceptModels = "q", Hour, []string{"openai"}, []string{"gpt-5"}
	}); r.Queue == nil {
		t.Fatalf("not queued: %+v", r)
	}
	config := pool(DefaultPolicy())
	config.Providers = config.Providers[:1]
	config.Accounts = slices.DeleteFunc(config.Accounts, func(a Account) bool { return a.Provider == "openai" })
	config.Limits = slices.DeleteFunc(config.Limits, func(l Limit) bool { return l.Scope.Account == "o1" })
	l.must(ApplyConfig{Config: config})
	l.wait(Minute)
	if l.state.queue.entries["q"] == nil {
		t.Error("the wait ended with a provider that would have done besides")
	}
}

func on(account string) func(*Reserve) { return func(r *Reserve) { r.Account = account } }

func TestWhichAccountIsPreferred(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(*ledger)
		want   string
	}{
		"the order of the configuration": {func(*ledger) {}, "m1"},
		"what resets soonest":            {func(l *ledger) { l.spend("m3", 10); l.wait(Minute); l.spend("m2", 10) }, "m3"},
		"never a nearly spent one":       {func(l *ledger) { l.spend("m1", 960) }, "m2"},
		"a nearly spent one where all are": {func(l *ledger) {
			l.spend("m1", 960)
			l.spend("m2", 999)
			l.spend("m3", 999)
		}, "m1"},
		"the one that the agent had last": {func(l *ledger) { l.spend("m3", 10); l.reserve(10, on("m2")); l.wait(Hour) }, "m2"},
		"not when its cache is gone":      {func(l *ledger) { l.spend("m3", 10); l.reserve(10, on("m2")); l.wait(Hour + 1) }, "m3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newPool(t)
			c.before(l)
			if r := l.reserve(30); r.Account != c.want {
				t.Fatalf("granted on %q: %+v", r.Account, r)
			}
		})
	}
}

func TestATraceSaysWhyOtherRungsWereNotTaken(t *testing.T) {
	t.Parallel()
	l := newPool(t)
	for _, a := range []string{"m1", "m2", "m3"} {
		l.fill(a, 900)
	}
	events, _ := l.do(Reserve{Actor: ann, Reservation: "x", Provider: "claude", Model: "opus-4", MinTokens: 50, Amount: Amount{Tokens: Tokens{Output: 600}}})
	steps := events[len(events)-1].(*ReservationGranted).Steps
	if len(steps) < 5 || steps[0].Rung != RungFull || steps[0].Limit == "" || !steps[len(steps)-1].Taken {
		t.Fatalf("the trace is %+v", steps)
	}
	events, _ = l.do(Reserve{Actor: ann, Reservation: "y", Provider: "claude", Model: "opus-4", Amount: Amount{Tokens: Tokens{Output: 1}}, Account: "m2"})
	if e := events[len(events)-1].(*ReservationGranted); e.Steps != nil {
		t.Fatalf("a grant at the first try explains itself with %+v", e.Steps)
	}
}

func TestPartsOfAnAmount(t *testing.T) {
	t.Parallel()
	whole := Amount{Tokens{Input: 100, CacheRead: 1000, Output: 7}, 10}
	for tokens := int64(1); tokens <= whole.Tokens.Total(); tokens++ {
		part := whole.part(tokens)
		if part.Tokens.Total() != tokens || part.Requests < 1 || part.Requests > 10 {
			t.Fatalf("a part of %d is %+v", tokens, part)
		}
		if rest := whole.Sub(part); rest.validate() != nil {
			t.Fatalf("a part of %d is more than the whole: %+v", tokens, part)
		}
	}
}

func TestARefusalNamesAlternatives(t *testing.T) {
	t.Parallel()
	l := newPool(t)
	l.fill("m1", 700)
	l.spend("m2", 900)
	r := l.reserve(600, func(r *Reserve) { r.AcceptAccounts = []string{"m1", "m2"} })
	if r.Code != CodeInsufficientQuota || len(r.Alternatives) < 4 {
		t.Fatalf("got %+v", r)
	}
	first, other, second, last := r.Alternatives[0], r.Alternatives[1], r.Alternatives[2], r.Alternatives[len(r.Alternatives)-1]
	if other.Kind != AlternativeProvider || other.Account != "o1" || other.Model != "" {
		t.Errorf("the other provider is %+v", other)
	}
	if first.Kind != AlternativeAccount || first.Account != "m3" || first.Tokens != 600 || first.At != 0 {
		t.Errorf("the best is %+v", first)
	}
	if second.Kind != AlternativeSmaller || second.Tokens > 300 || second.Tokens < 99 {
		t.Errorf("the next is %+v", second)
	}
	if last.Kind != AlternativeLater || last.Account != "m2" || last.At != t0.Add(5*Hour) {
		t.Errorf("the last is %+v", last)
	}
}

// What is of no use is no alternative: less than min_tokens, and all of it on a window that never holds as much, though that
// may give the least that was asked for.
func TestAnAlternativeIsOfUse(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	config := pool(DefaultPolicy())
	for i := range config.Limits {
		if config.Limits[i].ID == "m2/s" {
			config.Limits[i].Capacity = 100
		}
	}
	l.must(ApplyConfig{Config: config})
	l.fill("m1", 950)
	l.fill("m2", 90)
	r := l.reserve(600, func(r *Reserve) { r.AcceptAccounts, r.MinTokens = []string{"m1", "m2"}, 60 })
	if r.Code != CodeInsufficientQuota || !r.Retryable {
		t.Fatalf("got %+v", r)
	}
	got := ""
	for _, a := range r.Alternatives {
		got += fmt.Sprintf("%s %s %d, ", a.Kind, a.Account, a.Tokens)
	}
	if want := "account m3 600, provider o1 600, later m1 600, "; got != want {
		t.Errorf("the alternatives are %q, want %q", got, want)
	}
}

// Another provider is an alternative also where money binds it, unless there is none left: which of its models is for the
// agent to say, and so what it costs.
func TestAProviderThatCostsMoneyIsAnAlternative(t *testing.T) {
	t.Parallel()
	for _, left := range []int64{1, 0} {
		l := newLedger(t)
		config := pool(DefaultPolicy())
		config.Limits = append(config.Limits, Limit{ID: "o1/money", Scope: Scope{Account: "o1"}, Unit: UnitMicroUSD, Capacity: 600 + left, Window: Window{Kind: WindowCalendar, Period: PeriodMonth}})
		l.must(ApplyConfig{Config: config})
		for _, account := range []string{"m1", "m2", "m3"} {
			l.fill(account, 1000)
		}
		if r := l.reserve(40, func(r *Reserve) { r.Provider, r.Account, r.Model = "openai", "o1", "gpt-5" }); !r.OK() || l.limit("o1/money").Held != 600 {
			t.Fatalf("40 tokens at 15 micro-USD: %+v, %+v", r, l.limit("o1/money"))
		}
		r := l.reserve(600)
		offered := len(r.Alternatives) > 0 && r.Alternatives[0] == Alternative{Kind: AlternativeProvider, Provider: "openai", Account: "o1", Tokens: 600}
		if offered != (left > 0) {
			t.Errorf("with %d micro-USD left the alternatives are %+v", left, r.Alternatives)
		}
	}
}

// A wish of a thousand times what there is, and more, still learns how much there is: to a thousandth of that.
func TestAFarTooLargeWishLearnsWhatThereIs(t *testing.T) {
	t.Parallel()
	l := newPool(t)
	l.fill("m1", 700)
	for _, wished := range []int64{400, 400_000, 1_000_000_000_000} {
		r := l.reserve(wished, func(r *Reserve) { r.Account = "m1" })
		at := slices.IndexFunc(r.Alternatives, func(a Alternative) bool { return a.Kind == AlternativeSmaller })
		if at < 0 || r.Alternatives[at].Tokens != 300 {
			t.Errorf("of %d: %+v", wished, r.Alternatives)
		}
	}
	if r := l.reserve(1_000_000_000_000, func(r *Reserve) { r.Account, r.MinTokens = "m1", 1 }); r.Granted.Tokens.Total() != 300 {
		t.Errorf("granted %+v", r)
	}
}

// Nobody knows when an operator lets go: no time is named as one at which it is granted.
func TestWhatIsHeldBackIsPromisedAtNoTime(t *testing.T) {
	t.Parallel()
	l := newPool(t)
	l.must(Block{Target: BlockAccount, Name: "m1"})
	r := l.reserve(100, func(r *Reserve) { r.Account = "m1" })
	if r.Code != CodeUnavailable || !r.Retryable || slices.ContainsFunc(r.Alternatives, func(a Alternative) bool { return a.Account == "m1" }) {
		t.Errorf("got %+v", r)
	}
}
