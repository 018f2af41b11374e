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
	misses := priorMisses()
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
			of = h.rehearse(r)
			known[r] = of
		}
		misses = append(misses, of...)
	}
	slices.Sort(misses)
	return quantile(misses, 1-2*intervalPart)
}

// rehearse forecasts a past window at each capacity, and lists by how much the interval missed where it ran out.
func (h *History) rehearse(r rehearsal) (misses []float64) {
	usual := h.between(0, r.origin) / float64(r.origin) * float64(r.soFar+r.left)
	if usual == 0 {
		return nil
	}
	var courses []course
	for _, part := range capacities() {
		room := part*usual - h.between(r.origin-r.soFar, r.origin)
		if room <= 0 {
			continue
		}
		actual := crossing(h.used[r.origin:r.origin+r.left], room)
		if math.IsInf(actual, 1) {
			continue
		}
		if courses == nil {
			courses = h.courses(rehearsed, r.origin, r.left)
		}
		misses = append(misses, missed(h.usesUntil(courses, actual), room))
	}
	return misses
}

// missed is by how much the interval has to be widened to hold the moment at which room was used up, up to which each course uses as much
// as is given, in order. A course that uses as much as the room until then has used it up by then. So the early end is not later once so
// many courses as it takes for it use up the narrowed room, and the late end is not earlier while all but as many do not use more than
// the widened room.
func missed(used []float64, room float64) float64 {
	n := len(used)
	early := math.Log(room / used[n-rank(n, intervalPart)])
	late := math.Log(used[n-rank(n, 1-intervalPart)] / room)
	return min(mostRoom, max(0, early, late))
}

// usesUntil gives, in order, what each course uses in the first steps.
func (h *History) usesUntil(courses []course, steps float64) []float64 {
	used := make([]float64, len(courses))
	for i, c := range courses {
		used[i] = h.usedUntil(c, steps)
	}
	slices.Sort(used)
	return used
}

// between is the interval in steps, widened: as if more, or less, were used than the paths say.
func (o *Outlook) between(room, by float64) (early, late float64) {
	return quantile(o.crossings(room*math.Exp(-by)), intervalPart), quantile(o.crossings(room*math.Exp(by)), 1-intervalPart)
}
