package quota

import (
	"cmp"
	"slices"
)

// A subscription's window is published in percent only. What it holds in tokens is learned: between two observations
// of one window the percentage moved so far, and so much of each token class was ours. Such a stretch is kept, and from
// the stretches a capacity is estimated (see capacity.go). The bookkeeping is here; it is integer arithmetic, and what an
// event does to it stands in the event.

// Bounds of what is learned from.
const (
	MaxStretches    = 60            // kept of a limit; the oldest is forgotten first, so that a changed plan is learned anew
	maxRecentUsage  = 32            // usage kept by its time since the last cut: an observation may be older than it
	quietStretches  = 40            // a stretch takes at least such a part of a window when nothing is held on the limit
	busyStretches   = 20            // and when something is: its usage may be reported later
	nearlyFull      = int64(98_000) // of a window that is used farther nothing is learned: spending stops there, whoever it is by
	wholePercent    = int64(1_000)  // the step of a provider that rounds to whole percent
	lateSpan        = Minute        // by which an observation is late, at the most
	percentFellBack = int64(2_000)  // a percentage that is lower than before by more is of another window, or was corrected
)

// Stretch is what happened to a window between two observations.
type Stretch struct {
	From   Instant `cbor:"1,keyasint,omitempty"`
	To     Instant `cbor:"2,keyasint,omitempty"`
	Moved  int64   `cbor:"3,keyasint,omitempty"` // of the window, in thousandths of a percent
	Step   int64   `cbor:"4,keyasint,omitempty"` // to which the end is rounded, in thousandths of a percent
	Tokens Tokens  `cbor:"5,keyasint,omitempty"` // ours, by class
	// FromStep is to which the beginning is rounded.
	FromStep int64 `cbor:"6,keyasint,omitempty"`
	// Late is the part of Tokens that occurred within lateSpan before the end: the observation there may not have seen it.
	Late Tokens `cbor:"7,keyasint,omitempty"`
}

// Learner is what a limit's capacity is learned from.
type Learner struct {
	Limit     string    `cbor:"1,keyasint,omitempty"`
	Stretches []Stretch `cbor:"2,keyasint,omitempty"` // oldest first
	// The stretch that is not ended yet: from where, and what was ours since.
	From    Instant      `cbor:"3,keyasint,omitempty"` // 0 for none
	Percent int64        `cbor:"4,keyasint,omitempty"` // at From, in thousandths
	Step    int64        `cbor:"5,keyasint,omitempty"` // to which Percent is rounded
	Tokens  Tokens       `cbor:"6,keyasint,omitempty"` // older than Recent
	Recent  []TimedUsage `cbor:"7,keyasint,omitempty"` // in the order of recording
}

// TimedUsage is usage by when it occurred.
type TimedUsage struct {
	At     Instant `cbor:"1,keyasint,omitempty"`
	Tokens Tokens  `cbor:"2,keyasint,omitempty"`
}

// Lesson is what an observation does to a learner.
type Lesson struct {
	Begin    bool      `cbor:"1,keyasint,omitempty"` // a stretch begins here, and what was before is dropped
	End      bool      `cbor:"2,keyasint,omitempty"` // the stretch ends here, and the next begins
	Estimate *Estimate `cbor:"3,keyasint,omitempty"` // the capacity after it, where a stretch ended
}

func (n *Learner) copy() Learner {
	clone := *n
	clone.Stretches, clone.Recent = slices.Clone(n.Stretches), slices.Clone(n.Recent)
	return clone
}

// begin starts a stretch at a point whose percentage is known.
func (n *Learner) begin(at Instant, percent, step int64) {
	n.From, n.Percent, n.Step = at, percent, step
	later := n.since(at)
	n.Tokens, n.Recent = Tokens{}, later
}

// since lists the recent usage that occurred after an instant.
func (n *Learner) since(at Instant) (later []TimedUsage) {
	for _, u := range n.Recent {
		if u.At > at {
			later = append(later, u)
		}
	}
	return later
}

// end closes the stretch at a point and begins the next one there.
func (n *Learner) end(at Instant, percent, step int64) {
	s := Stretch{From: n.From, To: at, Moved: percent - n.Percent, Step: step, FromStep: n.Step, Tokens: n.Tokens}
	for _, u := range n.Recent {
		if u.At <= at {
			s.use(u)
		}
	}
	n.Stretches = append(n.Stretches, s)
	if len(n.Stretches) > MaxStretches {
		n.Stretches = slices.Delete(n.Stretches, 0, len(n.Stretches)-MaxStretches)
	}
	n.begin(at, percent, step)
}

