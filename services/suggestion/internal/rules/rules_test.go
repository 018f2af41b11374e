package rules

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
)

// start is a slot's beginning in 2026.
const start = quota.Instant(1_780_272_000_000) / quota.Instant(SlotLength) * quota.Instant(SlotLength)

func catalogue(t testing.TB) *price.Catalogue {
	t.Helper()
	c, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scene builds a window out of events.
type scene struct {
	t      testing.TB
	prices *price.Catalogue
	w      *Window
	now    quota.Instant
}

func newScene(t testing.TB, change ...func(*quota.Config)) *scene {
	t.Helper()
	c := quota.Config{
		Providers: []quota.Provider{
			{Name: "claude", ModelGroups: []quota.ModelGroup{{Name: "opus", Models: []string{"claude-opus-*"}}}},
			{Name: "openai"},
		},
		Accounts: []quota.Account{
			{ID: "max", Provider: "claude", Kind: quota.KindSubscription},
			{ID: "api", Provider: "claude", Kind: quota.KindAPI},
			{ID: "gpt", Provider: "openai", Kind: quota.KindAPI},
		},
		Limits: []quota.Limit{
			{ID: "max/session", Scope: quota.Scope{Account: "max"}, Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowSession, Duration: 5 * quota.Hour}, Capacity: 10_000_000},
			{ID: "max/weekly", Scope: quota.Scope{Account: "max"}, Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowSession, Duration: 7 * quota.Day}, Capacity: 100_000_000},
			{ID: "max/opus", Scope: quota.Scope{Account: "max", ModelGroup: "opus"}, Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowSession, Duration: 7 * quota.Day}, Capacity: 1_000_000},
			{ID: "team/day", Scope: quota.Scope{Team: "a"}, Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}, Capacity: 1_000_000},
		},
	}
	for _, f := range change {
		f(&c)
	}
	s := &scene{t: t, prices: catalogue(t), w: NewWindow(), now: start}
	s.fold(&quota.ConfigApplied{At: s.now, Config: c})
	return s
}

func (s *scene) input() *Input { return inputOfWindow(s.w, s.prices) }

func inputOfWindow(w *Window, prices quota.Prices) *Input { return &Input{Window: w, Prices: prices} }

func (s *scene) fold(e quota.Event) { s.w.Fold(e, s.prices) }

func (s *scene) pass(d quota.Millis) { s.now = s.now.Add(d) }

// use records tokens, half of them output.
func (s *scene) use(account, team, model, task string, tokens int64) {
	s.t.Helper()
	rate, ok := s.prices.Rate(model, s.now, false)
	used := quota.Tokens{Input: tokens / 2, Output: tokens - tokens/2}
	s.fold(&quota.UsageRecorded{
		At: s.now, OccurredAt: s.now, Labels: quota.Labels{Account: account, Team: team, Model: model, TaskType: task},
		Tokens: used, Rate: rate, Cost: rate.Cost(used), Unpriced: !ok,
	})
}

func (s *scene) deny(limit, agent string, times int) {
	for range times {
		s.fold(&quota.ReservationDenied{
			At: s.now, Labels: quota.Labels{Principal: "ci", Agent: agent, Team: "a", Model: "claude-sonnet-4-6"},
			Amount: quota.Amount{Tokens: quota.Tokens{Input: 1_000_000}}, Code: quota.CodeInsufficientQuota, Limit: limit,
		})
	}
}

func (s *scene) closed(task string, granted, used int64, times int) {
	for range times {
		s.fold(&quota.ReservationClosed{
			At: s.now, Labels: quota.Labels{Team: "a", TaskType: task}, Outcome: quota.OutcomeSettled,
			Granted: quota.Amount{Tokens: quota.Tokens{Output: granted}}, Used: quota.Amount{Tokens: quota.Tokens{Output: used}},
			CostHeld: granted * 15, CostUsed: used * 15, // Sonnet: 15 micro-USD per output token
		})
	}
}

