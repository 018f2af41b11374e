package quota

import (
	"slices"
	"strings"
)

// What an entry waits for besides limits. The names begin with a character that no limit's id has.
const (
	watchLedger      = "!ledger"    // the bound of live reservations
	watchWorkspace   = "!workspace" // an operator's block, as the next three
	watchTeam        = "!team "
	watchAgent       = "!agent "
	watchFanOutTeam  = "!fan-out-team " // live reservations of a team or an agent, or the rate of new ones
	watchFanOutAgent = "!fan-out-agent "
	watchAccount     = "!account " // blocked, closed by the provider, or nothing is known of its windows
)

// watchOf names what an operator's block stands in the way of.
func watchOf(target BlockTarget, name string) string {
	switch target {
	case BlockTeam:
		return watchTeam + name
	case BlockAgent:
		return watchAgent + name
	case BlockAccount:
		return watchAccount + name
	default:
		return watchWorkspace
	}
}

// lineDue is when a line is worth looking at: at once (the state's time) where one of its first entries has room on what
// it waits for, at a later instant where only time is needed, and 0 where something else has to happen first. It depends
// on the state alone.
func (s *State) lineDue(l *line) Instant {
	if !l.stale && l.asOf == s.Now {
		return l.dueAt
	}
	l.dueAt, l.asOf, l.stale = s.findDue(l), s.Now, false
	return l.dueAt
}

func (s *State) findDue(l *line) (due Instant) {
	limit := s.index.byID[l.on]
	if limit == nil {
		return s.clearedAt(l.on)
	}
	s.remembering(func() {
		walk := newWalk(s, l, s.Now)
		s.each(l, func(w *Waiting) verdict {
			if walk.endsBefore(w) {
				return stop
			}
			if at := walk.ready(w); at != 0 && (due == 0 || at < due) {
				due = at
			}
			if due == s.Now {
				return stop
			}
			return walk.next()
		})
	})
	return due
}

// askOf is what an entry asks of the limit that it waits for.
func (s *State) askOf(w *Waiting, limit *Limit, counter *Counter) ask {
	return ask{labels: &w.Labels, limit: limit, counter: counter, units: w.need(limit.ID), priced: true, waiting: w.Reservation, preemptible: w.Wish.Preemptible}
}

// roomAt is when time alone may make room for an ask: a refusal of the provider ends, a bucket refills, what is held back is
// let go, an observation becomes stale. Windows are rolled over by events.
func (s *State) roomAt(a *ask) Instant {
	letGo := s.letGoAt(a)
	if s.keptFor(a, s.Now) != nil {
		return letGo // by then the limit may have enough for who it is kept for, and for the ask
	}
	if a.closed(s.Now) {
		return a.counter.ClosedUntil
	}
	if a.limit.Window.Kind == WindowBucket {
		return s.Now.Add(a.counter.bucketWait(a.limit, s.Now, min(a.units, a.counter.burst(a.limit))))
	}
	if at := s.lendsAgainAt(a); at != 0 && (letGo == 0 || at < letGo) {
		return at
	}
	if letGo != 0 {
		return letGo
	}
	if o := a.counter.Observed; o != nil && o.ResetAt != 0 && a.limit.countsSpending() && a.counter.capacity(a.limit) == 0 {
		return max(s.Now, o.ResetAt.Add(-s.Config.Policy.ObservationLead))
	}
	return 0
}

// clearedAt is when something that is no limit is out of the way: now, at a time that is known, or 0 for not by time.
func (s *State) clearedAt(on string) Instant {
	if name, ok := strings.CutPrefix(on, watchAccount); ok {
		account, ok := s.Config.Account(name)
		switch {
		case !ok:
			return s.Now
		case s.blocked(BlockAccount, name) != nil:
			return 0
		case s.closedAccount(name, s.Now) != nil:
			return s.watches[name].ClosedUntil
		case s.usable(account, s.Now) != nil:
			return 0
		}
		return s.Now
	}
	if strings.HasPrefix(on, watchFanOutTeam) || strings.HasPrefix(on, watchFanOutAgent) {
		return s.fanOutClearedAt(on)
	}
	if s.cleared(on) {
		return s.Now
	}
	return 0
}

func (s *State) cleared(on string) bool {
	name := func(prefix string) string { return strings.TrimPrefix(on, prefix) }
	switch {
	case on == watchLedger:
		return len(s.reservations) < MaxLiveReservations
	case on == watchWorkspace:
		return s.blocked(BlockWorkspace, "") == nil
	case strings.HasPrefix(on, watchTeam):
		return s.blocked(BlockTeam, name(watchTeam)) == nil
	case strings.HasPrefix(on, watchAgent):
		return s.blocked(BlockAgent, name(watchAgent)) == nil
	default:
		return true // a limit that is gone, or nothing: to be tried
	}
}

// linesInOrder lists the lines by what they wait for, so that nothing depends on the order of a map.
func (q *queue) linesInOrder() []*line {
	lines := make([]*line, 0, len(q.lines))
	for _, l := range q.lines {
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b *line) int { return strings.Compare(a.on, b.on) })
	return lines
}

// queueDue is the earliest instant at which a tick has something to do for the queue; 0 for none.
func (s *State) queueDue() (due Instant) {
	q := &s.queue
	if len(q.entries) == 0 {
		return 0
	}
	due = q.ending[0].Until
	if len(q.passed) > 0 {
		due = min(due, q.passed[0].Passed.Add(s.Config.Policy.queueSkip()))
	}
	for _, l := range q.lines {
		if at := s.lineDue(l); at != 0 {
			due = min(due, at)
		}
	}
	return due
}
