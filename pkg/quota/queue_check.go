package quota

import "slices"

// checkQueue verifies that the queue, its index and the totals agree.
func (s *State) checkQueue(say func(string, ...any)) {
	q, t := &s.queue, &s.totals
	if left := t.Queued - t.QueueGranted - t.QueueCancelled - t.QueueTimedOut - t.QueueRefused; left != int64(len(q.entries)) {
		say("%d reservations wait, the totals say %d", len(q.entries), left)
	}
	if len(q.entries) > MaxQueued || len(q.ending) != len(q.entries) {
		say("%d reservations wait, %d have an end", len(q.entries), len(q.ending))
	}
	for key, f := range s.foresight {
		if f.Provider != key.provider || f.Priority != key.priority || f.From < 0 || f.From > f.At || f.At > f.To || f.To > mostTimes {
			say("predictions for %s at %s are corrected by %d, %d and %d thousandths", key.provider, key.priority, f.From, f.At, f.To)
		}
	}
	agents, lines, links := map[Actor]int{}, map[string]int{}, map[[2]string]int{}
	var passed int
	for id, w := range q.entries {
		if w.Reservation != id || s.reservations[id] != nil || s.closed[id] != nil {
			say("reservation %s waits and is known otherwise", id)
		}
		agents[w.actor()]++
		w.standsIn(func(on string) { lines[on]++ })
		w.eachLink(func(on, other string) { links[[2]string{on, other}]++ })
		if w.Passed != 0 && !w.Kept {
			passed++
		}
	}
	if passed != len(q.passed) || len(lines) != len(q.lines) || len(agents) != len(q.byAgent) {
		say("the queue indexes %d passed heads, %d lines and %d agents, there are %d, %d and %d",
			len(q.passed), len(q.lines), len(q.byAgent), passed, len(lines), len(agents))
	}
	for on, n := range lines {
		if l := q.lines[on]; l == nil || l.size != n {
			say("the line for %q is not of its %d entries", on, n)
		}
	}
	s.checkLanes(say)
	for _, l := range q.lines {
		for other, n := range l.linked {
			if key := [2]string{l.on, other}; links[key] != n {
				say("the lines for %q and %q share %d choices, %d are indexed", l.on, other, links[key], n)
			} else {
				delete(links, key)
			}
		}
	}
	if len(links) > 0 {
		say("lines share choices that are not indexed: %v", links)
	}
	for actor, n := range agents {
		if q.byAgent[actor] != n || n > MaxQueuedPerAgent {
			say("%d reservations of agent %s wait, %d are indexed", n, actor.Agent, q.byAgent[actor])
		}
	}
}

// checkLanes verifies that the order of the queue within a lane is the age of its entries, as all that searches lanes takes it.
func (s *State) checkLanes(say func(string, ...any)) {
	for _, l := range s.queue.lines {
		for _, lane := range l.lanes {
			inOrder := slices.IsSortedFunc(lane.entries, func(a, b *Waiting) int { return queueOrder(s.queueKey(a), s.queueKey(b)) })
			if !inOrder {
				say("the line for %q: within the lane of team %s at %s the queue's order is not that of age: what the order looks at must be the same for a lane",
					l.on, lane.team, lane.priority)
			}
		}
	}
}
