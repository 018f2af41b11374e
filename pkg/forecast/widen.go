package forecast

import (
	"math"
	"slices"
)

// What makes one window differ from the next does not show within one bundle of paths, least where the past is short and
// agents come and go. So past windows are forecast again, as far from their end as the present one is, and the interval is
// widened until it would have held four in five of those that ran out: conformal prediction, with a few made-up cases in front
// that stand for a past that is not there.
const (
	windowRehearsals = 16  // past windows, the latest
	rehearsalsApart  = 2   // windows, so that the hours of the day take turns
	mostRoom         = 3.0 // logarithm of by how much more, or less, may be used than a path says
	roomSteps        = 6   // of a search for it: to a twentieth
)

// priorMisses are the made-up cases: by how much the interval has to be widened where nothing is known of it yet. The second decides
// alone where no past window was rehearsed; it is as large as the days of single clients of a trace took to hold four in five.
func priorMisses() []float64 { return []float64{0, 2} }

// RunsOut tells when a window runs out. Errors: *HistoryError.
func (h *History) RunsOut(w Window) (*Exhaustion, error) {
	o, err := h.Ahead(w.End.Sub(h.End()))
	if err != nil {
		return nil, err
	}
	soFar := max(0, h.steps(h.End().Sub(w.Start)))
	e := o.Exhaustion(w.Capacity-w.Used, h.missing(len(h.used), soFar, len(o.paths[0]), map[rehearsal][]float64{}))
	return &e, nil
}

// rehearsal is a past forecast: from when, and how far.
type rehearsal struct{ origin, soFar, left int }

// missing is by how much intervals that begin with a moment have to be widened, as a logarithm. known keeps what rehearsals
// came to, for further moments of the same past.
func (h *History) missing(origin, soFar, left int, known map[rehearsal][]float64) float64 {
	misses, o := priorMisses(), &Outlook{}
	length := soFar + left
	// Counted from the beginning of the past, so that the next moment rehearses with the same windows.
	last := (origin - left) / length * length
	for k := range windowRehearsals {
		from := last - k*rehearsalsApart*length
		if h.at(from+left).After(h.at(origin)) || from < max(soFar, h.steps(MinHistory)/2) {
			continue
		}
		r := rehearsal{from, soFar, left}
		of, done := known[r]
		if !done {
			of = h.rehearse(o, r)
			known[r] = of
		}
		misses = append(misses, of...)
	}
	slices.Sort(misses)
	return quantile(misses, 1-2*intervalPart)
}

// rehearse forecasts a past window at each capacity, in the room of an outlook, and lists by how much the interval missed where it ran out.
func (h *History) rehearse(o *Outlook, r rehearsal) (misses []float64) {
	usual := h.between(0, r.origin) / float64(r.origin) * float64(r.soFar+r.left)
	if usual == 0 {
		return nil
	}
	drawn := false
	for _, part := range capacities() {
		room := part*usual - h.between(r.origin-r.soFar, r.origin)
		if room <= 0 {
			continue
		}
		actual := crossing(h.used[r.origin:r.origin+r.left], room)
		if math.IsInf(actual, 1) {
			continue
		}
		if !drawn {
			o, drawn = h.redraw(o, r.origin, r.left), true
		}
		misses = append(misses, o.miss(room, actual))
	}
	return misses
}

// miss is by how much the interval has to be widened to hold what happened, in steps of the search.
func (o *Outlook) miss(room, actual float64) float64 {
	held := func(by float64) bool {
		early, late := o.between(room, by)
		return actual >= early && actual <= late
	}
	if held(0) {
		return 0
	}
	low, high := 0.0, mostRoom
	for range roomSteps {
		if middle := (low + high) / 2; held(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// between is the interval in steps, widened: as if more, or less, were used than the paths say.
func (o *Outlook) between(room, by float64) (early, late float64) {
	return quantile(o.crossings(room*math.Exp(-by)), intervalPart), quantile(o.crossings(room*math.Exp(by)), 1-intervalPart)
}
