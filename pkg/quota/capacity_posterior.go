package quota

import "math"

// posterior is all stories, with their probabilities.
type posterior struct {
	stories []story // odds are probabilities here
	outside float64 // percent
}

// learnFrom follows every belief. A belief without bursts needs one story; the others are anchored.
func learnFrom(samples []sample, direction *vector) *posterior {
	p := &posterior{}
	for _, b := range beliefs() {
		if b.begins == 0 {
			p.stories = append(p.stories, b.follow(samples, b.begin())...)
			continue
		}
		for _, first := range b.begin().anchored(direction) {
			p.stories = append(p.stories, b.follow(samples, first)...)
		}
	}
	p.weigh()
	var windows float64
	for i := range samples {
		windows += samples[i].coeffs[atSteady]
	}
	for i := range p.stories {
		st := &p.stories[i]
		p.outside += mul(st.odds, max(0, st.outside)+mul(windows, max(0, st.at[atSteady])))
	}
	return p
}

// weigh makes probabilities of the odds. Steady outside spending is never negative: what a story has of it below nothing is
// cut off.
func (p *posterior) weigh() {
	best := math.Inf(-1)
	for i := range p.stories {
		st := &p.stories[i]
		if variance := st.spread[atSteady][atSteady]; variance > 0 {
			st.odds += math.Log(max(1e-300, math.Erfc(-st.at[atSteady]/math.Sqrt(mul(2, variance)))))
		}
		best = max(best, st.odds)
	}
	var sum float64
	for i := range p.stories {
		p.stories[i].odds = math.Exp(p.stories[i].odds - best)
		sum += p.stories[i].odds
	}
	kept := p.stories[:0]
	for _, st := range p.stories {
		if st.odds /= sum; st.odds >= negligible {
			kept = append(kept, st)
		}
	}
	p.stories = kept
}

// shares gives the share in a direction as a mixture. A story with steady spending becomes one part for each of a few
// paces that are equally probable.
func (p *posterior) shares(direction *vector) (parts []normal) {
	for i := range p.stories {
		st := &p.stories[i]
		var toward vector
		for j := range unknowns {
			toward[j] = dot(&st.spread[j], direction)
		}
		mean, variance := dot(&st.at, direction), dot(&toward, direction)
		steady := st.spread[atSteady][atSteady]
		if steady <= 0 {
			parts = append(parts, normal{st.odds, mean, math.Sqrt(max(leastVariance, variance))})
			continue
		}
		sd, slope := math.Sqrt(steady), toward[atSteady]/steady
		rest := math.Sqrt(max(leastVariance, variance-mul(slope, toward[atSteady])))
		below := math.Erfc(st.at[atSteady]/sd/math.Sqrt2) / 2
		paces := fewPaces
		if st.odds > mul(10, negligible) {
			paces = manyPaces
		}
		for k := range paces {
			q := below + mul(1-below, (float64(k)+0.5)/float64(paces))
			pace := mul(sd, mul(math.Sqrt2, math.Erfinv(min(1-1e-12, mul(2, q)-1))))
			parts = append(parts, normal{st.odds / float64(paces), mean + mul(slope, max(-st.at[atSteady], pace)), rest})
		}
	}
	return parts
}

// quantileOfMixture is the point below which a mixture has such a part of its weight.
func quantileOfMixture(parts []normal, q float64) float64 {
	low, high := math.Inf(1), math.Inf(-1)
	for i := range parts {
		n := &parts[i]
		low, high = min(low, n.mean-mul(6, n.sd)), max(high, n.mean+mul(6, n.sd))
	}
	for range 24 { // to a ten millionth of the range
		middle := (low + high) / 2
		var below float64
		for i := range parts {
			n := &parts[i]
			below += mul(n.weight, math.Erfc((n.mean-middle)/n.sd/math.Sqrt2)/2)
		}
		if below < q {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}

// interval is how many units in a direction fill the window, so that the truth is outside with the chance of the tails.
func (p *posterior) interval(direction *vector, scale float64) (low, likely, high int64) {
	parts := p.shares(direction)
	middle := quantileOfMixture(parts, 0.5)
	most := quantileOfMixture(parts, 1-tail) + mul(margin, middle)
	least := quantileOfMixture(parts, tail) - mul(margin, middle)
	return max(1, capacityOf(most, scale)), max(1, capacityOf(max(leastShare, middle), scale)), capacityOf(least, scale)
}

// roughly is the same by the mean and the deviation of the mixture, so many times as wide: for one class alone.
func (p *posterior) roughly(direction *vector, scale float64) (low, likely, high int64) {
	var mean, square float64
	for _, n := range p.shares(direction) {
		mean += mul(n.weight, n.mean)
		square += mul(n.weight, mul(n.mean, n.mean)+mul(n.sd, n.sd))
	}
	wide := mul(classErrors, math.Sqrt(max(0, square-mul(mean, mean))))
	return max(1, capacityOf(mean+wide, scale)), max(1, capacityOf(max(leastShare, mean), scale)), capacityOf(mean-wide, scale)
}

// capacityOf is how many units fill the window when a unit takes such a share of its scale; 0 where nothing bounds it.
func capacityOf(share, scale float64) int64 {
	if share < leastShare {
		return 0
	}
	return int64(min(float64(MaxCapacity), 100/mul(share, scale)))
}
