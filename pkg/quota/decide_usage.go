package quota

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Usage has happened, so it is always recorded: within a reservation, beyond it, after it was closed, or without one.
// Decisions over several items are made on a scratch state that holds only what they touch, by applying each event
// before the next item is looked at: the rules of Apply stand in one place.

func (d decider) report(c Report) ([]Event, Result) {
	u, problem := d.usage(c.Actor, c.Reservation, c.Account, c.Model, c.Items)
	if problem != nil {
		return nil, *problem
	}
	if !u.open() {
		return u.events, u.answer(len(c.Items) > 0)
	}
	r := u.reservation()
	if expires := r.aliveUntil(d.env.Now); expires > r.Expires {
		u.emit(&ReservationRenewed{At: d.env.Now, Reservation: r.ID, Expires: expires})
	}
	return u.events, u.answer(len(c.Items) > 0)
}

func (d decider) settle(c Settle) ([]Event, Result) {
	u, problem := d.usage(c.Actor, c.Reservation, c.Account, c.Model, c.Items)
	if problem != nil {
		return nil, *problem
	}
	if !u.open() {
		return u.events, u.answer(len(c.Items) > 0)
	}
	u.emit(closing(u.reservation(), d.env.Now, OutcomeSettled, c.Actor, ""))
	return u.events, u.answer(len(c.Items) > 0)
}

// usageDraft gathers the events of one report or settle.
type usageDraft struct {
	decider
	scratch *State
	events  []Event
	id      string
	actor   Actor
	labels  Labels
	held    bool // the reservation is known
}

// usage validates and records the items. Only a malformed request is refused; it records nothing.
func (d decider) usage(actor Actor, id, account, model string, items []UsageItem) (*usageDraft, *Result) {
	if err := validateItems(items); err != nil {
		r := invalid("%v", err)
		return nil, &r
	}
	if id == "" {
		if err := d.state.Config.mayCharge(actor.Principal, account); err != nil {
			r := invalid("usage without a reservation: %v", err)
			return nil, &r
		}
	}
	if err := checkText("reservation", id, "account", account, "model", model, "principal", actor.Principal, "agent", actor.Agent); err != nil {
		r := invalid("%v", err)
		return nil, &r
	}
	u := &usageDraft{decider: d, id: id, actor: actor, labels: d.unknownLabels(actor, account, model)}
	r := d.state.owned(id, actor)
	if r != nil {
		u.labels, u.held = r.Labels, true
	}
	u.scratch = d.state.scratch(r, u.labels, items)
	for i := range items {
		u.record(items[i])
	}
	return u, nil
}

// mayCharge tells whether a principal may say that an account has spent something: one that it may also reserve on.
func (c *Config) mayCharge(principal, account string) error {
	p, ok := c.Principal(principal)
	if !ok {
		return fmt.Errorf("principal %q has no team in the configuration; an operator can give it one with bursar apply", principal)
	}
	if open := c.open(&p, ""); !slices.Contains(open, account) {
		return fmt.Errorf("account %q is none that %s may use; those are %s", account, principal, strings.Join(open, ", "))
	}
	return nil
}

func validateItems(items []UsageItem) error {
	if len(items) > MaxItemsPerReport {
		return fmt.Errorf("%d usage items in one request, at most %d are allowed; send several", len(items), MaxItemsPerReport)
	}
	var errs []error
	for i, item := range items {
		if err := (Amount{item.Tokens, item.Requests}).validate(); err != nil {
			errs = append(errs, fmt.Errorf("usage item %d: %w", i, err))
		}
		err := checkText("call_id", item.CallID, "model", item.Model, "source", item.Source, "session", item.Session, "project", item.Project)
		if err != nil {
			errs = append(errs, fmt.Errorf("usage item %d: %w", i, err))
		}
		if item.OccurredAt < 0 {
			errs = append(errs, fmt.Errorf("usage item %d: occurred_at is before 1970", i))
		}
	}
	return errors.Join(errs...)
}

// unknownLabels describe usage whose reservation is not known, as far as the request and the configuration tell.
func (d decider) unknownLabels(actor Actor, account, model string) Labels {
	l := Labels{Principal: actor.Principal, Agent: actor.Agent, Model: model, Priority: PriorityNormal}
	if p, ok := d.state.Config.Principal(actor.Principal); ok {
		l.Team = p.Team
	}
	if a, ok := d.state.Config.Account(account); ok {
		l.Account, l.Provider = a.ID, a.Provider
	}
	return l
}

