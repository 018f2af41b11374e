package rules

import (
	"cmp"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Snapshot is a window as it is stored: plain lists in a fixed order, so that equal windows have equal bytes.
type Snapshot struct {
	Now      quota.Instant       `cbor:"1,keyasint,omitempty"`
	Config   quota.Config        `cbor:"2,keyasint,omitempty"`
	Observed map[string]Observed `cbor:"3,keyasint,omitempty"`
	Told     map[string]int64    `cbor:"4,keyasint,omitempty"`
	Slots    []SlotRecord        `cbor:"5,keyasint,omitempty"`
	Learned  map[string]int64    `cbor:"6,keyasint,omitempty"`
}

// SlotRecord is a stored slot.
type SlotRecord struct {
	Start  quota.Instant    `cbor:"1,keyasint,omitempty"`
	Usage  []UsageRecord    `cbor:"2,keyasint,omitempty"`
	Closed []ClosedRecord   `cbor:"3,keyasint,omitempty"`
	Denied []DeniedRecord   `cbor:"4,keyasint,omitempty"`
	Asked  map[string]int64 `cbor:"5,keyasint,omitempty"`
}

// UsageRecord is a stored series.
type UsageRecord struct {
	Key UsageKey `cbor:"1,keyasint,omitempty"`
	Sum Usage    `cbor:"2,keyasint,omitempty"`
}

// ClosedRecord is a stored series.
type ClosedRecord struct {
	Key ClosedKey `cbor:"1,keyasint,omitempty"`
	Sum Closed    `cbor:"2,keyasint,omitempty"`
}

// DeniedRecord is a stored series.
type DeniedRecord struct {
	Key DeniedKey `cbor:"1,keyasint,omitempty"`
	Sum Denied    `cbor:"2,keyasint,omitempty"`
}

// Snapshot copies the window.
func (w *Window) Snapshot() Snapshot {
	s := Snapshot{Now: w.Now, Config: w.Config, Observed: maps.Clone(w.Observed), Told: maps.Clone(w.Told), Learned: maps.Clone(w.Learned)}
	for _, slot := range w.inOrder() {
		r := SlotRecord{Start: slot.Start, Asked: maps.Clone(slot.Asked)}
		for k, v := range slot.Usage {
			r.Usage = append(r.Usage, UsageRecord{k, v})
		}
		for k, v := range slot.Closed {
			r.Closed = append(r.Closed, ClosedRecord{k, v})
		}
		for k, v := range slot.Denied {
			r.Denied = append(r.Denied, DeniedRecord{k, v})
		}
		slices.SortFunc(r.Usage, func(a, b UsageRecord) int {
			return cmp.Or(cmp.Compare(a.Key.Account, b.Key.Account), cmp.Compare(a.Key.Team, b.Key.Team),
				cmp.Compare(a.Key.Model, b.Key.Model), cmp.Compare(a.Key.TaskType, b.Key.TaskType))
		})
		slices.SortFunc(r.Closed, func(a, b ClosedRecord) int {
			return cmp.Or(cmp.Compare(a.Key.Team, b.Key.Team), cmp.Compare(a.Key.TaskType, b.Key.TaskType))
		})
		slices.SortFunc(r.Denied, func(a, b DeniedRecord) int {
			return cmp.Or(cmp.Compare(a.Key.Limit, b.Key.Limit), cmp.Compare(a.Key.Team, b.Key.Team),
				cmp.Compare(a.Key.Principal, b.Key.Principal), cmp.Compare(a.Key.Agent, b.Key.Agent))
		})
		s.Slots = append(s.Slots, r)
	}
	return s
}

// Restore gives the window that was stored.
func Restore(s Snapshot) *Window {
	w := NewWindow()
	w.Now, w.Config = s.Now, s.Config
	maps.Copy(w.Observed, s.Observed)
	maps.Copy(w.Told, s.Told)
	maps.Copy(w.Learned, s.Learned)
	for _, r := range s.Slots {
		slot := w.slot(r.Start)
		if slot == nil {
			continue // a stored window holds no such slot
		}
		maps.Copy(slot.Asked, r.Asked)
		for _, u := range r.Usage {
			slot.Usage[u.Key] = u.Sum
		}
		for _, c := range r.Closed {
			slot.Closed[c.Key] = c.Sum
		}
		for _, d := range r.Denied {
			slot.Denied[d.Key] = d.Sum
		}
	}
	return w
}