func evidence(a Advice, name string) int64 {
	for _, e := range a.Evidence {
		if e.Name == name {
			return e.Value
		}
	}
	return -1
}

func TestProviderSwitch(t *testing.T) {
	t.Parallel()
	const sonnet, opus, gpt = "claude-sonnet-4-6", "claude-opus-4-8", "gpt-5.4" // 9, 15 and 8.75 USD per million, half in and half out
	for _, row := range []struct {
		name    string
		play    func(*scene)
		config  func(*quota.Config)
		account string // advised to move from; empty for no advice
		target  string
		saving  int64
	}{
		{name: "all of it fits", account: "api", target: "max", saving: 18_000_000, play: func(s *scene) {
			s.use("max", "a", sonnet, "code_review", 500_000)
			s.use("api", "a", sonnet, "code_review", 2_000_000)
		}},
		{name: "exactly twice is not well above", play: func(s *scene) {
			s.use("max", "a", sonnet, "", 1_000_000)
			s.use("api", "a", sonnet, "", 2_000_000)
		}},
		{name: "a token more is", account: "api", target: "max", saving: 18_000_036, play: func(s *scene) {
			s.use("max", "a", sonnet, "", 1_000_000)
			s.use("api", "a", sonnet, "", 2_000_004)
		}},
		{name: "a subscription that nobody uses", account: "api", target: "max", saving: 9_000_000, play: func(s *scene) {
			s.use("api", "a", sonnet, "", 1_000_000)
		}},
		{name: "spending below notice", play: func(s *scene) {
			s.use("api", "a", sonnet, "", 11_000)
		}},
		{name: "a session that is nearly full carries the rest of it", account: "api", target: "max", saving: 9_000_000, play: func(s *scene) {
			// A slot of six hours holds 12 M: 11 M are used, 1 M of 30 M fits.
			s.use("max", "a", sonnet, "", 11_000_000)
			s.use("api", "a", sonnet, "", 30_000_000)
		}},
		{name: "over several slots the week binds", account: "api", target: "max", saving: 900_000_000, play: func(s *scene) {
			for range 12 { // 12 × 12 M would fit the sessions, 100 M fit the week
				s.use("api", "a", sonnet, "", 12_000_000)
				s.pass(SlotLength)
			}
		}},
		{name: "a model group of its own binds", account: "api", target: "max", saving: 15_000_000, play: func(s *scene) {
			s.use("api", "a", opus, "", 4_000_000)
		}},
		{name: "the dearer work goes first", account: "api", target: "max", saving: 15_000_000 + 9_000_000*11, play: func(s *scene) {
			s.use("api", "a", opus, "", 4_000_000)
			s.use("api", "a", sonnet, "", 12_000_000)
		}},
		{name: "a team that may not use the subscription", play: func(s *scene) {
			s.use("api", "b", sonnet, "", 2_000_000)
		}, config: func(c *quota.Config) { c.Accounts[0].Teams = []string{"a"} }},
		{name: "another provider, for tasks done there before", account: "gpt", target: "max", saving: 8_750_000, play: func(s *scene) {
			s.use("max", "a", sonnet, "code_review", 100_000)
			s.use("gpt", "a", gpt, "code_review", 1_000_000)
			s.use("gpt", "a", gpt, "analysis", 1_000_000)
		}},
		{name: "another provider, for tasks never done there", play: func(s *scene) {
			s.use("max", "a", sonnet, "documentation", 100_000)
			s.use("gpt", "a", gpt, "code_review", 1_000_000)
		}},
		{name: "no known capacity, no known room", play: func(s *scene) {
			s.use("api", "a", sonnet, "", 1_000_000)
		}, config: func(c *quota.Config) {
			for i := range c.Limits {
				c.Limits[i].Capacity = 0
			}
		}},
		{name: "a capacity that was taught", account: "api", target: "max", saving: 4_500_000, play: func(s *scene) {
			s.fold(&quota.ObservationRecorded{At: s.now, Limit: "max/weekly", Effective: true, Capacity: 500_000, Observation: quota.Observation{Used: -1, PercentMilli: -1}})
			s.use("api", "a", sonnet, "", 1_000_000)
		}, config: func(c *quota.Config) {
			for i := range c.Limits {
				c.Limits[i].Capacity = 0
			}
		}},
		{name: "spending that did not pass us takes room", account: "api", target: "max", saving: 9_000_000, play: func(s *scene) {
			s.use("api", "a", sonnet, "", 2_000_000)
			s.fold(&quota.ObservationRecorded{At: s.now, Limit: "max/weekly", Effective: true, Observation: quota.Observation{Used: -1, PercentMilli: 99_000, ResetAt: s.now.Add(quota.Day)}})
		}},
		{name: "no subscription", play: func(s *scene) {
			s.use("api", "a", sonnet, "", 1_000_000)
		}, config: func(c *quota.Config) { c.Accounts = c.Accounts[1:] }},
		{name: "what fell out of the window", play: func(s *scene) {
			s.use("api", "a", sonnet, "", 2_000_000)
			s.pass(Length)
			s.use("max", "a", sonnet, "", 1)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.config == nil {
				row.config = func(*quota.Config) {}
			}
			s := newScene(t, row.config)
			row.play(s)
			found := ProviderSwitch(s.w)
			if row.account == "" {
				if len(found) > 0 {
					t.Fatalf("got %+v, want no advice", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("got %d pieces of advice, want one: %+v", len(found), found)
			}
			a := found[0]
			if a.Subject.Account != row.account || a.Subject.Target != row.target || a.Basis != AvoidableSpend {
				t.Errorf("got %+v", a.Subject)
			}
			if diff := a.Saving - row.saving; diff < -40 || diff > 40 { // a job is taken in billionths
				t.Errorf("saving %d, want %d", a.Saving, row.saving)
			}
			if a.Confidence <= 0 || a.Confidence >= whole || !strings.Contains(a.Title, row.account) {
				t.Errorf("confidence %d, title %q", a.Confidence, a.Title)
			}
		})
	}
}

// Two API accounts do not both count on the same room.
func TestProviderSwitchSharesTheRoom(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *quota.Config) {
		c.Accounts = append(c.Accounts, quota.Account{ID: "api-2", Provider: "claude", Kind: quota.KindAPI})
		c.Limits[1].Capacity = 3_000_000
	})
	s.use("api", "a", "claude-sonnet-4-6", "", 2_000_000)
	s.use("api-2", "a", "claude-sonnet-4-6", "", 4_000_000)
	found := ProviderSwitch(s.w)
	if len(found) != 1 || found[0].Subject.Account != "api-2" || found[0].Saving != 27_000_000 {
		t.Fatalf("got %+v, want all the room for the dearer account", found)
	}
}

