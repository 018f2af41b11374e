package quota

import (
	"strings"
	"testing"
)

// What a window has left for one ask, rule by rule.
func TestWindowParts(t *testing.T) {
	t.Parallel()
	back := &HoldBack{Percent: 15, Priority: PriorityHigh}
	for name, c := range map[string]struct {
		holdBack *HoldBack
		used     int64
		outside  int64 // after half of the window
		priority Priority
		want     WindowParts
		granted  int64
	}{
		"nothing kept":               {nil, 300, 0, PriorityLow, WindowParts{Free: 700}, 700},
		"the last part":              {back, 300, 0, PriorityNormal, WindowParts{Free: 700, HeldBack: 150}, 550},
		"the last part, for high":    {back, 300, 0, PriorityHigh, WindowParts{Free: 700}, 700},
		"only the last part":         {back, 900, 0, PriorityNormal, WindowParts{Free: 100, HeldBack: 150}, 0},
		"only the last part, urgent": {back, 900, 0, PriorityCritical, WindowParts{Free: 100}, 100},
		"outside is expected":        {nil, 100, 140, PriorityLow, WindowParts{Free: 760, Forecast: 100}, 660},
		"outside, at most half":      {nil, 100, 700, PriorityLow, WindowParts{Free: 200, Forecast: 100}, 100},
		"both":                       {back, 100, 140, PriorityNormal, WindowParts{Free: 760, Forecast: 100, HeldBack: 150}, 510},
	} {
		limit := session("s", 1000)
		limit.HoldBack = c.holdBack
		l := newLedger(t, limit)
		l.reserve(c.used, func(r *Reserve) { r.Priority = PriorityCritical })
		l.must(Settle{Actor: ann, Reservation: "r1", Items: out(c.used)})
		l.wait(150 * Minute)
		if c.outside > 0 {
			p := (c.used + c.outside) * 100
			l.must(Observe{Actor: ann, Account: "max-1", Window: "s", PercentMilli: &p, ResetAt: t0.Add(5 * Hour)})
		}
		counter := l.state.counters["s"]
		got := l.state.parts(&ask{labels: &Labels{Priority: c.priority}, limit: l.state.index.byID["s"], counter: counter}, l.now)
		if got != c.want || got.Grantable() != c.granted {
			t.Errorf("%s: %+v grants %d, want %+v and %d", name, got, got.Grantable(), c.want, c.granted)
		}
	}
}

// What is held back is never called depleted, and is not counted as exhaustion.
func TestHeldBackIsNotDepleted(t *testing.T) {
	t.Parallel()
	limit := session("s", 1000)
	limit.HoldBack = &HoldBack{Percent: 15, Priority: PriorityHigh}
	l := newLedger(t, limit)
	as := func(p Priority) func(*Reserve) { return func(r *Reserve) { r.Priority = p } }
	if r := l.reserve(900, as(PriorityNormal)); r.Retryable || r.Reason != ReasonHeldBack || r.HeldBack != 150 || r.Available != 850 {
		t.Fatalf("more than this priority ever gets: %+v", r)
	}
	l.reserve(800, as(PriorityNormal))
	l.must(Report{Actor: ann, Reservation: "r2", Items: out(800)})
	r := l.reserve(100, as(PriorityNormal))
	if r.Code != CodeInsufficientQuota || r.Reason != ReasonHeldBack || r.HeldBack != 150 || r.Available != 50 || r.RetryAfter != 5*Hour {
		t.Fatalf("got %+v", r)
	}
	if !strings.Contains(r.Message, "150 are held back for priority high and above") || strings.Contains(r.Message, "deplete") {
		t.Fatalf("got %q", r.Message)
	}
	if n := l.state.Totals().Exhausted; n != 0 {
		t.Fatalf("%d exhaustions", n)
	}
	if r := l.reserve(150, as(PriorityHigh)); !r.OK() {
		t.Fatalf("got %+v", r)
	}
	if r := l.reserve(100, as(PriorityHigh)); r.Reason != ReasonDepleted || r.HeldBack != 0 {
		t.Fatalf("got %+v", r)
	}
	if r := l.reserve(2000, as(PriorityHigh)); r.Reason != ReasonTooLarge || r.Retryable {
		t.Fatalf("got %+v", r)
	}
	if v := l.limit("s"); v.Available != 50 || v.HeldBack != 50 {
		t.Fatalf("got %+v", v)
	}
}

// The pace of one window is remembered in the next, before anything is observed there.
func TestDriftIsForecastAcrossWindows(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	observe := func(percent int64, reset Instant) {
		l.must(Observe{Actor: ann, Account: "max-1", Window: "s", PercentMilli: percentMilli(percent), ResetAt: reset})
	}
	observe(0, t0.Add(5*Hour))
	l.wait(4 * Hour)
	observe(25, t0.Add(5*Hour)) // 250 in 4 hours, with an hour of nothing remembered: 50 an hour
	if v := l.limit("s"); v.Outside != 250 || v.Forecast != 50 || v.ForecastKept != 50 {
		t.Fatalf("got %+v", v)
	}
	events := l.wait(Hour)
	if r, ok := events[0].(*WindowRolled); !ok || r.Outside != 250 || r.DriftPace != 1200 {
		t.Fatalf("got %+v", events)
	}
	if v := l.limit("s"); v.Outside != 0 || v.Forecast != 250 || v.ForecastKept != 250 || v.Available != 1000 {
		t.Fatalf("a whole window at that pace: %+v", v)
	}
	c := testConfig(session("s", 1000))
	c.Policy.DriftGranted = 40
	l.must(ApplyConfig{Config: c})
	if v := l.limit("s"); v.ForecastKept != 150 {
		t.Fatalf("got %+v", v)
	}
	if r := l.reserve(900); r.Reason != ReasonHeldBack || r.HeldBack != 150 || r.Available != 850 {
		t.Fatalf("got %+v", r)
	}
}
