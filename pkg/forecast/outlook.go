package forecast

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The numbers of the method, chosen by what back-tests best over generated fleets and real traces (docs/forecasts.md).
const (
	paths        = 200                 // of a bundle: the ends of an interval then rest on twenty
	rehearsed    = 100                 // of one for a past week or window, of which there are many
	block        = 24 * time.Hour      // for so long a path follows one analogous moment
	recentSpan   = 2 * time.Hour       // how much goes on
	daySpan      = 24 * time.Hour      // how busy a day it is
	levelSpan    = 72 * time.Hour      // how busy the days are, for the days after the first
	halfLife     = 28 * 24 * time.Hour // use so long ago counts half
	hoursApart   = 3                   // an analogous moment is at most so far from the hour of the day
	otherDay     = 0.5                 // weight of another day of the same kind
	otherKind    = 0.05                // and of a day of the other kind
	likeness     = 1.0                 // how far the logarithm of the recent use may differ
	dayLikeness  = 2.0                 // and that of the last day
	goOn         = 0.8                 // the chance that the next day is the one that followed in the past
	levelKept    = 0.3                 // part of the difference in level that the paths are moved by
	levelDays    = 7.0                 // in which that fades
	recentFloor  = 0.1                 // of the mean use, added before logarithms are taken
	dayFloor     = 0.2                 // the same for a day
	leadIn       = 6 * time.Hour       // of past before an analogous moment
	persists     = 0.5                 // part of the paths in which what goes on now goes on
	persistSpan  = time.Hour           // in which that is measured
	persistLeast = 1.0                 // hours in which it fades, at the least
	persistMost  = 24.0                // and at the most
	seed         = 0x666f7265          // of the drawing of paths, so that the same past gives the same answer
	intervalPart = 0.1                 // of the paths lies beyond either end of an interval
)

// Outlook is a bundle of paths that the use may take from a moment on; each is as likely as another.
type Outlook struct {
	start time.Time
	step  time.Duration
	paths [][]float64
}

// Ahead looks as far ahead as asked for, in whole steps. Errors: *HistoryError.
func (h *History) Ahead(far time.Duration) (*Outlook, error) {
	if h.Span() < MinHistory {
		return nil, &HistoryError{Have: h.Span(), Need: MinHistory}
	}
	n := int((far + h.step - 1) / h.step)
	return h.ahead(len(h.used), max(1, n)), nil
}

// ahead looks n steps ahead from an earlier moment, knowing only what was before it.
func (h *History) ahead(origin, n int) *Outlook {
	o := &Outlook{start: h.at(origin), step: h.step, paths: make([][]float64, paths)}
	room := make([]float64, 0, paths*n)
	for i, c := range h.courses(paths, origin, n) {
		o.paths[i] = h.follow(c, room[i*n:i*n:(i+1)*n])
	}
	return o
}

// course is how a path goes: after analogous moments, one a day, with what goes on now fading beside them.
type course struct {
	legs         []leg
	excess, fade float64 // more, or less, than after the first moment: in the step before the first, and what stays of it in each
}

// leg follows one moment of the past for some steps, at a level.
type leg struct {
	at, length int
	level      float64
}

// courses draws some courses that the use may take in n steps from a moment on, knowing only what was before it.
func (h *History) courses(count, origin, n int) []course {
	d := &drawing{
		History: h, origin: origin, n: n, mean: h.between(0, origin) / float64(max(1, origin)),
		rng: rand.New(rand.NewPCG(seed, uint64(origin))), cached: map[lookup][]candidate{}, aged: make([]float64, origin),
		calmer: make([]float64, origin),
	}
	day := d.steps(block)
	days := (n + day - 1) / day
	d.lists, d.kept = make([][]candidate, days), make([]float64, days)
	for i := range d.kept {
		d.kept[i] = levelKept * math.Exp(-(time.Duration(i*day)*d.step).Hours()/24/levelDays)
	}
	all, legs := make([]course, count), make([]leg, 0, count*days)
	for i := range all {
		all[i] = d.course(legs[i*days : i*days : (i+1)*days])
	}
	return all
}

// follow appends the use of every step of a course to an empty path.
func (h *History) follow(c course, path []float64) []float64 {
	excess := c.excess
	for _, l := range c.legs {
		for _, used := range h.used[l.at : l.at+l.length] {
			excess *= c.fade
			path = append(path, max(0, used*l.level+excess))
		}
	}
	return path
}

// usedUntil is what a course uses in the first steps, each evenly, without a path of them.
func (h *History) usedUntil(c course, steps float64) float64 {
	sum, begins := 0.0, 0.0
	for _, l := range c.legs {
		part := min(float64(l.length), steps-begins)
		if part <= 0 {
			break
		}
		whole := int(part)
		used := h.between(l.at, l.at+whole)
		if rest := part - float64(whole); rest > 0 {
			used += rest * h.used[l.at+whole]
		}
		sum += used * l.level
		begins += float64(l.length)
	}
	return sum + h.excessUntil(c, steps)
}

// excessUntil is how much more, or less, that is for what goes on now. Less than nothing is used in no step.
func (h *History) excessUntil(c course, steps float64) (sum float64) {
	if c.excess == 0 {
		return 0
	}
	excess := c.excess
	for _, l := range c.legs {
		for _, used := range h.used[l.at : l.at+l.length] {
			if steps <= 0 {
				return sum
			}
			excess *= c.fade
			sum += max(-used*l.level, excess) * min(1, steps)
			steps--
		}
	}
	return sum
}

// drawing draws courses from a moment on.
type drawing struct {
	*History
	origin, n int
	mean      float64 // use of a step
	rng       *rand.Rand
	lists     [][]candidate          // of each day, once it is known
	kept      []float64              // on each day, of the difference in level
	cached    map[lookup][]candidate // of the later days
	aged      []float64              // the weights of moments by their age, once they are known; 0 before
	calmer    []float64              // by how much the days before a moment were calmer than those before the present, as a logarithm; 0 before
}