func TestProviderSwitchConfidence(t *testing.T) {
	t.Parallel()
	confidence := func(slots int, task, model string) int64 {
		s := newScene(t)
		s.use("max", "a", "claude-sonnet-4-6", "code_review", 1000)
		for range slots {
			s.use("api", "a", model, task, 300_000)
			s.use("api", "a", "claude-sonnet-4-6", "", 300_000)
			s.pass(SlotLength)
		}
		return ProviderSwitch(s.w)[0].Confidence
	}
	once, often, unpriced := confidence(1, "", "claude-sonnet-4-6"), confidence(20, "", "claude-sonnet-4-6"), confidence(20, "", "mystery")
	if once != 207 || often != 839 {
		t.Errorf("one slot gives %d, want 207; twenty give %d, want 839", once, often)
	}
	if unpriced*2 != often-1 { // half of the tokens have no price
		t.Errorf("half of it unpriced gives %d, want half of %d", unpriced, often)
	}
}

func TestQuotaManagement(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		play    func(*scene)
		limits  []string
		count   int64
		who     string
		saving  int64
		hits    int64
		minConf int64
		maxConf int64
	}{
		{name: "five are nobody's fault", play: func(s *scene) { s.deny("max/session", "w1", 5) }},
		{name: "six are advice", limits: []string{"max/session"}, count: 6, who: "w1", saving: 3_000_000, hits: 1, minConf: 207, maxConf: 207,
			play: func(s *scene) { s.deny("max/session", "w1", 6) }},
		{name: "a day apart, by two agents", limits: []string{"max/session"}, count: 7, who: "w2", saving: 7 * 3_000_000, hits: 7, minConf: 600, maxConf: 700,
			play: func(s *scene) {
				for i := range 7 {
					s.deny("max/session", map[bool]string{true: "w1", false: "w2"}[i < 3], 1)
					s.pass(quota.Day - quota.Hour)
				}
			}},
		{name: "limits count for themselves", limits: []string{"team/day"}, count: 8, who: "w1", saving: 3_000_000, hits: 1, minConf: 207, maxConf: 207,
			play: func(s *scene) { s.deny("max/session", "w1", 4); s.deny("team/day", "w1", 8) }},
		{name: "what fell out of the week", play: func(s *scene) {
			s.deny("max/session", "w1", 5)
			s.pass(Length)
			s.deny("max/session", "w1", 5)
		}},
		{name: "refusals for other reasons", play: func(s *scene) {
			for range 20 {
				s.fold(&quota.ReservationDenied{At: s.now, Code: quota.CodeInvalid, Limit: "max/session"})
			}
		}},
		{name: "one bad slot in a busy week", limits: []string{"max/session"}, count: 50, who: "w1", saving: 3_000_000, hits: 1, minConf: 1, maxConf: 20,
			play: func(s *scene) {
				for range 20 {
					s.fold(&quota.ReservationGranted{At: s.now, Holds: []quota.LimitAmount{{Limit: "max/session", Amount: 5}}})
					s.pass(SlotLength)
				}
				s.deny("max/session", "w1", 50)
			}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			row.play(s)
			found := QuotaManagement(s.input())
			if len(found) != len(row.limits) {
				t.Fatalf("got %+v, want advice for %v", found, row.limits)
			}
			for i, a := range found {
				if a.Subject.Limit != row.limits[i] || evidence(a, "exhaustions") != row.count || evidence(a, "slots_exhausted") != row.hits {
					t.Errorf("got %+v", a)
				}
				if a.Who[0].Agent != row.who || a.Who[0].Principal != "ci" || a.Who[0].First == 0 || a.Who[0].Last < a.Who[0].First {
					t.Errorf("who and when: %+v", a.Who)
				}
				if a.Saving != row.saving || a.Confidence < row.minConf || a.Confidence > row.maxConf {
					t.Errorf("saving %d, confidence %d", a.Saving, a.Confidence)
				}
			}
		})
	}
}

