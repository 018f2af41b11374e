package forecast

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPace(t *testing.T) {
	t.Parallel()
	day := func(h float64) time.Time { return monday.Add(time.Duration(h * float64(time.Hour))) }
	for name, c := range map[string]struct {
		window Window
		now    float64
		want   Pace
	}{
		"too fast":         {Window{day(0), day(10), 60, 100}, 4, Pace{0.6, 0.4, 1.5, day(10 / 1.5)}},
		"just enough":      {Window{day(0), day(10), 40, 100}, 4, Pace{0.4, 0.4, 1, time.Time{}}},
		"nothing used":     {Window{day(0), day(10), 0, 100}, 5, Pace{0, 0.5, 0, time.Time{}}},
		"has run out":      {Window{day(0), day(10), 120, 100}, 5, Pace{1.2, 0.5, 2.4, day(5)}},
		"just opened":      {Window{day(0), day(10), 10, 100}, 0, Pace{0.1, 0, 0, time.Time{}}},
		"over":             {Window{day(0), day(10), 50, 100}, 20, Pace{0.5, 1, 0.5, time.Time{}}},
		"capacity unknown": {Window{day(0), day(10), 50, 0}, 5, Pace{0, 0.5, 0, time.Time{}}},
		"not open":         {Window{}, 5, Pace{}},
	} {
		got := c.window.Pace(day(c.now))
		if got.RunsOutAt.Sub(c.want.RunsOutAt).Abs() > time.Second {
			t.Errorf("%s: runs out at %v, want %v", name, got.RunsOutAt, c.want.RunsOutAt)
		}
		got.RunsOutAt, c.want.RunsOutAt = time.Time{}, time.Time{}
		got.Ratio = math.Round(got.Ratio*1e9) / 1e9
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestKnownTruth forecasts a fleet whose days are all alike and whose tasks are small and many: its use is nearly certain, and
// so must the forecast be.
func TestKnownTruth(t *testing.T) {
	t.Parallel()
	w := world{tasks: 4000, sameDays: true, weekend: 0.2, size: 1000, sizeSigma: 0.1}
	now := monday.Add(6*Week + 33*time.Hour) // a Tuesday, 09:00
	h := NewHistory(monday, FineStep, w.use(1, 7, FineStep)[:int(now.Sub(monday)/FineStep)])
	o, err := h.Ahead(15 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	room := w.mean(9, now.Weekday()) + w.mean(10, now.Weekday()) + w.mean(11, now.Weekday())/2
	e := o.Exhaustion(room, 0)
	if want := now.Add(150 * time.Minute); e.Likely.Sub(want).Abs() > 20*time.Minute || e.Chance != 1 {
		t.Errorf("likely to run out at %v with a chance of %.2f, want %v for sure", e.Likely, e.Chance, want)
	}
	if e.Early.After(e.Likely) || e.Late.Before(e.Likely) || e.Late.Sub(e.Early) > 90*time.Minute {
		t.Errorf("between %v and %v, want a short time around %v", e.Early, e.Late, e.Likely)
	}
	never := o.Exhaustion(100*room, 0)
	if never.Chance != 0 || !never.Early.IsZero() || !never.Late.IsZero() {
		t.Errorf("%+v, want never", never)
	}
	coarse := NewHistory(monday, CoarseStep, w.use(1, 7, CoarseStep)[:int(now.Sub(monday)/CoarseStep)])
	need, err := coarse.NextWeek()
	if err != nil {
		t.Fatal(err)
	}
	checkTrueNeed(t, w, need)
}

func checkTrueNeed(t *testing.T, w world, need *Need) {
	t.Helper()
	sum, off := 0.0, 0.0
	for _, h := range need.Hours() {
		mean := w.mean(h.Start.Hour(), h.Start.Weekday())
		sum += mean
		off += math.Abs(h.Expected - mean)
	}
	if len(need.Hours()) != 168 || off/sum > 0.15 {
		t.Errorf("%d hours, off by %.2f of the true need, want 168 and at most 0.15", len(need.Hours()), off/sum)
	}
	if need.Total.Low > sum*1.02 || need.Total.High < sum*0.98 {
		t.Errorf("a week of %+v, the truth is %.0f", need.Total, sum)
	}
}

// TestABurstThatNothingIsLikeMayLast wants a chance of running out where the last hour is beyond all that was before.
func TestABurstThatNothingIsLikeMayLast(t *testing.T) {
	t.Parallel()
	used := usual(60).use(1, 3, FineStep)
	quiet, err := NewHistory(monday, FineStep, used).Ahead(5 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	burst := append([]float64(nil), used...)
	for i := len(burst) - 4; i < len(burst); i++ {
		burst[i] = 20_000_000
	}
	busy, err := NewHistory(monday, FineStep, burst).Ahead(5 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	const room = 50_000_000 // the burst takes 40 minutes for that
	if e := quiet.Exhaustion(room, 0); e.Chance > 0.02 {
		t.Errorf("without a burst: %+v, want hardly a chance", e)
	}
	if e := busy.Exhaustion(room, 0); e.Chance < 0.3 || e.Chance > 0.9 || e.Early.IsZero() {
		t.Errorf("in the burst: %+v, want that it may run out", e)
	}
}

func TestTooLittleHistory(t *testing.T) {
	t.Parallel()
	h := NewHistory(monday, FineStep, make([]float64, 13*4))
	_, err := h.Ahead(5 * time.Hour)
	if short, ok := errors.AsType[*HistoryError](err); !ok || *short != (HistoryError{13 * time.Hour, MinHistory}) {
		t.Errorf("%v, want that it needs %v", err, MinHistory)
	}
	if _, err := NewHistory(monday, CoarseStep, make([]float64, 167)).NextWeek(); err == nil || err.Error() != "not enough history: needs 168 hours, has 167" {
		t.Errorf("%v", err)
	}
	if h := NewHistory(monday, FineStep, nil); h.Span() != 0 || h.Used(time.Hour) != 0 || !h.End().Equal(monday) {
		t.Errorf("no history at all: %+v", h)
	}
}

func TestNothingUsed(t *testing.T) {
	t.Parallel()
	h := NewHistory(monday, CoarseStep, make([]float64, 3*7*24))
	need, err := h.NextWeek()
	if err != nil || need.Total != (Range{}) {
		t.Errorf("%+v, %v, want no need", need, err)
	}
	o, err := h.Ahead(Week)
	if err != nil {
		t.Fatal(err)
	}
	if e := o.Exhaustion(1, 0); e.Chance != 0 || !e.Early.IsZero() {
		t.Errorf("%+v, want never", e)
	}
	if e := o.Exhaustion(0, 0); e.Chance != 1 || !e.Late.Equal(h.End()) {
		t.Errorf("%+v, want at once: there is no room", e)
	}
}

// TestAnyPast draws pasts with gaps, bursts and corrections, in zones that change their clocks.
func TestAnyPast(t *testing.T) {
	t.Parallel()
	zones := []*time.Location{time.UTC}
	for _, name := range []string{"Europe/Berlin", "America/St_Johns", "Asia/Kolkata"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, zone)
	}
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.SampledFrom([]time.Duration{FineStep, CoarseStep}).Draw(t, "step")
		n := rapid.IntRange(int(MinHistory/step), int(17*24*time.Hour/step)).Draw(t, "steps")
		used := make([]float64, n)
		for range rapid.IntRange(0, 60).Draw(t, "spikes") {
			used[rapid.IntRange(0, n-1).Draw(t, "at")] = rapid.OneOf(rapid.Float64Range(-1e6, 1e12), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1)})).Draw(t, "used")
		}
		start := time.Date(2026, 10, 20, rapid.IntRange(0, 23).Draw(t, "hour"), 7, 0, 0, rapid.SampledFrom(zones).Draw(t, "zone"))
		h := NewHistory(start, step, used)
		far := time.Duration(rapid.Int64Range(1, int64(9*24*time.Hour)).Draw(t, "far"))
		o, err := h.Ahead(far)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range o.paths {
			if len(path) != int((far+step-1)/step) {
				t.Fatalf("a path of %d steps for %v", len(path), far)
			}
			for _, u := range path {
				if !(u >= 0) || math.IsInf(u, 0) {
					t.Fatalf("a path uses %v", u)
				}
			}
		}
		e := o.Exhaustion(rapid.Float64Range(0, 1e13).Draw(t, "room"), rapid.Float64Range(0, 3).Draw(t, "widened"))
		if e.Early.IsZero() && !e.Likely.IsZero() || e.Likely.IsZero() && !e.Late.IsZero() || !e.Late.IsZero() && (e.Early.After(e.Likely) || e.Likely.After(e.Late) || e.Early.Before(h.End())) {
			t.Fatalf("not in order: %+v", e)
		}
		if again, _ := h.Ahead(far); !reflect.DeepEqual(again, o) {
			t.Fatal("the same past gives another outlook")
		}
		if need, err := h.NextWeek(); err == nil {
			if r := need.Total; !(0 <= r.Low && r.Low <= r.Likely && r.Likely <= r.High) || math.IsInf(r.High, 0) || len(need.Hours()) != 168 {
				t.Fatalf("a need of %+v in %d hours", r, len(need.Hours()))
			}
		}
		if _, err := h.TestWindows(5*time.Hour, true); err != nil && h.Span() > 4*24*time.Hour {
			t.Fatal(err)
		}
	})
}
