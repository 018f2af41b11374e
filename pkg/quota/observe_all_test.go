package quota

import (
	"strings"
	"testing"
)

// apiAccount is a ledger with an API account whose limits are per model group.
func apiAccount(t *testing.T) *ledger {
	t.Helper()
	c := testConfig(
		perMinute("api-1/requests_per_minute/opus", UnitRequests, "opus", 100), perMinute("api-1/output_per_minute/opus", UnitOutputTokens, "opus", 1000),
		perMinute("api-1/requests_per_minute/sonnet", UnitRequests, "sonnet", 200),
	)
	c.Providers[1].ModelGroups = []ModelGroup{{"opus", []string{"opus-*"}}, {"sonnet", []string{"sonnet"}}}
	l := newLedger(t)
	l.must(ApplyConfig{Config: c})
	return l
}

func perMinute(id string, unit Unit, group string, capacity int64) Limit {
	_, name, _ := strings.Cut(id, "/")
	return Limit{
		ID: id, Name: name, Scope: Scope{Account: "api-1", ModelGroup: group}, Unit: unit, Capacity: capacity, Weights: DefaultWeights(unit),
		Window: Window{Kind: WindowBucket, Duration: Minute},
	}
}

// All windows of an answer are one decision: what can be taken is, and what cannot is told by window.
func TestObserveAll(t *testing.T) {
	t.Parallel()
	weekly := session("w", 9000)
	weekly.Name, weekly.Window.Duration = "weekly", 7*Day
	l := newLedger(t, session("s", 1000), weekly)
	tooLate := t0.Add(90 * Day)
	events, r := l.do(ObserveAll{Actor: ann, Account: "max-1", Said: []Observe{
		{Window: "session", PercentMilli: percentMilli(40), ResetAt: t0.Add(4 * Hour)},
		{Window: "weekly", PercentMilli: percentMilli(10), ResetAt: tooLate},
		{Window: "30d", PercentMilli: percentMilli(5)},
		{Window: "s", PercentMilli: percentMilli(41)},
		{Window: "30d", PercentMilli: percentMilli(6)},
		{Signal: SignalOverloaded},
	}})
	if !r.OK() || !r.Recorded || !r.Effective || len(r.Told) != 6 || len(events) != 3 {
		t.Fatalf("%d events, %+v", len(events), r)
	}
	for i, want := range []Told{
		{Window: "session", Limit: "s", Effective: true, Capacity: 1000}, {Window: "weekly", Code: CodeInvalid}, {Window: "30d", Unknown: true},
		{Window: "s", Code: CodeInvalid}, {Window: "30d", Code: CodeInvalid}, {},
	} {
		got := r.Told[i]
		got.Message = ""
		if got.Code != "" {
			got.Limit = ""
		}
		if got != want {
			t.Errorf("window %d: %+v, want %+v", i, r.Told[i], want)
		}
	}
	if v := l.limit("s"); v.Outside != 400 {
		t.Errorf("the session: %+v", v)
	}
	if w := l.state.Watch("max-1"); len(w.Unknown) != 1 || w.Unknown[0].Observation.PercentMilli != 5000 || w.Overloads != 1 {
		t.Errorf("the account: %+v", w)
	}
}

func TestObserveAllRefused(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	one := Observe{Window: "session", PercentMilli: percentMilli(1)}
	for name, c := range map[string]ObserveAll{
		"nothing":             {Account: "max-1"},
		"too much":            {Account: "max-1", Said: make([]Observe, MaxObserved+1)},
		"nowhere":             {Account: "nowhere", Said: []Observe{one}},
		"none can be taken":   {Account: "max-1", Said: []Observe{{Window: "session"}}},
		"the account is ours": {Said: []Observe{{Account: "max-1", Window: "session", PercentMilli: percentMilli(1)}}},
	} {
		if events, r := l.do(c); r.Code != CodeInvalid || len(events) != 0 || r.Message == "" {
			t.Errorf("%s: %d events, %+v", name, len(events), r)
		}
	}
}

// A refusal that names no group closes that of the model, and no other; a window that nobody configured is kept by model.
func TestAModelNamesItsGroup(t *testing.T) {
	t.Parallel()
	l := apiAccount(t)
	refused := func(window, model string) Result {
		return l.must(ObserveAll{Actor: ann, Account: "api-1", Said: []Observe{{Window: window, Model: model, Signal: SignalExhausted, RetryAfter: 17 * Second}}})
	}
	if r := refused("output_per_minute", "opus-4"); r.Told[0].Limit != "api-1/output_per_minute/opus" || r.ClosedUntil != t0.Add(17*Second) {
		t.Fatalf("%+v", r)
	}
	ask := func(model string) Result {
		return l.reserve(1, func(c *Reserve) { c.Provider, c.Account, c.Model = "openai", "api-1", model })
	}
	if r := ask("opus-4"); r.Reason != ReasonClosed || r.RetryAfter != 17*Second {
		t.Errorf("the group is closed: %+v", r)
	}
	if r := ask("sonnet"); !r.OK() {
		t.Errorf("the other is open: %+v", r)
	}
	for window, model := range map[string]string{"input_per_minute": "opus-4", "requests_per_minute": "haiku", "fast_output": "opus-4", "tokens_per_minute": ""} {
		if r := refused(window, model); !r.Told[0].Unknown {
			t.Errorf("%s of %s: %+v", window, model, r)
		}
	}
	var names []string
	for _, u := range l.state.Watch("api-1").Unknown {
		names = append(names, u.Name)
	}
	if got := strings.Join(names, " "); len(names) != 4 || !strings.Contains(got, "input_per_minute/opus-4") || !strings.Contains(got, "requests_per_minute/haiku") {
		t.Errorf("kept are %s", got)
	}
}
