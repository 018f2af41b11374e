package quota

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// t0 is a Monday noon in UTC.
var t0 = InstantOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

// flatPrices charges one rate for every model but "unpriced".
type flatPrices struct{ rate Rate }

func (p flatPrices) Rate(model string, _ Instant, batch bool) (Rate, bool) {
	if model == "unpriced" || model == "" {
		return Rate{}, false
	}
	if batch {
		return Rate{p.rate.Input / 2, p.rate.CacheRead / 2, p.rate.CacheWrite5m / 2, p.rate.CacheWrite1h / 2, p.rate.Output / 2}, true
	}
	return p.rate, true
}

var testPrices = flatPrices{Rate{Input: 3_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000, Output: 15_000_000}}

// ledger drives a state the way a writer does and checks every invariant after every step.
type ledger struct {
	t     testing.TB
	state *State
	now   Instant
	next  int
}

func newLedger(t testing.TB, limits ...Limit) *ledger {
	t.Helper()
	l := &ledger{t: t, state: NewState(), now: t0}
	l.must(ApplyConfig{Config: testConfig(limits...)})
	return l
}

func testConfig(limits ...Limit) Config {
	return Config{
		Providers: []Provider{
			{Name: "claude", ModelGroups: []ModelGroup{{Name: "opus", Models: []string{"opus-*"}}}, Tiers: []Tier{{Name: "max", Capacities: map[string]int64{"session": 5000}}}},
			{Name: "openai"},
		},
		Accounts: []Account{
			{ID: "max-1", Provider: "claude", Kind: KindSubscription},
			{ID: "api-1", Provider: "openai", Kind: KindAPI},
			{ID: "api-2", Provider: "openai", Kind: KindAPI, Teams: []string{"core"}},
		},
		Limits:     limits,
		Principals: []Principal{{Name: "ann", Team: "core", MaxPriority: PriorityCritical}},
		Unlisted:   &Principal{Team: "guests", MaxPriority: PriorityNormal},
		Policy:     DefaultPolicy(),
	}
}

func session(id string, capacity int64) Limit {
	return Limit{ID: id, Name: "session", Scope: Scope{Account: "max-1"}, Unit: UnitTokens, Capacity: capacity, Window: Window{Kind: WindowSession, Duration: 5 * Hour}}
}

func (l *ledger) do(cmd Command) ([]Event, Result) {
	l.t.Helper()
	env := Env{Now: l.now, Prices: testPrices}
	ticked := l.tick(env)
	events, result := Decide(l.state, cmd, env)
	before := l.state.Limits(l.now)
	l.apply(events)
	if len(events) == 1 && events[0].Kind() == KindReservationDenied {
		if after := l.state.Limits(l.now); !reflect.DeepEqual(before, after) {
			l.t.Fatalf("a refusal changed the limits:\n%v\n%v", before, after)
		}
	}
	return append(ticked, events...), result
}

// tick does what is due, a step at a time, as a writer does.
func (l *ledger) tick(env Env) (all []Event) {
	l.t.Helper()
	for step := 0; ; step++ {
		due := l.state.NextDue()
		events, _ := Decide(l.state, Tick{}, env)
		if isDue := due != 0 && due <= env.Now; isDue != (len(events) > 0) {
			l.t.Fatalf("at %d, due at %d, a tick gives %d events", env.Now, due, len(events))
		}
		if len(events) == 0 {
			return all
		}
		if step > 10_000 {
			l.t.Fatalf("ticks do not end: %+v", events)
		}
		l.apply(events)
		all = append(all, events...)
	}
}

func (l *ledger) apply(events []Event) {
	l.t.Helper()
	for _, e := range events {
		Apply(l.state, e)
		if broken := l.state.Check(); len(broken) > 0 {
			l.t.Fatalf("%q\nafter %s %+v", broken, e.Kind(), e)
		}
	}
}

func (l *ledger) must(cmd Command) Result {
	l.t.Helper()
	_, r := l.do(cmd)
	if !r.OK() {
		l.t.Fatalf("%T: %s %s", cmd, r.Code, r.Message)
	}
	return r
}

func (l *ledger) wait(d Millis) []Event {
	l.t.Helper()
	l.now = l.now.Add(d)
	events, _ := l.do(Tick{})
	return events
}

var ann = Actor{"ann", "a1"}

