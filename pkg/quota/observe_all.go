package quota

import (
	"fmt"
	"strings"
)

// MaxObserved bounds the windows of one answer of a provider.
const MaxObserved = 32

// ObserveAll hands in what a provider said in one answer: one or several windows of an account. It is one decision, so
// that all of them are in the ledger, or none.
type ObserveAll struct {
	Actor   Actor
	Account string
	Said    []Observe // by window; the actor and the account above are meant whatever stands there
}

func (ObserveAll) command() {}

// Told is what became of one window of an ObserveAll.
type Told struct {
	Window      string  `cbor:"1,keyasint,omitempty"` // as it was observed
	Limit       string  `cbor:"2,keyasint,omitempty"` // empty where it concerns none
	Effective   bool    `cbor:"3,keyasint,omitempty"`
	Unknown     bool    `cbor:"4,keyasint,omitempty"`
	Capacity    int64   `cbor:"5,keyasint,omitempty"`
	ClosedUntil Instant `cbor:"6,keyasint,omitempty"`
	Code        Code    `cbor:"7,keyasint,omitempty"` // why this window was not taken; empty where it was
	Message     string  `cbor:"8,keyasint,omitempty"`
}

// observeAll records each window by itself: they are different ones, so that none of them bears on another. One that
// cannot be taken does not keep the others back; only where none can the whole is invalid.
func (d decider) observeAll(c ObserveAll) ([]Event, Result) {
	if len(c.Said) == 0 || len(c.Said) > MaxObserved {
		return nil, invalid("an observation tells of 1 to %d windows, not %d", MaxObserved, len(c.Said))
	}
	if _, ok := d.state.Config.Account(c.Account); !ok {
		return nil, invalid("%s", d.unknownAccount(c.Account, c.Actor))
	}
	var events []Event
	all := Result{Account: c.Account}
	seen := map[string]bool{}
	for _, o := range c.Said {
		o.Actor, o.Account = c.Actor, c.Account
		made, r := d.observe(o)
		about := firstText(r.Limit, "\x00"+d.state.groupedName(o.Account, o.Window, o.Model))
		if r.OK() && seen[about] {
			made, r = nil, invalid("the window is told twice in one observation")
		}
		seen[about] = seen[about] || r.OK()
		events = append(events, made...)
		all.Recorded, all.Effective = all.Recorded || r.OK(), all.Effective || r.Effective
		all.ClosedUntil = max(all.ClosedUntil, r.ClosedUntil)
		all.Told = append(all.Told, Told{
			Window: o.Window, Limit: r.Limit, Effective: r.Effective, Unknown: r.Unknown, Capacity: r.Capacity,
			ClosedUntil: r.ClosedUntil, Code: r.Code, Message: r.Message,
		})
	}
	if !all.Recorded {
		return nil, invalid("none of the windows can be taken: %s", all.Told[0].Message)
	}
	return events, all
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// The limits of API accounts exist once per model group, and a provider's answer does not name the group: its model
// does. Then the window is the group's limit of a minute in the unit that the window's name says.

// perMinuteUnit is what a window of this name counts, of those that pkg/observe names; empty for others.
func perMinuteUnit(window string) Unit {
	switch window {
	case "requests_per_minute":
		return UnitRequests
	case "input_per_minute":
		return UnitInputTokens
	case "output_per_minute":
		return UnitOutputTokens
	case "tokens_per_minute":
		return UnitTokens
	}
	return ""
}

// windowOfModel finds the limit of a model's group that a provider means with a window's name; nil for none.
func (s *State) windowOfModel(account, window, model string) *Limit {
	unit := perMinuteUnit(window)
	a, ok := s.Config.Account(account)
	if unit == "" || model == "" || !ok {
		return nil
	}
	p, ok := s.Config.Provider(a.Provider)
	if !ok {
		return nil
	}
	for _, l := range s.index.byAccount[account] {
		if l.Window.Kind == WindowBucket && l.Window.Duration == Minute && l.Unit == unit && l.Scope.ModelGroup != "" && p.InGroup(l.Scope.ModelGroup, model) {
			return l
		}
	}
	return nil
}

// groupedName is under which name a window that is not configured is kept: with the model it was told of, where the
// provider counts that model by itself.
func (s *State) groupedName(account, window, model string) string {
	if model == "" || perMinuteUnit(window) == "" || s.windowOfAccount(account, window) != nil {
		return window
	}
	name := fmt.Sprintf("%s/%s", window, model)
	return strings.ToValidUTF8(name[:min(len(name), MaxStringLen)], "")
}
