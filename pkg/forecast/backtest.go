package forecast

import (
	"math"
	"slices"
	"time"
)

const (
	// Most windows never run out, which proves nothing. So past windows are given capacities at which some do: parts and
	// multiples of what a window used on average before it.
	mostWindows = 60 // of a back-test; they are spread over the past
	mostWeeks   = 14
	// testFrom is the part of a past that is only learned from.
	testFrom = 0.4
)

// capacities of test windows, in usual uses of a window.
func capacities() []float64 { return []float64{0.5, 1, 1.5} }

// looks are the parts of a window that are over when it is forecast.
func looks() []float64 { return []float64{0.2, 0.5} }

// WindowErrors is how well a method told when windows run out.
type WindowErrors struct {
	Method string
	// Median and P90 of how far off the likely time was, where the window ran out or was said to; a time beyond the end
	// counts as the end.
	Median, P90 time.Duration
	// Called is the part of the windows of which it was rightly told whether they run out.
	Called float64
}

// WindowTest is a back-test of windows of one length.
type WindowTest struct {
	Length  time.Duration
	Cases   int     // forecasts
	RanOut  int     // of the cases
	Covered float64 // part of the cases in the interval; four in five are promised
	// RanOutCovered is the same of the cases that ran out.
	RanOutCovered float64
	Methods       []WindowErrors
}

// NeedErrors is how well a method told what a week needs.
type NeedErrors struct {
	Method string
	Total  float64 // median of how far off the total was, as a part of the usual week
	Hourly float64 // mean of how far off an hour was, as a part of the usual hour
}

// NeedTest is a back-test of the needs of weeks.
type NeedTest struct {
	Cases       int
	Covered     float64 // part of the weeks whose total was in the interval
	HoursWithin float64 // part of the hours that did not need more than was said to be enough nine times in ten
	Methods     []NeedErrors
}

// TestWindows forecasts windows of a length that are past, each from what was before, and compares with what followed. A
// session opens at first use, as such windows do. Errors: *HistoryError.
func (h *History) TestWindows(length time.Duration, session bool) (*WindowTest, error) {
	n := h.steps(length)
	first := max(h.steps(MinHistory), int(testFrom*float64(len(h.used))))
	if n < 1 || first+n > len(h.used) {
		return nil, &HistoryError{Have: h.Span(), Need: max(MinHistory, time.Duration(testFrom*float64(h.Span()))) + length}
	}
	t := &windowTrial{History: h, n: n, errors: make([][]float64, len(windowMethods())), called: make([]int, len(windowMethods())), rehearsed: map[rehearsal][]float64{}}
	stride := max(n, (len(h.used)-first)/mostWindows)
	for start := first; start+n <= len(h.used); start += stride {
		if session {
			for start+n < len(h.used) && h.used[start] == 0 {
				start++
			}
		}
		t.window(start)
	}
	return t.result(length), nil
}

// windowTrial gathers how methods fared.
type windowTrial struct {
	*History
	n                                     int // steps of a window
	cases, ranOut, covered, ranOutCovered int
	errors                                [][]float64 // in steps, by method
	called                                []int
	rehearsed                             map[rehearsal][]float64
}

// window tries one window with every capacity, at every look.
func (t *windowTrial) window(start int) {
	usual := t.between(0, start) / float64(start) * float64(t.n)
	for _, look := range looks() {
		soFar := max(1, int(look*float64(t.n)))
		origin, left := start+soFar, t.n-soFar
		if left < 1 || usual == 0 {
			continue
		}
		var outlooks []*Outlook
		for _, m := range windowMethods() {
			outlooks = append(outlooks, m.ahead(t.History, origin, left, soFar))
		}
		widened := t.missing(origin, soFar, left, t.rehearsed)
		for _, part := range capacities() {
			if room := part*usual - t.between(start, origin); room > 0 {
				t.compare(outlooks, widened, room, crossing(t.used[origin:origin+left], room), float64(left))
			}
		}
	}
}

