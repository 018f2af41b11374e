package quota

import (
	"fmt"
	"testing"
)

func percentMilli(p int64) *int64 { p *= 1000; return &p }

// A 429 of ours closes the window until its reset, in words and fields of its own; what follows opens it again.
func TestARefusalOfTheProviderClosesTheWindow(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.must(Observe{Actor: ann, Account: "max-1", Window: "session", PercentMilli: percentMilli(40), ResetAt: t0.Add(4 * Hour)})
	l.wait(Minute)
	r := l.must(Observe{Actor: ann, Account: "max-1", Window: "session", Signal: SignalExhausted, ResetAt: t0.Add(4 * Hour)})
	if !r.Effective || r.ClosedUntil != t0.Add(4*Hour) {
		t.Fatalf("got %+v", r)
	}
	if v := l.limit("s"); v.Outside != 400 || v.ClosedUntil != t0.Add(4*Hour) {
		t.Fatalf("what was observed of the use stands: %+v", v)
	}
	refused := l.reserve(1)
	if refused.Code != CodeInsufficientQuota || refused.Reason != ReasonClosed || !refused.Retryable || refused.RetryAfter != 4*Hour-Minute {
		t.Fatalf("got %+v", refused)
	}
	if r := l.must(Observe{Actor: ann, Account: "max-1", Window: "session", PercentMilli: percentMilli(41), At: t0.Add(30 * Second)}); r.Effective {
		t.Fatalf("what was said before it does not open it: %+v", r)
	}
	l.wait(Minute)
	l.must(Observe{Actor: ann, Account: "max-1", Window: "session", Tier: "max"})
	if r := l.reserve(1); r.Reason != ReasonClosed {
		t.Fatalf("a plan says nothing about it: %+v", r)
	}
	l.wait(Minute)
	l.must(Observe{Actor: ann, Account: "max-1", Window: "session", PercentMilli: percentMilli(42)})
	if r := l.reserve(1); !r.OK() {
		t.Fatalf("a later word on its use opens it: %+v", r)
	}
	l.wait(Minute)
	l.must(Observe{Actor: ann, Account: "max-1", Window: "session", Signal: SignalExhausted})
	l.wait(4 * Hour)
	if r := l.reserve(1); !r.OK() {
		t.Fatalf("its end opens it: %+v", r)
	}
}

// How long a refusal closes, where less and less is told.
func TestHowLongARefusalCloses(t *testing.T) {
	t.Parallel()
	bucket := Limit{ID: "b", Name: "rpm", Scope: Scope{Account: "max-1"}, Unit: UnitRequests, Capacity: 10, Window: Window{Kind: WindowBucket, Duration: Minute}}
	for name, c := range map[string]struct {
		observe Observe
		want    Millis
	}{
		"its reset":                  {Observe{Window: "session", ResetAt: t0.Add(2 * Hour), RetryAfter: Minute}, 2 * Hour},
		"the wait":                   {Observe{Window: "session", RetryAfter: 40 * Minute}, 40 * Minute},
		"the wait of a bucket":       {Observe{Window: "rpm", RetryAfter: 17 * Second}, 17 * Second},
		"the end of the window":      {Observe{Window: "weekly"}, 3 * Day},
		"nothing":                    {Observe{Window: "rpm"}, closedUnlessTold},
		"the wait of the account":    {Observe{RetryAfter: 90 * Second}, 90 * Second},
		"nothing, of the account":    {Observe{}, closedUnlessTold},
		"the account, for a century": {Observe{ResetAt: t0.Add(36500 * Day)}, MaxClosed},
	} {
		weekly := session("w", 1000)
		weekly.Name, weekly.Window.Duration = "weekly", 7*Day
		l := newLedger(t, session("s", 1000), bucket, weekly)
		l.must(Observe{Account: "max-1", Window: "weekly", PercentMilli: percentMilli(1), ResetAt: t0.Add(3 * Day)})
		c.observe.Account, c.observe.Signal = "max-1", SignalExhausted
		if r := l.must(c.observe); !r.Effective || r.ClosedUntil != t0.Add(c.want) {
			t.Errorf("%s: %+v", name, r)
		}
		r := l.reserve(1)
		if r.Reason != ReasonClosed || r.RetryAfter != c.want {
			t.Errorf("%s: %+v", name, r)
		}
		if l.wait(c.want); name != "the account, for a century" {
			if r := l.reserve(1); !r.OK() {
				t.Errorf("%s: is over, and %+v", name, r)
			}
		}
	}
}

// A 529 is not our quota: it is counted and changes nothing, whatever else it tells.
func TestAnOverloadedProviderChangesNothing(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	for _, window := range []string{"", "session", "elsewhere"} {
		r := l.must(Observe{Actor: ann, Account: "max-1", Window: window, Signal: SignalOverloaded, PercentMilli: percentMilli(100)})
		if r.Effective || !r.Recorded {
			t.Fatalf("%s: %+v", window, r)
		}
	}
	if w := l.state.Watch("max-1"); w.Overloads != 3 || w.OverloadedAt != t0 || w.ClosedUntil != 0 || len(w.Unknown) != 0 {
		t.Fatalf("got %+v", w)
	}
	if r := l.reserve(1000); !r.OK() {
		t.Fatalf("got %+v", r)
	}
}

// Windows that are not configured are kept, the latest word of each, and no more than the bound.
func TestUnknownWindowsAreKept(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	see := func(name string, p int64, at Instant) Result {
		return l.must(Observe{Actor: ann, Account: "max-1", Window: name, PercentMilli: percentMilli(p), Length: 7 * Day, At: at})
	}
	if r := see("7d_oi", 3, 0); !r.Unknown || r.Effective || !r.Recorded || r.Limit != "" {
		t.Fatalf("got %+v", r)
	}
	see("7d_oi", 2, t0.Add(-Minute))
	if w := l.state.Watch("max-1"); len(w.Unknown) != 1 || w.Unknown[0].Observation.PercentMilli != 3000 {
		t.Fatalf("what is older does not replace it: %+v", w)
	}
	for i := range MaxUnknownWindows {
		see(fmt.Sprint("w", i), 1, 0)
	}
	w := l.state.Watch("max-1")
	if len(w.Unknown) != MaxUnknownWindows || w.Unknown[0].Name != "w0" {
		t.Fatalf("the one told of longest ago goes: %+v", w)
	}
	named := session("named", 500)
	named.Name = "w3"
	l.must(ApplyConfig{Config: testConfig(session("s", 1000), named)})
	if w := l.state.Watch("max-1"); len(w.Unknown) != MaxUnknownWindows-1 {
		t.Fatalf("one that is configured is not unknown any more: %+v", w)
	}
	if r := see("w3", 4, 0); r.Unknown || !r.Effective {
		t.Fatalf("got %+v", r)
	}
}

func TestObservationsThatNobodyCanHaveMade(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	for name, o := range map[string]Observe{
		"no window and no signal": {PercentMilli: percentMilli(1)},
		"another signal":          {Window: "session", Signal: "busy"},
		"a wait below nothing":    {Window: "session", Signal: SignalExhausted, RetryAfter: -1},
		"a wait of a year":        {Window: "session", Signal: SignalExhausted, RetryAfter: 365 * Day},
		"a window of a century":   {Window: "x", PercentMilli: percentMilli(1), Length: 36500 * Day},
		"a reset in a year":       {Window: "session", ResetAt: t0.Add(365 * Day)},
	} {
		o.Account = "max-1"
		if events, r := l.do(o); r.Code != CodeInvalid || len(events) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
