package forecast

import (
	"math"
	"testing"
	"time"
)

// even is a past of four weeks in which as much is used in each step as a function of the day says.
func even(perStep func(day int) float64) *History {
	used := make([]float64, 4*Week/FineStep)
	for i := range used {
		used[i] = perStep(i / int(24*time.Hour/FineStep))
	}
	return NewHistory(monday, FineStep, used)
}

// An interval is as wide as the past was hard to foretell.
func TestIntervalsAreWidenedByWhatThePastMissed(t *testing.T) {
	t.Parallel()
	steady := even(func(int) float64 { return 100 })
	// Every day is four times as busy as the one before, or a fourth, and nothing announces which.
	moody := even(func(day int) float64 { return []float64{50, 200, 200, 50, 200, 50, 50, 200, 50, 200, 50}[day*7%11] })
	for name, c := range map[string]struct {
		past        *History
		least, most float64
	}{
		"every day is the same":         {steady, 0, 0},
		"days differ, and nobody knows": {moody, 0.05, mostRoom},
		"too little past to tell":       {NewHistory(monday, FineStep, steady.used[:4*50]), 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			day := c.past.steps(24 * time.Hour)
			got := c.past.missing(len(c.past.used), day/5, day-day/5, map[rehearsal][]float64{})
			if got < c.least || got > c.most {
				t.Errorf("widened by %.2f, want %.2f to %.2f", got, c.least, c.most)
			}
		})
	}
}

// A rehearsal knows nothing of what came after the moment that it is for.
func TestRehearsalsDoNotLookAhead(t *testing.T) {
	t.Parallel()
	quiet := even(func(int) float64 { return 100 })
	changed := even(func(day int) float64 {
		if day >= 21 {
			return 900
		}
		return 100
	})
	day := quiet.steps(24 * time.Hour)
	origin := 21 * day
	a := quiet.missing(origin, day/5, day-day/5, map[rehearsal][]float64{})
	b := changed.missing(origin, day/5, day-day/5, map[rehearsal][]float64{})
	if a != b {
		t.Errorf("widened by %.2f and, where the use grows afterwards, by %.2f", a, b)
	}
}

// What was missed is the least widening with which the interval holds the moment.
func TestMissedIsTheLeastWidening(t *testing.T) {
	t.Parallel()
	h := NewHistory(monday, FineStep, usual(60).use(3, 3, FineStep))
	missedSome := 0
	for origin := 12 * 96; origin+96 < len(h.used); origin += 53 {
		o, courses := h.ahead(origin, 96), h.courses(paths, origin, 96)
		for _, steps := range []float64{7.5, 31, 90.25} {
			room := h.between(origin, origin+int(steps)) + (steps-math.Floor(steps))*h.used[origin+int(steps)]
			by := missed(h.usesUntil(courses, steps), room)
			held := func(by float64) bool {
				early, late := o.between(room, by)
				return early <= steps && steps <= late
			}
			const little = 1e-6
			if by < mostRoom && !held(by+little) {
				t.Errorf("from %d in %g steps: an interval that is widened by %g does not hold it", origin, steps, by)
			}
			if by > 0 {
				missedSome++
				if held(by - little) {
					t.Errorf("from %d in %g steps: less than %g is enough", origin, steps, by)
				}
			}
		}
	}
	if missedSome < 10 {
		t.Errorf("%d intervals missed, too few to tell", missedSome)
	}
}

// What a course uses is what the path along it does.
func TestCoursesUseWhatTheirPathsDo(t *testing.T) {
	t.Parallel()
	h := NewHistory(monday, FineStep, usual(60).use(3, 2, FineStep))
	persist := 0
	for _, c := range h.courses(paths, 9*96+30, 130) {
		path := h.follow(c, nil)
		if c.excess < 0 {
			persist++
		}
		for _, steps := range []float64{0, 0.25, 40, 96, 97.5, 130} {
			want := total(path[:int(steps)])
			if rest := steps - math.Floor(steps); rest > 0 {
				want += rest * path[int(steps)]
			}
			if got := h.usedUntil(c, steps); math.Abs(got-want) > 1e-6*(1+want) {
				t.Errorf("%g in %g steps, want %g", got, steps, want)
			}
		}
	}
	if persist == 0 {
		t.Error("no course has less going on than after its first moment")
	}
}

// What runs out is told with the widened interval, around the same likely time.
func TestRunsOutIsWidened(t *testing.T) {
	t.Parallel()
	h := even(func(day int) float64 { return []float64{50, 200, 200, 50, 200, 50, 50, 200, 50, 200, 50}[day*7%11] })
	now := h.End()
	w := Window{Start: now.Add(-5 * time.Hour), End: now.Add(19 * time.Hour), Used: 2000, Capacity: 9000}
	got, err := h.RunsOut(w)
	if err != nil {
		t.Fatal(err)
	}
	o, err := h.Ahead(19 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	plain := o.Exhaustion(7000, 0)
	if got.Likely != plain.Likely || got.Chance != plain.Chance {
		t.Errorf("%+v, want the likely time and the chance of %+v", got, plain)
	}
	if !got.Early.Before(plain.Early) {
		t.Errorf("%+v, want it wider than %+v", got, plain)
	}
	if _, err := NewHistory(monday, FineStep, make([]float64, 8)).RunsOut(w); err == nil {
		t.Error("two hours of past are enough")
	}
}
