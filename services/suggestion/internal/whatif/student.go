package whatif

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// meanAndDeviation gives the mean and the sample's standard deviation of at least two values.
func meanAndDeviation(values []float64) (mean, deviation float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	var squares float64
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(squares / (n - 1))
}

// student is Student's distribution with so many degrees of freedom, by the incomplete beta function. Package distuv of the
// same library has it too, and brings linear algebra that takes ten times as long to compile.
type student float64

// below is the chance of a value below t.
func (nu student) below(t float64) float64 {
	tail := mathext.RegIncBeta(float64(nu)/2, 0.5, float64(nu)/(t*t+float64(nu))) / 2
	if t < 0 {
		return tail
	}
	return 1 - tail
}

// quantile is the value below which another one lies with a chance p, above one half.
func (nu student) quantile(p float64) float64 {
	x := mathext.InvRegIncBeta(float64(nu)/2, 0.5, 2*(1-p))
	return math.Sqrt(float64(nu) * (1 - x) / x)
}
