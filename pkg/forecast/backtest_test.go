package forecast

import (
	"errors"
	"testing"
	"time"
)

// fleets are pasts of eight weeks of fleets of several sizes.
func fleets(step time.Duration) (past []*History) {
	for seed, tasks := range []float64{15, 15, 60, 60, 200, 200} {
		past = append(past, NewHistory(monday, step, usual(tasks).use(uint64(seed), 8, step)))
	}
	return past
}

// TestGeneratedFleets back-tests windows of generated fleets, and wants the promise kept and simple methods beaten.
func TestGeneratedFleets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		length  time.Duration
		session bool
	}{{"sessions of 5 h", 5 * time.Hour, true}, {"days", 24 * time.Hour, false}, {"weeks", Week, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sum := &windowTrials{}
			for _, h := range fleets(StepFor(c.length)) {
				r, err := h.TestWindows(c.length, c.session)
				if err != nil {
					t.Fatal(err)
				}
				sum.add(r)
			}
			sum.log(t)
			if covered := part(sum.covered, sum.cases); covered < 0.8 {
				t.Errorf("%.2f of the intervals held, 0.8 is promised", covered)
			}
			if covered := part(sum.ranOutCovered, sum.ranOut); covered < 0.8 || sum.ranOut < 30 {
				t.Errorf("%.2f of the intervals of %d windows that ran out held, 0.8 is promised", covered, sum.ranOut)
			}
			ours, oursP90, called := sum.off(MethodAnalogous)
			for _, simple := range []string{MethodLastHour, MethodPace, MethodLastWeek} {
				median, p90, calledSimply := sum.off(simple)
				if ours > median || oursP90 > p90 {
					t.Errorf("off by %v and %v, %s by %v and %v", ours, oursP90, simple, median, p90)
				}
				if simple != MethodLastWeek && called < calledSimply {
					t.Errorf("right whether in %.2f, %s in %.2f", called, simple, calledSimply)
				}
			}
		})
	}
}

func TestNeedOfGeneratedFleets(t *testing.T) {
	t.Parallel()
	var cases, covered, within float64
	total, hourly := map[string]float64{}, map[string]float64{}
	for _, h := range fleets(CoarseStep) {
		r, err := h.TestNeed()
		if err != nil {
			t.Fatal(err)
		}
		n := float64(r.Cases)
		cases, covered, within = cases+n, covered+r.Covered*n, within+r.HoursWithin*n
		for _, m := range r.Methods {
			total[m.Method] += m.Total * n
			hourly[m.Method] += m.Hourly * n
		}
	}
	t.Logf("%.0f weeks: %.0f %% of the intervals held, %.0f %% of the hours within their high", cases, 100*covered/cases, 100*within/cases)
	for _, m := range needMethods() {
		t.Logf("%-15s week off by %.0f %% in the median, hour by %.0f %% in the mean", m.name, 100*total[m.name]/cases, 100*hourly[m.name]/cases)
	}
	if covered/cases < 0.7 || within/cases < 0.85 {
		t.Errorf("%.2f of the weeks in their interval, %.2f of the hours within their high; 0.8 and 0.9 are promised", covered/cases, within/cases)
	}
	for _, simple := range []string{MethodLastDay, MethodLastWeek} {
		if total[MethodAnalogous] > total[simple] || hourly[MethodAnalogous] > hourly[simple] {
			t.Errorf("%s is better: week %.2f to %.2f, hour %.2f to %.2f", simple, total[simple]/cases, total[MethodAnalogous]/cases,
				hourly[simple]/cases, hourly[MethodAnalogous]/cases)
		}
	}
}

// TestABacktestSeesNoFuture changes everything after a moment and wants the same forecast at it.
func TestABacktestSeesNoFuture(t *testing.T) {
	t.Parallel()
	used := usual(60).use(1, 4, CoarseStep)
	origin := 2 * 7 * 24
	other := append([]float64(nil), used...)
	for i := origin; i < len(other); i++ {
		other[i] = 1e9
	}
	a, b := NewHistory(monday, CoarseStep, used), NewHistory(monday, CoarseStep, other)
	for _, m := range windowMethods() {
		one, two := m.ahead(a, origin, 100, 10), m.ahead(b, origin, 100, 10)
		for k := range one.paths {
			if total(one.paths[k]) != total(two.paths[k]) {
				t.Fatalf("%s: a path depends on what came later", m.name)
			}
		}
	}
	if one, two := a.need(origin), b.need(origin); one.Total != two.Total {
		t.Errorf("the need depends on what came later: %+v and %+v", one.Total, two.Total)
	}
}

func TestBacktestsSayWhatTheyNeed(t *testing.T) {
	t.Parallel()
	short := NewHistory(monday, CoarseStep, make([]float64, 24))
	_, windows := short.TestWindows(5*time.Hour, true)
	_, weeks := short.TestNeed()
	for _, err := range []error{windows, weeks} {
		if tooShort, ok := errors.AsType[*HistoryError](err); !ok || tooShort.Have != 24*time.Hour || tooShort.Need <= tooShort.Have {
			t.Errorf("%v, want that there is too little history and how much it takes", err)
		}
	}
	if windows == nil || windows.Error() != "not enough history: needs 53 hours, has 24" {
		t.Errorf("%v", windows)
	}
	unused := NewHistory(monday, CoarseStep, make([]float64, 3*7*24))
	if r, err := unused.TestWindows(24*time.Hour, false); err != nil || r.Cases != 0 || r.Covered != 0 {
		t.Errorf("without any use: %+v, %v", r, err)
	}
	if r, err := unused.TestNeed(); err != nil || r.Cases != 0 {
		t.Errorf("without any use: %+v, %v", r, err)
	}
}
