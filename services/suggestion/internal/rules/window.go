package rules

import (
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

const (
	// SlotLength is the grain of a window.
	SlotLength = 6 * quota.Hour
	// Slots is how many make a window: seven days.
	Slots = 28
	// Length is the time a window covers.
	Length = Slots * SlotLength

	// MaxSeries bounds each kind of series in a slot; beyond it amounts are summed under Other.
	MaxSeries = 256
	// Other stands for what exceeds MaxSeries. No name can be the same: names have no control characters.
	Other = "\x00other"
)

// Window is the last seven days of one workspace, as of Now.
type Window struct {
	Now    quota.Instant // ledger time of the last event
	Config quota.Config  // the configuration in force
	// Observed is what providers last said of limits, by limit id; Told the capacities that they told, and Learned those that
	// were learned of what they said and decide.
	Observed map[string]Observed
	Told     map[string]int64
	Learned  map[string]int64

	slots map[int64]*Slot // by start / SlotLength
}

// Observed is what a provider said of a limit.
type Observed struct {
	Used    int64         `cbor:"1,keyasint,omitempty"` // in the limit's unit
	ResetAt quota.Instant `cbor:"2,keyasint,omitempty"`
}

// NewWindow gives a window in which nothing has happened.
func NewWindow() *Window {
	return &Window{Observed: map[string]Observed{}, Told: map[string]int64{}, Learned: map[string]int64{}, slots: map[int64]*Slot{}}
}

// Slot is what happened within SlotLength.
type Slot struct {
	Start  quota.Instant
	Usage  map[UsageKey]Usage
	Closed map[ClosedKey]Closed
	Denied map[DeniedKey]Denied
	Asked  map[string]int64 // grants and refusals by limit id
}

// UsageKey tells usage apart.
type UsageKey struct {
	Account  string `cbor:"1,keyasint,omitempty"`
	Team     string `cbor:"2,keyasint,omitempty"`
	Model    string `cbor:"3,keyasint,omitempty"`
	TaskType string `cbor:"4,keyasint,omitempty"`
}

// Usage is what was used.
type Usage struct {
	Tokens   quota.Tokens `cbor:"1,keyasint,omitempty"`
	Cost     int64        `cbor:"2,keyasint,omitempty"` // micro-USD at the catalogue's prices, of subscriptions too
	Unpriced int64        `cbor:"3,keyasint,omitempty"` // tokens without a price
}

// ClosedKey tells closed reservations apart.
type ClosedKey struct {
	Team     string `cbor:"1,keyasint,omitempty"`
	TaskType string `cbor:"2,keyasint,omitempty"`
}

// Shares is how many bins the used share of a reservation falls into: [0,10 %), [10,20 %) … [90,100 %), full or more.
const Shares = 11

// Closed sums up reservations that were closed after work was done on them.
type Closed struct {
	Count    int64         `cbor:"1,keyasint,omitempty"`
	Granted  int64         `cbor:"2,keyasint,omitempty"` // tokens
	Used     int64         `cbor:"3,keyasint,omitempty"` // tokens
	Half     int64         `cbor:"4,keyasint,omitempty"` // reservations that used less than half
	Unused   int64         `cbor:"5,keyasint,omitempty"` // micro-USD held and not used
	ByShare  [Shares]int64 `cbor:"6,keyasint,omitempty"` // reservations by used share
	Overruns int64         `cbor:"7,keyasint,omitempty"` // reservations that used more than granted
}

// DeniedKey tells refusals apart.
type DeniedKey struct {
	Limit     string `cbor:"1,keyasint,omitempty"`
	Team      string `cbor:"2,keyasint,omitempty"`
	Principal string `cbor:"3,keyasint,omitempty"`
	Agent     string `cbor:"4,keyasint,omitempty"`
}

// Denied sums up refusals because quota ran out.
type Denied struct {
	Count int64         `cbor:"1,keyasint,omitempty"`
	First quota.Instant `cbor:"2,keyasint,omitempty"`
	Last  quota.Instant `cbor:"3,keyasint,omitempty"`
	// Cost is the price in micro-USD of the largest refused amount: a request that is tried again and again is one piece
	// of work.
	Cost int64 `cbor:"4,keyasint,omitempty"`
}

// Fold takes an event into the window. prices values what was refused, since a refusal carries no price.
func (w *Window) Fold(e quota.Event, prices quota.Prices) {
	switch e := e.(type) {
	case *quota.ConfigApplied:
		w.Advance(e.At)
		w.configure(e)
	case *quota.ObservationRecorded:
		w.Advance(e.At)
		w.observe(e)
	case *quota.UsageRecorded:
		w.Advance(e.At)
		w.use(e)
	case *quota.ReservationGranted:
		w.Advance(e.At)
		for _, h := range e.Holds {
			w.ask(h.Limit, e.At)
		}
	case *quota.ReservationDenied:
		w.Advance(e.At)
		w.deny(e, prices)
	case *quota.ReservationClosed:
		w.Advance(e.At)
		w.close(e)
	}
}

// Advance moves the window's time on and forgets the slots that fell out of it. Time does not go back.
func (w *Window) Advance(at quota.Instant) {
	if at <= w.Now {
		return
	}
	before := slotOf(w.Now)
	w.Now = at
	if slotOf(at) == before {
		return
	}
	for i := range w.slots {
		if i < w.oldest() {
			delete(w.slots, i)
		}
	}
}

func slotOf(at quota.Instant) int64 { return int64(at) / int64(SlotLength) }

// oldest is the first slot of the window.
func (w *Window) oldest() int64 { return slotOf(w.Now) - Slots + 1 }

// From is where the window begins.
func (w *Window) From() quota.Instant { return quota.Instant(max(w.oldest(), 0) * int64(SlotLength)) }

// slot finds or makes the slot of an instant; nil if it is outside the window.
func (w *Window) slot(at quota.Instant) *Slot {
	i := slotOf(at)
	if i < w.oldest() || at > w.Now {
		return nil
	}
	s := w.slots[i]
	if s == nil {
		s = &Slot{
			Start: quota.Instant(i * int64(SlotLength)), Usage: map[UsageKey]Usage{}, Closed: map[ClosedKey]Closed{},
			Denied: map[DeniedKey]Denied{}, Asked: map[string]int64{},
		}
		w.slots[i] = s
	}
	return s
}

// inOrder lists the slots that have anything, oldest first.
func (w *Window) inOrder() []*Slot {
	found := make([]*Slot, 0, len(w.slots))
	for i := w.oldest(); i <= slotOf(w.Now); i++ {
		if s := w.slots[i]; s != nil {
			found = append(found, s)
		}
	}
	return found
}

// series gives the key to sum under: its own while there is room, else the one for the rest.
func series[K comparable, V any](m map[K]V, own, rest K) K {
	if _, known := m[own]; known || len(m) < MaxSeries {
		return own
	}
	return rest
}

func (w *Window) observe(e *quota.ObservationRecorded) {
	if !e.Effective {
		return
	}
	if e.Capacity > 0 {
		w.Told[e.Limit] = e.Capacity
	}
	if e.Lesson != nil && e.Lesson.Estimate != nil {
		delete(w.Learned, e.Limit)
		if e.Lesson.Estimate.Enough {
			w.Learned[e.Limit] = e.Lesson.Estimate.Low
		}
	}
	used := e.Observation.Used
	if used < 0 && e.Observation.PercentMilli >= 0 {
		used = scale(w.capacityOf(e.Limit), e.Observation.PercentMilli, percentMilli)
	}
	if used >= 0 {
		w.Observed[e.Limit] = Observed{Used: used, ResetAt: e.Observation.ResetAt}
	}
}

// percentMilli is the whole in thousandths of a percent.
const percentMilli = 100_000

// configure takes a configuration in. What is known of a limit is forgotten where that counts anew, and what was learned where
// it weighs otherwise.
func (w *Window) configure(e *quota.ConfigApplied) {
	before := w.Config
	w.Config = e.Config
	for _, span := range e.Opened {
		delete(w.Observed, span.Limit)
		delete(w.Told, span.Limit)
		delete(w.Learned, span.Limit)
	}
	for id := range w.Learned {
		l, old := limitOf(&w.Config, id), limitOf(&before, id)
		if l == nil || old == nil || l.Weights != old.Weights {
			delete(w.Learned, id)
		}
	}
}

func limitOf(c *quota.Config, id string) *quota.Limit {
	i := slices.IndexFunc(c.Limits, func(l quota.Limit) bool { return l.ID == id })
	if i < 0 {
		return nil
	}
	return &c.Limits[i]
}

// Capacity of a limit, as the ledger decides by it: what was learned, else what is configured, else what the provider told;
// 0 if unknown.
func (w *Window) Capacity(l *quota.Limit) int64 {
	switch learned := w.Learned[l.ID]; {
	case learned > 0 && !l.Fixed:
		return learned
	case l.Capacity > 0:
		return l.Capacity
	}
	return w.Told[l.ID]
}

// capacityOf is Capacity by the id of a limit; 0 where none has it.
func (w *Window) capacityOf(id string) int64 {
	if l := limitOf(&w.Config, id); l != nil {
		return w.Capacity(l)
	}
	return 0
}

func (w *Window) use(e *quota.UsageRecorded) {
	at := e.OccurredAt
	if at == 0 {
		at = e.At
	}
	s := w.slot(min(at, w.Now))
	if s == nil {
		return
	}
	key := UsageKey{e.Labels.Account, e.Labels.Team, e.Labels.Model, e.Labels.TaskType}
	key = series(s.Usage, key, UsageKey{Account: e.Labels.Account, Model: Other})
	u := s.Usage[key]
	u.Tokens = u.Tokens.Add(e.Tokens)
	u.Cost += e.Cost
	if e.Unpriced {
		u.Unpriced += e.Tokens.Total()
	}
	s.Usage[key] = u
}

func (w *Window) ask(limit string, at quota.Instant) {
	if s := w.slot(at); s != nil && limit != "" {
		s.Asked[series(s.Asked, limit, Other)]++
	}
}

func (w *Window) deny(e *quota.ReservationDenied, prices quota.Prices) {
	w.ask(e.Limit, e.At)
	exhausted := e.Code == quota.CodeInsufficientQuota || e.Code == quota.CodeConcurrentLimitExceeded
	s := w.slot(e.At)
	if s == nil || !exhausted || e.Limit == "" {
		return
	}
	key := DeniedKey{e.Limit, e.Labels.Team, e.Labels.Principal, e.Labels.Agent}
	key = series(s.Denied, key, DeniedKey{Limit: e.Limit, Agent: Other})
	d := s.Denied[key]
	if d.Count == 0 {
		d.First = e.At
	}
	d.Count++
	d.Last = e.At
	if rate, priced := prices.Rate(e.Labels.Model, e.At, false); priced {
		d.Cost = max(d.Cost, rate.CostCeil(e.Amount.Tokens))
	}
	s.Denied[key] = d
}

// close counts reservations on which work was done; one that was given back untouched says nothing about estimates.
func (w *Window) close(e *quota.ReservationClosed) {
	granted, used := e.Granted.Tokens.Total(), e.Used.Tokens.Total()
	worked := e.Outcome == quota.OutcomeSettled || used > 0
	s := w.slot(e.At)
	if s == nil || !worked || granted <= 0 {
		return
	}
	key := series(s.Closed, ClosedKey{e.Labels.Team, e.Labels.TaskType}, ClosedKey{TaskType: Other})
	c := s.Closed[key]
	c.Count++
	c.Granted += granted
	c.Used += used
	c.Unused += max(0, e.CostHeld-e.CostUsed)
	c.ByShare[min(scale(Shares-1, used, granted), Shares-1)]++
	if used < granted-used {
		c.Half++
	}
	if used > granted {
		c.Overruns++
	}
	s.Closed[key] = c
}
