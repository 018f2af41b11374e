package quota

import (
	"slices"
	"strings"
)

// AccountKind tells a flat-rate subscription from a metered API organisation.
type AccountKind string

// The kinds of accounts.
const (
	KindSubscription AccountKind = "subscription"
	KindAPI          AccountKind = "api"
)

// Priority says which waits first. The zero value is PriorityNormal's predecessor and never stored.
type Priority int8

// Priorities, lowest first.
const (
	PriorityLow Priority = iota + 1
	PriorityNormal
	PriorityHigh
	PriorityCritical
)

var priorityNames = [...]string{PriorityLow: "low", PriorityNormal: "normal", PriorityHigh: "high", PriorityCritical: "critical"}

// String gives the name on the wire: low, normal, high or critical.
func (p Priority) String() string {
	if p < PriorityLow || p > PriorityCritical {
		return "unknown"
	}
	return priorityNames[p]
}

// ParsePriority reads a name; ok is false for any other text.
func ParsePriority(s string) (p Priority, ok bool) {
	for p := PriorityLow; p <= PriorityCritical; p++ {
		if priorityNames[p] == s {
			return p, true
		}
	}
	return 0, false
}

// Config is everything an operator decides. pkg/config reads it from YAML and validates it; the state machine
// takes it as given. It is part of the ledger: a ConfigApplied event carries it whole.
type Config struct {
	Version    uint64      `cbor:"1,keyasint,omitempty"` // set by Decide: one more than the version before
	Providers  []Provider  `cbor:"2,keyasint,omitempty"`
	Accounts   []Account   `cbor:"3,keyasint,omitempty"` // in order of preference
	Limits     []Limit     `cbor:"4,keyasint,omitempty"`
	Principals []Principal `cbor:"5,keyasint,omitempty"`
	// Unlisted is what a principal without an entry gets; nil means it is refused.
	Unlisted *Principal      `cbor:"6,keyasint,omitempty"`
	Policy   Policy          `cbor:"7,keyasint,omitempty"`
	Prices   []PriceOverride `cbor:"8,keyasint,omitempty"`
	Teams    []Team          `cbor:"50,keyasint,omitempty"` // those with shares, weights or bounds of their own
}

// Provider is a row of the provider table: a name and how its models group under shared limits.
type Provider struct {
	Name        string       `cbor:"1,keyasint,omitempty"`
	ModelGroups []ModelGroup `cbor:"2,keyasint,omitempty"`
	Tiers       []Tier       `cbor:"3,keyasint,omitempty"`
}

// ModelGroup names models that share limits. A pattern is a model name, or a prefix followed by "*".
type ModelGroup struct {
	Name   string   `cbor:"1,keyasint,omitempty"`
	Models []string `cbor:"2,keyasint,omitempty"`
}

// Tier gives the capacity of a window at a plan, for observations that tell the plan only.
type Tier struct {
	Name       string           `cbor:"1,keyasint,omitempty"`
	Capacities map[string]int64 `cbor:"2,keyasint,omitempty"` // by Limit.Name
}

// Account is one subscription or API organisation.
type Account struct {
	ID       string      `cbor:"1,keyasint,omitempty"`
	Provider string      `cbor:"2,keyasint,omitempty"`
	Kind     AccountKind `cbor:"3,keyasint,omitempty"`
	Tier     string      `cbor:"4,keyasint,omitempty"`
	Teams    []string    `cbor:"5,keyasint,omitempty"` // who may use it; empty means every team
	// LimitsSource is asked what the account's limits are; nil for nobody. Never for a subscription: a question can open a
	// session window there.
	LimitsSource *LimitsSource `cbor:"110,keyasint,omitempty"`
}

// Principal is what configuration says of a holder of credentials.
type Principal struct {
	Name        string   `cbor:"1,keyasint,omitempty"`
	Team        string   `cbor:"2,keyasint,omitempty"`
	Accounts    []string `cbor:"3,keyasint,omitempty"` // allowed accounts; empty means all its team may use
	MaxPriority Priority `cbor:"4,keyasint,omitempty"` // requests above it are lowered to it
}

