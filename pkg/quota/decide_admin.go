package quota

import (
	"fmt"
	"slices"
	"strings"
)

// maxExpiriesPerTick bounds one tick's events, so that they fit into a commit; what is left is due at once again.
const maxExpiriesPerTick = 500

// tick lets time pass: windows that ended roll over, leases that ended expire, those that end soon are warned of.
func (d decider) tick() (events []Event) {
	s, now := d.state, d.env.Now
	if s.nextWindow != 0 && s.nextWindow <= now {
		for i := range s.Config.Limits {
			l := &s.Config.Limits[i]
			if c := s.counters[l.ID]; c.End != 0 && c.End <= now {
				events = append(events, &WindowRolled{At: now, Ended: c.span(), Used: c.Used, Next: s.following(l, c.span(), now)})
			}
		}
	}
	var due []*Reservation
	s.due.upTo(now, func(r *Reservation) { due = append(due, r) })
	slices.SortFunc(due, func(a, b *Reservation) int {
		if a.Expires != b.Expires {
			return int(a.Expires - b.Expires)
		}
		return strings.Compare(a.ID, b.ID)
	})
	for _, r := range due[:min(len(due), maxExpiriesPerTick)] {
		if r.Expires <= now {
			events = append(events, closing(r, now, OutcomeExpired, Actor{}, ""))
		} else {
			events = append(events, &ReservationExpiring{At: now, Reservation: r.ID, Labels: r.Labels, Expires: r.Expires})
		}
	}
	return events
}

func (d decider) acknowledge(c Acknowledge) ([]Event, Result) {
	if len(c.Notices) > MaxNoticesPerAgent {
		return nil, invalid("%d notices in one request, at most %d are allowed", len(c.Notices), MaxNoticesPerAgent)
	}
	known := d.state.notices[c.Actor]
	var seen []uint64
	for _, n := range known {
		if slices.Contains(c.Notices, n.ID) {
			seen = append(seen, n.ID)
		}
	}
	if len(seen) == 0 {
		return nil, Result{}
	}
	return []Event{&NoticesAcknowledged{At: d.env.Now, Actor: c.Actor, Notices: seen}}, Result{}
}

func (d decider) checkBlock(target BlockTarget, name, reason string) error {
	if err := checkText("name", name, "reason", reason); err != nil {
		return err
	}
	switch target {
	case BlockWorkspace:
		if name != "" {
			return fmt.Errorf("a block of the workspace takes no name")
		}
		return nil
	case BlockAccount:
		if _, ok := d.state.Config.Account(name); !ok {
			return fmt.Errorf("there is no account %q", name)
		}
		return nil
	case BlockTeam, BlockAgent:
		if name == "" {
			return fmt.Errorf("name the %s", target)
		}
		return nil
	default:
		return fmt.Errorf("target must be workspace, account, team or agent, not %q", target)
	}
}

func (d decider) block(c Block) ([]Event, Result) {
	if err := d.checkBlock(c.Target, c.Name, c.Reason); err != nil {
		return nil, invalid("%v", err)
	}
	return []Event{&BlockPlaced{At: d.env.Now, Actor: c.Actor, Target: c.Target, Name: c.Name, Reason: c.Reason}}, Result{}
}

func (d decider) unblock(c Unblock) ([]Event, Result) {
	if _, ok := d.state.blocks[blockKey{c.Target, c.Name}]; !ok {
		return nil, invalid("%s", strings.TrimSpace(fmt.Sprintf("nothing is held back for %s %s", c.Target, c.Name)))
	}
	return []Event{&BlockLifted{At: d.env.Now, Actor: c.Actor, Target: c.Target, Name: c.Name}}, Result{}
}

// applyConfig replaces the configuration. A limit that still counts the same way keeps its counter; one that is new or
// counts differently starts over. Live reservations keep the holds they have and get none on new limits.
func (d decider) applyConfig(c ApplyConfig) ([]Event, Result) {
	current := d.state.Config.Version
	if c.IfVersion != 0 && c.IfVersion != current {
		return nil, Result{Code: CodeConflict, Version: current,
			Message: fmt.Sprintf("the configuration is at version %d, not %d; read it again and redo the change", current, c.IfVersion)}
	}
	next := c.Config
	next.Version = current + 1
	e := &ConfigApplied{At: d.env.Now, Actor: c.Actor, Config: next}
	index := newLimitIndex(&next)
	for i := range next.Limits {
		l := &next.Limits[i]
		if old := d.state.index.byID[l.ID]; old == nil || !old.countsLike(l) {
			e.Opened = append(e.Opened, d.state.opening(l, index.zones, d.env.Now))
		}
	}
	return []Event{e}, Result{Version: next.Version}
}