// lookup is what is looked for on a later day: the last one may be shorter than a day, so that later moments are long enough.
type lookup struct {
	slot
	length int
}

// candidate is a moment of the past that may stand for one to come.
type candidate struct {
	at    int
	total float64 // of the weights up to this one
}

// course draws one: it follows one analogous moment for a day, then the next one.
func (d *drawing) course(legs []leg) course {
	day := d.steps(block)
	previous, level := -1, 1.0
	for from := 0; from < d.n; from += day {
		length := min(day, d.n-from)
		target := d.slotAt(d.origin + from)
		at := previous + day
		if previous < 0 || d.rng.Float64() >= goOn || at+length > d.origin || weekend(d.slots[at].day) != weekend(target.day) {
			at = d.draw(from, length, target)
			level = d.level(at, from)
		}
		legs = append(legs, leg{at, length, level})
		previous = at
	}
	c := course{legs: legs}
	d.persist(&c)
	return c
}

// persist has what goes on now, beyond what went on before the analogous moment, fade over hours instead of vanish, in some
// of the courses: a burst that nothing in the past is like may last.
func (d *drawing) persist(c *course) {
	if d.rng.Float64() >= persists {
		return
	}
	first := c.legs[0]
	c.excess = d.rate(d.origin, persistSpan) - first.level*d.rate(first.at, persistSpan)
	lasts := persistLeast * math.Pow(persistMost/persistLeast, d.rng.Float64())
	c.fade = math.Exp(-d.step.Hours() / lasts)
}

// draw picks a moment by weight.
func (d *drawing) draw(from, length int, target slot) int {
	list := d.candidates(from, length, target)
	x := d.rng.Float64() * list[len(list)-1].total
	i, _ := slices.BinarySearchFunc(list, x, func(c candidate, x float64) int {
		if c.total < x {
			return -1
		}
		return 1
	})
	return list[min(i, len(list)-1)].at
}

// candidates lists the moments that may stand for a target; there is always one.
func (d *drawing) candidates(from, length int, target slot) []candidate {
	list := &d.lists[from/d.steps(block)]
	if *list != nil {
		return *list
	}
	if from == 0 {
		*list = d.search(length, target, true)
		return *list
	}
	l := lookup{target, length}
	if d.cached[l] == nil {
		d.cached[l] = d.search(length, target, false)
	}
	*list = d.cached[l]
	return *list
}

func (d *drawing) search(length int, target slot, present bool) (list []candidate) {
	total := 0.0
	stride := max(1, d.steps(time.Hour)/2)
	for at := d.origin - length; at >= d.steps(leadIn); at -= stride {
		if weight := d.weight(at, target, present); weight > 0 {
			total += weight
			list = append(list, candidate{at, total})
		}
	}
	if len(list) == 0 { // a clock change at the edge of a short past
		return []candidate{{max(0, d.origin-length), 1}}
	}
	return list
}

// nearness is the weight of a moment by how many hours of the day it is apart.
var nearness = [hoursApart + 1]float64{1, math.Exp(-0.5), math.Exp(-2), math.Exp(-4.5)}

// weight is how well a moment stands for a target; for that of the present the recent use counts too.
func (d *drawing) weight(at int, target slot, present bool) float64 {
	s := d.slots[at]
	apart := max(s.hour, target.hour) - min(s.hour, target.hour)
	apart = min(apart, 24-apart)
	if apart > hoursApart {
		return 0
	}
	weight := d.age(at) * nearness[apart]
	switch {
	case s.day == target.day:
	case weekend(s.day) == weekend(target.day):
		weight *= otherDay
	default:
		weight *= otherKind
	}
	if present {
		weight *= d.alike(at, recentSpan, recentFloor, likeness) * d.alike(at, daySpan, dayFloor, dayLikeness)
	}
	return weight
}

// age is the weight of a moment by its age. Every hour of the week asks for that of the same moments.
func (d *drawing) age(at int) float64 {
	if d.aged[at] == 0 {
		d.aged[at] = math.Exp2(-float64(d.origin-at) * d.step.Hours() / halfLife.Hours())
	}
	return d.aged[at]
}

// alike compares how much went on before a moment with how much goes on now.
func (d *drawing) alike(at int, span time.Duration, floor, scale float64) float64 {
	return math.Exp(-math.Abs(d.against(at, span, floor)) / scale)
}

// against is the use before the present for that before an earlier moment, as a logarithm; floor keeps quiet times comparable.
func (d *drawing) against(at int, span time.Duration, floor float64) float64 {
	if d.mean == 0 {
		return 0
	}
	return math.Log((d.rate(d.origin, span)/d.mean + floor) / (d.rate(at, span)/d.mean + floor))
}

// level moves what followed an earlier moment towards the level of now, the less the farther ahead.
func (d *drawing) level(at, from int) float64 {
	if from == 0 {
		return math.Exp(d.kept[0] * d.against(at, daySpan, dayFloor))
	}
	if d.calmer[at] == 0 {
		d.calmer[at] = d.against(at, levelSpan, dayFloor)
	}
	return math.Exp(d.kept[from/d.steps(block)] * d.calmer[at])
}

// quantile of sorted values: the smallest that a part of them does not exceed.
func quantile(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[rank(len(sorted), part)-1]
}

// rank is how many values are up to that quantile.
func rank(n int, part float64) int { return min(n, max(1, int(math.Ceil(part*float64(n))))) }

// total is what a path uses.
func total(path []float64) (sum float64) {
	for _, used := range path {
		sum += used
	}
	return sum
}
