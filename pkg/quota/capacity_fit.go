package quota

import "math"

// The fit of capacity.go: filters (Kalman's) that go through the stretches, each with a belief of what happens outside. As
// far as a filter knows, what is unknown is normal; whether something was spent outside in a stretch is not, so that each
// stretch is followed both ways, and what came of it is merged by whether something was spent in the last one. Merging keeps
// what all ways together make probable; only the likeliest ones would make bursts look less probable with every stretch.

// The unknowns of a fit: the share of each class, then these.
const (
	atSteady  = classCount     // percent of a window that steady outside spending takes
	atLate    = classCount + 1 // the part of what is late that a reading has not seen
	atReading = classCount + 2 // the error of the last reading
	unknowns  = classCount + 3
)

type vector [unknowns]float64
type matrix [unknowns]vector

func dot(a, b *vector) (sum float64) {
	for i := range a {
		sum += mul(a[i], b[i])
	}
	return sum
}

// sample is a stretch in percent.
type sample struct {
	moved  float64
	coeffs vector  // of the unknowns
	own    float64 // variance of the stretch itself
	from   float64 // variance of the reading at its beginning
	to     float64 // and at its end
	linked bool    // it begins where the one before ends: the same reading, with the same error
}

// normal is one part of a mixture.
type normal struct{ weight, mean, sd float64 }

// belief is what may be known of outside spending before anything is seen.
type belief struct {
	prior    float64 // how probable
	steady   bool    // there is some at a steady pace
	restless float64 // and it wavers: the variance that this adds to a stretch
	begins   float64 // the chance that a burst begins in a stretch; 0 for no bursts
	lasts    float64 // that one of the stretch before goes on
}

// beliefs are those that are followed: nobody else spends, somebody does steadily, or with pauses and surges too short to be
// told apart, in bursts of minutes, or in spells of hours.
func beliefs() [7]belief {
	return [7]belief{
		{prior: 0.2},
		{prior: 0.3, steady: true},
		{prior: 0.1, steady: true, restless: 0.25},
		{prior: 0.1, steady: true, restless: 1},
		{prior: 0.1, steady: true, restless: 4},
		{prior: 0.3, begins: 0.15, lasts: 0.7},
		{prior: 0.1, begins: 0.08, lasts: 0.92},
	}
}

// spendings are what may be spent outside in a stretch, by how much: nothing, a burst of some size, or the stretch is
// wrong altogether, as after a correction.
func spendings(burst float64) [5]normal {
	const wrong = 0.003
	return [5]normal{{1 - burst - wrong, 0, 0}, {wrong, 0, 15}, {mul(burst, 0.35), 0.8, 0.6}, {mul(burst, 0.40), 3, 2}, {mul(burst, 0.25), 9, 7}}
}

// burstFrom is the first of the spendings that are bursts.
const burstFrom = 2

// story is what is known of the unknowns at the end of a stretch, and how probable it is.
type story struct {
	odds    float64 // logarithm
	at      vector
	spread  matrix  // covariance
	burst   bool    // something was spent outside in the stretch
	outside float64 // percent that were spent in bursts
}

// begin is a story of a belief before anything is seen.
func (b *belief) begin() story {
	st := story{odds: math.Log(b.prior)}
	for c := range classCount {
		st.at[c], st.spread[c][c] = 1, mul(weightSpread, weightSpread)
	}
	if b.steady {
		st.spread[atSteady][atSteady] = mul(steadySpread, steadySpread)
	}
	st.at[atLate], st.spread[atLate][atLate] = 0.5, mul(lateSpread, lateSpread)
	return st
}

// anchored cuts a story into narrow ones, side by side along the direction of the mix. With bursts, what is probable at
// the beginning may turn out wrong much later; a story that is narrow cannot be led astray, and those that are right come out.
func (st story) anchored(direction *vector) (list [anchors]story) {
	var toward vector
	for j := range unknowns {
		toward[j] = dot(&st.spread[j], direction)
	}
	mean, square := dot(&st.at, direction), dot(&toward, direction)
	share := anchorFirst
	for i := range list {
		list[i] = st
		a := &list[i]
		sd := mul(share, anchorSpread)
		for j := range unknowns {
			a.at[j] += mul(toward[j], (share-mean)/square)
			for k := range unknowns {
				a.spread[j][k] -= mul(mul(toward[j], toward[k]), (square-mul(sd, sd))/mul(square, square))
			}
		}
		a.odds -= math.Log(anchors)
		share = mul(share, anchorRatio)
	}
	return list
}

