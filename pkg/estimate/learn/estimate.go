package learn

import (
	"cmp"
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
	Level float64 // the quantile that was taken to reach the target
}

// Estimate is how many tokens a task will use, in all classes together.
type Estimate struct {
	Low, Median, Target, High int64 // 10 %, 50 %, the coverage target, 99 %
	Ground                    Ground
}

// point is a value with its weight.
type point struct{ value, weight float64 }

// Estimate answers for a task of which the table says tableTokens (0 where the table does not know the type) and which
// has a key. ok is false where neither the table nor the evidence says anything. It changes nothing.
func (b *Book) Estimate(k Key, tableTokens int64) (e Estimate, ok bool) {
	points, ground := b.predict(k, tableTokens)
	if len(points) == 0 {
		return Estimate{}, false
	}
	ground.Level = b.level(k.TaskType)
	q := quantiles(points, []float64{0.1, 0.5, ground.Level, 0.99})
	return Estimate{Low: q[0], Median: q[1], Target: q[2], High: max(q[2], q[3]), Ground: ground}, true
}

// predict mixes the levels by their weights; the package comment has the formula.
func (b *Book) predict(k Key, tableTokens int64) (points []point, g Ground) {
	left, best := 1.0, 0.0
	mix := func(key Key, e *evidence, kappa, scale float64) {
		n := e.n()
		if n == 0 {
			return
		}
		weight := left * n / (n + kappa)
		e.sketch.ForEach(func(value, count float64) bool {
			points = append(points, point{value * scale, weight * count / n})
			return false
		})
		left -= weight
		if weight > best {
			best, g.Key, g.N = weight, key, n
		}
	}
	for _, key := range slices.Backward(k.levels()) {
		mix(key, b.keys[key], kappa, 1)
	}
	if tableTokens <= 0 {
		return points, g // no prior: the weights are relative anyhow
	}
	mix(Key{}, b.keys[Key{}], kappaTable, float64(tableTokens))
	g.Prior = left
	for i := range priorPoints {
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/priorPoints-1)
		points = append(points, point{float64(tableTokens) * math.Exp(priorSigma*z), left / priorPoints})
	}
	return points, g
}

// quantiles gives the values below which parts of the weight lie, rounded up to whole tokens. It sorts the points.
func quantiles(points []point, parts []float64) []int64 {
	slices.SortFunc(points, func(x, y point) int { return cmp.Compare(x.value, y.value) })
	total := 0.0
	for _, p := range points {
		total += p.weight
	}
	found := make([]int64, len(parts))
	for i, part := range parts {
		sum, at := 0.0, points[len(points)-1].value
		for _, p := range points {
			if sum += p.weight; sum >= part*total {
				at = p.value
				break
			}
		}
		found[i] = int64(math.Ceil(min(at, float64(estimate.MaxTokens))))
	}
	return found
}