func (l *ledger) reserve(tokens int64, change ...func(*Reserve)) Result {
	l.t.Helper()
	l.next++
	c := Reserve{Actor: ann, Reservation: fmt.Sprintf("r%d", l.next), Provider: "claude", Model: "opus-4", Amount: Amount{Tokens: Tokens{Output: tokens}}}
	for _, f := range change {
		f(&c)
	}
	_, r := l.do(c)
	return r
}

func (l *ledger) limit(id string) LimitView {
	l.t.Helper()
	for _, v := range l.state.Limits(l.now) {
		if v.Limit.ID == id {
			return v
		}
	}
	l.t.Fatalf("no limit %s", id)
	return LimitView{}
}

func out(n int64) []UsageItem { return []UsageItem{{Tokens: Tokens{Output: n}}} }

func TestReserveSettleReturnsTheRest(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	r := l.reserve(600)
	if !r.OK() || r.Account != "max-1" || r.CostHeld != 9000 {
		t.Fatalf("reserve: %+v", r)
	}
	if v := l.limit("s"); v.Held != 600 || v.Available != 400 || v.Start != 0 {
		t.Fatalf("after the reserve: %+v", v)
	}
	l.must(Report{Actor: ann, Reservation: "r1", Items: out(100)})
	if v := l.limit("s"); v.Held != 500 || v.Used != 100 || v.End != t0.Add(5*Hour) {
		t.Fatalf("after the report: %+v", v)
	}
	s := l.must(Settle{Actor: ann, Reservation: "r1", Items: out(150)})
	if s.Returned.Tokens.Output != 350 || s.Outcome != OutcomeSettled || s.CostUsed != 250*15 {
		t.Fatalf("settle: %+v", s)
	}
	if v := l.limit("s"); v.Held != 0 || v.Used != 250 || v.Available != 750 {
		t.Fatalf("after the settle: %+v", v)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	concurrent := Limit{ID: "c", Unit: UnitRequests, Capacity: 1, Window: Window{Kind: WindowConcurrent}}
	money := Limit{ID: "m", Unit: UnitMicroUSD, Capacity: 1_000_000, Window: Window{Kind: WindowCalendar, Period: PeriodMonth}}
	bucket := Limit{ID: "b", Unit: UnitTokens, Capacity: 600, Window: Window{Kind: WindowBucket, Duration: Minute}}
	for name, c := range map[string]struct {
		limits    []Limit
		first     int64
		tokens    int64
		change    func(*Reserve)
		code      Code
		limit     string
		retryable bool
		after     Millis
	}{
		"more than the window":         {[]Limit{session("s", 1000)}, 0, 1001, nil, CodeInsufficientQuota, "s", false, 0},
		"held by others":               {[]Limit{session("s", 1000)}, 900, 200, nil, CodeInsufficientQuota, "s", true, 30 * Second},
		"concurrent":                   {[]Limit{session("s", 1000), concurrent}, 1, 1, nil, CodeConcurrentLimitExceeded, "c", true, 30 * Second},
		"bucket":                       {[]Limit{session("s", 9000), bucket}, 600, 100, nil, CodeInsufficientQuota, "b", true, 10 * Second},
		"unknown provider":             {[]Limit{session("s", 1000)}, 0, 1, func(r *Reserve) { r.Provider = "acme" }, CodeProviderNotSupported, "", false, 0},
		"subscription without limits":  {nil, 0, 1, nil, CodeSubscriptionInfoUnavailable, "", true, 30 * Second},
		"subscription not learned":     {[]Limit{session("s", 0)}, 0, 1, nil, CodeSubscriptionInfoUnavailable, "", true, 30 * Second},
		"unpriced under a money limit": {[]Limit{session("s", 1000), money}, 0, 1, func(r *Reserve) { r.Model = "unpriced" }, CodeInvalid, "m", false, 0},
		"account of another team": {[]Limit{session("s", 1000)}, 0, 1, func(r *Reserve) {
			r.Actor, r.Provider, r.Account = Actor{"bob", "b"}, "", "api-2"
		}, CodeSubscriptionInfoUnavailable, "", false, 0},
		"no model":        {[]Limit{session("s", 1000)}, 0, 1, func(r *Reserve) { r.Model = "" }, CodeInvalid, "", false, 0},
		"negative tokens": {[]Limit{session("s", 1000)}, 0, -1, nil, CodeInvalid, "", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, c.limits...)
			if c.first > 0 {
				if r := l.reserve(c.first); !r.OK() {
					t.Fatalf("the first: %+v", r)
				}
			}
			r := l.reserve(c.tokens, func(r *Reserve) {
				if c.change != nil {
					c.change(r)
				}
			})
			if r.Code != c.code || r.Limit != c.limit || r.Retryable != c.retryable || r.RetryAfter != c.after || r.Message == "" {
				t.Fatalf("got %+v", r)
			}
		})
	}
}