func (u *usageDraft) emit(e Event) {
	Apply(u.scratch, e)
	u.events = append(u.events, e)
}

// reservation is the reservation as of the events so far, or nil where it is not known.
func (u *usageDraft) reservation() *Reservation {
	if r := u.scratch.reservations[u.id]; r != nil {
		return r
	}
	return u.scratch.closed[u.id]
}

func (u *usageDraft) open() bool { return u.held && u.reservation().Live() }

// record turns one item into events, unless all of it is known already.
func (u *usageDraft) record(item UsageItem) {
	now := u.env.Now
	at := item.OccurredAt
	if at == 0 || at > now {
		at = now
	}
	labels := u.labels
	if item.Model != "" {
		labels.Model = item.Model
	}
	known, seen := u.scratch.calls[callKey{u.actor.Principal, item.CallID}]
	seen = seen && item.CallID != ""
	total := item.Tokens
	if seen {
		total = known.Max(item.Tokens)
	} else {
		known = Tokens{}
	}
	delta := Amount{total.Sub(known), newRequests(item, seen)}
	if delta == (Amount{}) {
		return
	}
	rate, priced := u.env.Prices.Rate(labels.Model, at, item.Batch)
	e := &UsageRecorded{
		At: now, Reservation: u.id, Standing: u.standing(), Labels: labels, OccurredAt: at, CallID: item.CallID, Tokens: delta.Tokens,
		Requests: delta.Requests, Rate: rate, Cost: rate.Cost(total) - rate.Cost(known), Unpriced: !priced, Batch: item.Batch,
		Source: item.Source, Session: item.Session, Project: item.Project,
	}
	limits := u.scratch.binding(&labels)
	u.openSessions(limits, at)
	u.charge(e, limits, total, known)
	u.emit(e)
	u.warn(limits)
}

// newRequests is how many provider requests an item adds: a call counts once, however often it is seen.
func newRequests(item UsageItem, seen bool) int64 {
	switch {
	case seen:
		return 0
	case item.Requests > 0:
		return item.Requests
	case item.CallID != "" || item.Tokens != (Tokens{}):
		return 1
	default:
		return 0
	}
}

func (u *usageDraft) standing() Standing {
	switch {
	case u.id == "":
		return StandingUnreserved
	case !u.held:
		return StandingUnknown
	case u.reservation().Live():
		return StandingOpen
	default:
		return StandingLate
	}
}

// openSessions opens the session windows that this usage is the first of.
func (u *usageDraft) openSessions(limits []*Limit, at Instant) {
	for _, l := range limits {
		c := u.scratch.counters[l.ID]
		if l.Window.Kind != WindowSession || c.Start != 0 || at.Add(l.Window.Duration) <= u.env.Now {
			continue
		}
		if n := len(c.Earlier); n > 0 && at < c.Earlier[n-1].End {
			continue
		}
		u.emit(&WindowOpened{At: u.env.Now, Span: WindowSpan{l.ID, at, at.Add(l.Window.Duration)}})
	}
}

// charge fills in what the usage costs on each limit and how much of it comes out of the reservation's holds. Charges
// are differences of totals, so that the parts of a call seen piece by piece add up to the call.
func (u *usageDraft) charge(e *UsageRecorded, limits []*Limit, total, known Tokens) {
	r := u.reservation()
	for _, l := range limits {
		if l.Window.Kind == WindowConcurrent {
			continue
		}
		units := l.measure(Amount{total, e.Requests}, e.Cost)
		if l.Unit != UnitRequests && l.Unit != UnitMicroUSD {
			units -= l.weights().weigh(known)
		}
		if units == 0 {
			continue
		}
		charge := Charge{Limit: l.ID, Amount: units}
		if e.Standing == StandingOpen {
			if h := r.hold(l.ID); h != nil {
				charge.Within = min(units, h.Held)
			}
		}
		if l.Window.Kind != WindowBucket {
			charge.Window = u.scratch.counters[l.ID].windowOf(l, e.OccurredAt)
		} else if l.refilled(e.OccurredAt, u.env.Now) {
			charge.Amount = charge.Within
		}
		if charge.Amount != 0 {
			e.Charges = append(e.Charges, charge)
		}
	}
	if e.Standing == StandingUnreserved {
		return
	}
	e.Overrun = e.Tokens.Total()
	if r == nil {
		return
	}
	e.GrantedAt = r.At
	if e.Standing == StandingOpen {
		before, granted := r.Used.Tokens.Total(), r.Granted.Tokens.Total()
		e.Overrun = max(0, before+e.Tokens.Total()-granted) - max(0, before-granted)
	}
}

