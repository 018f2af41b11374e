package front

import (
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// waitingOf lists an agent's queued reservations, or the one that is asked for.
func waitingOf(s *quota.State, now quota.Instant, actor quota.Actor, id string) []wire.WaitingView {
	if !s.QueuedBy(actor) {
		return nil
	}
	list, _ := s.Queue(now, 0, quota.MaxQueuedPerAgent, func(w *quota.Waiting) bool {
		return w.Labels.Principal == actor.Principal && w.Labels.Agent == actor.Agent && (id == "" || w.Reservation == id)
	})
	return waitingViews(list)
}

func waitingViews(list []quota.WaitingView) []wire.WaitingView {
	views := make([]wire.WaitingView, len(list))
	for i := range list {
		views[i] = wire.WaitingViewOf(&list[i])
	}
	return views
}

// queue answers an operator who asks for the queue.
func queue(b *wire.QueueRequest, s *quota.State, now quota.Instant) any {
	limit := b.Limit
	if limit == 0 {
		limit = wire.DefaultListLimit
	}
	list, total := s.Queue(now, int(b.Offset), int(limit), func(w *quota.Waiting) bool {
		return (b.Principal == "" || b.Principal == w.Labels.Principal) && (b.Agent == "" || b.Agent == w.Labels.Agent) &&
			(b.Team == "" || b.Team == w.Labels.Team)
	})
	return &wire.QueueReply{Now: wire.TimeOf(now), Waiting: waitingViews(list), Total: int64(total)}
}

// hurryWaiting tells an agent that its wait has ended without a grant.
func (f *Front) hurryWaiting(e *quota.ReservationDequeued) {
	kind := quota.NoticeKind(e.Outcome)
	if e.Outcome == quota.QueueGranted || e.By.Principal == e.Labels.Principal && e.By.Agent == e.Labels.Agent {
		return // the grant follows, or the agent did it itself
	}
	f.hurry(&e.Labels, wire.Notice{Kind: string(kind), ReservationID: e.Reservation, At: wire.TimeOf(e.At), Reason: e.Reason})
}
