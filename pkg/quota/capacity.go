package quota

import "math"

// The capacity of a window in tokens is estimated from stretches of it: how far the percentage moved against what was
// ours of each token class. The model of a stretch is
//
//	moved = Σ share of a class × our tokens of it + pace of steady outside spending × time + burst + rounding
//
// The shares are unknown, around what the limit's weights say, but each may differ from them by as much as itself; so
// may the scale. A burst is spending outside that comes and goes: it is never negative, and most stretches have none. The
// fit is a regression that finds out which stretches have a burst (expectation and maximisation) and trusts these less.
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

// The assumptions of the fit.
const (
	enoughStretches = 8      // before that the configured capacity decides
	enoughSeen      = 50_000 // thousandths of a percent
	enoughPrecision = 0.5    // half of the interval, as a part of the capacity
	margin          = 0.02   // of the capacity, on either side: late readings flatten what is seen
	misfitShows     = 1.25   // residuals that exceed the noise by less tell of nothing
	oddsAlone       = 9.0    // of nobody else using an account where nothing tells of it
	burstErrorsWide = 1.8    // and where some had a burst
	classWide       = 2.0    // times wider for one class alone: its weight may be further off than assumed
	burstMargin     = 0.08   // where there are bursts: small ones are taken for ours
	errorsWide      = 1.45   // standard errors on either side where the stretches fit
	lagMinutes      = 0.6    // by which an observation is late or early, typically
	modelError      = 0.01   // of what moved: what the model leaves out
	weightSpread    = 1.0    // a class's share differs from its weight by as much as itself
	steadySpread    = 20.0   // percent of a window that steady outside spending takes, typically
	burstsShow      = 1.45   // residuals so much larger than the noise tell of bursts
	fitRounds       = 25     // of expectation and maximisation, at the most
	classCount      = 4      // input, cache reads, cache writes, output
	terms           = 1 + classCount
)

var classNames = [classCount]TokenClass{ClassInput, ClassCacheRead, ClassCacheWrite, ClassOutput}

// mul is a product that is rounded by itself.
func mul(a, b float64) float64 { return float64(a * b) }

type vector [terms]float64
type matrix [terms]vector

func dot(a, b *vector) (sum float64) {
	for i := range a {
		sum += mul(a[i], b[i])
	}
	return sum
}

// sample is a stretch in percent: what moved, and what each term would move at the weights and the scale of the prior.
type sample struct {
	moved  float64
	own    float64 // variance of the stretch itself
	from   float64 // variance of the reading at its beginning
	to     float64 // and at its end
	linked bool    // it begins where the one before ends: the same reading, with the same error
	terms  vector  // classes, then time in windows
}

// noise is the variance of what moved.
func (x *sample) noise() float64 { return x.own + x.from + x.to }

// estimate fits the stretches; nil where they say nothing.
func estimate(l *Limit, stretches []Stretch, at Instant) *Estimate {
	units := func(t Tokens) (u [classCount]float64) {
		w := l.weights()
		u[0] = mul(float64(t.Input), float64(w.Input)) / 1000
		u[1] = mul(float64(t.CacheRead), float64(w.CacheRead)) / 1000
		u[2] = (mul(float64(t.CacheWrite5m), float64(w.CacheWrite5m)) + mul(float64(t.CacheWrite1h), float64(w.CacheWrite1h))) / 1000
		u[3] = mul(float64(t.Output), float64(w.Output)) / 1000
		return u
	}
	var all Tokens
	var seen int64
	for i := range stretches {
		all = all.Add(stretches[i].Tokens)
		seen += stretches[i].Moved
	}
	mix := units(all)
	var total float64
	for _, u := range mix {
		total += u
	}
	if total <= 0 || seen <= 0 {
		return nil
	}
	scale := mul(float64(seen)/1000, 1/total) // percent per unit, if all of it were ours
	var elapsed float64
	for i := range stretches {
		elapsed += float64(stretches[i].To.Sub(stretches[i].From))
	}
	pace := float64(seen) / 1000 / max(1, elapsed) // percent per millisecond
	samples := make([]sample, len(stretches))
	for i := range stretches {
		samples[i] = sampleOf(&stretches[i], units(stretches[i].Tokens), scale, pace, l.longest())
		samples[i].linked = i > 0 && stretches[i].From == stretches[i-1].To
	}
	f := fitted(samples)
	return f.estimate(l, all, mix, total, scale, estimateHead{int64(len(stretches)), seen, at})
}

