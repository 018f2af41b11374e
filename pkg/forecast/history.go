package forecast

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// MinHistory is how much past a forecast needs: every hour of the day seen twice.
	MinHistory = 48 * time.Hour
	// MaxHistory is how much past is worth reading: older use says little.
	MaxHistory = 8 * 7 * 24 * time.Hour
	// FineStep is the step in which use is counted for windows of up to FineUpTo.
	FineStep = 15 * time.Minute
	// CoarseStep is that for longer ones.
	CoarseStep = time.Hour
	// FineUpTo is the longest window that is forecast in fine steps.
	FineUpTo = 48 * time.Hour
	// Week is the time that a need is forecast for.
	Week = 7 * 24 * time.Hour
)

// StepFor is the step in which the use of a window of some length is to be counted.
func StepFor(length time.Duration) time.Duration {
	if length <= FineUpTo {
		return FineStep
	}
	return CoarseStep
}

// HistoryError says that there is too little past to forecast from.
type HistoryError struct {
	Have, Need time.Duration
}

// Error says how many hours there are and how many it takes.
func (e *HistoryError) Error() string {
	return fmt.Sprintf("not enough history: needs %d hours, has %d", int(math.Ceil(e.Need.Hours())), int(e.Have.Hours()))
}

// History is what was used in equal steps of time, from its start up to the present. It is not changed once made and
// may be shared.
type History struct {
	start time.Time
	step  time.Duration
	used  []float64
	sum   []float64 // of all steps before each
	slots []slot    // when each step is, as far as days are alike
}

// slot is a place in the week.
type slot struct {
	hour int // of the day, by the wall clock
	day  time.Weekday
}

// NewHistory counts use in steps from start on, in the zone that start is in. A negative use counts as none: a
// correction must not make the past smaller than nothing.
func NewHistory(start time.Time, step time.Duration, used []float64) *History {
	h := &History{start: start, step: step, used: make([]float64, len(used)), sum: make([]float64, len(used)+1), slots: make([]slot, len(used))}
	for i, u := range used {
		if u > 0 && !math.IsInf(u, 0) {
			h.used[i] = u
		}
		h.sum[i+1] = h.sum[i] + h.used[i]
		h.slots[i] = h.slotAt(i)
	}
	return h
}

// Equal tells whether the same was used at the same times, so that the same is to be expected.
func (h *History) Equal(other *History) bool {
	return h.step == other.step && h.start.Equal(other.start) && h.start.Location() == other.start.Location() && slices.Equal(h.used, other.used)
}

// End is where the past ends: the instant that forecasts begin at.
func (h *History) End() time.Time { return h.at(len(h.used)) }

// Span is how much past there is.
func (h *History) Span() time.Duration { return time.Duration(len(h.used)) * h.step }

// Used is what was used within the last part of the past.
func (h *History) Used(last time.Duration) float64 {
	return h.between(len(h.used)-h.steps(last), len(h.used))
}

func (h *History) at(i int) time.Time { return h.start.Add(time.Duration(i) * h.step) }

func (h *History) steps(d time.Duration) int { return int(d / h.step) }

func (h *History) slotAt(i int) slot {
	at := h.at(i)
	return slot{at.Hour(), at.Weekday()}
}

// between is what was used from one step up to another, as far as there is a past.
func (h *History) between(from, to int) float64 { return h.sum[to] - h.sum[max(0, from)] }

// rate is the mean use of a step in the time before one.
func (h *History) rate(before int, last time.Duration) float64 {
	from := max(0, before-h.steps(last))
	if from >= before {
		return 0
	}
	return h.between(from, before) / float64(before-from)
}

// weekend tells days off from days of work.
func weekend(d time.Weekday) bool { return d == time.Saturday || d == time.Sunday }
