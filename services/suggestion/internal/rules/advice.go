package rules

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
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
	// Change is what would be done otherwise, for the back-test; advice without one is not made.
	Change whatif.Change
}

// Subject says what advice is about: there is at most one advice per rule and subject.
type Subject struct {
	Provider string `cbor:"1,keyasint,omitempty"`
	Account  string `cbor:"2,keyasint,omitempty"`
	Target   string `cbor:"3,keyasint,omitempty"`
	Limit    string `cbor:"4,keyasint,omitempty"`
	Team     string `cbor:"5,keyasint,omitempty"`
	TaskType string `cbor:"6,keyasint,omitempty"`
}

// Basis says in which sense advice saves money.
type Basis = whatif.Basis

// The senses.
const (
	AvoidableSpend = whatif.AvoidableSpend
	FreedBudget    = whatif.FreedBudget
	DelayedWork    = whatif.DelayedWork
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

// Input is what rules look at.
type Input struct {
	*Window
	Jobs   []workload.Job // of the last days, by arrival; not to be changed
	Prices quota.Prices
	Plans  []price.Plan
}

// Rule finds advice. It is pure, and gives advice in an order that depends on its input alone.
type Rule func(in *Input) []Advice

// All lists the rules.
func All() []Rule {
	return []Rule{
		func(in *Input) []Advice { return ProviderSwitch(in.Window) }, QuotaManagement,
		func(in *Input) []Advice { return ReservationSize(in.Window) },
		PlanSize, ModelChoice, CacheUse, PeakShift, WindowStart, IdleFloor, IdleLimit, FanOut, RetryStorm,
	}
}

// Evaluate runs all rules; the most valuable advice comes first. What it finds is to be back-tested before it is told.
func Evaluate(in *Input) []Advice {
	var found []Advice
	for _, rule := range All() {
		found = append(found, rule(in)...)
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
// evidence supports at least: 1 of 1 gives 207, 5 of 5 gives 566, 28 of 28 gives 879, 14 of 28 gives 326. However much there
// is, it is less than certain.
func wilson(k, n int64) int64 {
	if n <= 0 || k <= 0 {
		return 0
	}
	const z = 1.959964
	p, m := float64(min(k, n))/float64(n), float64(n)
	bound := (p + z*z/(2*m) - z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))) / (1 + z*z/m)
	return min(int64(math.Round(bound*whole)), whole-1)
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

// usd writes micro-USD for a person, to the nearest cent, as the evidence beside it is shown.
func usd(micro int64) string {
	const cent = 10_000
	cents := (micro + cent/2) / cent
	return fmt.Sprintf("$%d.%02d", cents/100, cents%100)
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
