package whatif

import "math"

// Basis says in which sense a change is worth something.
type Basis string

// The senses. They are the values of saving_basis on the wire.
const (
	AvoidableSpend Basis = "avoidable_spend" // money that would not have been spent, fees of plans included
	FreedBudget    Basis = "freed_budget"    // budget that was held and never used
	DelayedWork    Basis = "delayed_work"    // work that was refused, at its price
	BoundedRisk    Basis = "bounded_risk"    // what limits allow beyond the need, at the mean price of the tokens used
)

// Proof is what a back-test showed.
type Proof struct {
	Basis      Basis
	Base, With Days
	Gains      []int64 // micro-USD, by day
	Saving     int64   // their sum
	// Low and High bound the sum with 95 % confidence, by the variation over the days; with one day they are unknown and
	// both are the sum.
	Low, High  int64
	Confidence int64 // thousandths; see confidence
}

// worth of a day in the basis's sense: what is less than before. Work that is refused because of the change is never a
// saving: it counts against it at its price.
func (b Basis) gain(base, with *Day) int64 {
	refused := max(0, with.DeniedWorth-base.DeniedWorth)
	switch b {
	case FreedBudget:
		return base.Idle - with.Idle - refused
	case BoundedRisk:
		return base.Exposed - with.Exposed - refused
	case DelayedWork:
		return base.DeniedWorth - with.DeniedWorth - max(0, with.Fees-base.Fees)
	default:
		return base.Spent + base.Fees - with.Spent - with.Fees - refused
	}
}

// Compare makes a proof of two replays of the same span.
func Compare(base, with Days, basis Basis) Proof {
	p := Proof{Basis: basis, Base: base, With: with, Gains: make([]int64, len(base))}
	gains := make([]float64, len(base))
	for i := range base {
		p.Gains[i] = basis.gain(&base[i], &with[i])
		p.Saving += p.Gains[i]
		gains[i] = float64(p.Gains[i])
	}
	p.Low, p.High, p.Confidence = spread(gains)
	return p
}

const (
	whole = 1000
	// oneDay is the confidence that a single day gives: the lower bound of Wilson's interval for one hit in one try.
	oneDay = 207
	// leastSpread is the least standard deviation of daily gains that is believed, as a share of their mean: a replay of a
	// few even days does not know more than that.
	leastSpread = 0.5
	twoSided    = 0.975
)

// spread tells how sure the sum of daily gains is. With s the standard deviation of n days, but at least leastSpread of the
// mean m, the sum lies within n (m ± t s/√n) with t of Student's distribution with n−1 degrees of freedom; the confidence
// is the chance that the mean is above 0: Student's distribution at m √n / s.
func spread(gains []float64) (low, high, confidence int64) {
	n := float64(len(gains))
	if len(gains) < 2 {
		return single(gains)
	}
	mean, sd := meanAndDeviation(gains)
	sum := int64(math.Round(mean * n))
	sd = max(sd, leastSpread*math.Abs(mean))
	if sd == 0 {
		return sum, sum, 0
	}
	distribution := student(n - 1)
	half := distribution.quantile(twoSided) * sd * math.Sqrt(n)
	confidence = int64(math.Round(distribution.below(mean*math.Sqrt(n)/sd) * whole))
	return int64(math.Round(mean*n - half)), int64(math.Round(mean*n + half)), min(confidence, whole-1)
}

// single is spread for a day on its own, or for none.
func single(gains []float64) (low, high, confidence int64) {
	if len(gains) == 0 {
		return 0, 0, 0
	}
	sum := int64(math.Round(gains[0]))
	if sum > 0 {
		confidence = oneDay
	}
	return sum, sum, confidence
}

// Shows tells whether the change was worth anything: more than least micro-USD, with a chance above one half.
func (p *Proof) Shows(least int64) bool {
	return p.Saving >= least && p.Saving > 0 && (p.Confidence > whole/2 || len(p.Gains) == 1)
}
