package learn

import (
	"math"
	"slices"

	"github.com/bursarhq/bursar/pkg/estimate"
)

const (
	// kappa is how many tasks the level above is worth; kappaTable is the same of the table, which is only a guess.
	kappa, kappaTable = 50, 2
	// priorSigma spreads the table's figure so that its 90 % point is ×1.3 of it: ln 1.3 ÷ 1.2816.
	priorSigma = 0.2047
	// priorPoints are the equal parts in which the prior is taken.
	priorPoints = 40
)

// Ground says what an estimate rests on.
type Ground struct {
	Key   Key     // the one that weighs most; Level 0 is the scale over all types
	N     float64 // tasks known of Key, the older ones counting less
	Prior float64 // the weight of the static table, 0 to 1
	Level float64 // the quantile that was taken
}

// Estimate is how many tokens a task will use, in all classes together.
type Estimate struct {
	Low, Median, Target, High int64   // 10 %, 50 %, Aim, 99 %
	Aim                       float64 // the share of such tasks that are to fit into Target, 0 to 1
	Shares                    Shares
	Ground                    Ground
}

// Estimate answers for a task of which the table says tableTokens (0 where the table does not know the type) and which
// has a key. ok is false where neither the table nor the evidence says anything. It changes nothing.
func (b *Book) Estimate(k Key, tableTokens int64) (e Estimate, ok bool) {
	m := b.predict(k, tableTokens)
	if m.total == 0 {
		return Estimate{}, false
	}
	shape := m.shape()
	e = Estimate{Aim: b.aim(shape), Shares: m.shares, Ground: m.ground}
	e.Ground.Level = b.steered(k.TaskType, e.Aim)
	// The mixture's own quantile is true to its shape, and uncertain where few tasks lie; the log-normal's is the other way
	// round. Their geometric mean errs less than either, and the steering makes up for what is left.
	target := math.Sqrt(m.quantile(e.Ground.Level) * shape.quantile(e.Ground.Level))
	target *= 1 + Accuracy*(1-m.ground.Prior) // tasks that are all alike must fit, however the figures are rounded
	e.Low, e.Median, e.Target = tokens(m.quantile(0.1)), tokens(m.quantile(0.5)), tokens(target)
	e.High = max(e.Target, tokens(m.quantile(0.99)))
	return e, true
}

// tokens rounds a figure up to whole tokens.
func tokens(x float64) int64 { return int64(math.Ceil(min(x, float64(estimate.MaxTokens)))) }

// predict mixes the levels by their weights; the package comment has the formula.
func (b *Book) predict(k Key, tableTokens int64) (m *mixture) {
	m = &mixture{}
	left, best := 1.0, 0.0
	mix := func(key Key, e *evidence, kappa, scale float64) {
		n := e.n()
		if n == 0 {
			return
		}
		weight := left * n / (n + kappa)
		e.sketch.ForEach(func(value, count float64) bool {
			m.add(value*scale, weight*count/n)
			return false
		})
		m.shares.add(&e.classes, weight)
		left -= weight
		if weight > best {
			best, m.ground.Key, m.ground.N = weight, key, n
		}
	}
	for _, key := range slices.Backward(k.levels()) {
		mix(key, b.keys[key], kappa, 1)
	}
	if tableTokens <= 0 {
		return m // no prior: the weights are relative anyhow
	}
	mix(Key{}, b.keys[Key{}], kappaTable, float64(tableTokens))
	m.ground.Prior = left
	for i := range priorPoints {
		z := normalQuantile((float64(i) + 0.5) / priorPoints)
		m.add(float64(tableTokens)*math.Exp(priorSigma*z), left/priorPoints)
	}
	return m
}
