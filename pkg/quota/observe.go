package quota

import (
	"fmt"
	"strings"
)

// Bounds of observations.
const (
	// MaxUnknownWindows is how many windows that are not configured are kept of one account; the one told of longest
	// ago is forgotten first.
	MaxUnknownWindows = 16
	MaxClosed         = 32 * Day  // no refusal of a provider closes longer: the longest window is a month
	MaxWindowLength   = 366 * Day // of an unknown window
	closedUnlessTold  = Minute    // how long a refusal closes where the provider tells no reset and no wait
)

// observe records what the provider said. An observation that is older than the last one, or whose window has ended, is
// kept in the log and changes nothing; so is one of a window that is not configured, which stays visible, and one that
// says that the provider is overloaded, which is not our quota.
func (d decider) observe(c Observe) ([]Event, Result) {
	if problem := d.checkObserve(&c); problem != nil {
		return nil, *problem
	}
	l := d.state.windowOfAccount(c.Account, c.Window)
	if l == nil {
		if l = d.state.windowOfModel(c.Account, c.Window, c.Model); l == nil {
			c.Window = d.state.groupedName(c.Account, c.Window, c.Model)
		}
	}
	if l == nil || c.Signal == SignalOverloaded {
		return d.observeAccount(&c, l)
	}
	if latest := d.env.Now.Add(l.longest() + resetTolerance); c.ResetAt > latest && l.countsSpending() {
		return nil, invalid("resets_at is later than a window of %s can last from now (%s)", l.ID, latest.Time())
	}
	return d.observeLimit(&c, l)
}

func (d decider) unknownAccount(id string, by Actor) string {
	p, _ := d.state.Config.Principal(by.Principal)
	return d.state.Config.UnknownAccount(id, &p)
}

// observeAccount records what concerns no limit of ours.
func (d decider) observeAccount(c *Observe, l *Limit) ([]Event, Result) {
	o := observation(c, d.env.Now)
	e := &ObservationRecorded{At: d.env.Now, Actor: c.Actor, Account: c.Account, Observation: o, Window: c.Window}
	r := Result{Account: c.Account, Recorded: true}
	if l != nil {
		e.Limit, e.Window, e.Span, r.Limit = l.ID, "", d.state.counters[l.ID].span(), l.ID
	}
	switch {
	case c.Signal == SignalOverloaded:
		r.Message = "recorded, and without effect: an overloaded provider is not our quota; ask it again after a while"
	case c.Window == "":
		until := d.closing(&o, 0)
		e.Effective = until > d.env.Now
		if e.Effective {
			e.ClosedUntil, r.ClosedUntil, r.Effective = until, until, true
		} else {
			r.Message = "recorded, and without effect: the wait that the provider asked for is over"
		}
	default:
		r.Unknown = true
		r.Message = fmt.Sprintf("recorded, and without effect: account %q has no window %q; it has %s. Configure a limit of this name, and it counts",
			c.Account, c.Window, strings.Join(d.state.windowNames(c.Account), ", "))
	}
	return []Event{e}, r
}

// observeLimit records what was said of one of our limits.
func (d decider) observeLimit(c *Observe, l *Limit) ([]Event, Result) {
	s, now := d.state, d.env.Now
	counter := s.counters[l.ID]
	o := observation(c, now)
	e := &ObservationRecorded{At: now, Actor: c.Actor, Account: l.Scope.Account, Limit: l.ID, Observation: o, Span: counter.span()}
	exhausted := o.Signal == SignalExhausted
	outOfOrder := counter.Observed != nil && o.At < counter.Observed.At || o.At < counter.ClosedAt || o.tellsCapacityOnly() && o.At < counter.LearnedAt
	ended := o.ResetAt != 0 && o.ResetAt <= now || o.At < counter.Start && o.ResetAt == 0
	e.Told = toldOf(l, counter, &o)
	if !l.countsSpending() && !exhausted && e.Told == 0 || outOfOrder || ended {
		e.Told = 0
		return []Event{e}, Result{Account: l.Scope.Account, Limit: l.ID, Recorded: true,
			Message: "recorded, and without effect: it is older than what is known, or this kind of limit does not take observations"}
	}
	e.Effective = true
	var events []Event
	x := s.observing(l)
	if l.countsSpending() {
		if o.At >= counter.LearnedAt {
			e.Capacity = d.taught(l, &o)
		}
		var ended bool
		if e.Span, ended = observedSpan(l, counter, o.ResetAt); ended {
			events = append(events, rolled(l, counter, e.Span, now))
			Apply(x, events[0])
		}
	}
	switch {
	case exhausted:
		e.ClosedUntil = d.closing(&o, e.Span.End)
	case !o.tellsUse():
		e.ClosedUntil = counter.ClosedUntil // it says nothing about that
	}
	e.Lesson = x.teach(l, x.counters[l.ID], x.learners[l.ID], &o)
	e.Since = x.bookedSince(l, o.At)
	events = append(events, e)
	Apply(x, e)
	events = append(events, x.warnings(l, now)...)
	capacity := x.counters[l.ID].capacity(l)
	if l.Window.Kind == WindowBucket {
		capacity = x.counters[l.ID].rate(l)
	}
	return events, Result{Account: l.Scope.Account, Limit: l.ID, Recorded: true, Effective: true, Capacity: capacity,
		ClosedUntil: e.ClosedUntil}
}

