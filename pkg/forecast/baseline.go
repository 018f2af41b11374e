package forecast

import "time"

// The methods that a back-test compares.
const (
	MethodAnalogous = "analogous days"
	MethodLastHour  = "last hour"
	MethodPace      = "pace"
	MethodLastDay   = "last day"
	MethodLastWeek  = "week before"
)

// method looks n steps ahead from a moment of the past, knowing only what was before it; so far are the steps of the window
// that are over.
type method struct {
	name  string
	ahead func(h *History, origin, n, soFar int) *Outlook
}

// windowMethods are compared on when windows run out: ours first, then what anyone would do by hand.
func windowMethods() []method {
	return []method{
		{MethodAnalogous, func(h *History, origin, n, _ int) *Outlook { return h.ahead(origin, n) }},
		{MethodLastHour, func(h *History, origin, n, _ int) *Outlook { return h.steady(origin, n, h.steps(time.Hour)) }},
		{MethodPace, func(h *History, origin, n, soFar int) *Outlook { return h.steady(origin, n, soFar) }},
		{MethodLastWeek, func(h *History, origin, n, _ int) *Outlook { return h.again(origin, n) }},
	}
}

// needMethods are compared on what a week needs.
func needMethods() []method {
	return []method{
		{MethodAnalogous, nil}, // asked for a need, which has its own interval
		{MethodLastDay, func(h *History, origin, n, _ int) *Outlook { return h.steady(origin, n, h.steps(24*time.Hour)) }},
		{MethodLastWeek, func(h *History, origin, n, _ int) *Outlook { return h.again(origin, n) }},
	}
}

// steady goes on with the mean use of the last steps: the last value.
func (h *History) steady(origin, n, last int) *Outlook {
	last = max(1, min(last, origin))
	mean := h.between(origin-last, origin) / float64(last)
	path := make([]float64, n)
	for i := range path {
		path[i] = mean
	}
	return &Outlook{start: h.at(origin), step: h.step, paths: [][]float64{path}}
}

// again repeats the week before, or the day before where there is no week: the seasonal naive forecast.
func (h *History) again(origin, n int) *Outlook {
	period := h.steps(Week)
	if origin < period {
		period = h.steps(24 * time.Hour)
	}
	path := make([]float64, n)
	for i := range path {
		path[i] = h.used[origin-period+i%period]
	}
	return &Outlook{start: h.at(origin), step: h.step, paths: [][]float64{path}}
}
