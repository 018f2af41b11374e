package rules

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Advice is what a rule found.
type Advice struct {
	Rule       string
	Subject    Subject
	Title      string // what is the case
	Advice     string // what to do
	Saving     int64  // micro-USD over the window
	Basis      Basis
	Confidence int64 // thousandths
	Evidence   []Evidence
	Who        []Occurrence // most often first
}

// Subject says what advice is about: there is at most one advice per rule and subject.
type Subject struct {
	Provider, Account, Target, Limit, Team, TaskType string
}

// Basis says in which sense advice saves money.
type Basis string

// The senses. They are the values of saving_basis on the wire.
const (
	AvoidableSpend Basis = "avoidable_spend" // money that would not have been spent
	FreedBudget    Basis = "freed_budget"    // budget that was held and never used
	DelayedWork    Basis = "delayed_work"    // work that was refused, at its price
)

// Evidence is one figure that advice rests on.
type Evidence struct {
	Name  string
	Value int64
	Unit  string
}

// Units of evidence on the wire.
const (
	unitMicroUSD = "micro_usd"
	unitTokens   = "tokens"
	unitCount    = "count"
	unitPercent  = "percent"
)

// Occurrence says to whom something happened, how often, and between when.
type Occurrence struct {
	Principal, Agent, Team string
	Count                  int64
	First, Last            quota.Instant
}

// Rule finds advice in a window. It is pure, and gives advice in an order that depends on the window alone.
type Rule func(w *Window) []Advice

// All lists the rules.
func All() []Rule { return []Rule{ProviderSwitch, QuotaManagement, ReservationSize} }

// Evaluate runs all rules; the most valuable advice comes first.
func Evaluate(w *Window) []Advice {
	var found []Advice
	for _, rule := range All() {
		found = append(found, rule(w)...)
	}
	slices.SortStableFunc(found, func(a, b Advice) int {
		return cmp.Or(cmp.Compare(b.Saving, a.Saving), cmp.Compare(b.Confidence, a.Confidence))
	})
	return found
}

// whole is a confidence of one, in thousandths.
const whole = 1000

// wilson is the lower bound of the 95 % score interval for the chance behind k hits in n tries, in thousandths
// (E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927). It is what the
// evidence supports at least: 1 of 1 gives 207, 5 of 5 gives 566, 28 of 28 gives 879, 14 of 28 gives 326.
func wilson(k, n int64) int64 {
	if n <= 0 || k <= 0 {
		return 0
	}
	const z = 1.959964
	p, m := float64(min(k, n))/float64(n), float64(n)
	bound := (p + z*z/(2*m) - z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))) / (1 + z*z/m)
	return int64(math.Round(bound * whole))
}

// scale is a × n / d rounded down over a 128-bit intermediate, for non-negative numbers; 0 where d is 0. It is held at
// the largest int64.
func scale(a, n, d int64) int64 {
	if a <= 0 || n <= 0 || d <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(a), uint64(n))
	if hi >= uint64(d) {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(hi, lo, uint64(d))
	return int64(min(quotient, math.MaxInt64))
}

// usd writes micro-USD for a person.
func usd(micro int64) string {
	const cent = 10_000
	return fmt.Sprintf("%d.%02d USD", micro/1_000_000, micro%1_000_000/cent)
}

// times writes the ratio a : b with one decimal; "many" where b is 0.
func times(a, b int64) string {
	if b == 0 {
		return "many"
	}
	tenths := scale(a, 10, b)
	return fmt.Sprintf("%d.%d", tenths/10, tenths%10)
}

func percent(part, of int64) int64 { return scale(100, part, of) }
