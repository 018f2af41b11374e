package learn

import "math"

const (
	// binWidth is that of a bin of a mixture, of the logarithm: as wide as one of a sketch.
	binWidth = 2 * Accuracy
	// maxBin holds the largest figure that there can be; larger ones are counted there.
	maxBin = 1024
)

// mixture is what the next task will use, as weights of bins, and into which classes it divides.
type mixture struct {
	bins   [maxBin]bin
	total  float64 // weight
	shares Shares
	ground Ground
}

// bin is a weight, and weight × value in sum.
type bin struct{ weight, sum float64 }

func (b *bin) value() float64 { return b.sum / b.weight }

// add puts a value in; less than a token counts as one.
func (m *mixture) add(value, weight float64) {
	value = max(1, value)
	b := &m.bins[min(maxBin-1, int(math.Log(value)/binWidth))]
	b.weight += weight
	b.sum += weight * value
	m.total += weight
}

// quantile gives the value below which a part of the weight lies; 0 where there is none.
func (m *mixture) quantile(part float64) (value float64) {
	sum := 0.0
	for i := range m.bins {
		b := &m.bins[i]
		if b.weight == 0 {
			continue
		}
		value = b.value()
		if sum += b.weight; sum >= part*m.total {
			break
		}
	}
	return value
}

// shape is a distribution in two figures: mean and standard deviation of the logarithms.
type shape struct{ mean, sigma float64 }

// shape gives the two figures of a mixture.
func (m *mixture) shape() (s shape) {
	squares := 0.0
	for i := range m.bins {
		if b := &m.bins[i]; b.weight > 0 {
			log := math.Log(b.value())
			s.mean += b.weight * log
			squares += b.weight * log * log
		}
	}
	s.mean /= m.total
	s.sigma = math.Sqrt(max(0, squares/m.total-s.mean*s.mean))
	return s
}

// quantile is that of the log-normal with this shape.
func (s shape) quantile(part float64) float64 { return math.Exp(s.mean + s.sigma*normalQuantile(part)) }

// normalQuantile is that of the standard normal distribution.
func normalQuantile(part float64) float64 { return math.Sqrt2 * math.Erfinv(2*part-1) }

// logCost is the logarithm of what one more task that fits costs, in tokens held and not used, where a share of them fits
// already: F(q) ÷ f(q) of the log-normal at its quantile q. It grows with the share.
func (s shape) logCost(share float64) float64 {
	z := normalQuantile(share)
	logDensity := -z*z/2 - math.Log(2*math.Pi)/2
	return math.Log(share) - logDensity + math.Log(s.sigma) + s.mean + s.sigma*z
}