func sampleOf(s *Stretch, units [classCount]float64, scale, pace float64, window Millis) sample {
	x := sample{moved: float64(s.Moved) / 1000}
	for c, u := range units {
		x.terms[c] = mul(u, scale)
	}
	elapsed := max(float64(Second), float64(s.To.Sub(s.From)))
	x.terms[classCount] = elapsed / float64(window)
	lag := mul(max(pace, x.moved/elapsed), lagMinutes*float64(Minute))
	reading := func(step int64) float64 { return mul(float64(step), float64(step))/12e6 + mul(lag, lag) }
	x.from, x.to = reading(s.FromStep), reading(s.Step)
	x.own = mul(mul(modelError, x.moved), mul(modelError, x.moved)) + 1e-3
	return x
}

// fit is a regression and what it thinks of each stretch.
type fit struct {
	at      vector // multiples of the weights' shares, and percent a window of steady outside spending; may be negative
	spread  matrix // covariance
	outside float64
	margin  float64 // of the share, on either side
	wide    float64 // standard errors on either side
	alone   float64 // the odds, before the pace is looked at, that there is no steady outside spending
	excess  float64 // how much worse than assumed the clean stretches fit, as a factor on variances; at least 1
}

// fitted finds the shares: with every stretch ours alone if that fits, else with those found out that had a burst.
func fitted(samples []sample) *fit {
	clean := make([]float64, len(samples))
	for i := range clean {
		clean[i] = 1
	}
	f := &fit{margin: margin, alone: 1, wide: errorsWide}
	f.regress(samples, clean)
	if f.excess < misfitShows {
		f.alone = oddsAlone
	}
	if f.excess > burstsShow {
		f.margin, f.wide = burstMargin, burstErrorsWide
		f.findBursts(samples, clean)
	}
	f.excess = max(1, f.excess)
	for i := range samples {
		steady := max(0, mul(f.at[classCount], samples[i].terms[classCount]))
		f.outside += steady + mul(1-clean[i], max(0, samples[i].moved-dot(&f.at, &samples[i].terms)))
	}
	return f
}

// findBursts alternates between how probable it is that each stretch was clean, and the shares by that.
func (f *fit) findBursts(samples []sample, clean []float64) {
	free, burst := 0.7, 3.0
	f.at = startAt(samples)
	for range fitRounds {
		var cleared, bursts, weight float64
		for i := range samples {
			r := samples[i].moved - dot(&f.at, &samples[i].terms)
			clean[i] = cleanliness(r, samples[i].noise(), free, burst)
			cleared += clean[i]
			bursts += mul(1-clean[i], max(0, r))
			weight += 1 - clean[i]
		}
		free = min(0.98, max(0.3, (cleared+3)/(float64(len(samples))+4)))
		burst = min(50, max(2, (bursts+3)/(weight+1)))
		f.regress(samples, clean)
	}
}

// startAt is a first guess below the middle: bursts only ever add.
func startAt(samples []sample) (at vector) {
	ratios := make([]float64, 0, len(samples))
	for i := range samples {
		var own float64
		for c := range classCount {
			own += samples[i].terms[c]
		}
		if own > 0 {
			ratios = append(ratios, samples[i].moved/own)
		}
	}
	low := 1.0
	if len(ratios) > 0 {
		low = quantile(ratios, 0.35)
	}
	for c := range classCount {
		at[c] = min(1.2, max(0.2, low))
	}
	return at
}