func TestOverrunIsRecordedInFull(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(100)
	_, r := l.do(Report{Actor: ann, Reservation: "r1", Items: out(130)})
	if r.Code != CodeAllocationExceeded || !r.Recorded || r.Retryable || r.Requested != 130 || r.Capacity != 100 {
		t.Fatalf("got %+v", r)
	}
	if v := l.limit("s"); v.Used != 130 || v.Held != 0 {
		t.Fatalf("got %+v", v)
	}
	l.must(Extend{Actor: ann, Reservation: "r1", Amount: Amount{Tokens: Tokens{Output: 50}}})
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(5)})
	if got := l.state.Totals(); got.Used != 135 || got.Overruns != 1 || got.Reserved != 150 || got.Returned != 15 || got.HeldTokens() != 0 {
		t.Fatalf("got %+v", got)
	}
}

func TestUsageAfterCloseAndOfUnknownReservations(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(100)
	l.must(Release{Actor: ann, Reservation: "r1"})
	_, r := l.do(Report{Actor: ann, Reservation: "r1", Items: out(30)})
	if r.Code != CodeClosed || !r.Recorded || r.Outcome != OutcomeReleased {
		t.Fatalf("late: %+v", r)
	}
	_, r = l.do(Settle{Actor: ann, Reservation: "nobody", Account: "max-1", Model: "opus-4", Items: out(40)})
	if r.Code != CodeAllocationNotFound || !r.Recorded {
		t.Fatalf("unknown: %+v", r)
	}
	_, r = l.do(Report{Actor: Actor{"bob", "b"}, Reservation: "r1"})
	if r.Code != CodeAllocationNotFound || r.Recorded {
		t.Fatalf("somebody else's: %+v", r)
	}
	if v := l.limit("s"); v.Used != 70 {
		t.Fatalf("got %+v", v)
	}
}

func TestACallCountsOnce(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000), Limit{ID: "q", Unit: UnitRequests, Capacity: 100, Window: Window{Kind: WindowCalendar, Period: PeriodDay}})
	l.reserve(500)
	l.reserve(100)
	call := func(n int64) []UsageItem { return []UsageItem{{CallID: "c1", Tokens: Tokens{Output: n}}} }
	l.must(Report{Actor: ann, Reservation: "r1", Items: call(3)})
	l.must(Report{Actor: ann, Reservation: "r1", Items: call(200)})
	l.must(Report{Actor: ann, Reservation: "r1", Items: call(5)})
	l.must(Settle{Actor: ann, Reservation: "r2", Items: call(200)})
	if v, q := l.limit("s"), l.limit("q"); v.Used != 200 || q.Used != 1 {
		t.Fatalf("tokens %+v\nrequests %+v", v, q)
	}
}

func TestRolloverMovesHoldsAndChargesEarlierWindows(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(300, func(r *Reserve) { r.Lifetime = 4 * Hour })
	l.must(Report{Actor: ann, Reservation: "r1", Items: out(100)})
	l.wait(3 * Hour)
	l.reserve(400)
	l.wait(2*Hour + Minute)
	if v := l.limit("s"); v.Used != 0 || v.Held != 400 || v.Start != 0 {
		t.Fatalf("after the rollover: %+v", v)
	}
	l.must(Report{Actor: ann, Reservation: "r2", Items: []UsageItem{{OccurredAt: t0.Add(4 * Hour), Tokens: Tokens{Output: 50}}}})
	if v := l.limit("s"); v.Used != 0 || v.Held != 350 {
		t.Fatalf("usage of the earlier window: %+v", v)
	}
	if past := l.state.counters["s"].Earlier; len(past) != 1 || past[0].Used != 150 {
		t.Fatalf("earlier windows: %+v", past)
	}
}

