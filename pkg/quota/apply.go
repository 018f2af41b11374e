package quota

import (
	"container/heap"
	"fmt"
)

// Apply folds one event into the state. It never decides: what it needs is in the event and the state. It is total,
// so that every log folds; where a number would break an invariant, [State.Broken] tells.
func Apply(s *State, e Event) {
	switch e := e.(type) {
	case *EpochClaimed:
	case *ConfigApplied:
		s.advance(e.At)
		s.applyConfig(e)
	case *ReservationGranted:
		s.advance(e.At)
		s.applyGranted(e)
	case *ReservationDenied:
		s.advance(e.At)
		s.totals.Denied++
		if Exhausts(e.Code, e.Reason) {
			s.totals.Exhausted++
		}
	case *ReservationQueued, *ReservationWaiting, *ReservationDequeued:
		s.applyQueueEvent(e)
	case *ReservationExtended:
		s.advance(e.At)
		s.applyExtended(e)
	case *ReservationRenewed:
		s.advance(e.At)
		s.setExpiry(s.reservations[e.Reservation], e.Expires)
	case *ReservationExpiring:
		s.advance(e.At)
		s.applyExpiring(e)
	case *ReservationPreempting:
		s.advance(e.At)
		s.applyPreempting(e)
	case *ReservationShrunk:
		s.advance(e.At)
		s.applyShrunk(e)
	case *ReservationClosed:
		s.advance(e.At)
		s.applyClosed(e)
	case *UsageRecorded:
		s.advance(e.At)
		s.applyUsage(e)
	case *WindowOpened:
		s.advance(e.At)
		s.setSpan(e.Span)
		s.learnWindow(e.Span)
	case *WindowRolled:
		s.advance(e.At)
		s.applyRolled(e)
	case *LimitWarning:
		s.advance(e.At)
		if c := s.counters[e.Limit]; c != nil {
			c.Crossed = max(c.Crossed, e.Threshold)
		}
	case *ObservationRecorded:
		s.advance(e.At)
		s.applyObservation(e)
	case *BlockPlaced:
		s.advance(e.At)
		s.blocks[blockKey{e.Target, e.Name}] = *e
		s.queue.touchAll()
	case *BlockLifted:
		s.advance(e.At)
		delete(s.blocks, blockKey{e.Target, e.Name})
		s.queue.touchAll()
	case *NoticesAcknowledged:
		s.advance(e.At)
		s.applyAcknowledged(e)
	default:
		s.breaks("unknown event %T", e)
	}
}

func (s *State) advance(at Instant) {
	if at < s.Now {
		s.breaks("time went back from %d to %d", s.Now, at)
		return
	}
	s.Now = at
}

