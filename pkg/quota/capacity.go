package quota

import (
	"math"
	"slices"
)

// The capacity of a window in tokens is estimated from stretches of it: how far the percentage moved against what was
// ours of each token class. The model of a stretch is
//
//	moved = Σ share of a class × our tokens of it + pace of steady outside spending × time + burst + rounding
//
// The shares are unknown, around what the limit's weights say, but each may differ from them by as much as itself; so
// may the scale. A burst is spending outside that comes and goes: it is never negative. How readings err is known: they are
// rounded, and late by at most a minute, so that what was ours in the last minute is seen in part. Whether anything is
// spent outside, and how, is not: several beliefs are followed (capacity_fit.go), and the stretches tell how far each is to
// be believed (capacity_posterior.go). The interval is that of all of them together: where the stretches cannot tell whether
// somebody else spends, it is wide.
//
// Two things no observer can tell apart, and neither can this: a smaller capacity, and outside spending that follows
// ours in exact proportion. Then what is learned is the capacity that is left for us, and deciding by it is right.
//
// Only deciding computes; the result is in the event. Products are rounded before they are added, so that processors
// with a fused multiply-add give the same result as those without.

// Estimate is a learned capacity, in the limit's unit.
type Estimate struct {
	Low    int64 `cbor:"1,keyasint,omitempty"` // decides
	Likely int64 `cbor:"2,keyasint,omitempty"`
	High   int64 `cbor:"3,keyasint,omitempty"` // 0 where nothing bounds it
	// Enough tells that it replaces the configured capacity.
	Enough    bool    `cbor:"4,keyasint,omitempty"`
	Stretches int64   `cbor:"5,keyasint,omitempty"` // it rests on so many
	Seen      int64   `cbor:"6,keyasint,omitempty"` // which moved by so much together, in thousandths of a percent
	Outside   int64   `cbor:"7,keyasint,omitempty"` // of that was not ours, as far as it can be told; thousandths of a percent
	At        Instant `cbor:"8,keyasint,omitempty"`
	// Classes are how many tokens of one class alone fill the window.
	Classes []ClassEstimate `cbor:"9,keyasint,omitempty"`
}

// ClassEstimate is the capacity of a window in tokens of one class.
type ClassEstimate struct {
	Class  TokenClass `cbor:"1,keyasint,omitempty"`
	Low    int64      `cbor:"2,keyasint,omitempty"`
	Likely int64      `cbor:"3,keyasint,omitempty"`
	High   int64      `cbor:"4,keyasint,omitempty"` // 0 where nothing bounds it
}

// TokenClass names a class of tokens that is learned; writes to a cache of either life are one.
type TokenClass string

// The classes.
const (
	ClassInput      TokenClass = "input"
	ClassCacheRead  TokenClass = "cache_read"
	ClassCacheWrite TokenClass = "cache_write"
	ClassOutput     TokenClass = "output"
)

// The assumptions of the fit, chosen on simulated subscriptions (docs/deciding.md).
const (
	enoughStretches = 8      // before that the configured capacity decides
	enoughSeen      = 50_000 // thousandths of a percent
	enoughPrecision = 0.5    // half of the interval, as a part of the capacity

	weightSpread = 1.0  // a class's share differs from its weight by as much as itself
	steadySpread = 40.0 // percent of a window that steady outside spending takes, typically
	lateSpread   = 0.35 // of the part of the last minute that a reading has not seen
	lateUneven   = 0.3  // of what is ours in the last minute: one call of it is seen, the other is not
	lagMinutes   = 0.6  // by which an observation is late, typically, where nothing is known of the last minute
	modelError   = 0.01 // of what moved: what the model leaves out

	anchors      = 11 // cover shares from 0.4 to 1.04 of what all that moved would make if it were ours
	anchorFirst  = 0.4
	anchorRatio  = 1.1
	anchorSpread = 0.06  // of the share
	hopeless     = -10.0 // logarithm of the odds against the best

	tail          = 0.008 // beyond either end of the interval
	margin        = 0.01  // of the capacity, on either side: what no belief foresees
	classErrors   = 4.0   // deviations on either side for one class alone: its weight may be further off than assumed
	negligible    = 1e-4  // stories less probable are left out
	manyPaces     = 10    // of steady spending, for a story that matters
	fewPaces      = 3     // for one that hardly does
	leastShare    = 1e-6
	leastVariance = 1e-12

	classCount = 4 // input, cache reads, cache writes, output
)

var classNames = [classCount]TokenClass{ClassInput, ClassCacheRead, ClassCacheWrite, ClassOutput}

// mul is a product that is rounded by itself.
func mul(a, b float64) float64 { return float64(a * b) }

// units weighs tokens as the limit does, by class.
func (l *Limit) units(t Tokens) (u [classCount]float64) {
	w := l.weights()
	u[0] = mul(float64(t.Input), float64(w.Input)) / 1000
	u[1] = mul(float64(t.CacheRead), float64(w.CacheRead)) / 1000
	u[2] = (mul(float64(t.CacheWrite5m), float64(w.CacheWrite5m)) + mul(float64(t.CacheWrite1h), float64(w.CacheWrite1h))) / 1000
	u[3] = mul(float64(t.Output), float64(w.Output)) / 1000
	return u
}

// evidence is the stretches in percent, as they would be if all that was seen were ours.
type evidence struct {
	samples   []sample
	all       Tokens
	seen      int64   // thousandths of a percent
	scale     float64 // percent for a unit
	direction vector  // of the mix of classes: parts of the units
}