// PriceOverride replaces the catalogue's rate of a model.
type PriceOverride struct {
	Model string  `cbor:"1,keyasint,omitempty"`
	From  Instant `cbor:"2,keyasint,omitempty"`
	Rate  Rate    `cbor:"3,keyasint,omitempty"`
}

// WindowKind says how a limit counts.
type WindowKind string

// The kinds of windows.
const (
	WindowSession    WindowKind = "session"
	WindowCalendar   WindowKind = "calendar"
	WindowBucket     WindowKind = "bucket"
	WindowConcurrent WindowKind = "concurrent"
)

// Period is the length of a calendar window.
type Period string

// The periods of calendar windows.
const (
	PeriodDay   Period = "day"
	PeriodWeek  Period = "week"
	PeriodMonth Period = "month"
)

// Window describes how a limit counts.
type Window struct {
	Kind     WindowKind `cbor:"1,keyasint,omitempty"`
	Duration Millis     `cbor:"2,keyasint,omitempty"` // session: its length; bucket: the time in which Capacity refills
	Period   Period     `cbor:"3,keyasint,omitempty"` // calendar
	Zone     string     `cbor:"4,keyasint,omitempty"` // calendar: IANA name; empty means UTC
	// Anchor is the calendar's offset into its period: the day (0 = Monday, or 0 = the 1st) and the minute of the day.
	AnchorDay    int `cbor:"5,keyasint,omitempty"`
	AnchorMinute int `cbor:"6,keyasint,omitempty"`
	// Burst is the most a bucket holds; 0 means Capacity.
	Burst int64 `cbor:"7,keyasint,omitempty"`
}

// Scope says what a limit covers: everything that matches each non-empty field; all empty is the workspace.
type Scope struct {
	Account    string `cbor:"1,keyasint,omitempty"`
	ModelGroup string `cbor:"2,keyasint,omitempty"` // a group of the account's provider; needs Account
	Team       string `cbor:"3,keyasint,omitempty"`
	Agent      string `cbor:"4,keyasint,omitempty"`
}

// Limit is a number over a window on a scope.
type Limit struct {
	ID     string `cbor:"1,keyasint,omitempty"` // unique in the workspace, e.g. "max-1/session"
	Name   string `cbor:"2,keyasint,omitempty"` // the window's name at the provider, e.g. "session", "weekly"
	Scope  Scope  `cbor:"3,keyasint,omitempty"`
	Unit   Unit   `cbor:"4,keyasint,omitempty"`
	Window Window `cbor:"5,keyasint,omitempty"`
	// Capacity in Unit; 0 means not configured: it is learned from observations and does not bind before.
	Capacity int64   `cbor:"6,keyasint,omitempty"`
	Weights  Weights `cbor:"7,keyasint,omitempty"`
	// Thresholds are the percentages at which a warning is raised, ascending; none means Policy.Thresholds. [ExhaustedPercent] comes of itself.
	Thresholds []int64 `cbor:"8,keyasint,omitempty"`
	// Unwarned raises no warning at all, whatever the thresholds say. The record cannot tell an empty list from none.
	Unwarned bool `cbor:"90,keyasint,omitempty"`
	// HoldBack keeps the last part of a session or calendar window for higher priorities; nil for none.
	HoldBack *HoldBack `cbor:"60,keyasint,omitempty"`
	// Fixed keeps the configured capacity whatever observations teach.
	Fixed bool `cbor:"61,keyasint,omitempty"`
}

