package quota

import "fmt"

// Waits that are told where nothing better is known.
const (
	retryBlocked   = Minute      // an operator's block ends when the operator says so
	retryUnknown   = 30 * Second // somebody has to report, observe or close first
	retryAtLeast   = Second
	bucketAmounts  = int64(1e10) // the most units of a bucket: with days of milliseconds the product fits an int64
	maxBucketSpan  = Day
	terminalAdvice = "ask for less, or raise the limit"
)

// refusal is why one candidate cannot grant.
type refusal struct {
	code       Code
	message    string
	limit      string
	requested  int64
	available  int64
	capacity   int64
	retryable  bool
	retryAfter Millis
	reason     Reason
	heldBack   int64
}

// ask is what a hold would put on one limit.
type ask struct {
	labels  *Labels // whose work it is: room may depend on who asks
	limit   *Limit
	counter *Counter
	units   int64
	priced  bool
}

// admit decides whether a limit has room; nil means yes. Each kind of window has its rule below.
func (s *State) admit(a ask, now Instant) *refusal {
	if a.limit.Unit == UnitMicroUSD && !a.priced {
		return &refusal{
			code: CodeInvalid, limit: a.limit.ID,
			message: fmt.Sprintf("the model has no price and the money limit %q binds; add a price to the configuration", a.limit.ID),
		}
	}
	if r := a.admitClosed(now); r != nil {
		return r
	}
	switch a.limit.Window.Kind {
	case WindowConcurrent:
		return s.admitConcurrent(a, now)
	case WindowBucket:
		return admitBucket(a, now)
	default:
		return s.admitWindow(a, now)
	}
}

// Reason says in one word why a limit refuses. A part that is kept for others is never called depleted.
type Reason string

// The reasons.
const (
	ReasonDepleted Reason = "depleted"  // used, held by others, or spent outside
	ReasonHeldBack Reason = "held_back" // there is some left, and it is kept for higher priorities or for spending outside
	ReasonClosed   Reason = "closed"    // the provider refuses until a reset
	ReasonTooLarge Reason = "too_large" // more than the whole window
)

// admitClosed refuses while the provider refuses: after a 429 of ours, until the reset.
func (a ask) admitClosed(now Instant) *refusal {
	if now >= a.counter.ClosedUntil {
		return nil
	}
	return &refusal{
		code: CodeInsufficientQuota, limit: a.limit.ID, requested: a.units, capacity: a.counter.capacity(a.limit), reason: ReasonClosed,
		message:   fmt.Sprintf("the provider refused requests on %q (429): it is closed until its reset", a.limit.ID),
		retryable: true, retryAfter: max(retryAtLeast, a.counter.ClosedUntil.Sub(now)),
	}
}

// admitConcurrent grants while fewer than the limit's capacity are live.
func (s *State) admitConcurrent(a ask, now Instant) *refusal {
	if a.counter.Held < a.limit.Capacity {
		return nil
	}
	return &refusal{
		code: CodeConcurrentLimitExceeded, limit: a.limit.ID, requested: 1, capacity: a.limit.Capacity,
		available: a.limit.Capacity - a.counter.Held, // below 0 where the limit was lowered under what is live
		message:   fmt.Sprintf("%d of %d reservations are live under %q", a.counter.Held, a.limit.Capacity, a.limit.ID),
		retryable: a.limit.Capacity > 0, retryAfter: s.untilExpiry(now),
	}
}

// admitBucket grants when the bucket holds the amount, or is full where the amount exceeds the burst: a long task may
// run it into debt and is paced by its reports.
func admitBucket(a ask, now Instant) *refusal {
	need := min(a.units, a.limit.burst())
	wait := a.counter.bucketWait(a.limit, now, need)
	if wait == 0 || a.units == 0 {
		return nil
	}
	level := a.counter.bucketLevel(a.limit, now) / int64(a.limit.Window.Duration)
	return &refusal{
		code: CodeInsufficientQuota, limit: a.limit.ID, requested: a.units, available: max(0, level), capacity: a.limit.Capacity,
		message:   fmt.Sprintf("%q has %d of %d %s now and refills", a.limit.ID, max(0, level), a.limit.burst(), a.limit.Unit),
		retryable: true, retryAfter: wait,
	}
}

