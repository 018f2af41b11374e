package config

import (
	"encoding/json"
	"slices"
)

// The shapes of the file, as schemas/v1/config.schema.json defines them. Pointers tell absent from zero.

type rawPolicy struct {
	MaxLifetime     *string  `json:"max_lifetime"`
	Lease           *string  `json:"lease"`
	MinLease        *string  `json:"min_lease"`
	RequestHorizon  *string  `json:"request_horizon"`
	Thresholds      *[]int64 `json:"thresholds"`
	ClosedKept      *int     `json:"closed_kept"`
	ExpiringNotice  *string  `json:"expiring_notice"`
	ObservationLead *string  `json:"observation_lead"`

	Ladder        []string `json:"ladder"`
	QueueAgeing   *string  `json:"queue_ageing"`
	QueueSkip     *string  `json:"queue_skip"`
	GrantGrace    *string  `json:"grant_grace"`
	ShareHalfLife *string  `json:"share_half_life"`
	PreemptGrace  *string  `json:"preempt_grace"`

	HoldBack      *rawHoldBack `json:"hold_back"`
	DriftHoldBack *int64       `json:"drift_hold_back"`
}

// rawHoldBack is the last part of a window, the priority from which it may be used, and after how much of the window's time it
// is let go.
type rawHoldBack struct {
	Percent      int64  `json:"percent"`
	Priority     string `json:"priority"`
	UntilPercent *int64 `json:"until_percent"`
}

type rawProvider struct {
	Name        string     `json:"name"`
	ModelGroups []rawGroup `json:"model_groups"`
	Tiers       []rawTier  `json:"tiers"`
}

type rawGroup struct {
	Name   string   `json:"name"`
	Models []string `json:"models"`
}

type rawTier struct {
	Name   string     `json:"name"`
	Kind   string     `json:"kind"`
	Limits []rawLimit `json:"limits"`
}

type rawAccount struct {
	ID       string     `json:"id"`
	Provider string     `json:"provider"`
	Kind     string     `json:"kind"`
	Tier     string     `json:"tier"`
	Teams    []string   `json:"teams"`
	Limits   []rawLimit `json:"limits"`
	// LimitsSource is asked for the limits of an API account.
	LimitsSource *rawSource `json:"limits_source"`
}

// rawSource is an active source of limits.
type rawSource struct {
	Type        string `json:"type"`
	AdminKeyEnv string `json:"admin_key_env"`
}

// rawLimit is a limit of a tier, of an account, or one that stands by itself.
type rawLimit struct {
	ID             string       `json:"id"`   // by itself
	Name           string       `json:"name"` // of a tier or account
	Scope          rawScope     `json:"scope"`
	ModelGroup     string       `json:"model_group"`
	EachModelGroup []string     `json:"each_model_group"`
	Unit           string       `json:"unit"`
	Window         *rawWindow   `json:"window"`
	Capacity       *int64       `json:"capacity"`
	Weights        *rawWeights  `json:"weights"`
	Thresholds     *[]int64     `json:"thresholds"`
	HoldBack       *rawHoldBack `json:"hold_back"`
	Learn          *bool        `json:"learn"`
}

type rawScope struct {
	Account    string `json:"account"`
	ModelGroup string `json:"model_group"`
	Team       string `json:"team"`
	Agent      string `json:"agent"`
}

type rawWindow struct {
	Kind       string  `json:"kind"`
	Duration   string  `json:"duration"`
	Burst      int64   `json:"burst"`
	Period     string  `json:"period"`
	Zone       string  `json:"zone"`
	Weekday    string  `json:"weekday"`
	DayOfMonth int     `json:"day_of_month"`
	At         *string `json:"at"`
}

type rawWeights struct {
	Input        *int64 `json:"input"`
	CacheRead    *int64 `json:"cache_read"`
	CacheWrite5m *int64 `json:"cache_write_5m"`
	CacheWrite1h *int64 `json:"cache_write_1h"`
	Output       *int64 `json:"output"`
}

type rawPrincipal struct {
	Name        string   `json:"name"`
	Team        string   `json:"team"`
	Accounts    []string `json:"accounts"`
	MaxPriority string   `json:"max_priority"`
	Admin       bool     `json:"admin"`
}

type rawPrice struct {
	Model        string `json:"model"`
	From         string `json:"from"`
	Input        int64  `json:"input"`
	Output       int64  `json:"output"`
	CacheRead    *int64 `json:"cache_read"`
	CacheWrite5m *int64 `json:"cache_write_5m"`
	CacheWrite1h *int64 `json:"cache_write_1h"`
}

// item is one entry of a list and where it stands.
type item[T any] struct {
	at  pointer
	raw T
}

// sections hands out the parts of a document that the schema found no fault with, so that one look reports the faults
// of the rest too.
type sections struct {
	root map[string]any
	bad  []pointer
}

// whole tells whether the schema found no fault in a place or above it.
func (s *sections) whole(at pointer) bool {
	return !slices.ContainsFunc(s.bad, func(bad pointer) bool {
		n := min(len(bad), len(at))
		return len(bad) > 0 && slices.Equal(bad[:n], at[:n])
	})
}

// list gives the sound entries of a list of the document.
func list[T any](s *sections, section string) []item[T] {
	at := pointer{section}
	if slices.ContainsFunc(s.bad, func(bad pointer) bool { return slices.Equal(bad, at) }) {
		return nil
	}
	entries, _ := s.root[section].([]any)
	var items []item[T]
	for i, entry := range entries {
		var raw T
		if below := at.child(i); s.whole(below) && decode(entry, &raw) {
			items = append(items, item[T]{below, raw})
		}
	}
	return items
}

// single gives a mapping of the document if it is there and sound.
func single[T any](s *sections, section string) (raw T, ok bool) {
	value, there := s.root[section]
	return raw, there && s.whole(pointer{section}) && decode(value, &raw)
}

// decode turns plain values into a struct; false means that the schema let through what the struct cannot hold, which
// the agreement test excludes.
func decode(value, into any) bool {
	data, err := json.Marshal(value)
	return err == nil && json.Unmarshal(data, into) == nil
}