func TestReservationSize(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		play   func(*scene)
		task   string
		cover  int64
		saving int64
	}{
		{name: "four are no pattern", play: func(s *scene) { s.closed("analysis", 10_000, 1_000, 4) }},
		{name: "five are", task: "analysis", cover: 20, saving: 5 * 9_000 * 15, play: func(s *scene) { s.closed("analysis", 10_000, 1_000, 5) }},
		{name: "twice is not far above", play: func(s *scene) { s.closed("analysis", 10_000, 5_000, 50) }},
		{name: "a token less is", task: "analysis", cover: 50, saving: 50 * 5_001 * 15, play: func(s *scene) { s.closed("analysis", 10_000, 4_999, 50) }},
		{name: "few large ones fill it", task: "analysis", cover: 100, saving: 90 * 9_900 * 15, play: func(s *scene) {
			s.closed("analysis", 10_000, 100, 90)
			s.closed("analysis", 10_000, 12_000, 10)
		}},
		{name: "given back untouched", play: func(s *scene) {
			for range 30 {
				s.fold(&quota.ReservationClosed{At: s.now, Outcome: quota.OutcomeReleased, Granted: quota.Amount{Tokens: quota.Tokens{Input: 1000}}})
			}
		}},
		{name: "nothing granted, nothing divided", play: func(s *scene) { s.closed("analysis", 0, 0, 30) }},
		{name: "no use at all", task: "analysis", cover: 10, saving: 6 * 10_000 * 15, play: func(s *scene) { s.closed("analysis", 10_000, 0, 6) }},
		{name: "task types count for themselves", task: "analysis", cover: 20, saving: 20 * 9_000 * 15, play: func(s *scene) {
			s.closed("analysis", 10_000, 1_000, 20)
			s.closed("code_review", 10_000, 9_000, 20)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			row.play(s)
			found := ReservationSize(s.w)
			if row.task == "" {
				if len(found) > 0 {
					t.Fatalf("got %+v, want no advice", found)
				}
				return
			}
			if len(found) != 1 || found[0].Subject != (Subject{Team: "a", TaskType: row.task}) {
				t.Fatalf("got %+v", found)
			}
			a := found[0]
			if a.Saving != row.saving || a.Basis != FreedBudget || evidence(a, "share_covering_95_percent") != row.cover {
				t.Errorf("saving %d, want %d; covering %d, want %d", a.Saving, row.saving, evidence(a, "share_covering_95_percent"), row.cover)
			}
			if a.Confidence <= 0 || a.Confidence >= whole {
				t.Errorf("confidence %d", a.Confidence)
			}
		})
	}
}

