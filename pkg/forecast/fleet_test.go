package forecast

import (
	"math"
	"math/rand/v2"
	"time"
)

// world is a generated fleet whose truth is known: tasks arrive by the hour of the week, their sizes have a heavy tail, and
// days and weeks are busier or quieter than one another.
type world struct {
	tasks     float64 // of a day
	sameDays  bool    // no day differs from another of its kind
	weekend   float64 // of a working day
	size      float64 // tokens of a task in the median
	sizeSigma float64
}

// monday is where generated weeks begin.
var monday = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func shape(hour int) float64 {
	shape := [24]float64{1, 1, 1, 1, 1, 2, 3, 6, 12, 18, 20, 17, 11, 14, 19, 20, 17, 12, 8, 6, 5, 4, 3, 2}
	return shape[hour] / 204
}

// mean is the true mean use of an hour of a usual day.
func (w world) mean(hour int, day time.Weekday) float64 {
	tasks := w.tasks * shape(hour)
	if weekend(day) {
		tasks *= w.weekend
	}
	return tasks * w.size * math.Exp(w.sizeSigma*w.sizeSigma/2)
}

// use draws the use of some weeks, in steps.
func (w world) use(seed uint64, weeks int, step time.Duration) []float64 {
	rng := rand.New(rand.NewPCG(seed, 7))
	per := int(time.Hour / step)
	used := make([]float64, weeks*7*24*per)
	busyWeek := 1.0
	for day := range weeks * 7 {
		if day%7 == 0 {
			busyWeek = math.Exp(0.15 * rng.NormFloat64())
		}
		busy := busyWeek * math.Exp(0.35*rng.NormFloat64())
		if rng.Float64() < 0.04 {
			busy = 0.05 // a day off
		}
		if w.sameDays {
			busy = 1
		}
		if day%7 >= 5 {
			busy *= w.weekend
		}
		for hour := range 24 {
			for range poisson(rng, w.tasks*busy*shape(hour)) {
				size := w.size * math.Exp(w.sizeSigma*rng.NormFloat64())
				at, steps := (day*24+hour)*per+rng.IntN(per), 1+rng.IntN(6*per/4+1)
				for k := range steps {
					if at+k < len(used) {
						used[at+k] += size / float64(steps)
					}
				}
			}
		}
	}
	return used
}

func poisson(rng *rand.Rand, mean float64) int {
	n, p := 0, math.Exp(-mean)
	for product := rng.Float64(); product > p; product *= rng.Float64() {
		n++
	}
	return n
}

func usual(tasks float64) world {
	return world{tasks: tasks, weekend: 0.2, size: 270_000, sizeSigma: 1.2}
}
