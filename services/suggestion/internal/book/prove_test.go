package book

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/rules"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
)

// Advice whose back-test shows nothing is not made: the rule sees refusals, and with the limit raised the work would have
// been refused all the same.
func TestAdviceThatShowsNothingIsNotMade(t *testing.T) {
	t.Parallel()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	held := l.Configured().(*quota.ConfigApplied)
	held.Config.Limits = append(held.Config.Limits, quota.Limit{
		ID: "all/day", Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}, Capacity: 500,
	})
	b.Read(l.Commit(held))
	b.Read(l.Commit(l.Exhausted(8)...))
	if found := rules.QuotaManagement(&rules.Input{Window: b.window, Jobs: b.jobs.Jobs(), Prices: b.prices}); len(found) != 1 {
		t.Fatalf("the rule finds %+v", found)
	}
	if b.Advise(nil) != 0 || len(b.List().Suggestions) != 0 {
		t.Errorf("got %+v", b.List().Suggestions)
	}
}

func TestSuggestionsCarryTheirBacktest(t *testing.T) {
	t.Parallel()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	b.Read(l.Commit(l.Configured()))
	for range 4 {
		b.Read(l.Commit(l.Spent(1_000_000)))
		l.Pass(quota.Day)
	}
	b.Read(l.Commit())
	b.Advise(nil)
	s := b.List().Suggestions[0]
	test := s.Backtest
	if s.Rule != rules.RuleProviderSwitch || s.SavingMicroUSD != 4*15_000_000 || s.Change.Kind != "prefer_account" || s.Change.Configurable {
		t.Fatalf("got %+v", s)
	}
	if len(test.Days) != 5 || test.Days[0].GainMicroUSD != 15_000_000 || test.Days[0].Was.SpentMicroUSD != 15_000_000 || test.Days[0].Would.SpentMicroUSD != 0 ||
		test.AgreementPercent != wire.Percent(100_000) || test.LowMicroUSD >= s.SavingMicroUSD || test.HighMicroUSD <= s.SavingMicroUSD || len(test.Assumptions) == 0 {
		t.Errorf("got %+v", test)
	}
	if s.ConfidencePercent < 95_000 || s.ConfidencePercent >= 100_000 {
		t.Errorf("four like days of five give %s", s.ConfidencePercent)
	}
}

func TestDismissedStaysAway(t *testing.T) {
	t.Parallel()
	prices := catalogue(t)
	b, l := New("acme", prices), scene.New(t, 1)
	read := []quota.Event{l.Configured(), l.Spent(1_000_000)}
	b.Read(l.Commit(read...))
	b.Advise(nil)
	s := b.List().Suggestions[0]
	gone := wire.SuggestionDismissals{Dismissed: []wire.SuggestionDismissal{{SuggestionID: s.SuggestionID, Rule: s.Rule, Subject: s.Subject}}}
	if !b.Dismiss(gone) || len(b.List().Suggestions) != 0 {
		t.Fatalf("got %+v", b.List().Suggestions)
	}
	for range 3 { // in later weeks, too
		l.Pass(5 * quota.Day)
		b.Read(l.Commit(l.Spent(1_000_000)))
		if b.Advise(nil) != 0 || len(b.List().Suggestions) != 0 {
			t.Fatalf("it came back: %+v", b.List().Suggestions)
		}
	}
	b.Dismiss(wire.SuggestionDismissals{})
	l.Pass(quota.Hour)
	b.Read(l.Commit(l.Spent(1)))
	if b.Advise(nil) != 1 || len(b.List().Suggestions) != 1 {
		t.Errorf("undone, it does not come back: %+v", b.List().Suggestions)
	}
}

// What was promised is held against what came of it, day by day: nothing as long as nobody follows, all of it once the work
// goes elsewhere, also when the suggestion holds no more.
func TestRealisedSavings(t *testing.T) {
	t.Parallel()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	b.Read(l.Commit(l.Configured()))
	day := func(e quota.Event) {
		b.Read(l.Commit(e))
		b.Advise(nil)
		l.Pass(quota.Day)
	}
	moved := func() quota.Event {
		e := l.Spent(1_000_000).(*quota.UsageRecorded)
		e.Labels.Account = "max"
		return e
	}
	for range 3 {
		day(l.Spent(1_000_000))
	}
	b.Read(l.Commit())
	b.Advise(nil)
	r := b.List().Suggestions[0].Realised
	if r == nil || r.Days != 2 || r.SavedMicroUSD < -1000 || r.SavedMicroUSD > 1000 || r.PromisedMicroUSD != 2*15_000_000 {
		t.Fatalf("nobody followed: %+v", r)
	}
	for range 9 {
		day(moved())
	}
	list := b.List()
	if len(list.Suggestions) != 0 || len(list.Past) != 1 {
		t.Fatalf("it holds no more: %+v", list)
	}
	r = &list.Past[0].Realised
	if r.Days != 10 || r.SavedMicroUSD < 8*14_900_000 || r.SavedMicroUSD > 8*15_100_000 || r.PromisedMicroUSD != 10*15_000_000 {
		t.Errorf("eight days of ten were saved: %+v", r)
	}
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data, catalogue(t))
	if err != nil || len(back.List().Past) != 1 || back.List().Past[0] != list.Past[0] {
		t.Errorf("after a restart: %+v, %v", back.List().Past, err)
	}
}

// A day is promised what a day would have saved, whatever the hour of the day at which the replay begins and ends.
func TestADayIsPromisedWhatADayWouldHaveSaved(t *testing.T) {
	t.Parallel()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	b.Read(l.Commit(l.Configured()))
	for range 3 {
		b.Read(l.Commit(l.Spent(1_000_000)))
		l.Pass(quota.Day)
	}
	b.Read(l.Commit())
	b.Advise(nil) // three days, which lie in four of the calendar
	for range 2 {
		b.Read(l.Commit(l.Spent(1_000_000)))
		l.Pass(quota.Day)
	}
	b.Read(l.Commit())
	b.Advise(nil)
	r := b.List().Suggestions[0].Realised
	if r == nil || r.Days != 1 || r.PromisedMicroUSD != 15_000_000 {
		t.Errorf("promised and realised: %+v", r)
	}
}