// Policy holds the numbers that are the same for all.
type Policy struct {
	MaxLifetime     Millis  `cbor:"1,keyasint,omitempty"` // hard cap of a reservation's life and its default
	Lease           Millis  `cbor:"2,keyasint,omitempty"` // default lease; 0 means as long as MaxLifetime
	MinLease        Millis  `cbor:"3,keyasint,omitempty"`
	RequestHorizon  Millis  `cbor:"4,keyasint,omitempty"`  // how long request ids are remembered
	Thresholds      []int64 `cbor:"5,keyasint,omitempty"`  // percent
	ClosedKept      int     `cbor:"6,keyasint,omitempty"`  // closed reservations kept in the state
	ExpiringNotice  Millis  `cbor:"7,keyasint,omitempty"`  // how long before expiry the notice is raised
	ObservationLead Millis  `cbor:"8,keyasint,omitempty"`  // an observation is stale this long before the reset it announced
	Ladder          []Rung  `cbor:"40,keyasint,omitempty"` // what a reserve tries in turn; nil means DefaultLadder
	QueueAgeing     Millis  `cbor:"41,keyasint,omitempty"` // waiting so long lifts by one priority; 0 means DefaultQueueAgeing
	QueueSkip       Millis  `cbor:"42,keyasint,omitempty"` // for so long a head is passed by what fits; 0 means DefaultQueueSkip
	ShareHalfLife   Millis  `cbor:"50,keyasint,omitempty"` // use so long ago counts half in fair shares; 0 means DefaultShareHalfLife
	PreemptGrace    Millis  `cbor:"51,keyasint,omitempty"` // how long a preempted reservation goes on; 0 means DefaultPreemptGrace
	GrantGrace      Millis  `cbor:"43,keyasint,omitempty"` // for a sign of life after a grant from the queue; 0 means DefaultGrantGrace
	// DriftGranted is the part of the forecast of spending outside that is granted all the same, in percent; 0 means that
	// all of it is held back.
	DriftGranted int64 `cbor:"60,keyasint,omitempty"`
}

// DefaultPolicy gives the documented defaults.
func DefaultPolicy() Policy {
	return Policy{
		MaxLifetime: 4 * Hour, MinLease: 5 * Second, RequestHorizon: Day,
		Thresholds: []int64{75, 90, 95}, ClosedKept: 10_000,
		ExpiringNotice: Minute, ObservationLead: 5 * Minute,
	}
}

// Provider finds a provider by name.
func (c *Config) Provider(name string) (*Provider, bool) {
	for i := range c.Providers {
		if c.Providers[i].Name == name {
			return &c.Providers[i], true
		}
	}
	return nil, false
}

// Account finds an account by id.
func (c *Config) Account(id string) (*Account, bool) {
	for i := range c.Accounts {
		if c.Accounts[i].ID == id {
			return &c.Accounts[i], true
		}
	}
	return nil, false
}

// openTo tells whether a principal's work may be charged to the account.
func (a *Account) openTo(p *Principal) bool { return oneOf(a.Teams, p.Team) && oneOf(p.Accounts, a.ID) }

// oneOf tells whether a name is in a list that allows everything when it is empty.
func oneOf(list []string, name string) bool {
	for _, n := range list {
		if n == name {
			return true
		}
	}
	return len(list) == 0
}

// Principal finds what applies to a principal; ok is false when it is to be refused.
func (c *Config) Principal(name string) (p Principal, ok bool) {
	for _, p := range c.Principals {
		if p.Name == name {
			return p, true
		}
	}
	if c.Unlisted == nil {
		return Principal{}, false
	}
	p = *c.Unlisted
	p.Name = name
	return p, true
}

// InGroup tells whether a model belongs to a group of a provider.
func (p *Provider) InGroup(group, model string) bool {
	for _, g := range p.ModelGroups {
		if g.Name != group {
			continue
		}
		for _, pattern := range g.Models {
			if prefix, isPrefix := strings.CutSuffix(pattern, "*"); pattern == model || isPrefix && strings.HasPrefix(model, prefix) {
				return true
			}
		}
	}
	return false
}

// ExhaustedPercent is the threshold that every limit has which warns at all: nothing is left of it.
const ExhaustedPercent = 100

// thresholds gives the percentages at which the limit warns, ascending.
func (c *Config) thresholds(l *Limit) []int64 {
	if l.Unwarned {
		return nil
	}
	thresholds := c.Policy.Thresholds
	if len(l.Thresholds) > 0 {
		thresholds = l.Thresholds
	}
	if n := len(thresholds); n > 0 && thresholds[n-1] < ExhaustedPercent {
		return append(slices.Clone(thresholds), ExhaustedPercent)
	}
	return thresholds
}

// burst is the most the limit's bucket holds, in units.
func (l *Limit) burst() int64 {
	if l.Window.Burst > 0 {
		return l.Window.Burst
	}
	return l.Capacity
}