// quantile sorts the values.
func quantile(values []float64, q float64) float64 {
	for i := range values {
		for j := i; j > 0 && values[j] < values[j-1]; j-- {
			values[j], values[j-1] = values[j-1], values[j]
		}
	}
	return values[int(mul(q, float64(len(values)-1)))]
}

// cleanliness is how probable it is that a stretch with this residual has no burst: the residual of one with a burst is an
// exponential plus the noise, and one in fifty is wrong altogether.
func cleanliness(r, noise, free, burst float64) float64 {
	sd := math.Sqrt(noise)
	inNoise := math.Exp(-mul(r, r)/mul(2, noise)) / mul(sd, math.Sqrt(2*math.Pi))
	shift := r/sd - sd/burst
	withBurst := math.Exp(-r/burst+noise/mul(2, mul(burst, burst))) / burst * math.Erfc(-shift/math.Sqrt2) / 2
	if math.IsInf(withBurst, 0) || math.IsNaN(withBurst) {
		withBurst = 0
	}
	const wrong, width = 0.02, 100.0
	p := mul(free, inNoise)
	all := p + mul(1-free, withBurst) + wrong/width
	return p / all
}

// regress solves the normal equations with the prior. Stretches that follow one another share a reading, and its error
// with opposite signs: the rows are made independent first (a band of the Cholesky factor), so that a whole window is as
// precise as its two ends. A stretch that is not clean has so much more variance of its own.
func (f *fit) regress(samples []sample, clean []float64) {
	var a matrix
	var b vector
	for c := range classCount {
		a[c][c] = 1 / mul(weightSpread, weightSpread)
		b[c] = a[c][c]
	}
	a[classCount][classCount] = 1 / mul(steadySpread, steadySpread)
	rows := make([]vector, len(samples))
	moved := make([]float64, len(samples))
	var before float64 // the last element of the factor's diagonal
	for i := range samples {
		x := &samples[i]
		variance := x.noise() / max(1e-3, clean[i])
		rows[i], moved[i] = x.terms, x.moved
		if x.linked {
			shared := -min(x.from, samples[i-1].to) / before
			variance -= mul(shared, shared)
			for k := range terms {
				rows[i][k] -= mul(shared, rows[i-1][k])
			}
			moved[i] -= mul(shared, moved[i-1])
		}
		before = math.Sqrt(max(1e-3, variance))
		for k := range terms {
			rows[i][k] /= before
		}
		moved[i] /= before
		for j := range terms {
			b[j] += mul(rows[i][j], moved[i])
			for k := range terms {
				a[j][k] += mul(rows[i][j], rows[i][k])
			}
		}
	}
	f.spread = inverse(a)
	for j := range terms {
		f.at[j] = dot(&f.spread[j], &b)
	}
	var squares, weight float64
	for i := range rows {
		r := moved[i] - dot(&f.at, &rows[i])
		squares += mul(r, r)
		weight += clean[i]
	}
	f.excess = squares / max(1, weight-2)
}

// inverse inverts a positive definite matrix; the prior makes it one.
func inverse(a matrix) (inv matrix) {
	for j := range terms {
		inv[j][j] = 1
	}
	for p := range terms {
		pivot := 1 / a[p][p]
		for k := range terms {
			a[p][k], inv[p][k] = mul(a[p][k], pivot), mul(inv[p][k], pivot)
		}
		for j := range terms {
			if j == p {
				continue
			}
			factor := a[j][p]
			for k := range terms {
				a[j][k] -= mul(factor, a[p][k])
				inv[j][k] -= mul(factor, inv[p][k])
			}
		}
	}
	return inv
}

// estimateHead is what an estimate says of its ground.
type estimateHead struct {
	stretches, seen int64
	at              Instant
}