func TestWilson(t *testing.T) {
	t.Parallel()
	for _, row := range [][3]int64{{1, 1, 207}, {5, 5, 566}, {28, 28, 879}, {14, 28, 326}, {0, 9, 0}, {1, 0, 0}, {-1, 3, 0}, {9, 3, 439}, {1_000_000, 1_000_000, 999}} {
		if got := wilson(row[0], row[1]); got != row[2] {
			t.Errorf("wilson(%d, %d) = %d, want %d", row[0], row[1], got, row[2])
		}
	}
	for n := int64(1); n < 60; n++ {
		for k := int64(1); k <= n; k++ {
			if c := wilson(k, n); c < wilson(k-1, n) || c > scale(whole, k, n) || wilson(2*k, 2*n) < c {
				t.Fatalf("wilson(%d, %d) = %d is not ordered", k, n, c)
			}
		}
	}
}

// Whatever happens, in whatever order of slots: savings are within what was spent, held or refused, the advice has one
// per rule and subject, and a window that was stored and restored gives the same advice and goes on the same.
func TestProperties(t *testing.T) {
	t.Parallel()
	prices := catalogue(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := newScene(t)
		steps := rapid.IntRange(0, 60).Draw(rt, "steps")
		restoreAt := rapid.IntRange(0, steps).Draw(rt, "restore")
		restored := s.w
		for i := range steps {
			e := randomEvent(rt, s, i)
			if i == restoreAt {
				restored = storeAndRestore(t, s.w)
			}
			s.w.Fold(e, prices)
			if i >= restoreAt && restored != s.w {
				restored.Fold(e, prices)
			}
		}
		advice := Evaluate(s.input())
		if restored != s.w && !reflect.DeepEqual(advice, Evaluate(inputOfWindow(restored, prices))) {
			t.Fatalf("after a restart\n%+v\nwithout\n%+v", Evaluate(inputOfWindow(restored, prices)), advice)
		}
		checkAdvice(rt, s.w, advice)
	})
}