// observing copies the part of the state that an observation of a limit can touch.
func (s *State) observing(l *Limit) *State {
	x := s.scratch(nil, Labels{}, nil)
	clone := *s.counters[l.ID]
	x.counters[l.ID] = &clone
	x.learners = map[string]*Learner{}
	if n := s.learners[l.ID]; n != nil {
		learner := n.copy()
		x.learners[l.ID] = &learner
	}
	return x
}

// bookedSince is what of our books occurred after an instant, as far as it is remembered: an observation that comes late
// has not seen it.
func (s *State) bookedSince(l *Limit, at Instant) (units int64) {
	n := s.learners[l.ID]
	if n == nil || at >= s.Now {
		return 0
	}
	for _, u := range n.since(at) {
		units += l.weights().weigh(u.Tokens)
	}
	return min(units, s.counters[l.ID].Used)
}

// closing is until when a refusal of the provider closes: until the reset it told, or as long as it asked to wait, or
// until the window ends, whichever is known first in this order.
func (d decider) closing(o *Observation, end Instant) Instant {
	until := d.env.Now.Add(closedUnlessTold)
	switch {
	case o.ResetAt != 0:
		until = o.ResetAt
	case o.RetryAfter > 0:
		until = o.At.Add(o.RetryAfter)
	case end > d.env.Now:
		until = end
	}
	return min(until, d.env.Now.Add(MaxClosed))
}

// countsSpending tells whether the provider's word on use corrects the limit: session and calendar windows.
func (l *Limit) countsSpending() bool {
	return l.Window.Kind == WindowSession || l.Window.Kind == WindowCalendar
}

// tellsUse says whether the observation tells how much is used.
func (o *Observation) tellsUse() bool { return o.Used >= 0 || o.PercentMilli >= 0 }

// tellsCapacityOnly says whether it tells nothing but how much the window holds.
func (o *Observation) tellsCapacityOnly() bool {
	return o.Capacity > 0 && !o.tellsUse() && o.ResetAt == 0 && o.Signal == ""
}

// observe takes what the provider says of a window. Where it says nothing of the use, what it said of that before stands:
// what was spent outside is still spent. Which of our usage occurred after the observation is known only for what is
// reported from now on; what was reported before is taken to have been seen by the provider, but for the part that is given.
func (c *Counter) observe(o *Observation, since int64) {
	if last := c.Observed; last != nil && last.tellsUse() && !o.tellsUse() {
		kept := *last
		kept.ResetAt = max(kept.ResetAt, o.ResetAt)
		c.Observed = &kept
		return
	}
	c.Observed, c.Since = o, min(since, c.Used)
}