// compare scores one case: what really happened against what each method said.
func (t *windowTrial) compare(outlooks []*Outlook, widened, room, actual, left float64) {
	t.cases++
	out := !math.IsInf(actual, 1)
	if out {
		t.ranOut++
	}
	for i, o := range outlooks {
		steps := o.crossings(room)
		likely := quantile(steps, 0.5)
		said := !math.IsInf(likely, 1)
		if said == out {
			t.called[i]++
		}
		if said || out {
			t.errors[i] = append(t.errors[i], math.Abs(min(likely, left)-min(actual, left)))
		}
	}
	// Both may be infinite: not before the end is right then.
	if early, late := outlooks[0].between(room, widened); actual >= early && actual <= late {
		t.covered++
		if out {
			t.ranOutCovered++
		}
	}
}

func (t *windowTrial) result(length time.Duration) *WindowTest {
	r := &WindowTest{Length: length, Cases: t.cases, RanOut: t.ranOut, Covered: part(t.covered, t.cases), RanOutCovered: part(t.ranOutCovered, t.ranOut)}
	for i, m := range windowMethods() {
		slices.Sort(t.errors[i])
		r.Methods = append(r.Methods, WindowErrors{
			Method: m.name, Called: part(t.called[i], t.cases),
			Median: time.Duration(quantile(t.errors[i], 0.5) * float64(t.step)), P90: time.Duration(quantile(t.errors[i], 0.9) * float64(t.step)),
		})
	}
	return r
}

func part(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// TestNeed forecasts weeks that are past, each from what was before, and compares with what was needed. Errors:
// *HistoryError where there are not two weeks and a day.
func (h *History) TestNeed() (*NeedTest, error) {
	week, day := h.steps(Week), h.steps(24*time.Hour)
	last := len(h.used) - week
	if last < week+day {
		return nil, &HistoryError{Have: h.Span(), Need: 2*Week + 24*time.Hour}
	}
	first := max(week, min(last, int(testFrom*float64(len(h.used)))))
	stride := day * max(1, (last-first+day*mostWeeks-1)/(day*mostWeeks))
	t := &needTrial{History: h, week: week, hourly: make([]float64, len(needMethods())), totals: make([][]float64, len(needMethods()))}
	for origin := first; origin <= last; origin += stride {
		t.from(origin)
	}
	return t.result(), nil
}

// needTrial gathers how methods fared.
type needTrial struct {
	*History
	week, cases, covered, hours, within int
	totals                              [][]float64 // by method
	hourly                              []float64   // sums, by method
}

func (t *needTrial) from(origin int) {
	usual := t.usualWeek(origin)
	if usual == 0 {
		return
	}
	t.cases++
	need := t.need(origin)
	actual := t.between(origin, origin+t.week)
	if actual >= need.Total.Low && actual <= need.Total.High {
		t.covered++
	}
	for i, m := range needMethods() {
		likely, hours := need.Total.Likely, need.Hours()
		if m.ahead != nil {
			o := m.ahead(t.History, origin, t.week, t.week)
			likely, hours = o.totals()[0], o.hours()
		}
		t.totals[i] = append(t.totals[i], math.Abs(likely-actual)/usual)
		per := t.week / len(hours)
		for k := range hours {
			needed := t.between(origin+k*per, origin+(k+1)*per)
			t.hourly[i] += math.Abs(hours[k].Expected-needed) / usual
			if i == 0 {
				t.hours++
				if needed <= hours[k].High {
					t.within++
				}
			}
		}
	}
}

func (t *needTrial) result() *NeedTest {
	r := &NeedTest{Cases: t.cases, Covered: part(t.covered, t.cases), HoursWithin: part(t.within, t.hours)}
	for i, m := range needMethods() {
		slices.Sort(t.totals[i])
		r.Methods = append(r.Methods, NeedErrors{Method: m.name, Total: quantile(t.totals[i], 0.5), Hourly: t.hourly[i] / float64(max(1, t.cases))})
	}
	return r
}
