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
	unit       Unit // of what follows; empty where no configured limit refuses
	requested  int64
	available  int64
	capacity   int64
	retryable  bool
	retryAfter Millis
	reason     Reason
	heldBack   int64
	// watch is what has to change before the same ask can be granted, and becomes the bound of an entry that waits: a limit's
	// id, or one of the names in queue_watch.go.
	watch string
}

// ask is what a hold would put on one limit.
type ask struct {
	labels  *Labels // whose work it is: room may depend on who asks
	limit   *Limit
	counter *Counter
	units   int64
	priced  bool
	waiting string // the queued reservation that asks; empty for one that does not wait
	// preemptible work may have what floors lend.
	preemptible bool
}

// admit decides whether a limit has room; nil means yes. What room there is stands in room.go, what a refusal says below.
func (s *State) admit(a ask, now Instant) *refusal {
	if a.limit.Unit == UnitMicroUSD && !a.priced {
		return &refusal{
			code: CodeInvalid, limit: a.limit.ID,
			message: fmt.Sprintf("the model has no price and the money limit %q binds; add a price to the configuration", a.limit.ID),
		}
	}
	if s.fits(&a, now) {
		return nil
	}
	r := s.shortage(&a, now)
	r.limit, r.watch, r.unit = a.limit.ID, a.limit.ID, a.limit.Unit
	return r
}

// shortage says why a limit has no room, in the words of its kind of window.
func (s *State) shortage(a *ask, now Instant) *refusal {
	if w := s.keptFor(a, now); w != nil {
		return s.keptBack(a, w, now)
	}
	if a.closed(now) {
		return a.shortClosed(now)
	}
	if room := s.limitRoom(a, now); a.need() <= room {
		return s.shortShare(a, room, now)
	}
	switch a.limit.Window.Kind {
	case WindowConcurrent:
		return s.shortConcurrent(a, now)
	case WindowBucket:
		return shortBucket(a, now)
	default:
		return s.shortWindow(a, now)
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

// Exhausts tells whether a refusal counts as exhaustion: there was no quota left, rather than some that is kept for others.
// Analytics counts the same in SQL, in several places; tools/house holds them to be alike.
func Exhausts(code Code, reason Reason) bool {
	return (code == CodeInsufficientQuota || code == CodeConcurrentLimitExceeded) && reason != ReasonHeldBack
}

// shortClosed says that the provider refuses: after a 429 of ours, until the reset.
func (a *ask) shortClosed(now Instant) *refusal {
	return &refusal{
		code: CodeInsufficientQuota, requested: a.units, capacity: a.counter.capacity(a.limit), reason: ReasonClosed,
		message:   fmt.Sprintf("the provider refused requests on %q (429): it is closed until its reset", a.limit.ID),
		retryable: true, retryAfter: max(retryAtLeast, a.counter.ClosedUntil.Sub(now)),
	}
}

// shortShare says that the limit has room, and that it is kept for the owners of floors, or above what the team may take.
func (s *State) shortShare(a *ask, room int64, now Instant) *refusal {
	left, capacity := s.shareRoom(a, room, now), a.counter.capacity(a.limit)
	r := &refusal{
		code: CodeInsufficientQuota, requested: a.need(), available: left, capacity: capacity, reason: ReasonHeldBack, heldBack: room - left,
		message: fmt.Sprintf("%q has %s left, of which floors and shares leave %s to team %q; %s were asked for", a.limit.ID,
			a.limit.Unit.amount(room), a.limit.Unit.number(left), a.labels.Team, a.limit.Unit.number(a.need())),
		retryable: true, retryAfter: a.counter.untilReset(now),
	}
	if a.limit.countsSpending() && capacity > 0 {
		if kept := s.parts(a, now); kept.kept() > 0 {
			r.heldBack += kept.kept()
			r.message += "; besides, " + kept.text(a.limit)
		}
		s.sooner(r, a, now)
	}
	if a.limit.Window.Kind == WindowConcurrent {
		r.retryAfter = s.untilExpiry(now)
	}
	if most := s.mostEver(a, capacity); a.need() > most {
		r.retryable, r.retryAfter = false, 0
		r.message += fmt.Sprintf("; they never leave more than %s: %s", a.limit.Unit.number(most), terminalAdvice)
	}
	return r
}

func (s *State) shortConcurrent(a *ask, now Instant) *refusal {
	return &refusal{
		code: CodeConcurrentLimitExceeded, requested: 1, capacity: a.limit.Capacity,
		available: a.limit.Capacity - a.counter.Held, // below 0 where the limit was lowered under what is live
		message:   fmt.Sprintf("%d of %d reservations are live under %q", a.counter.Held, a.limit.Capacity, a.limit.ID),
		retryable: a.limit.Capacity > 0, retryAfter: s.untilFreed(a, 1, now),
	}
}

func shortBucket(a *ask, now Instant) *refusal {
	level := max(0, a.counter.bucketLevel(a.limit, now)/int64(a.limit.Window.Duration))
	return &refusal{
		code: CodeInsufficientQuota, requested: a.units, available: level, capacity: a.limit.Capacity,
		message: fmt.Sprintf("%q has %s of %s now and refills", a.limit.ID, a.limit.Unit.number(level), a.limit.Unit.amount(a.counter.burst(a.limit))),
		reason:  ReasonDepleted, retryable: true, retryAfter: a.counter.bucketWait(a.limit, now, min(a.units, a.counter.burst(a.limit))),
	}
}

// shortWindow says why a window has no room for an amount.
func (s *State) shortWindow(a *ask, now Instant) *refusal {
	capacity := a.counter.capacity(a.limit)
	if capacity == 0 {
		return &refusal{
			code: CodeInsufficientQuota, requested: a.units, message: fmt.Sprintf("the provider says that %q is used up", a.limit.ID),
			reason: ReasonDepleted, retryable: true, retryAfter: a.counter.untilReset(now),
		}
	}
	return s.refuseWindow(a, s.parts(a, now), now)
}

// untilReset is how long the counter's window still lasts.
func (c *Counter) untilReset(now Instant) Millis {
	if c.End == 0 {
		return retryUnknown
	}
	return max(retryAtLeast, c.End.Sub(now))
}

// untilFreed is how long units take to come back on a limit: as fast as they came back lately, and no later than the
// window's reset.
func (s *State) untilFreed(a *ask, units int64, now Instant) Millis {
	wait, _, ok := a.counter.Freed.until(units, now)
	if !ok {
		return s.untilExpiry(now)
	}
	if a.counter.End != 0 {
		wait = min(wait, a.counter.End.Sub(now))
	}
	return max(retryAtLeast, wait)
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
		code: CodeSubscriptionInfoUnavailable, retryable: true, retryAfter: retryUnknown, watch: watchAccount + account.ID,
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
		asks[i] = ask{labels: l, limit: limit, counter: s.counters[limit.ID], units: limit.measure(amount, cost), priced: priced}
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
