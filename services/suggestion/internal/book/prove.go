package book

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/rules"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

const (
	// RetestAfter is how long a back-test holds at most.
	RetestAfter = quota.Hour
	// retestGrowth: it holds no longer than until there are so many percent more events.
	retestGrowth = 10
	// MaxTests bounds the advice that is back-tested at once: what promises most comes first.
	MaxTests = 12
	// MaxReplayed bounds the jobs that are replayed with changes at once: three tests of as many jobs as are kept. What is
	// left out then is tested by the next Advise, see [Book.Awaiting].
	MaxReplayed = 60_000
	// jobsPerSecond spaces out how often the rules run: with so many jobs, once a second of ledger time.
	jobsPerSecond = 1000
	// MinGain is the saving in micro-USD below which advice is not worth anybody's time.
	MinGain = 10_000
	// maxTested bounds what is remembered of back-tests.
	maxTested = 500
)

// tested is what is remembered of a back-test.
type tested struct {
	At      quota.Instant `cbor:"1,keyasint,omitempty"`
	Events  int64         `cbor:"2,keyasint,omitempty"` // of the workload, at that time
	Version uint64        `cbor:"3,keyasint,omitempty"` // of the configuration
	Shown   bool          `cbor:"4,keyasint,omitempty"` // it showed something
}

// From is from when on commits have to be recalled by a book that was loaded; see [Book.Recall].
func (b *Book) From() quota.Instant { return b.window.Now.Add(-workload.Days * quota.Day) }

// Recall takes a commit that the book had read before it was stored. A stored book does not hold the jobs that are
// replayed; they are recalled from the ledger's log, in order, before the next commit is read.
func (b *Book) Recall(c *ledger.Commit) {
	if c.Ledger != b.ledger || c.Number > b.number {
		return
	}
	b.jobs.Advance(c.At)
	for _, e := range c.Events {
		b.jobs.Fold(e)
	}
}

// Dismiss says which advice is not wanted. It gives true when that changes the list.
func (b *Book) Dismiss(d wire.SuggestionDismissals) (changed bool) {
	b.dismissed = map[string]bool{}
	for _, one := range d.Dismissed {
		b.dismissed[keyOf(one.Rule, one.Subject)] = true
	}
	n := len(b.list)
	b.list = slices.DeleteFunc(b.list, func(s wire.Suggestion) bool { return b.dismissed[keyOf(s.Rule, s.Subject)] })
	return len(b.list) < n
}

