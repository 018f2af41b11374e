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
	room  []float64 // of the paths
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
func (h *History) ahead(origin, n int) *Outlook { return h.redraw(&Outlook{}, origin, n) }

// redraw is ahead in the room of a bundle that is of no more use: a need takes some twenty.
func (h *History) redraw(o *Outlook, origin, n int) *Outlook {
	d := &drawing{
		History: h, origin: origin, n: n, mean: h.between(0, origin) / float64(max(1, origin)),
		rng: rand.New(rand.NewPCG(seed, uint64(origin))), cached: map[lookup][]candidate{}, aged: make([]float64, origin),
	}
	if len(o.room) < paths*n {
		o.room, o.paths = make([]float64, paths*n), make([][]float64, paths)
	}
	o.start, o.step = h.at(origin), h.step
	for i := range o.paths {
		o.paths[i] = d.path(o.room[i*n : i*n : (i+1)*n])
	}
	return o
}

// drawing draws paths from a moment on.
type drawing struct {
	*History
	origin, n int
	mean      float64 // use of a step
	rng       *rand.Rand
	first     []candidate
	cached    map[lookup][]candidate // of the later days
	aged      []float64              // the weights of moments by their age, once they are known; 0 before
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

// path follows one analogous moment for a day, then the next one, and appends to an empty path.
func (d *drawing) path(path []float64) []float64 {
	day := d.steps(block)
	previous, level := -1, 1.0
	first, firstLevel := 0, 1.0
	for from := 0; from < d.n; from += day {
		length := min(day, d.n-from)
		target := d.slotAt(d.origin + from)
		at := previous + day
		if previous < 0 || d.rng.Float64() >= goOn || at+length > d.origin || weekend(d.slots[at].day) != weekend(target.day) {
			at = d.draw(from, length, target)
			level = d.level(at, from)
		}
		for _, used := range d.used[at : at+length] {
			path = append(path, used*level)
		}
		if previous < 0 {
			first, firstLevel = at, level
		}
		previous = at
	}
	d.persist(path, first, firstLevel)
	return path
}

// persist has what goes on now, beyond what went on before the analogous moment, fade over hours instead of vanish, in some
// of the paths: a burst that nothing in the past is like may last.
func (d *drawing) persist(path []float64, at int, level float64) {
	if d.rng.Float64() >= persists {
		return
	}
	excess := d.rate(d.origin, persistSpan) - level*d.rate(at, persistSpan)
	lasts := persistLeast * math.Pow(persistMost/persistLeast, d.rng.Float64())
	fade := math.Exp(-d.step.Hours() / lasts)
	for i := range path {
		excess *= fade
		path[i] = max(0, path[i]+excess)
	}
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
	if from == 0 {
		if d.first == nil {
			d.first = d.search(length, target, true)
		}
		return d.first
	}
	l := lookup{target, length}
	list, ok := d.cached[l]
	if !ok {
		list = d.search(length, target, false)
		d.cached[l] = list
	}
	return list
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
	return math.Exp(-math.Abs(math.Log(d.against(at, span, floor))) / scale)
}

// against is the use before the present for that before an earlier moment; floor keeps quiet times comparable.
func (d *drawing) against(at int, span time.Duration, floor float64) float64 {
	if d.mean == 0 {
		return 1
	}
	return (d.rate(d.origin, span)/d.mean + floor) / (d.rate(at, span)/d.mean + floor)
}

// level moves what followed an earlier moment towards the level of now, the less the farther ahead.
func (d *drawing) level(at, from int) float64 {
	span := daySpan
	if from > 0 {
		span = levelSpan
	}
	days := (time.Duration(from) * d.step).Hours() / 24
	return math.Pow(d.against(at, span, dayFloor), levelKept*math.Exp(-days/levelDays))
}

// quantile of sorted values: the smallest that a part of them does not exceed.
func quantile(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(part*float64(len(sorted))))-1))]
}

// total is what a path uses.
func total(path []float64) (sum float64) {
	for _, used := range path {
		sum += used
	}
	return sum
}