// estimate turns the fit into capacities: of the mix of classes that was used, and of each class alone.
func (f *fit) estimate(l *Limit, all Tokens, mix [classCount]float64, total, scale float64, head estimateHead) *Estimate {
	var direction vector
	for c := range classCount {
		direction[c] = mix[c] / total
	}
	e := &Estimate{Stretches: head.stretches, Seen: head.seen, At: head.at, Outside: min(head.seen, int64(mul(f.outside, 1000)))}
	e.Low, e.Likely, e.High = f.interval(&direction, scale, f.wide)
	e.Enough = head.stretches >= enoughStretches && head.seen >= enoughSeen && e.High > 0 &&
		float64(e.High-e.Low) <= mul(2*enoughPrecision, float64(e.Likely))
	w := l.weights()
	counts := [classCount]struct{ used, weight int64 }{
		{all.Input, w.Input}, {all.CacheRead, w.CacheRead}, {all.CacheWrite5m + all.CacheWrite1h, max(w.CacheWrite5m, w.CacheWrite1h)}, {all.Output, w.Output},
	}
	for c, n := range counts {
		if n.used == 0 || n.weight == 0 {
			continue
		}
		var alone vector
		alone[c] = float64(n.weight) / 1000
		class := ClassEstimate{Class: classNames[c]}
		class.Low, class.Likely, class.High = f.interval(&alone, scale, mul(classWide, f.wide))
		e.Classes = append(e.Classes, class)
	}
	return e
}

// interval is how many units in a direction fill the window. Steady outside spending is never negative, so its part of
// the posterior is cut off at nothing, and the two ends of the interval lie at the two ends of what is left of it.
func (f *fit) interval(direction *vector, scale, errors float64) (low, likely, high int64) {
	const steady = classCount
	sd := math.Sqrt(mul(f.spread[steady][steady], f.excess))
	least, most := steadyEnds(f.at[steady], sd, f.alone)
	share, toSteady, own := dot(direction, &f.at), 0.0, 0.0
	for j := range terms {
		own += mul(direction[j], dot(&f.spread[j], direction))
		toSteady += mul(direction[j], f.spread[j][steady])
	}
	slope := toSteady / f.spread[steady][steady] // of the share, by the steady pace
	own = max(0, mul(own-mul(slope, toSteady), f.excess))
	wide := mul(errors, math.Sqrt(own)) + mul(f.margin, share)
	at := func(pace float64) float64 { return share + mul(slope, pace-f.at[steady]) }
	ends := [2]float64{at(least), at(most)}
	units := func(share float64) int64 {
		if share <= 1e-6 {
			return 0
		}
		return int64(min(float64(MaxCapacity), 100/mul(share, scale)))
	}
	most, least = max(ends[0], ends[1]), min(ends[0], ends[1])
	middle := max((most+least)/2, wide/4, 1e-6)
	return max(1, units(most+wide)), max(1, units(middle)), units(least - wide)
}

// steadyEnds gives between what the steady pace of outside spending lies: there may be none, by the odds that are given and
// by what was seen, else it is the posterior cut off below nothing.
func steadyEnds(mean, sd, alone float64) (least, most float64) {
	const tail = 0.03
	z := mean / sd
	above := math.Erfc(-z/math.Sqrt2) / 2 // of the uncut posterior
	if above < 1e-9 {
		return 0, 0
	}
	// How the density at nothing grew or fell when the stretches were seen tells for or against there being none.
	atNothing := math.Exp(-mul(z, z)/2) / mul(sd, math.Sqrt(2*math.Pi)) / above
	atFirst := 2 / mul(steadySpread, math.Sqrt(2*math.Pi))
	some := 1 / (1 + mul(alone, atNothing/atFirst))
	at := func(p float64) float64 { // the quantile of the cut posterior
		p = min(1-1e-9, (1-above)+mul(p, above))
		return max(0, mean+mul(sd, mul(math.Sqrt2, math.Erfinv(2*p-1))))
	}
	if 1-some < tail {
		least = at(tail)
	}
	if some > tail {
		most = at(1 - tail/some)
	}
	return least, most
}