func TestExpiryReturnsAndNotifies(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	r := l.reserve(300, func(r *Reserve) { r.Lease = 10 * Minute })
	if r.Expires != t0.Add(10*Minute) {
		t.Fatalf("expires %v", r.Expires)
	}
	l.wait(5 * Minute)
	if r := l.must(Report{Actor: ann, Reservation: "r1"}); r.Expires != t0.Add(15*Minute) {
		t.Fatalf("a sign of life renews: %v", r.Expires.Time())
	}
	if due := l.state.NextDue(); due != t0.Add(14*Minute) {
		t.Fatalf("next due %v", due.Time())
	}
	l.wait(9 * Minute)
	l.wait(Minute)
	notices := l.state.Notices(ann)
	if len(notices) != 2 || notices[0].Kind != NoticeExpiring || notices[1].Kind != NoticeExpired {
		t.Fatalf("notices: %+v", notices)
	}
	if v := l.limit("s"); v.Held != 0 || l.state.Live() != 0 {
		t.Fatalf("got %+v", v)
	}
	l.must(Acknowledge{Actor: ann, Notices: []uint64{notices[0].ID, 99}})
	if left := l.state.Notices(ann); len(left) != 1 || left[0].ID != notices[1].ID {
		t.Fatalf("left: %+v", left)
	}
}

func TestExtendStopsAtTheHardCap(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(100, func(r *Reserve) { r.Lifetime = Hour })
	l.wait(30 * Minute)
	if r := l.must(Extend{Actor: ann, Reservation: "r1", Lifetime: 9 * Hour}); r.Expires != t0.Add(4*Hour) {
		t.Fatalf("expires %v", r.Expires.Time())
	}
	_, r := l.do(Extend{Actor: ann, Reservation: "r1", Amount: Amount{Tokens: Tokens{Output: 901}}})
	if r.Code != CodeInsufficientQuota {
		t.Fatalf("got %+v", r)
	}
}

func TestWarningsOncePerThreshold(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(1000)
	count := func(events []Event) (n []int64) {
		for _, e := range events {
			if w, ok := e.(*LimitWarning); ok {
				n = append(n, w.Threshold)
			}
		}
		return n
	}
	for i, want := range []string{"[]", "[75 90]", "[]", "[95]", "[]"} {
		events, _ := l.do(Report{Actor: ann, Reservation: "r1", Items: out([]int64{700, 200, 10, 80, 5}[i])})
		if got := fmt.Sprint(count(events)); got != want {
			t.Fatalf("report %d: %s, want %s", i, got, want)
		}
	}
}

func TestObservations(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	percent := func(p int64) *int64 { p *= 1000; return &p }
	l.reserve(300)
	l.must(Report{Actor: ann, Reservation: "r1", Items: out(100)})
	l.wait(Minute)
	r := l.must(Observe{Actor: ann, Account: "max-1", Window: "session", PercentMilli: percent(40), ResetAt: t0.Add(4 * Hour), Source: "statusline"})
	if v := l.limit("s"); !r.Effective || v.Outside != 300 || v.Available != 400 || v.End != t0.Add(4*Hour) {
		t.Fatalf("after 40 %%: %+v %+v", r, v)
	}
	l.wait(Minute)
	l.must(Report{Actor: ann, Reservation: "r1", Items: []UsageItem{{OccurredAt: t0.Add(30 * Second), Tokens: Tokens{Output: 50}}}})
	if v := l.limit("s"); v.Outside != 250 || v.Used != 150 {
		t.Fatalf("usage the provider had seen: %+v", v)
	}
	l.must(Report{Actor: ann, Reservation: "r1", Items: out(50)})
	if v := l.limit("s"); v.Outside != 250 || v.Used != 200 || !v.Fresh {
		t.Fatalf("usage it had not seen: %+v", v)
	}
	_, r = l.do(Observe{Actor: ann, Account: "max-1", Window: "session", PercentMilli: percent(10), At: t0})
	if r.Effective || !r.Recorded {
		t.Fatalf("out of order: %+v", r)
	}
	l.wait(3*Hour + 53*Minute - Second)
	if v := l.limit("s"); !v.Fresh {
		t.Fatalf("more than 5 minutes before the reset it counts: %+v", v)
	}
	l.wait(Second)
	if v := l.limit("s"); v.Fresh {
		t.Fatalf("5 minutes before the reset it is stale: %+v", v)
	}
	l.wait(4*Minute + 30*Second)
	l.must(Observe{Actor: ann, Account: "max-1", Window: "s", PercentMilli: percent(1), ResetAt: t0.Add(9 * Hour)})
	if v := l.limit("s"); v.Used != 0 || v.Outside != 10 || v.Start != t0.Add(4*Hour) || v.End != t0.Add(9*Hour) {
		t.Fatalf("a later reset rolls the window over: %+v", v)
	}
}

