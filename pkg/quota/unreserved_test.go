package quota

import "testing"

func TestUsageWithoutAReservation(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(100)
	seen := []UsageItem{{CallID: "c1", Tokens: Tokens{Output: 40}, Source: "otlp", Session: "s1", Project: "shop"}}
	events, r := l.do(Report{Actor: ann, Account: "max-1", Model: "opus-4", Items: seen})
	if !r.OK() || !r.Recorded || r.Account != "max-1" {
		t.Fatalf("got %+v", r)
	}
	e, ok := events[len(events)-1].(*UsageRecorded)
	if !ok || e.Standing != StandingUnreserved || e.Overrun != 0 || e.Source != "otlp" || e.Session != "s1" || e.Project != "shop" {
		t.Fatalf("got %+v", e)
	}
	// The agent's own report of the same call adds nothing.
	l.must(Report{Actor: ann, Reservation: "r1", Items: []UsageItem{{CallID: "c1", Tokens: Tokens{Output: 40}}}})
	if v, totals := l.limit("s"), l.state.Totals(); v.Used != 40 || v.Held != 100 || totals.Unreserved != 40 || totals.HeldTokens() != 100 {
		t.Fatalf("got %+v, totals %+v", v, totals)
	}
	for name, c := range map[string]Report{
		"no account":        {Actor: ann, Items: seen},
		"unknown account":   {Actor: ann, Account: "max-9", Items: seen},
		"another's account": {Actor: Actor{"bob", "b"}, Account: "api-2", Items: seen},
	} {
		if events, r := l.do(c); r.Code != CodeInvalid || len(events) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestUsageOfLongAgoExhaustsNothingToday(t *testing.T) {
	t.Parallel()
	perMinute := Limit{ID: "tpm", Unit: UnitTokens, Capacity: 1000, Window: Window{Kind: WindowBucket, Duration: Minute, Burst: 2000}}
	day := Limit{ID: "day", Unit: UnitTokens, Capacity: 1000, Window: Window{Kind: WindowCalendar, Period: PeriodDay}}
	l := newLedger(t, session("s", 1000), perMinute, day)
	l.reserve(10) // and with it the session is not open yet
	l.must(Report{Actor: ann, Reservation: "r1", Items: out(1)})
	tell := func(ago Millis) {
		t.Helper()
		items := []UsageItem{{OccurredAt: l.now.Add(-ago), Tokens: Tokens{Output: 100}}}
		l.must(Report{Actor: ann, Account: "max-1", Model: "opus-4", Items: items})
	}
	tell(30 * Day)
	tell(6 * Hour) // still of this day, of no known session, and long refilled
	tell(3 * Minute)
	tell(30 * Second)
	if s, d, b := l.limit("s").Used, l.limit("day").Used, l.limit("tpm").Used; s != 201 || d != 301 || b != 110 {
		t.Errorf("session %d, day %d, bucket %d are used, want 201, 301 and 110", s, d, b)
	}
}

func TestCacheWritesOfACallCountOnce(t *testing.T) {
	t.Parallel()
	writes := func(in5m, in1h int64) Tokens { return Tokens{CacheWrite5m: in5m, CacheWrite1h: in1h} }
	for _, c := range []struct{ known, told, want Tokens }{
		{writes(0, 0), writes(100, 20), writes(100, 20)},
		{writes(100, 0), writes(0, 100), writes(100, 0)},
		{writes(0, 100), writes(100, 0), writes(0, 100)},
		{writes(100, 0), writes(40, 80), writes(100, 20)},
		{writes(40, 80), writes(130, 0), writes(50, 80)},
		{writes(10, 10), writes(20, 20), writes(20, 20)},
		{writes(50, 50), writes(10, 10), writes(50, 50)},
	} {
		if got := c.known.Max(c.told); got != c.want {
			t.Errorf("%+v and %+v give %+v, want %+v", c.known, c.told, got, c.want)
		}
	}
}