// warn raises the thresholds that spending has crossed.
func (u *usageDraft) warn(limits []*Limit) {
	for _, l := range limits {
		for _, e := range u.scratch.warnings(l, u.env.Now) {
			u.emit(e)
		}
	}
}

// warnings lists the thresholds of a limit that its spending has reached and that were not warned of in this window.
func (s *State) warnings(l *Limit, now Instant) (events []Event) {
	c := s.counters[l.ID]
	capacity := c.capacity(l)
	if capacity == 0 || l.Window.Kind == WindowBucket || l.Window.Kind == WindowConcurrent {
		return nil
	}
	spent := c.spent(l)
	for _, threshold := range s.Config.thresholds(l) {
		if threshold > c.Crossed && spent >= percentOf(capacity, threshold*1000) {
			events = append(events, &LimitWarning{
				At: now, Limit: l.ID, Window: c.Start, Threshold: threshold, Spent: spent, Capacity: capacity,
				Account: l.Scope.Account, Team: l.Scope.Team, Unit: l.Unit,
			})
		}
	}
	return events
}

// answer is the result after all events.
func (u *usageDraft) answer(recorded bool) Result {
	if u.id == "" {
		return Result{Provider: u.labels.Provider, Account: u.labels.Account, Recorded: recorded, Pace: u.scratch.pace(&u.labels, u.env.Now)}
	}
	if !u.held {
		return u.decider.notFound(u.id, u.actor, recorded)
	}
	r := u.reservation()
	before := u.decider.state.owned(u.id, u.actor)
	if !before.Live() {
		return closedResult(r, recorded)
	}
	result := reservationResult(r)
	result.Recorded = recorded
	if !r.Live() {
		result.Returned = remaining(r)
	} else {
		result.Pace = u.scratch.pace(&r.Labels, u.env.Now)
	}
	if used, granted := r.Used.Tokens.Total(), r.Granted.Tokens.Total(); used > granted {
		result.Code, result.Requested, result.Capacity = CodeAllocationExceeded, used, granted
		result.Message = fmt.Sprintf("%s tokens are used of %s reserved; all of it is recorded, extend before you go on", thousands(used), thousands(granted))
		if !r.Live() {
			result.Message = fmt.Sprintf("%s tokens were used of %s reserved; all of it is recorded and the reservation is settled", thousands(used), thousands(granted))
		}
	}
	return result
}

// scratch copies the part of the state that usage with these labels can touch.
func (s *State) scratch(r *Reservation, labels Labels, items []UsageItem) *State {
	x := &State{
		Now: s.Now, Config: s.Config, index: s.index, counters: map[string]*Counter{},
		reservations: map[string]*Reservation{}, closed: map[string]*Reservation{},
		calls: map[callKey]Tokens{}, liveByAgent: map[Actor]int{}, notices: map[Actor][]Notice{},
	}
	x.copyCounters(s, labels)
	for i := range items {
		item := &items[i]
		key := callKey{labels.Principal, item.CallID}
		if known, ok := s.calls[key]; ok && item.CallID != "" {
			x.calls[key] = known
		}
		if item.Model != "" && item.Model != labels.Model {
			other := labels
			other.Model = item.Model
			x.copyCounters(s, other)
		}
	}
	if r != nil {
		x.adopt(r)
	}
	return x
}

// copyCounters copies the counters of the limits that bind work with these labels.
func (s *State) copyCounters(from *State, labels Labels) {
	for _, l := range from.binding(&labels) {
		if s.counters[l.ID] != nil {
			continue
		}
		clone := *from.counters[l.ID]
		clone.Earlier = append([]PastWindow(nil), clone.Earlier...)
		clone.Teams = nil // what usage decides does not depend on it
		s.counters[l.ID] = &clone
	}
}

// adopt puts a copy of a reservation into a scratch state.
func (s *State) adopt(r *Reservation) {
	clone := *r
	clone.Holds = append([]Hold(nil), r.Holds...)
	if r.Live() {
		s.reservations[r.ID] = &clone
		s.liveByAgent[r.actor()] = 1
		s.schedule(&clone)
	} else {
		s.closed[r.ID] = &clone
	}
}