func TestASubscriptionLearnsFromItsTier(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 0))
	if r := l.reserve(100); r.Code != CodeSubscriptionInfoUnavailable {
		t.Fatalf("got %+v", r)
	}
	if r := l.must(Observe{Actor: ann, Account: "max-1", Window: "session", Tier: "max", ResetAt: t0.Add(Hour)}); r.Capacity != 5000 {
		t.Fatalf("got %+v", r)
	}
	if r := l.reserve(100); !r.OK() {
		t.Fatalf("got %+v", r)
	}
}

func TestBlocksHoldBack(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.must(Block{Target: BlockAccount, Name: "max-1", Reason: "maintenance"})
	if r := l.reserve(1); r.Code != CodeUnavailable || !r.Retryable {
		t.Fatalf("got %+v", r)
	}
	l.must(Unblock{Target: BlockAccount, Name: "max-1"})
	if r := l.reserve(1); !r.OK() {
		t.Fatalf("got %+v", r)
	}
	if _, r := l.do(Block{Target: "moon"}); r.Code != CodeInvalid {
		t.Fatalf("got %+v", r)
	}
}

func TestApplyConfigKeepsCountersThatMeanTheSame(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000), session("gone", 5000))
	l.reserve(300)
	l.must(Report{Actor: ann, Reservation: "r1", Items: out(100)})
	r := l.must(ApplyConfig{IfVersion: 1, Config: testConfig(session("s", 2000), Limit{ID: "new", Unit: UnitTokens, Capacity: 50, Window: Window{Kind: WindowCalendar, Period: PeriodDay}})})
	if v := l.limit("s"); r.Version != 2 || v.Used != 100 || v.Held != 200 || v.Capacity != 2000 {
		t.Fatalf("got %+v", v)
	}
	if _, r := l.do(ApplyConfig{IfVersion: 1}); r.Code != CodeConflict || r.Version != 2 {
		t.Fatalf("got %+v", r)
	}
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(10)})
	if v := l.limit("new"); v.Used != 10 {
		t.Fatalf("usage counts on new limits at once: %+v", v)
	}
}

func TestBucketPacesLongTasks(t *testing.T) {
	t.Parallel()
	l := newLedger(t, Limit{ID: "b", Scope: Scope{Account: "api-1"}, Unit: UnitTokens, Capacity: 600, Window: Window{Kind: WindowBucket, Duration: Minute}})
	onAPI := func(r *Reserve) { r.Provider = "openai"; r.Account = "api-1" }
	r := l.reserve(900, onAPI)
	if !r.OK() || r.Pace != 30*Second {
		t.Fatalf("more than the burst, from a full bucket, runs into debt: %+v", r)
	}
	l.wait(30 * Second)
	if r := l.must(Report{Actor: ann, Reservation: "r1", Items: out(900)}); r.Pace != 0 {
		t.Fatalf("usage within the debit is not debited again: %+v", r)
	}
	_, over := l.do(Settle{Actor: ann, Reservation: "r1", Items: out(60)})
	if over.Code != CodeAllocationExceeded {
		t.Fatalf("got %+v", over)
	}
	if v := l.limit("b"); v.Over != 60 {
		t.Fatalf("got %+v", v)
	}
	l.wait(Minute)
	l.reserve(300, onAPI)
	l.must(Release{Actor: ann, Reservation: "r2"})
	if v := l.limit("b"); v.Available != 540 {
		t.Fatalf("the unused debit comes back: %+v", v)
	}
}

func TestCostArithmetic(t *testing.T) {
	t.Parallel()
	r := Rate{Input: 3_000_000, Output: MaxRate}
	for name, c := range map[string]struct {
		tokens      Tokens
		floor, ceil int64
	}{
		"nothing":        {Tokens{}, 0, 0},
		"exact":          {Tokens{Input: 1}, 3, 3},
		"the largest":    {Tokens{Output: MaxTokensPerClass}, 1e16, 1e16},
		"beyond 64 bits": {Tokens{Input: MaxTokensPerClass, Output: MaxTokensPerClass}, 1e16 + 3e12, 1e16 + 3e12},
	} {
		if got := r.Cost(c.tokens); got != c.floor {
			t.Errorf("%s: cost %d, want %d", name, got, c.floor)
		}
		if got := r.CostCeil(c.tokens); got != c.ceil {
			t.Errorf("%s: rounded up %d, want %d", name, got, c.ceil)
		}
	}
	third := Rate{Input: 333_333}
	if third.Cost(Tokens{Input: 1}) != 0 || third.CostCeil(Tokens{Input: 1}) != 1 || third.Cost(Tokens{Input: 2}) != 1 {
		t.Error("usage rounds half up once, holds round up")
	}
}
