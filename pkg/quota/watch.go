package quota

import (
	"cmp"
	"slices"
)

// Watch is what the provider said of an account that concerns no limit of ours. (What an entry of the queue waits for is a
// bound; the names in queue_watch.go are those of bounds.)
type Watch struct {
	Account string `cbor:"1,keyasint,omitempty"`
	// ClosedUntil is until when the provider refuses the account, where it did not say for which window.
	ClosedUntil  Instant         `cbor:"2,keyasint,omitempty"`
	Overloads    int64           `cbor:"3,keyasint,omitempty"` // how often the provider was overloaded: its trouble, not our quota
	OverloadedAt Instant         `cbor:"4,keyasint,omitempty"` // the last time
	Unknown      []UnknownWindow `cbor:"5,keyasint,omitempty"` // told of longest ago first
}

// UnknownWindow is a window that the provider told of and the configuration does not have.
type UnknownWindow struct {
	Name        string      `cbor:"1,keyasint,omitempty"`
	Observation Observation `cbor:"2,keyasint,omitempty"` // the latest
}

func (w *Watch) copy() Watch {
	clone := *w
	clone.Unknown = slices.Clone(w.Unknown)
	return clone
}

// Watch gives what the provider said of an account beside its limits.
func (s *State) Watch(account string) Watch {
	if w := s.watches[account]; w != nil {
		return w.copy()
	}
	return Watch{Account: account}
}

func (s *State) watchesInOrder() []Watch {
	var list []Watch
	for _, w := range s.watches {
		list = append(list, w.copy())
	}
	slices.SortFunc(list, func(a, b Watch) int { return cmp.Compare(a.Account, b.Account) })
	return list
}

// applyWatch folds an observation that concerns no limit.
func (s *State) applyWatch(e *ObservationRecorded) {
	if _, ok := s.Config.Account(e.Account); !ok {
		return
	}
	s.queue.touchAll()
	w := s.watches[e.Account]
	if w == nil {
		w = &Watch{Account: e.Account}
		s.watches[e.Account] = w
	}
	switch {
	case e.Observation.Signal == SignalOverloaded:
		w.Overloads++
		w.OverloadedAt = max(w.OverloadedAt, e.Observation.At)
	case e.Window != "":
		w.keep(UnknownWindow{e.Window, e.Observation})
	case e.Effective:
		w.ClosedUntil = max(w.ClosedUntil, e.ClosedUntil)
	}
}

// keep remembers an unknown window: the latest observation of each, and of no more than the bound.
func (w *Watch) keep(u UnknownWindow) {
	for i := range w.Unknown {
		if w.Unknown[i].Name != u.Name {
			continue
		}
		if u.Observation.At < w.Unknown[i].Observation.At {
			return
		}
		w.Unknown = slices.Delete(w.Unknown, i, i+1)
		break
	}
	w.Unknown = append(w.Unknown, u)
	if len(w.Unknown) > MaxUnknownWindows {
		w.Unknown = slices.Delete(w.Unknown, 0, len(w.Unknown)-MaxUnknownWindows)
	}
}

// trimWatches forgets accounts that are gone, and windows that are configured now.
func (s *State) trimWatches() {
	for id, w := range s.watches {
		if _, ok := s.Config.Account(id); !ok {
			delete(s.watches, id)
			continue
		}
		w.Unknown = slices.DeleteFunc(w.Unknown, func(u UnknownWindow) bool { return s.windowOfAccount(id, u.Name) != nil })
	}
}

// closedAccount refuses while the provider refuses an account as a whole.
func (s *State) closedAccount(account string, now Instant) *refusal {
	w := s.watches[account]
	if w == nil || now >= w.ClosedUntil {
		return nil
	}
	return &refusal{
		code: CodeInsufficientQuota, retryable: true, retryAfter: max(retryAtLeast, w.ClosedUntil.Sub(now)), reason: ReasonClosed,
		watch:   watchAccount + account,
		message: "the provider refused account \"" + account + "\" (429) and asked to wait",
	}
}