// breaks remembers a broken invariant.
func (s *State) breaks(format string, args ...any) {
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

func (s *State) applyConfig(e *ConfigApplied) {
	before := s.index
	s.Config = e.Config
	s.index = newLimitIndex(&s.Config)
	kept := make(map[string]*Counter, len(s.Config.Limits))
	for i := range s.Config.Limits {
		id := s.Config.Limits[i].ID
		if c := s.counters[id]; c != nil {
			kept[id] = c
		}
	}
	for _, span := range e.Opened {
		c := &Counter{Limit: span.Limit, Start: span.Start, End: span.End}
		if l := s.index.byID[span.Limit]; l != nil && l.Window.Kind == WindowBucket {
			c.Level, c.LevelAt = l.burst()*int64(l.Window.Duration), e.At
		}
		kept[span.Limit] = c
	}
	for id := range s.counters {
		if kept[id] != s.counters[id] {
			s.dropHolds(id)
		}
	}
	for i := range s.Config.Limits {
		if id := s.Config.Limits[i].ID; kept[id] == nil {
			s.breaks("configuration %d opens no window for limit %s", s.Config.Version, id)
			kept[id] = &Counter{Limit: id}
		}
	}
	s.counters = kept
	s.relendEverything()
	s.tryAllAgain()
	s.findNextWindow()
	s.trimClosed()
	s.trimWatches()
	s.trimForesight()
	s.trimLearners(before, e.Opened)
}

// dropHolds ends what live reservations hold on a limit that is gone or starts over.
func (s *State) dropHolds(limit string) {
	for _, r := range s.reservations {
		if h := r.hold(limit); h != nil {
			h.Returned += h.Held
			h.Held = 0
		}
		s.dropTakes(r, limit)
	}
}

func (s *State) applyGranted(e *ReservationGranted) {
	if s.reservations[e.Reservation] != nil {
		s.breaks("reservation %s was granted twice", e.Reservation)
		return
	}
	r := &Reservation{
		ID: e.Reservation, Labels: e.Labels, Granted: e.Amount, CostHeld: e.CostHeld, Unpriced: e.Unpriced, At: e.At,
		Expires: e.Expires, Deadline: e.Deadline, Lease: e.Lease, Holds: make([]Hold, 0, len(e.Holds)), Unclaimed: e.Unclaimed,
		Preemptible: e.Preemptible,
	}
	s.live(r)
	s.paceGrant(&r.Labels, e.At)
	s.totals.Granted++
	s.totals.Reserved += e.Amount.Tokens.Total()
	s.heldByTeam[r.Labels.Team] += r.unused()
	s.addHolds(r, e.Holds, e.At)
	s.checkFloors(r, e.Holds)
	s.schedule(r)
	s.stick(&r.Labels, e.At)
	s.markPassed(e.Passed, e.At)
	s.queue.touch(watchLedger)
	if e.QueuedAt != 0 {
		s.notify(r.actor(), Notice{Kind: NoticeGranted, Reservation: r.ID, At: e.At, Expires: e.Expires})
	}
}

func (s *State) applyExtended(e *ReservationExtended) {
	r := s.reservations[e.Reservation]
	if r == nil {
		s.breaks("reservation %s was extended and is not live", e.Reservation)
		return
	}
	wasOver, wasUnused := max(0, r.Used.Tokens.Total()-r.Granted.Tokens.Total()), r.unused()
	r.Granted = r.Granted.Add(e.Amount)
	s.heldByTeam[r.Labels.Team] += r.unused() - wasUnused
	r.CostHeld += e.CostHeld
	r.Deadline = max(r.Deadline, e.Expires)
	s.totals.Reserved += e.Amount.Tokens.Total()
	s.totals.Overrun -= wasOver - max(0, r.Used.Tokens.Total()-r.Granted.Tokens.Total())
	s.addHolds(r, e.Holds, e.At)
	s.checkFloors(r, e.Holds)
	s.setExpiry(r, e.Expires)
	s.markPassed(e.Passed, e.At)
}

func (s *State) addHolds(r *Reservation, amounts []LimitAmount, at Instant) {
	for _, a := range amounts {
		c, l := s.counters[a.Limit], s.index.byID[a.Limit]
		if c == nil || l == nil {
			continue
		}
		h := r.hold(a.Limit)
		if h == nil {
			r.Holds = append(r.Holds, Hold{Limit: a.Limit})
			h = &r.Holds[len(r.Holds)-1]
		}
		h.Granted += a.Amount
		h.Held += a.Amount
		c.Held += a.Amount
		c.GrantedSum += a.Amount
		s.countTeam(l, c, &r.Labels, 0, a.Amount)
		s.relend(r, h)
		if l.Window.Kind == WindowBucket {
			c.bucketMove(l, at, -a.Amount)
		}
		s.checkCounter(c)
	}
}

func (s *State) applyUsage(e *UsageRecorded) {
	s.totals.UsageEvents++
	s.totals.Used += e.Tokens.Total()
	s.totals.Requests += e.Requests
	s.totals.Cost += e.Cost
	s.totals.Overrun += e.Overrun
	if e.Standing == StandingUnreserved {
		s.totals.Unreserved += e.Tokens.Total()
	}
	if e.Unpriced {
		s.totals.Unpriced += e.Tokens.Total()
	}
	s.rememberCall(e)
	s.useTeam(e.Labels.Team, e.Tokens.Total(), e.At)
	r := s.reservations[e.Reservation]
	if e.Standing == StandingLate {
		r = s.closed[e.Reservation]
	}
	if e.Standing == StandingUnknown || e.Standing == StandingUnreserved {
		r = nil
	}
	if r != nil {
		over, wasUnused := r.Used.Tokens.Total() > r.Granted.Tokens.Total(), r.unused()
		r.Used = r.Used.Add(Amount{e.Tokens, e.Requests})
		if r.Live() && s.heldByTeam != nil {
			s.heldByTeam[r.Labels.Team] += r.unused() - wasUnused
		}
		r.CostUsed += e.Cost
		r.Unpriced = r.Unpriced || e.Unpriced
		if !over && r.Used.Tokens.Total() > r.Granted.Tokens.Total() {
			s.totals.Overruns++
		}
	}
	for _, charge := range e.Charges {
		s.applyCharge(e, r, charge)
	}
	s.learnUsage(e)
}

func (s *State) applyCharge(e *UsageRecorded, r *Reservation, charge Charge) {
	c, l := s.counters[charge.Limit], s.index.byID[charge.Limit]
	if c == nil || l == nil {
		return
	}
	if r != nil {
		if h := r.hold(charge.Limit); h != nil {
			h.Held -= charge.Within
			h.Within += charge.Within
			h.Over += charge.Amount - charge.Within
			s.relend(r, h)
		}
		s.countTeam(l, c, &r.Labels, 0, -charge.Within)
	}
	c.Held -= charge.Within
	c.WithinSum += charge.Within
	switch {
	case l.Window.Kind == WindowBucket:
		c.bucketMove(l, e.At, -(charge.Amount - charge.Within))
	case charge.Window == 0:
	case charge.Window == c.Start:
		c.Used += charge.Amount
		s.countTeam(l, c, &e.Labels, charge.Amount, 0)
		if c.Observed != nil && e.OccurredAt > c.Observed.At {
			c.Since += charge.Amount
		}
	default:
		for i := range c.Earlier {
			if c.Earlier[i].Start == charge.Window {
				c.Earlier[i].Used += charge.Amount
			}
		}
	}
	s.checkCounter(c)
}

// rememberCall keeps the largest of each class that is known of a call.
func (s *State) rememberCall(e *UsageRecorded) {
	if e.CallID == "" {
		return
	}
	key := callKey{e.Labels.Principal, e.CallID}
	known, seen := s.calls[key]
	s.calls[key] = known.Add(e.Tokens)
	if seen {
		return
	}
	s.callOrder.push(key)
	for s.callOrder.len() > MaxKnownCalls {
		delete(s.calls, s.callOrder.pop())
	}
}

func (s *State) applyExpiring(e *ReservationExpiring) {
	r := s.reservations[e.Reservation]
	if r == nil {
		s.breaks("reservation %s is expiring and is not live", e.Reservation)
		return
	}
	r.Warned = true
	s.schedule(r)
	s.notify(r.actor(), Notice{Kind: NoticeExpiring, Reservation: r.ID, At: e.At, Expires: e.Expires})
}

func (s *State) applyClosed(e *ReservationClosed) {
	r := s.reservations[e.Reservation]
	if r == nil {
		s.breaks("reservation %s was closed and is not live", e.Reservation)
		return
	}
	for _, back := range e.Returned {
		s.giveBack(r, back, e.At)
		if h := r.hold(back.Limit); h != nil && h.Held != 0 {
			s.breaks("reservation %s closed with %d held on %s", r.ID, h.Held, back.Limit)
		}
	}
	r.Takes = nil
	r.Outcome, r.ClosedAt = e.Outcome, e.At
	s.unlive(r)
	s.queue.touch(watchLedger)
	heap.Remove(&s.due, r.heapIndex)
	s.closed[r.ID] = r
	s.closedOrder.push(r.ID)
	s.trimClosed()
	s.totals.Returned += max(0, r.Granted.Tokens.Total()-r.Used.Tokens.Total())
	switch e.Outcome {
	case OutcomeSettled:
		s.totals.Settled++
	case OutcomeReleased:
		s.totals.Released++
	case OutcomeExpired:
		s.totals.Expired++
		s.notify(r.actor(), Notice{Kind: NoticeExpired, Reservation: r.ID, At: e.At})
	case OutcomePreempted:
		s.totals.Preempted++
		s.notify(r.actor(), Notice{Kind: NoticePreempted, Reservation: r.ID, At: e.At, Reason: e.Reason})
	case OutcomeRevoked:
		s.totals.Revoked++
		s.notify(r.actor(), Notice{Kind: NoticeRevoked, Reservation: r.ID, At: e.At, Reason: e.Reason})
	}
}

// giveBack returns what a hold still keeps. A bucket gets back at most the unused debit, capped at its burst.
func (s *State) giveBack(r *Reservation, back LimitAmount, at Instant) {
	h := r.hold(back.Limit)
	c, l := s.counters[back.Limit], s.index.byID[back.Limit]
	if h == nil || c == nil || l == nil {
		return
	}
	h.Held -= back.Amount
	h.Returned += back.Amount
	c.Held -= back.Amount
	c.ReturnedSum += back.Amount
	s.countTeam(l, c, &r.Labels, 0, -back.Amount)
	c.Freed.add(back.Amount, at)
	if l.Window.Kind == WindowBucket {
		c.bucketMove(l, at, back.Amount)
	}
	s.relend(r, h)
	s.checkCounter(c)
}

// trimClosed forgets the oldest closed reservations beyond the bound; the log still has them.
func (s *State) trimClosed() {
	for s.closedOrder.len() > max(1, s.Config.Policy.ClosedKept) {
		delete(s.closed, s.closedOrder.pop())
	}
}

func (s *State) applyRolled(e *WindowRolled) {
	c := s.counters[e.Next.Limit]
	if c == nil {
		return
	}
	c.Earlier = append(c.Earlier, PastWindow{c.Start, e.Ended.End, c.Used})
	if len(c.Earlier) > keptWindows {
		c.Earlier = append(c.Earlier[:0], c.Earlier[len(c.Earlier)-keptWindows:]...)
	}
	c.Used, c.Since, c.Observed, c.Crossed = 0, 0, nil, 0
	c.newTeamWindow()
	c.ClosedUntil, c.ClosedAt, c.DriftPace = 0, 0, e.DriftPace
	s.setSpan(e.Next)
	s.queue.touchAll()
	s.learnWindow(e.Next)
}

func (s *State) setSpan(span WindowSpan) {
	if c := s.counters[span.Limit]; c != nil {
		c.Start, c.End = span.Start, span.End
		s.queue.touch(span.Limit)
		s.findNextWindow()
	}
}

func (s *State) findNextWindow() {
	s.nextWindow = 0
	for _, c := range s.counters {
		if c.End != 0 && (s.nextWindow == 0 || c.End < s.nextWindow) {
			s.nextWindow = c.End
		}
	}
}

func (s *State) applyObservation(e *ObservationRecorded) {
	if e.Limit == "" || e.Observation.Signal == SignalOverloaded {
		s.applyWatch(e)
		return
	}
	c := s.counters[e.Limit]
	if !e.Effective || c == nil {
		return
	}
	o := e.Observation
	c.ClosedUntil = e.ClosedUntil
	if e.Told > 0 {
		s.applyTold(c, e)
		if o.Signal == "" {
			return
		}
	}
	if o.Signal == SignalExhausted {
		c.ClosedAt = o.At
		if !o.tellsUse() { // what was observed of the use stands
			s.setSpan(e.Span)
			return
		}
	}
	c.observe(&o, e.Since)
	if e.Capacity > 0 {
		c.Learned, c.LearnedAt = e.Capacity, o.At
	}
	s.applyLesson(e)
	s.setSpan(e.Span)
	s.queue.touchAll()
}

func (s *State) applyAcknowledged(e *NoticesAcknowledged) {
	gone := make(map[uint64]bool, len(e.Notices))
	for _, id := range e.Notices {
		gone[id] = true
	}
	var kept []Notice
	for _, n := range s.notices[e.Actor] {
		if !gone[n.ID] {
			kept = append(kept, n)
		}
	}
	s.notices[e.Actor] = kept
	if len(kept) == 0 {
		delete(s.notices, e.Actor)
	}
}

func (s *State) notify(to Actor, n Notice) {
	s.noticeSeq++
	n.ID = s.noticeSeq
	list := append(s.notices[to], n)
	if len(list) > MaxNoticesPerAgent {
		list = list[len(list)-MaxNoticesPerAgent:]
	}
	s.notices[to] = list
}

// schedule puts a live reservation where time finds it, or moves it there.
func (s *State) schedule(r *Reservation) {
	at := r.dueAt(&s.Config.Policy)
	if r.heapIndex < len(s.due) && s.due[r.heapIndex].Reservation == r {
		s.due[r.heapIndex].at = at
		heap.Fix(&s.due, r.heapIndex)
		return
	}
	heap.Push(&s.due, &dueEntry{Reservation: r, at: at})
}

func (s *State) setExpiry(r *Reservation, expires Instant) {
	if r == nil {
		s.breaks("a reservation was renewed and is not live")
		return
	}
	r.Expires, r.Warned, r.Unclaimed = expires, false, false
	s.schedule(r)
}