// follow goes through the stretches, from a story.
func (b *belief) follow(samples []sample, first story) []story {
	stories := []story{first}
	var clean, burst merging
	for i := range samples {
		clean, burst = merging{}, merging{}
		var paths [2]path
		best := math.Inf(-1)
		for k := range stories {
			paths[k] = b.path(&samples[i], &stories[k])
			best = max(best, paths[k].best())
		}
		for k := range stories {
			paths[k].merge(best, &clean, &burst)
		}
		stories = burst.into(clean.into(stories[:0], best), best)
	}
	return stories
}

// path is how a story goes on over a stretch.
type path struct {
	story
	x        *sample
	seen     vector  // covariance of the unknowns with what is seen
	off      float64 // what is seen less what was expected
	variance float64 // of that
	ways     int
	spent    [5]normal
	odds     [5]float64
}

// path is how a story goes on over a stretch: in each way that something was spent or not.
func (b *belief) path(x *sample, st *story) path {
	p := path{story: *st, x: x, ways: burstFrom, variance: x.own + x.to + b.restless}
	if !x.linked {
		for j := range unknowns {
			p.spread[j][atReading], p.spread[atReading][j] = 0, 0
		}
		p.at[atReading], p.spread[atReading][atReading] = 0, x.from
	}
	for j := range unknowns {
		p.seen[j] = dot(&p.spread[j], &x.coeffs)
	}
	p.off = x.moved - dot(&x.coeffs, &p.at)
	p.variance += dot(&x.coeffs, &p.seen)
	if b.begins > 0 {
		p.ways = len(p.spent)
	}
	p.spent = spendings(b.chance(x, st))
	for w := range p.ways {
		n := &p.spent[w]
		variance := p.variance + mul(n.sd, n.sd)
		off := p.off - n.mean
		p.odds[w] = st.odds + math.Log(n.weight) - mul(off, off)/mul(2, variance) - math.Log(variance)/2
	}
	return p
}

// chance is how probable a burst is in a stretch after what was before it.
func (b *belief) chance(x *sample, st *story) float64 {
	switch {
	case b.begins == 0:
		return 0
	case !x.linked:
		return b.begins / (1 + b.begins - b.lasts)
	case st.burst:
		return b.lasts
	}
	return b.begins
}

func (p *path) best() float64 {
	best := math.Inf(-1)
	for _, o := range p.odds[:p.ways] {
		best = max(best, o)
	}
	return best
}

// merge adds the ways that are not hopeless.
func (p *path) merge(best float64, clean, burst *merging) {
	for w := range p.ways {
		weight := p.odds[w] - best
		if weight < hopeless {
			continue
		}
		into := clean
		if w >= burstFrom {
			into = burst
		}
		into.add(p, &p.spent[w], w >= burstFrom, math.Exp(weight))
	}
}

// merging adds up stories to one with the same mean and spread.
type merging struct {
	weight, outside float64
	at              vector
	spread          matrix // upper half
	burst           bool
}

// add is the step of a Kalman filter. The error of the reading at the end takes the place of that at the beginning.
func (m *merging) add(p *path, spent *normal, burst bool, weight float64) {
	variance := p.variance + mul(spent.sd, spent.sd)
	off := p.off - spent.mean
	gain := off / variance
	m.burst = burst
	m.weight += weight
	outside := p.outside
	if burst {
		outside += spent.mean + mul(mul(spent.sd, spent.sd), gain)
	}
	m.outside += mul(weight, outside)
	var at, seen vector
	for j := range atReading {
		at[j], seen[j] = p.at[j]+mul(p.seen[j], gain), p.seen[j]
	}
	at[atReading], seen[atReading] = mul(p.x.to, gain), p.x.to
	for j := range unknowns {
		m.at[j] += mul(weight, at[j])
		for k := j; k < unknowns; k++ {
			spread := 0.0
			switch {
			case k < atReading:
				spread = p.spread[j][k]
			case j == atReading:
				spread = p.x.to
			}
			m.spread[j][k] += mul(weight, spread-mul(seen[j], seen[k])/variance+mul(at[j], at[k]))
		}
	}
}

func (m *merging) into(stories []story, best float64) []story {
	if m.weight == 0 {
		return stories
	}
	st := story{odds: best + math.Log(m.weight), burst: m.burst, outside: m.outside / m.weight}
	for j := range unknowns {
		st.at[j] = m.at[j] / m.weight
	}
	for j := range unknowns {
		for k := j; k < unknowns; k++ {
			st.spread[j][k] = m.spread[j][k]/m.weight - mul(st.at[j], st.at[k])
			st.spread[k][j] = st.spread[j][k]
		}
	}
	return append(stories, st)
}