// keyOf names what advice is about, whenever it is given.
func keyOf(rule string, s wire.SuggestionSubject) string {
	h := sha256.New()
	for _, part := range []string{rule, s.Provider, s.Account, s.Target, s.LimitID, s.Team, s.TaskType} {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	const keyBytes = 12
	return hex.EncodeToString(h.Sum(nil)[:keyBytes])
}

func subjectOf(s rules.Subject) wire.SuggestionSubject {
	return wire.SuggestionSubject{Provider: s.Provider, Account: s.Account, Target: s.Target, LimitID: s.Limit, Team: s.Team, TaskType: s.TaskType}
}

// lab is one round of back-tests: the replay of what was is made once.
type lab struct {
	in   whatif.Input
	base *whatif.Result
}

// newLab prepares a round.
func (b *Book) newLab(jobs []workload.Job) *lab {
	return &lab{in: whatif.Input{
		Config: b.known(), Prices: b.prices, Jobs: jobs, From: b.jobs.From(), To: b.window.Now, Month: b.month,
	}}
}

// known is the configuration with the capacities that the ledger decides by.
func (b *Book) known() quota.Config {
	c := b.window.Config
	c.Limits = slices.Clone(c.Limits)
	for i := range c.Limits {
		c.Limits[i].Capacity = b.window.Capacity(&c.Limits[i])
	}
	return c
}

// month is the price of a plan; 0 where it is not known.
func (b *Book) month(provider, tier string) int64 {
	i := slices.IndexFunc(b.plans, func(p price.Plan) bool { return p.Provider == provider && p.Tier == tier })
	if i < 0 {
		return 0
	}
	return b.plans[i].Month
}

// test replays with changes, all of them together.
func (l *lab) test(basis whatif.Basis, changes ...*whatif.Change) whatif.Proof {
	if l.base == nil {
		base := whatif.Run(&l.in)
		l.base = &base
	}
	with := whatif.Run(&l.in, changes...)
	return whatif.Compare(l.base.Days, with.Days, basis)
}

// atOnce is how many tests of so many jobs are made at once.
func atOnce(jobs int) int { return max(1, min(MaxTests, MaxReplayed/max(1, jobs))) }

// budget bounds the tests that are made at once.
type budget struct {
	left  int
	ended <-chan struct{} // nothing more is tested once it is closed
}

// spent tells whether another test has to wait.
func (b *budget) spent() bool {
	select {
	case <-b.ended:
		return true
	default:
		return b.left <= 0
	}
}

// Awaiting tells whether advice waits for its back-test: another Advise goes on with it.
func (b *Book) Awaiting() bool { return b.awaiting }

// prove gives the advice of rules that a back-test bears out, the most valuable first. What was tested lately is as it was,
// and so is what stands in the list and has to wait for its next test.
func (b *Book) prove(found []rules.Advice, jobs []workload.Job, ended <-chan struct{}) []wire.Suggestion {
	l, before, tests := b.newLab(jobs), map[string]wire.Suggestion{}, &budget{left: atOnce(len(jobs)), ended: ended}
	b.awaiting = false
	for _, s := range b.list {
		before[keyOf(s.Rule, s.Subject)] = s
	}
	var proven []wire.Suggestion
	for _, a := range found {
		key := keyOf(a.Rule, subjectOf(a.Subject))
		if a.Change.Kind == "" || b.dismissed[key] {
			continue
		}
		listed, had := before[key]
		if t, ok := b.tests[key]; ok && b.holds(t) && t.Shown == had {
			if had {
				listed.SuggestionID = b.id(a)
				proven = append(proven, listed)
			}
			continue
		}
		if tests.spent() {
			b.awaiting = true
			if had {
				listed.SuggestionID = b.id(a)
				proven = append(proven, listed)
			}
			continue
		}
		tests.left--
		if s, ok := b.tryOut(l, &a, key); ok {
			proven = append(proven, s)
		}
	}
	b.measure(l, tests)
	list := b.best(proven)
	b.besides(l, list, tests)
	return list
}

// best sorts suggestions, money that need not be spent before all else, then by saving. Of several that would do the same
// the first is kept; of too many, those that save most.
func (b *Book) best(proven []wire.Suggestion) (kept []wire.Suggestion) {
	rank := func(s *wire.Suggestion) int {
		return slices.Index([]string{string(whatif.AvoidableSpend), string(whatif.DelayedWork), string(whatif.FreedBudget), string(whatif.BoundedRisk)}, s.SavingBasis)
	}
	slices.SortStableFunc(proven, func(x, y wire.Suggestion) int {
		return cmp.Or(cmp.Compare(rank(&x), rank(&y)), cmp.Compare(y.SavingMicroUSD, x.SavingMicroUSD), cmp.Compare(y.ConfidencePercent, x.ConfidencePercent))
	})
	seen := map[wire.SuggestionChange]bool{}
	for _, s := range proven {
		if !seen[*s.Change] && len(kept) < MaxList {
			seen[*s.Change] = true
			kept = append(kept, s)
			continue
		}
		key := keyOf(s.Rule, s.Subject)
		t := b.tests[key]
		t.Shown = false // it is not to be tested again because it is missing
		b.tests[key] = t
	}
	return kept
}

// holds tells whether a back-test is still good enough.
func (b *Book) holds(t tested) bool {
	return t.Version == b.window.Config.Version && b.window.Now.Sub(t.At) < RetestAfter && b.jobs.Events() <= t.Events+t.Events*retestGrowth/100
}

// tryOut back-tests advice and makes a suggestion of it, if the test shows anything.
func (b *Book) tryOut(l *lab, a *rules.Advice, key string) (wire.Suggestion, bool) {
	proof := l.test(a.Basis, &a.Change)
	shown := proof.Shows(MinGain)
	b.tests[key] = tested{At: b.window.Now, Events: b.jobs.Events(), Version: b.window.Config.Version, Shown: shown}
	if !shown {
		return wire.Suggestion{}, false
	}
	s := b.suggestion(*a)
	agreement := l.base.Agreement()
	s.SavingMicroUSD = proof.Saving
	s.ConfidencePercent = wire.Percent(proof.Confidence * agreement / thousandth * percentOfThousandth)
	s.Change = changeOf(&a.Change)
	s.Backtest = backtestOf(l, &proof, agreement)
	s.UpdatedAt = wire.TimeOf(b.window.Now)
	b.track(key, a, &proof)
	return s, true
}

const thousandth = 1000

// forgetTests drops what was not tested for a day, and all where there is too much of it.
func (b *Book) forgetTests() {
	for key, t := range b.tests {
		if b.window.Now.Sub(t.At) > quota.Day {
			delete(b.tests, key)
		}
	}
	if len(b.tests) > maxTested {
		clear(b.tests)
	}
}

func changeOf(c *whatif.Change) *wire.SuggestionChange {
	return &wire.SuggestionChange{
		Kind: string(c.Kind), Configurable: c.Configurable(), Account: c.Account, Target: c.Target, Provider: c.Provider, Tier: c.Tier,
		LimitID: c.Limit, Team: c.Team, TaskType: c.TaskType, Principal: c.Principal, Agent: c.Agent, Model: c.Model, ToModel: c.ToModel,
		Amount: c.Amount, ShiftMS: int64(c.Shift), FromHour: int64(c.FromHour), ToHour: int64(c.ToHour),
	}
}

// assumptions says what every back-test takes for granted.
func assumptions() []string {
	return []string{
		"Each job does what it did in the ledger; agents that wait less or pay less might do more.",
		"Both replays begin with empty windows, under the configuration in force now.",
		"Refused work would have used what such work usually uses of its reservation.",
		"Work that reserved at a provider could have gone to any of its accounts that its team may use.",
	}
}

func backtestOf(l *lab, p *whatif.Proof, agreement int64) *wire.SuggestionBacktest {
	t := &wire.SuggestionBacktest{
		StartsAt: wire.TimeOf(l.in.From), EndsAt: wire.TimeOf(l.in.To), Jobs: int64(len(l.in.Jobs)), LowMicroUSD: p.Low, HighMicroUSD: p.High,
		AgreementPercent: wire.Percent(agreement * percentOfThousandth), Days: []wire.SuggestionDay{}, Assumptions: assumptions(),
	}
	for i := range p.Gains {
		t.Days = append(t.Days, wire.SuggestionDay{
			StartsAt: wire.TimeOf(p.Base[i].Start), GainMicroUSD: p.Gains[i], Was: outcomeOf(&p.Base[i]), Would: outcomeOf(&p.With[i]),
		})
	}
	return t
}

func outcomeOf(d *whatif.Day) wire.SuggestionOutcome {
	return wire.SuggestionOutcome{
		SpentMicroUSD: d.Spent, FeesMicroUSD: d.Fees, Granted: d.Granted, Refusals: d.Refusals, Denied: d.Denied, DeniedMicroUSD: d.DeniedWorth,
		WaitedMS: int64(d.Waited), ExhaustedMS: int64(d.Exhausted), IdleMicroUSD: d.Idle,
	}
}
