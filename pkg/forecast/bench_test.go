package forecast

import (
	"testing"
	"time"
)

func BenchmarkNextWeek(b *testing.B) {
	h := benchPast(CoarseStep)
	for b.Loop() {
		if _, err := h.NextWeek(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRunsOut(b *testing.B) {
	for name, length := range map[string]time.Duration{"session": 5 * time.Hour, "day": 24 * time.Hour, "week": Week, "month": 30 * 24 * time.Hour} {
		h := benchPast(StepFor(length))
		w := Window{Start: h.End().Add(-length * 2 / 5), End: h.End().Add(length * 3 / 5)}
		w.Used = h.Used(length * 2 / 5)
		w.Capacity = 1.5 * w.Used
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := h.RunsOut(w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchPast is four weeks of a usual fleet.
func benchPast(step time.Duration) *History {
	return NewHistory(monday, step, usual(150).use(1, 4, step))
}
