package forecast

import (
	"math"
	"slices"
	"time"
)

// Range is a likely value with an interval that it is in with four chances in five.
type Range struct{ Low, Likely, High float64 }

// Hour is what one hour is to need.
type Hour struct {
	Start    time.Time
	Expected float64 // the mean: hours add up to a week
	High     float64 // enough with nine chances in ten
}

// Need is what some time is to need.
type Need struct {
	From, To time.Time
	Total    Range
	outlook  *Outlook
}

// Hours tells of each hour of it.
func (n *Need) Hours() []Hour { return n.outlook.hours() }

const (
	// Past weeks are forecast again, a day apart, to see how wide the interval of the total must be: what makes whole weeks
	// differ does not show within a bundle.
	rehearsals   = 20
	enoughToTell = 8   // rehearsals; with fewer the bundle alone decides
	mostWidening = 3.0 // times
	totalFloor   = 0.1 // of the usual total, added before logarithms are taken
	leastWidth   = 0.02
)

// NextWeek tells what the 168 hours from the end of the past on are to need. Errors: *HistoryError where there is less
// than a week of past.
func (h *History) NextWeek() (*Need, error) {
	if h.Span() < Week {
		return nil, &HistoryError{Have: h.Span(), Need: Week}
	}
	return h.need(len(h.used)), nil
}

func (h *History) need(origin int) *Need {
	o := h.ahead(origin, h.steps(Week))
	totals := o.totals()
	widen, floor := h.widening(origin), totalFloor*h.usualWeek(origin)
	likely := quantile(totals, 0.5)
	stretched := func(part float64) float64 {
		ratio := (quantile(totals, part) + floor) / (likely + floor)
		if math.IsNaN(ratio) {
			return likely
		}
		return max(0, (likely+floor)*math.Pow(ratio, widen)-floor)
	}
	// Rounding must not turn an interval around.
	between := Range{min(likely, stretched(intervalPart)), likely, max(likely, stretched(1-intervalPart))}
	return &Need{From: o.start, To: o.start.Add(Week), Total: between, outlook: o}
}

// usualWeek is the mean use of a week before a moment.
func (h *History) usualWeek(origin int) float64 {
	return h.between(0, origin) / float64(max(1, origin)) * float64(h.steps(Week))
}

func (o *Outlook) totals() []float64 {
	totals := make([]float64, len(o.paths))
	for i, path := range o.paths {
		totals[i] = total(path)
	}
	slices.Sort(totals)
	return totals
}

// hours gathers the steps of each hour over all paths.
func (o *Outlook) hours() []Hour {
	per := int(time.Hour / o.step)
	hours := make([]Hour, len(o.paths[0])/per)
	sums := make([]float64, len(o.paths))
	for i := range hours {
		for k, path := range o.paths {
			sums[k] = total(path[i*per : (i+1)*per])
		}
		expected := total(sums) / float64(len(sums))
		slices.Sort(sums)
		hours[i] = Hour{o.start.Add(time.Duration(i) * time.Hour), expected, quantile(sums, 1-intervalPart)}
	}
	return hours
}

// widening is by which power the interval of a total must be widened so that it would have held the weeks before.
func (h *History) widening(origin int) float64 {
	week, day := h.steps(Week), h.steps(24*time.Hour)
	var misses []float64
	for from := origin - week; from >= week && len(misses) < rehearsals; from -= day {
		misses = append(misses, h.miss(from, week))
	}
	if len(misses) < enoughToTell {
		return 1
	}
	slices.Sort(misses)
	return min(mostWidening, max(1, quantile(misses, 1-2*intervalPart)))
}

// miss is how far the total of a past week was from the likely one of a forecast of it, in half widths of the interval.
func (h *History) miss(from, week int) float64 {
	totals := h.usesUntil(h.courses(rehearsed, from, week), float64(week))
	floor := totalFloor * h.usualWeek(from)
	likely, actual := quantile(totals, 0.5)+floor, h.between(from, from+week)+floor
	end := quantile(totals, 1-intervalPart) + floor
	if actual < likely {
		end = quantile(totals, intervalPart) + floor
	}
	if likely <= 0 || actual <= 0 || end <= 0 { // nothing was used at all
		return 0
	}
	return math.Abs(math.Log(actual/likely)) / max(leastWidth, math.Abs(math.Log(end/likely)))
}