// countsLike tells whether a counter of one limit means the same under another.
func (l *Limit) countsLike(o *Limit) bool {
	a, b := l.Window, o.Window
	a.Burst, b.Burst = 0, 0
	return l.Unit == o.Unit && l.Scope == o.Scope && a == b
}

// observe records what the provider said of a window. An observation that is older than the last one, or whose window
// has ended, is kept in the log and changes nothing.
func (d decider) observe(c Observe) ([]Event, Result) {
	l, problem := d.observed(&c)
	if problem != nil {
		return nil, *problem
	}
	s, now := d.state, d.env.Now
	if latest := now.Add(l.longest() + resetTolerance); c.ResetAt > latest {
		return nil, invalid("resets_at is later than a window of %s can last from now (%s)", l.ID, latest.Time())
	}
	counter := s.counters[l.ID]
	o := observation(&c, now)
	e := &ObservationRecorded{At: now, Actor: c.Actor, Account: l.Scope.Account, Limit: l.ID, Observation: o, Span: counter.span()}
	countsSpending := l.Window.Kind == WindowSession || l.Window.Kind == WindowCalendar
	outOfOrder := counter.Observed != nil && o.At < counter.Observed.At
	ended := o.ResetAt != 0 && o.ResetAt <= now || o.At < counter.Start && o.ResetAt == 0
	if !countsSpending || outOfOrder || ended {
		return []Event{e}, Result{Account: l.Scope.Account, Limit: l.ID, Recorded: true,
			Message: "recorded, and without effect: it is older than what is known, or this kind of limit does not take observations"}
	}
	e.Effective = true
	e.Capacity = d.taught(l, &o)
	var events []Event
	var rolled bool
	if e.Span, rolled = observedSpan(l, counter, o.ResetAt); rolled {
		events = append(events, &WindowRolled{At: now, Ended: counter.span(), Used: counter.Used, Next: e.Span})
	}
	events = append(events, e)
	x := s.scratch(nil, Labels{}, nil)
	clone := *counter
	x.counters[l.ID] = &clone
	for _, e := range events {
		Apply(x, e)
	}
	events = append(events, x.warnings(l, now)...)
	return events, Result{Account: l.Scope.Account, Limit: l.ID, Recorded: true, Effective: true, Capacity: x.counters[l.ID].capacity(l)}
}

// observed finds the limit that an observation is about and checks its numbers.
func (d decider) observed(c *Observe) (*Limit, *Result) {
	fail := func(format string, args ...any) (*Limit, *Result) {
		r := invalid(format, args...)
		return nil, &r
	}
	if err := checkText("account", c.Account, "window", c.Window, "tier", c.Tier, "source", c.Source); err != nil {
		return fail("%v", err)
	}
	if _, ok := d.state.Config.Account(c.Account); !ok {
		return fail("there is no account %q", c.Account)
	}
	outOfRange := func(n *int64, most int64) bool { return n != nil && (*n < 0 || *n > most) }
	switch {
	case c.Used == nil && c.PercentMilli == nil && c.Capacity == nil && c.ResetAt == 0 && c.Tier == "":
		return fail("an observation tells at least one of used, percent, capacity, resets_at and tier")
	case outOfRange(c.Used, MaxCapacity) || outOfRange(c.Capacity, MaxCapacity):
		return fail("used and capacity must be from 0 to %d", MaxCapacity)
	case outOfRange(c.PercentMilli, 1_000_000):
		return fail("percent must be from 0 to 1000")
	case c.ResetAt < 0 || c.At < 0:
		return fail("times must not be before 1970")
	}
	var names []string
	for _, l := range d.state.index.byAccount[c.Account] {
		if l.ID == c.Window || l.Name == c.Window {
			return l, nil
		}
		names = append(names, l.Name)
	}
	return fail("account %q has no window %q; it has %s", c.Account, c.Window, strings.Join(names, ", "))
}

func observation(c *Observe, now Instant) Observation {
	o := Observation{Used: -1, PercentMilli: -1, ResetAt: c.ResetAt, Tier: c.Tier, Source: c.Source, At: c.At}
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