// checkObserve refuses what no provider can have said.
func (d decider) checkObserve(c *Observe) *Result {
	fail := func(format string, args ...any) *Result {
		r := invalid(format, args...)
		return &r
	}
	if err := checkText("account", c.Account, "window", c.Window, "model", c.Model, "tier", c.Tier, "source", c.Source); err != nil {
		return fail("%v", err)
	}
	if _, ok := d.state.Config.Account(c.Account); !ok {
		return fail("%s", d.unknownAccount(c.Account, c.Actor))
	}
	outOfRange := func(n *int64, most int64) bool { return n != nil && (*n < 0 || *n > most) }
	tells := c.Used != nil || c.PercentMilli != nil || c.Capacity != nil || c.ResetAt != 0 || c.Tier != ""
	switch {
	case c.Signal != "" && c.Signal != SignalExhausted && c.Signal != SignalOverloaded:
		return fail("signal must be %s or %s, not %q", SignalExhausted, SignalOverloaded, c.Signal)
	case c.Window == "" && c.Signal == "":
		return fail("name the window; only a refusal (signal) may be of none")
	case !tells && c.Signal == "":
		return fail("an observation tells at least one of used, percent, capacity, resets_at, tier and signal")
	case outOfRange(c.Used, MaxCapacity) || outOfRange(c.Capacity, MaxCapacity):
		return fail("used and capacity must be from 0 to %d", MaxCapacity)
	case outOfRange(c.PercentMilli, 1_000_000):
		return fail("percent must be from 0 to 1000")
	case c.ResetAt < 0 || c.At < 0:
		return fail("times must not be before 1970")
	case c.RetryAfter < 0 || c.RetryAfter > MaxClosed || c.Length < 0 || c.Length > MaxWindowLength:
		return fail("retry_after must be from 0 to %d days and the window's length at most %d", MaxClosed/Day, MaxWindowLength/Day)
	}
	return nil
}

// windowOfAccount finds an account's limit by name or id; nil for none.
func (s *State) windowOfAccount(account, window string) *Limit {
	for _, l := range s.index.byAccount[account] {
		if l.ID == window || l.Name == window {
			return l
		}
	}
	return nil
}

func (s *State) windowNames(account string) []string {
	names := []string{}
	for _, l := range s.index.byAccount[account] {
		names = append(names, l.Name)
	}
	if len(names) == 0 {
		names = append(names, "none")
	}
	return names
}

func observation(c *Observe, now Instant) Observation {
	o := Observation{
		Used: -1, PercentMilli: -1, ResetAt: c.ResetAt, Tier: c.Tier, Source: c.Source, At: c.At,
		Signal: c.Signal, RetryAfter: c.RetryAfter, Length: c.Length,
	}
	if o.At == 0 || o.At > now {
		o.At = now
	}
	if c.Used != nil {
		o.Used = *c.Used
	}
	if c.PercentMilli != nil {
		o.PercentMilli = *c.PercentMilli
	}
	if c.Capacity != nil {
		o.Capacity = *c.Capacity
	}
	return o
}

// longest is how long a window of the limit lasts at most.
func (l *Limit) longest() Millis {
	switch {
	case l.Window.Kind != WindowCalendar:
		return l.Window.Duration
	case l.Window.Period == PeriodMonth:
		return 31*Day + Hour
	case l.Window.Period == PeriodWeek:
		return 7*Day + Hour
	default:
		return Day + Hour
	}
}

// leastPercentMilli is the smallest percentage from which a capacity is computed: below it rounding decides.
const leastPercentMilli = 1000

// taught is the capacity that an observation tells: outright, by the tier's row in the provider table, or as used over
// percent. 0 when it tells none.
func (d decider) taught(l *Limit, o *Observation) int64 {
	if o.Capacity > 0 {
		return o.Capacity
	}
	if account, ok := d.state.Config.Account(l.Scope.Account); ok && o.Tier != "" {
		if provider, ok := d.state.Config.Provider(account.Provider); ok {
			for _, tier := range provider.Tiers {
				if n := tier.Capacities[l.Name]; tier.Name == o.Tier && n > 0 {
					return n
				}
			}
		}
	}
	if o.Used > 0 && o.PercentMilli >= leastPercentMilli {
		var s sum128
		s.addProduct(o.Used, 100_000)
		return min(MaxCapacity, s.divFloor(uint64(o.PercentMilli)))
	}
	return 0
}

// observedSpan is the window after the provider announced its reset; rolled says that ours had ended without our noticing.
func observedSpan(l *Limit, c *Counter, resetAt Instant) (span WindowSpan, rolled bool) {
	span = c.span()
	if resetAt == 0 {
		return span, false
	}
	span.End = resetAt
	if l.Window.Kind != WindowSession {
		return span, false
	}
	start := resetAt.Add(-l.Window.Duration)
	switch {
	case c.Start == 0:
		span.Start = start
	case start >= c.End.Add(-resetTolerance) && resetAt > c.End.Add(resetTolerance):
		span.Start = max(start, c.End)
		return span, true
	}
	return span, false
}
