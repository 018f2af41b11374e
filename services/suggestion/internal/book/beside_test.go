package book

import (
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/rules"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

// overlapping gives a book of days in which work was paid by use, and two pieces of advice that would both save that money:
// the subscription in its place, and a cheaper model. A third one saves in another sense.
func overlapping(t *testing.T) (*Book, []rules.Advice) {
	t.Helper()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	b.Read(l.Commit(l.Configured()))
	for range 3 {
		b.Read(l.Commit(append(l.Exhausted(4), l.Spent(1_000_000))...))
		l.Pass(quota.Day)
	}
	b.Read(l.Commit())
	return b, []rules.Advice{
		{Rule: "provider_switch", Basis: whatif.AvoidableSpend, Change: whatif.Change{Kind: whatif.PreferAccount, Account: "api", Target: "max"}},
		{Rule: "model_choice", Basis: whatif.AvoidableSpend, Change: whatif.Change{Kind: whatif.UseModel, Team: "a", Model: "claude-sonnet-4-6", ToModel: "claude-haiku-4-5"}},
		{Rule: "quota_management", Basis: whatif.DelayedWork, Change: whatif.Change{Kind: whatif.SetCapacity, Limit: "b/day", Amount: 10_000_000}},
	}
}

// tried back-tests advice, which has to show something.
func tried(t *testing.T, b *Book, l *lab, advice []rules.Advice) (list []wire.Suggestion) {
	t.Helper()
	for i := range advice {
		s, ok := b.tryOut(l, &advice[i], advice[i].Rule)
		if !ok {
			t.Fatalf("%s shows nothing", advice[i].Rule)
		}
		list = append(list, s)
	}
	return list
}

func TestTwoThatWouldSaveTheSameMoney(t *testing.T) {
	t.Parallel()
	b, advice := overlapping(t)
	l := b.newLab(b.jobs.Jobs())
	list := tried(t, b, l, advice)
	b.besides(l, list, &budget{left: MaxTests})
	first, second, other := list[0], list[1], list[2]
	if first.SavingMicroUSD != 3*15_000_000 || second.SavingMicroUSD != 3*10_000_000 {
		t.Fatalf("on their own they save %d and %d", first.SavingMicroUSD, second.SavingMicroUSD)
	}
	if first.BesideMicroUSD != nil || other.BesideMicroUSD != nil {
		t.Error("nothing stands before the first of a sense")
	}
	if second.BesideMicroUSD == nil || *second.BesideMicroUSD != 0 {
		t.Errorf("beside the first, the second still saves %v, want nothing", second.BesideMicroUSD)
	}
	// The other way round the subscription still saves what the cheaper model costs.
	turned := []wire.Suggestion{second, first}
	b.besides(l, turned, &budget{left: MaxTests})
	if left := turned[1].BesideMicroUSD; left == nil || *left != 3*5_000_000 {
		t.Errorf("beside a cheaper model, the subscription still saves %v, want what that costs", left)
	}
}

// What is not worth following once another is followed takes nothing from those after it.
func TestNothingIsTestedOnTopOfWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	b, advice := overlapping(t)
	l := b.newLab(b.jobs.Jobs())
	first, second := tried(t, b, l, advice[:1])[0], tried(t, b, l, advice[1:2])[0]
	plan := wire.SuggestionChange{Kind: string(whatif.AddAccounts), Provider: "claude", Tier: "max_20x", Amount: 1}
	useless := wire.Suggestion{Rule: "plan", SavingBasis: first.SavingBasis, Change: &plan}
	list := []wire.Suggestion{first, useless, second}
	b.besides(l, list, &budget{left: MaxTests})
	if left := list[1].BesideMicroUSD; left == nil || *left >= 0 {
		t.Fatalf("a second plan beside the first has %v left, want a loss", left)
	}
	if left := list[2].BesideMicroUSD; left == nil || *left != 0 {
		t.Errorf("beside what is worth following, the last still saves %v, want nothing", left)
	}
	if len(b.stacks) != 2 {
		t.Errorf("%d tests are remembered, want 2", len(b.stacks))
	}
	for name := range b.stacks {
		if strings.Contains(name, "plan") && strings.Contains(name, "model_choice") {
			t.Errorf("%s was tested: its middle is not worth following", name)
		}
	}
}

// TestWhatWaitsHasNothingBesideIt makes no replays at first: nothing is told, and it is tried again.
func TestWhatWaitsHasNothingBesideIt(t *testing.T) {
	t.Parallel()
	b, advice := overlapping(t)
	l := b.newLab(b.jobs.Jobs())
	list := tried(t, b, l, advice)
	b.besides(l, list, &budget{left: 0})
	if list[1].BesideMicroUSD != nil || !b.Awaiting() {
		t.Errorf("without a replay it is known to be %v; awaiting %v", list[1].BesideMicroUSD, b.Awaiting())
	}
	b.besides(l, list, &budget{left: 1})
	b.awaiting = false
	b.besides(l, list, &budget{left: 0})
	if list[1].BesideMicroUSD == nil || b.Awaiting() {
		t.Errorf("what was tested is not remembered: %v; awaiting %v", list[1].BesideMicroUSD, b.Awaiting())
	}
}