// use adds our usage to the stretch that it occurred in.
func (n *Learner) use(at Instant, t Tokens) {
	if n.From != 0 && at > n.From {
		n.Recent = append(n.Recent, TimedUsage{at, t})
		if len(n.Recent) > maxRecentUsage {
			n.Tokens = n.Tokens.Add(n.Recent[0].Tokens)
			n.Recent = slices.Delete(n.Recent, 0, 1)
		}
		return
	}
	for i := len(n.Stretches) - 1; i >= 0; i-- {
		if s := &n.Stretches[i]; at > s.From && at <= s.To {
			s.use(TimedUsage{at, t})
			return
		}
	}
}

// use adds our usage to a stretch that it occurred in.
func (s *Stretch) use(u TimedUsage) {
	s.Tokens = s.Tokens.Add(u.Tokens)
	if u.At > s.To.Add(-lateSpan) {
		s.Late = s.Late.Add(u.Tokens)
	}
}

// learns tells whether the limit's capacity is learned: token windows of subscriptions, unless it is fixed.
func (s *State) learns(l *Limit) bool {
	account, ok := s.Config.Account(l.Scope.Account)
	return ok && account.Kind == KindSubscription && l.countsSpending() && !l.Fixed && DefaultWeights(l.Unit) != (Weights{})
}

// teach decides what an observation of a limit does to its learner; nil for nothing. n is the learner as it stands, nil
// for a limit that has none yet.
func (s *State) teach(l *Limit, c *Counter, n *Learner, o *Observation) *Lesson {
	if !s.learns(l) || o.PercentMilli < 0 || o.Signal != "" {
		return nil
	}
	switch {
	case n == nil || n.From == 0 || o.At < n.From || o.PercentMilli > nearlyFull || o.PercentMilli < n.Percent-percentFellBack:
		return &Lesson{Begin: true}
	case o.At.Sub(n.From) >= stretch(l, c):
		after := n.copy()
		after.end(o.At, o.PercentMilli, o.step())
		return &Lesson{End: true, Estimate: estimate(l, after.Stretches, o.At)}
	}
	return nil
}

// stretch is how long a stretch lasts at least. It is a matter of time and never of what was observed: stretches that end
// when the percentage has moved far enough end where the rounding was in favour, and what is learned from them is wrong.
func stretch(l *Limit, c *Counter) Millis {
	if c.Held > 0 {
		return l.longest() / busyStretches
	}
	return l.longest() / quietStretches
}

// step is to what the observed percentage is rounded, as far as its digits tell.
func (o *Observation) step() int64 {
	step := wholePercent
	for step > 1 && o.PercentMilli%step != 0 {
		step /= 10
	}
	return step
}

// applyLesson folds what an observation does to a learner.
func (s *State) applyLesson(e *ObservationRecorded) {
	if e.Lesson == nil || s.learners == nil {
		return
	}
	n := s.learners[e.Limit]
	if n == nil {
		n = &Learner{Limit: e.Limit}
		s.learners[e.Limit] = n
	}
	o := &e.Observation
	switch {
	case e.Lesson.Begin:
		n.begin(o.At, o.PercentMilli, o.step())
	case e.Lesson.End:
		n.end(o.At, o.PercentMilli, o.step())
	}
	if e.Lesson.Estimate != nil {
		s.counters[e.Limit].Estimate = e.Lesson.Estimate
	}
}

// learnUsage adds usage to the learners of the limits that it was charged to.
func (s *State) learnUsage(e *UsageRecorded) {
	if len(s.learners) == 0 {
		return
	}
	for i := range e.Charges {
		if n := s.learners[e.Charges[i].Limit]; n != nil && e.Charges[i].Window != 0 {
			n.use(e.OccurredAt, e.Tokens)
		}
	}
}

// learnWindow ends the stretch of the window before. The next one begins with the first observation and not with the
// window, although nothing is used there: a provider that always rounds down, or up, would teach a wrong capacity.
func (s *State) learnWindow(span WindowSpan) {
	if n := s.learners[span.Limit]; n != nil {
		n.From = 0
	}
}

func (s *State) learnersInOrder() []Learner {
	var list []Learner
	for _, n := range s.learners {
		list = append(list, n.copy())
	}
	slices.SortFunc(list, func(a, b Learner) int { return cmp.Compare(a.Limit, b.Limit) })
	return list
}

// trimLearners forgets what was learned of limits that are gone, count anew, or weigh differently.
func (s *State) trimLearners(before limitIndex, opened []WindowSpan) {
	for id := range s.learners {
		l, old := s.index.byID[id], before.byID[id]
		anew := slices.ContainsFunc(opened, func(span WindowSpan) bool { return span.Limit == id })
		if l == nil || old == nil || anew || l.weights() != old.weights() || !s.learns(l) {
			delete(s.learners, id)
			if c := s.counters[id]; c != nil {
				c.Estimate = nil
			}
		}
	}
}