// admitWindow grants when the amount fits into what is neither used, nor held, nor spent outside. It is terminal when
// the amount exceeds the capacity, waits for holds to end when they alone are in the way, and for the reset otherwise.
func (s *State) admitWindow(a ask, now Instant) *refusal {
	capacity := a.counter.capacity(a.limit)
	if capacity == 0 {
		return s.admitPercent(a, now)
	}
	available := a.counter.available(a.limit)
	if a.units <= available {
		return nil
	}
	r := &refusal{
		code: CodeInsufficientQuota, limit: a.limit.ID, requested: a.units, available: available, capacity: capacity,
		message: fmt.Sprintf("%q has %d of %d %s available, %d were asked for", a.limit.ID, available, capacity, a.limit.Unit, a.units),
	}
	switch {
	case a.units > capacity:
		r.message += "; that is more than the whole window: " + terminalAdvice
	case a.units <= capacity-a.counter.spent(a.limit):
		r.retryable, r.retryAfter = true, s.untilExpiry(now)
	default:
		r.retryable, r.retryAfter = true, a.counter.untilReset(now)
	}
	return r
}

// admitPercent is the rule for a window known by percentage only: it binds once a fresh observation says it is full.
func (s *State) admitPercent(a ask, now Instant) *refusal {
	if !a.counter.fresh(now, s.Config.Policy.ObservationLead) || a.counter.Observed.PercentMilli < 100_000 {
		return nil
	}
	return &refusal{
		code: CodeInsufficientQuota, limit: a.limit.ID, requested: a.units,
		message:   fmt.Sprintf("the provider says that %q is used up", a.limit.ID),
		retryable: true, retryAfter: a.counter.untilReset(now),
	}
}

// untilReset is how long the counter's window still lasts.
func (c *Counter) untilReset(now Instant) Millis {
	if c.End == 0 {
		return retryUnknown
	}
	return max(retryAtLeast, c.End.Sub(now))
}

// untilExpiry is a bound on the wait for a hold to end: the next expiry, if none is released before.
func (s *State) untilExpiry(now Instant) Millis {
	if len(s.due) == 0 {
		return retryUnknown
	}
	return min(max(retryAtLeast, s.due[0].Expires.Sub(now)), retryUnknown)
}

// usable tells whether an account's quota is known at all: an API account always, a subscription when one of its
// windows has a capacity or a fresh observation.
func (s *State) usable(account *Account, now Instant) *refusal {
	if account.Kind != KindSubscription {
		return nil
	}
	for _, l := range s.index.byAccount[account.ID] {
		if l.Window.Kind != WindowSession && l.Window.Kind != WindowCalendar {
			continue
		}
		c := s.counters[l.ID]
		if c.capacity(l) > 0 || c.fresh(now, s.Config.Policy.ObservationLead) {
			return nil
		}
	}
	return &refusal{
		code: CodeSubscriptionInfoUnavailable, retryable: true, retryAfter: retryUnknown,
		message: fmt.Sprintf("nothing is known of the windows of subscription %q; observe one, or configure its capacity or tier", account.ID),
	}
}

// admitAll asks every binding limit, so that all hold or none. Of several refusals the one that lasts longest is told.
func (s *State) admitAll(asks []ask, now Instant) *refusal {
	var worst *refusal
	for _, a := range asks {
		if r := s.admit(a, now); r != nil && r.lastsLonger(worst) {
			worst = r
		}
	}
	return worst
}

func (r *refusal) lastsLonger(o *refusal) bool {
	if o == nil || r.retryable != o.retryable {
		return o == nil || !r.retryable
	}
	return r.retryAfter > o.retryAfter
}

// asks computes what an amount puts on each limit that binds work with these labels.
func (s *State) asks(l *Labels, amount Amount, cost int64, priced bool) []ask {
	limits := s.binding(l)
	asks := make([]ask, len(limits))
	for i, limit := range limits {
		asks[i] = ask{l, limit, s.counters[limit.ID], limit.measure(amount, cost), priced}
	}
	return asks
}

// holds lists what is granted: one per limit, also where it is nothing, so that usage finds its limit.
func holds(asks []ask) []LimitAmount {
	held := make([]LimitAmount, len(asks))
	for i, a := range asks {
		held[i] = LimitAmount{a.limit.ID, a.units}
		if a.limit.Window.Kind == WindowConcurrent {
			held[i].Amount = 1
		}
	}
	return held
}

// pace is how long the next provider call should wait: until no binding bucket is in debt.
func (s *State) pace(l *Labels, now Instant) (wait Millis) {
	for _, limit := range s.binding(l) {
		if limit.Window.Kind == WindowBucket {
			wait = max(wait, s.counters[limit.ID].bucketWait(limit, now, 0))
		}
	}
	return wait
}