// evidenceOf makes samples of stretches; false where they say nothing.
func evidenceOf(l *Limit, stretches []Stretch) (*evidence, bool) {
	v := &evidence{samples: make([]sample, len(stretches))}
	var elapsed Millis
	for i := range stretches {
		s := &stretches[i]
		v.all = v.all.Add(s.Tokens)
		v.seen += s.Moved
		elapsed += s.To.Sub(s.From)
	}
	mix := l.units(v.all)
	total := mix[0] + mix[1] + mix[2] + mix[3]
	if total <= 0 || v.seen <= 0 {
		return nil, false
	}
	for c := range mix {
		v.direction[c] = mix[c] / total
	}
	seen := float64(v.seen) / 1000
	v.scale = seen / total
	pace := seen / max(1, float64(elapsed))
	var lateBefore float64
	for i := range stretches {
		late := v.sample(l, stretches, i, pace)
		if v.samples[i].linked {
			v.samples[i].coeffs[atLate] += lateBefore
		}
		lateBefore = late
	}
	return v, true
}

// sample fills in one sample, and tells how much of it was ours in its last minute, in percent.
func (v *evidence) sample(l *Limit, stretches []Stretch, i int, pace float64) (late float64) {
	s, x := &stretches[i], &v.samples[i]
	x.moved = float64(s.Moved) / 1000
	own, lateUnits := l.units(s.Tokens), l.units(s.Late)
	for c := range own {
		x.coeffs[c] = mul(own[c], v.scale)
		late += mul(lateUnits[c], v.scale)
	}
	elapsed := max(float64(Second), float64(s.To.Sub(s.From)))
	x.coeffs[atSteady] = elapsed / float64(l.longest())
	x.coeffs[atLate], x.coeffs[atReading] = -late, -1
	x.linked = i > 0 && s.From == stretches[i-1].To
	lag := mul(max(pace, x.moved/elapsed), lagMinutes*float64(Minute))
	x.from, x.to = reading(s.FromStep, lag), reading(s.Step, lag)
	if late > 0 {
		x.to = reading(s.Step, mul(lateUneven, late))
	}
	x.own = mul(mul(modelError, x.moved), mul(modelError, x.moved)) + 1e-3
	return late
}

// proven is the largest share that the stretches allow, whoever else spends: while stretches follow one another the window
// moved by at least what was ours and is not late, and what is read is off by at most a step. It is what all inequalities
// of this kind leave possible, if the books are complete and the delay is as assumed. Where a percentage fell, the provider
// corrected itself, and nothing is proven.
func (v *evidence) proven(l *Limit, stretches []Stretch) float64 {
	var moved, own float64
	for i := 0; i < len(stretches); {
		n := linkedFrom(stretches[i:])
		run := stretches[i : i+n]
		i += n
		if slices.ContainsFunc(run, func(s Stretch) bool { return s.Moved < 0 }) {
			continue
		}
		last := &run[n-1]
		for k := range run {
			moved += float64(run[k].Moved) / 1000
			for _, u := range l.units(run[k].Tokens) {
				own += u
			}
		}
		moved += float64(max(run[0].FromStep, last.Step)) / 1000
		for _, u := range l.units(last.Late) {
			own -= u
		}
	}
	if own <= 0 {
		return math.Inf(1)
	}
	return moved / mul(own, v.scale)
}

// linkedFrom counts the stretches that follow one another from the first on.
func linkedFrom(stretches []Stretch) int {
	n := 1
	for n < len(stretches) && stretches[n].From == stretches[n-1].To {
		n++
	}
	return n
}

// reading is the variance of a reading that is rounded to a step and late by so many percent.
func reading(step int64, late float64) float64 {
	return mul(float64(step), float64(step))/12e6 + mul(late, late)
}

// estimate is what the stretches tell of the capacity of the mix of classes that was used, and of each class alone; nil
// where they say nothing.
func estimate(l *Limit, stretches []Stretch, at Instant) *Estimate {
	v, ok := evidenceOf(l, stretches)
	if !ok {
		return nil
	}
	p := learnFrom(v.samples, &v.direction)
	e := &Estimate{Stretches: int64(len(stretches)), Seen: v.seen, At: at, Outside: min(v.seen, int64(mul(p.outside, 1000)))}
	e.Low, e.Likely, e.High = p.interval(&v.direction, v.scale)
	e.Low = min(e.Likely, max(e.Low, capacityOf(v.proven(l, stretches), v.scale)))
	e.Enough = len(stretches) >= enoughStretches && v.seen >= enoughSeen && e.High > 0 &&
		float64(e.High-e.Low) <= mul(2*enoughPrecision, float64(e.Likely))
	w := l.weights()
	counts := [classCount]struct{ used, weight int64 }{
		{v.all.Input, w.Input}, {v.all.CacheRead, w.CacheRead}, {v.all.CacheWrite5m + v.all.CacheWrite1h, max(w.CacheWrite5m, w.CacheWrite1h)}, {v.all.Output, w.Output},
	}
	for c, n := range counts {
		if n.used == 0 || n.weight == 0 {
			continue
		}
		var alone vector
		alone[c] = float64(n.weight) / 1000
		class := ClassEstimate{Class: classNames[c]}
		class.Low, class.Likely, class.High = p.roughly(&alone, v.scale)
		e.Classes = append(e.Classes, class)
	}
	return e
}
