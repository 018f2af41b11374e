package quota

import "testing"

// The stricter of the configured and the told limit decides, in what a bucket holds and in how it refills.
func TestTheStricterLimitDecides(t *testing.T) {
	t.Parallel()
	const id = "api-1/requests_per_minute/opus"
	l := apiAccount(t)
	ask := func() Result {
		return l.reserve(1, func(c *Reserve) { c.Provider, c.Account, c.Model = "openai", "api-1", "opus-4" })
	}
	tell := func(capacity int64, at Instant) Result {
		return l.must(Observe{Account: "api-1", Window: id, Capacity: &capacity, Source: "rate_limits_api", At: at})
	}
	if r := tell(500, l.now); !r.Effective || r.Capacity != 100 || l.limit(id).Capacity != 100 || l.limit(id).Told.Capacity != 500 {
		t.Fatalf("more than is configured changes nothing: %+v, %+v", r, l.limit(id))
	}
	for range 40 {
		if r := ask(); !r.OK() {
			t.Fatalf("%+v", r)
		}
	}
	l.now = l.now.Add(Second)
	if r := tell(10, l.now); !r.Effective || r.Capacity != 10 || l.limit(id).Available != 10 {
		t.Fatalf("less does: %+v, %+v", r, l.limit(id))
	}
	if r := tell(90, l.now.Add(-Minute)); r.Effective {
		t.Errorf("what was told before counts: %+v", r)
	}
	for range 10 {
		if r := ask(); !r.OK() {
			t.Fatalf("%+v", r)
		}
	}
	if r := ask(); r.Code != CodeInsufficientQuota || r.RetryAfter != 6*Second {
		t.Errorf("it refills as told: %+v", r)
	}
	l.wait(6 * Second)
	if r := ask(); !r.OK() {
		t.Errorf("after its wait: %+v", r)
	}
	if v := l.limit(id); v.ToldStale || v.Told.Source != "rate_limits_api" {
		t.Errorf("%+v", v.Told)
	}
	l.wait(Hour + 11*Minute)
	if v := l.limit(id); !v.ToldStale || v.Capacity != 10 || v.Available != 10 {
		t.Errorf("when nothing is told any more the last stands, and is stale: %+v", v)
	}
	restored, err := Restore(l.state.Snapshot())
	if err != nil || restored.counters[id].Told == nil || restored.counters[id].Told.Capacity != 10 {
		t.Errorf("restored: %v", err)
	}
	if r := tell(1000, l.now); r.Capacity != 100 || l.limit(id).Available != 10 {
		t.Errorf("it refills from what there was: %+v, %+v", r, l.limit(id))
	}
}

// A window whose capacity only the provider tells holds what it told last, whatever comes in late, and what was seen to be
// spent outside stays spent.
func TestTheToldCapacityOfAWindow(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 0))
	tell := func(capacity int64, at Instant) Result {
		return l.must(Observe{Account: "max-1", Window: "s", Capacity: &capacity, At: at})
	}
	if r := l.must(Observe{Account: "max-1", Window: "s", PercentMilli: percentMilli(40), ResetAt: t0.Add(5 * Hour)}); !r.Effective {
		t.Fatalf("got %+v", r)
	}
	for _, step := range []struct {
		capacity            int64
		ago                 Millis
		effective           bool
		holds, outside, has int64
	}{
		{capacity: 1000, effective: true, holds: 1000, outside: 400, has: 600},
		{capacity: 5000, ago: 90 * Second, holds: 1000, outside: 400, has: 600}, // said before that
		{capacity: 500, effective: true, holds: 500, outside: 200, has: 300},
	} {
		l.wait(Minute)
		r, v := tell(step.capacity, l.now.Add(-step.ago)), l.limit("s")
		if r.Effective != step.effective || v.Capacity != step.holds || v.Outside != step.outside || v.Available != step.has {
			t.Fatalf("told %d: %+v, the window holds %d, of these %d are spent outside and %d left", step.capacity, r, v.Capacity, v.Outside, v.Available)
		}
	}
	if r := l.reserve(301, priority(PriorityCritical)); r.OK() {
		t.Fatal("granted what was spent outside")
	}
}
