package quota

import (
	"cmp"
	"slices"
)

// Who comes later goes before some of those that wait, estimates are off, and waits are given up: what was predicted without
// all that is corrected by what came of the predictions before, by provider and priority. Three multipliers of what stands
// before an entry are kept: with the first 10 % of the grants come sooner than predicted, with the second one half, with the third 90 %.
// After each grant each is moved a little, up where the grant came later than it said and down where it came sooner, in such
// steps that it stays where it is when it is right so often. Predictions of a burst are said with the same multipliers, and what comes of them
// moves these no farther than a bound. So the interval from the first to the third holds four grants of five in the long run, whatever
// the reasons why predictions are off.

// Foresight is how predictions of grants are corrected for one provider and priority; multipliers are in thousandths.
type Foresight struct {
	Provider string   `cbor:"1,keyasint,omitempty"`
	Priority Priority `cbor:"2,keyasint,omitempty"`
	From     int64    `cbor:"3,keyasint,omitempty"`
	At       int64    `cbor:"4,keyasint,omitempty"`
	To       int64    `cbor:"5,keyasint,omitempty"`
}

// Bounds and steps of the correction, in thousandths.
const (
	mostTimes   = 8000
	foreseeStep = 10
	// mostTaught is how far what was said with one multiplier moves it: hundreds of grants of one burst, all said with the same
	// and all wrong for the same reason, teach one lesson and not hundreds.
	mostTaught  = 50
	leastLesson = Minute // a shorter wait teaches nothing
	// leastWide is the part of the predicted wait by which the interval goes on after the point at least: a window that resets
	// grants to those that it reaches one after the other, and not in the instant of the reset.
	leastWide = 20
)

// unlearned is the correction before anything came of predictions.
func unlearned(provider string, p Priority) Foresight {
	return Foresight{Provider: provider, Priority: p, From: 400, At: 800, To: 1200}
}

// Correction are the multipliers that a prediction was said with, in thousandths.
type Correction struct {
	From int64 `cbor:"1,keyasint,omitempty"`
	At   int64 `cbor:"2,keyasint,omitempty"`
	To   int64 `cbor:"3,keyasint,omitempty"`
}

func (f Foresight) correction() Correction { return Correction{f.From, f.At, f.To} }

type foresightKey struct {
	provider string
	priority Priority
}

func (s *State) foresightOf(l *Labels) Foresight {
	if f := s.foresight[foresightKey{l.Provider, l.Priority}]; f != nil {
		return *f
	}
	return unlearned(l.Provider, l.Priority)
}

// foresee predicts the grant of an entry that waits for windows, with what was learned of such predictions.
func (s *State) foresee(w *Waiting, windows []waitsFor, now Instant) (from, at, to Instant) {
	before, f := s.standsBefore(w, windows), s.foresightOf(&w.Labels)
	opens := s.openings(windows, s.usesInTheMean(w, before, windows), now)
	left := afresh(nil, opens)
	if at = s.reach(w, windows, left, before, f.At, itsPoint); at == 0 {
		return 0, 0, 0
	}
	from = s.reach(w, windows, afresh(left, opens), before, f.From, itsBegin)
	to = s.reach(w, windows, afresh(left, opens), before, f.To, itsEnd)
	if to == 0 { // farther than is looked ahead
		to = w.Until
	}
	return min(from, at), at, max(to, at.Add(at.Sub(w.Since)/leastWide))
}

// foresaw learns from a grant what the prediction in the reply should have been.
func (s *State) foresaw(w *Waiting, granted Instant) {
	if w.SaidAt == 0 || granted.Sub(w.Since) < leastLesson {
		return
	}
	key := foresightKey{w.Labels.Provider, w.Labels.Priority}
	f := s.foresight[key]
	if f == nil {
		fresh := unlearned(key.provider, key.priority)
		f = &fresh
		s.foresight[key] = f
	}
	by := w.SaidBy
	if by == (Correction{}) { // said by a version that counted every lesson
		by = f.correction()
	}
	f.From = taught(f.From, by.From, 10, granted > w.SaidFrom)
	f.At = taught(f.At, by.At, 40, granted > w.SaidAt)
	f.To = taught(f.To, by.To, 90, granted > w.SaidTo)
	f.From, f.To = min(f.From, f.At), max(f.To, f.At)
}

// taught moves a multiplier by what came of a prediction that was said with the multiplier as it was then. Where it has gone far
// enough from that in the same direction, the lesson is known already.
func taught(times, said, percent int64, later bool) int64 {
	if later && times-said >= mostTaught || !later && said-times >= mostTaught {
		return times
	}
	return stepped(times, percent, later)
}

// stepped moves a multiplier that is to be late in so many percent of the grants.
func stepped(times, percent int64, later bool) int64 {
	if later {
		return min(mostTimes, times+foreseeStep*percent/100)
	}
	return max(0, times-foreseeStep*(100-percent)/100)
}

// foreseeable tells whether windows alone decide about an entry.
func (s *State) foreseeable(w *Waiting) bool {
	return !slices.ContainsFunc(w.Bounds, func(b Bound) bool {
		return s.windowed(b.On) == nil || b.Owed != 0
	})
}

func (s *State) foresightInOrder() []Foresight {
	list := make([]Foresight, 0, len(s.foresight))
	for _, f := range s.foresight {
		list = append(list, *f)
	}
	slices.SortFunc(list, func(a, b Foresight) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Priority, b.Priority))
	})
	return list
}

// trimForesight forgets providers that are not configured any more.
func (s *State) trimForesight() {
	for key := range s.foresight {
		if _, known := s.Config.Provider(key.provider); !known {
			delete(s.foresight, key)
		}
	}
}