func randomEvent(rt *rapid.T, s *scene, i int) quota.Event {
	s.pass(quota.Millis(rapid.Int64Range(0, int64(2*quota.Day)).Draw(rt, fmt.Sprint("pause", i))))
	labels := quota.Labels{
		Principal: "ci", Agent: rapid.SampledFrom([]string{"w1", "w2"}).Draw(rt, "agent"), Team: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "team"),
		Account: rapid.SampledFrom([]string{"max", "api", "gpt"}).Draw(rt, "account"), TaskType: rapid.SampledFrom([]string{"", "analysis"}).Draw(rt, "task"),
		Model: rapid.SampledFrom([]string{"claude-opus-4-8", "claude-sonnet-4-6", "gpt-5.4", "mystery"}).Draw(rt, "model"),
	}
	tokens := quota.Tokens{Input: rapid.Int64Range(0, 20_000_000).Draw(rt, "in"), Output: rapid.Int64Range(0, 5_000_000).Draw(rt, "out")}
	rate, priced := s.prices.Rate(labels.Model, s.now, false)
	switch rapid.IntRange(0, 2).Draw(rt, "kind") {
	case 0:
		back := quota.Millis(rapid.Int64Range(0, int64(9*quota.Day)).Draw(rt, "late"))
		return &quota.UsageRecorded{At: s.now, OccurredAt: s.now.Add(-back), Labels: labels, Tokens: tokens, Rate: rate, Cost: rate.Cost(tokens), Unpriced: !priced}
	case 1:
		return &quota.ReservationDenied{At: s.now, Labels: labels, Amount: quota.Amount{Tokens: tokens}, Code: quota.CodeInsufficientQuota, Limit: "max/session"}
	}
	used := quota.Tokens{Input: tokens.Input / rapid.Int64Range(1, 9).Draw(rt, "part")}
	return &quota.ReservationClosed{
		At: s.now, Labels: labels, Outcome: quota.OutcomeSettled, Granted: quota.Amount{Tokens: tokens}, Used: quota.Amount{Tokens: used},
		CostHeld: rate.CostCeil(tokens), CostUsed: rate.Cost(used),
	}
}

func storeAndRestore(t testing.TB, w *Window) *Window {
	t.Helper()
	data, err := cbor.Marshal(w.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var back Snapshot
	if err := cbor.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return Restore(back)
}

func checkAdvice(rt *rapid.T, w *Window, advice []Advice) {
	seen := map[string]bool{}
	var moved, spent int64
	for _, api := range []string{"api", "gpt"} {
		spent += w.usageOf(api).Cost
	}
	for _, a := range advice {
		key := fmt.Sprint(a.Rule, a.Subject)
		if seen[key] {
			rt.Fatalf("twice: %s", key)
		}
		seen[key] = true
		if a.Saving < 0 || a.Confidence < 0 || a.Confidence >= whole || a.Title == "" || a.Advice == "" || len(a.Evidence) == 0 || strings.Contains(a.Title+a.Advice, " %") {
			rt.Fatalf("got %+v", a)
		}
		if a.Rule == RuleProviderSwitch {
			moved += a.Saving
		}
	}
	if moved > spent {
		rt.Fatalf("advice saves %d of %d spent", moved, spent)
	}
}

// A stranger who invents teams and models cannot grow a window without bound.
func TestWindowIsBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 3 * MaxSeries {
		s.use("api", fmt.Sprint("team", i), "claude-sonnet-4-6", "", 1000)
		s.deny("max/session", fmt.Sprint("agent", i), 1)
		s.closed(fmt.Sprint("task", i), 10, 1, 1)
	}
	for _, slot := range s.w.inOrder() {
		if len(slot.Usage) > MaxSeries+1 || len(slot.Denied) > MaxSeries+1 || len(slot.Closed) > MaxSeries+1 {
			t.Fatalf("%d, %d and %d series", len(slot.Usage), len(slot.Denied), len(slot.Closed))
		}
	}
	if got := s.w.usageOf("api").Tokens.Total(); got != 3*MaxSeries*1000 {
		t.Errorf("%d tokens, want all of them", got)
	}
	a := QuotaManagement(s.input())[0]
	if evidence(a, "exhaustions") != 3*MaxSeries || len(a.Who) != maxOccurrences || strings.Contains(a.Title, Other) {
		t.Errorf("got %+v", a)
	}
	data, err := cbor.Marshal(s.w.Snapshot())
	if err != nil || len(data) > 100_000 {
		t.Errorf("a full slot takes %d bytes, %v", len(data), err)
	}
}
