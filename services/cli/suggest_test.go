package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// advice shows, explains and dismisses what the demonstration leads to, and writes a change for review.
func (i *instance) advice() {
	i.t.Helper()
	i.do(ExitOK, "replay", "--demo")
	current := i.awaitAdvice("a provider switch", func(l wire.SuggestionList) bool { return ruleOf(l, "provider_switch") != nil })
	s := ruleOf(current, "provider_switch")
	if s.SavingMicroUSD <= 0 || s.Backtest == nil || len(s.Backtest.Days) < 6 || s.Backtest.LowMicroUSD > s.SavingMicroUSD || s.Change.Kind != "prefer_account" || s.Change.Configurable {
		i.t.Errorf("got %+v", s)
	}
	explained := ask[wire.Suggestion](i, "suggest", "explain", s.SuggestionID[:8])
	if explained.SuggestionID != s.SuggestionID || len(explained.Backtest.Assumptions) == 0 {
		i.t.Errorf("explained %+v", explained)
	}
	if text := i.do(ExitOK, "suggest", "explain", s.SuggestionID); !strings.Contains(text, "Back-test") || !strings.Contains(text, "95% confidence") {
		i.t.Errorf("explained %s", text)
	}
	i.do(ExitFailure, "suggest", "explain", "no-such")
	// The subscription stands first already: that is said, and nothing is written.
	if got := bursar(i.t, i.env, "suggest", "--apply", s.SuggestionID, "-f", filepath.Join("..", "..", "deployments", "bursar.yaml")); got.status != ExitFailure || !strings.Contains(got.stderr, "up to the agents") {
		i.t.Errorf("applied with status %d: %s", got.status, got.stderr)
	}
	i.do(ExitUsage, "suggest", "-f", "x.yaml")
	i.dismissed(s)
}

// dismissed has a suggestion stay away, and come back.
func (i *instance) dismissed(s *wire.Suggestion) {
	i.t.Helper()
	i.do(ExitOK, "suggest", "dismiss", s.SuggestionID, "--reason", "not now")
	if now := ask[wire.SuggestionList](i, "suggest"); ruleOf(now, s.Rule) != nil {
		i.t.Error("a dismissed suggestion is listed")
	}
	i.do(ExitFailure, "suggest", "dismiss", s.SuggestionID)
	i.do(ExitFailure, "suggest", "dismiss", "", "--undo")
	i.do(ExitOK, "suggest", "dismiss", s.SuggestionID, "--undo")
	i.do(ExitFailure, "suggest", "dismiss", s.SuggestionID, "--undo")
}

func ruleOf(l wire.SuggestionList, rule string) *wire.Suggestion {
	for k := range l.Suggestions {
		if l.Suggestions[k].Rule == rule {
			return &l.Suggestions[k]
		}
	}
	return nil
}

// awaitAdvice waits for a list of suggestions.
func (i *instance) awaitAdvice(what string, good func(wire.SuggestionList) bool) wire.SuggestionList {
	i.t.Helper()
	const patience = 30 * time.Second
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		l := ask[wire.SuggestionList](i, "suggest")
		if good(l) {
			return l
		}
		select {
		case <-deadline.C:
			i.t.Fatalf("no %s among %+v", what, l.Suggestions)
		case <-tick.C:
		}
	}
}

func TestWriteNewOverwritesNothing(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.yaml")
	if err := writeNew(name, []byte("one\n")); err != nil {
		t.Fatal(err)
	}
	if err := writeNew(name, []byte("two\n")); err == nil || !strings.Contains(err.Error(), "-o") {
		t.Errorf("got %v, want to be told to name another file", err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "one\n" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestLineChanges(t *testing.T) {
	t.Parallel()
	removed, added := lineChanges("a\nb\nc\nd", "a\nB\nc\nd")
	if strings.Join(removed, ",") != "b" || strings.Join(added, ",") != "B" {
		t.Errorf("got %v and %v", removed, added)
	}
	if removed, added := lineChanges("a\nb", "a\nx\nb"); len(removed) != 0 || strings.Join(added, ",") != "x" {
		t.Errorf("got %v and %v", removed, added)
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	l := &wire.SuggestionList{Suggestions: []wire.Suggestion{{SuggestionID: "abc1"}, {SuggestionID: "abd2"}}}
	if s, err := pick(l, "abd"); err != nil || s.SuggestionID != "abd2" {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, id := range []string{"", "ab", "x"} {
		if _, err := pick(l, id); err == nil {
			t.Errorf("%q picks one of two", id)
		}
	}
}

// TestOverlapsAreTold wants advice that promises the same money as other advice to say so, with what all of it comes to.
func TestOverlapsAreTold(t *testing.T) {
	t.Parallel()
	amount := func(n int64) *int64 { return &n }
	advice := func(saving int64, left *int64) wire.Suggestion {
		return wire.Suggestion{SuggestionID: "abc", Title: "t", Advice: "a", SavingBasis: "avoidable_spend", SavingMicroUSD: saving, BesideMicroUSD: left}
	}
	for name, tt := range map[string]struct {
		list  []wire.Suggestion
		want  []string
		never string
	}{
		"the same money": {[]wire.Suggestion{advice(50e6, nil), advice(30e6, amount(0))}, []string{"nothing of it is left", "Together, without those of which nothing is left: $50.00"}, ""},
		"a loss beside":  {[]wire.Suggestion{advice(50e6, nil), advice(30e6, amount(-5e6)), advice(20e6, amount(10e6))}, []string{"Together, without those of which nothing is left: $60.00"}, ""},
		"a part of it":   {[]wire.Suggestion{advice(50e6, nil), advice(30e6, amount(10e6))}, []string{"$10.00 of it is left", "All of these together: $60.00"}, ""},
		"other money":    {[]wire.Suggestion{advice(50e6, nil), advice(30e6, amount(30e6))}, nil, "left"},
		"not tested yet": {[]wire.Suggestion{advice(50e6, nil), advice(30e6, amount(1e6)), advice(20e6, nil)}, []string{"$1.00 of it is left"}, "ogether"},
	} {
		var out strings.Builder
		a := &app{screen: screen.New(&out, narrow)}
		a.showSuggestions(&wire.SuggestionList{Suggestions: tt.list})
		for _, want := range tt.want {
			if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, out.String())
			}
		}
		if tt.never != "" && strings.Contains(out.String(), tt.never) {
			t.Errorf("%s: %q is told in\n%s", name, tt.never, out.String())
		}
		fits(t, out.String())
	}
}

// TestUndoneIsWhatWasNamed: no id, and the beginning of several, undo nothing; one that two have dismissed comes back.
func TestUndoneIsWhatWasNamed(t *testing.T) {
	t.Parallel()
	of := func(id, account string) wire.SuggestionDismissal {
		return wire.SuggestionDismissal{SuggestionID: id, Rule: "plan_size", Subject: wire.SuggestionSubject{Account: account}}
	}
	all := []wire.SuggestionDismissal{of("ab1", "max"), of("ab2", "pro"), of("c3", "pro")}
	for id, want := range map[string]int{"": -1, "ab": -1, "x": -1, "ab1": 2, "ab2": 1, "c": 1} {
		one, left, err := undone(all, id)
		if want < 0 && err == nil || want >= 0 && (err != nil || len(left) != want || !strings.HasPrefix(one.SuggestionID, id)) {
			t.Errorf("%q gives %+v and leaves %+v, %v", id, one, left, err)
		}
	}
}
