package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// How often a queued reservation is asked for. A pushed notice is quicker; this is for when it got lost.
const (
	pollsPerGrace = 3 // so that a grant is found in time even if two questions fail
	slowestPoll   = 15 * time.Second
	fastestPoll   = 50 * time.Millisecond
)

// Queued is a reserve that waits for its grant: a place in the queue, kept in the ledger. It is safe for concurrent use.
type Queued struct {
	agent *Agent
	id    string
	ended chan wire.Notice // the first that says how the wait ended

	mu    sync.Mutex
	place wire.QueuePlace
}

// NotGranted is a wait that ended without a grant. It matches [wire.ErrInsufficientQuota].
type NotGranted struct {
	ReservationID string
	Outcome       quota.QueueOutcome // cancelled, timed_out or refused; empty where it is not known any more
	Reason        string
}

// Error says how the wait ended.
func (e *NotGranted) Error() string {
	switch e.Outcome {
	case quota.QueueTimedOut:
		return "not granted: the longest wait that was asked for is over"
	case quota.QueueCancelled:
		return "not granted: the wait was cancelled" + because(e.Reason)
	case quota.QueueRefused:
		return "not granted: the configuration changed" + because(e.Reason)
	}
	return "not granted: reservation " + e.ReservationID + " does not wait any more"
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// Is matches what a refusal at once would have matched.
func (e *NotGranted) Is(target error) bool { return target == wire.ErrInsufficientQuota }

// ReserveOrQueue is Reserve for requests that may wait (MaxWaitMS): exactly one of the reply, the place in the queue and
// the error is set. Refusals are those of Reserve.
func (a *Agent) ReserveOrQueue(ctx context.Context, r wire.ReserveRequest) (*wire.ReservationReply, *Queued, error) {
	reply, err := a.Reserve(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if reply.State != wire.StateQueued {
		return reply, nil, nil
	}
	q := &Queued{agent: a, id: reply.ReservationID, ended: make(chan wire.Notice, 1)}
	if reply.Queue != nil {
		q.place = *reply.Queue
	}
	a.mu.Lock()
	a.waits[q.id] = q
	a.mu.Unlock()
	return nil, q, nil
}

// reserveAndWait reserves and, where the request may wait, waits.
func (a *Agent) reserveAndWait(ctx context.Context, r wire.ReserveRequest) (*wire.ReservationReply, error) {
	reply, queued, err := a.ReserveOrQueue(ctx, r)
	if queued != nil {
		return queued.Wait(ctx)
	}
	return reply, err
}

// ID is the id of the reservation to be.
func (q *Queued) ID() string { return q.id }

// Place is where it stood at the last answer.
func (q *Queued) Place() wire.QueuePlace {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.place
}

// Wait returns the reservation once it is granted, after giving the sign of life that a grant from the queue needs. It
// learns of the grant by notice, and asks at least three times within the grace period in case the notice gets lost. A
// wait that ends without a grant is a *[NotGranted]. When ctx ends the place is given up and ctx's error returned.
func (q *Queued) Wait(ctx context.Context) (*wire.ReservationReply, error) {
	defer q.forget()
	for {
		poll := time.NewTimer(q.pollEvery())
		select {
		case n := <-q.ended:
			poll.Stop()
			if n.Kind == string(quota.NoticeGranted) {
				return q.claim(ctx)
			}
			return nil, &NotGranted{q.id, quota.QueueOutcome(n.Kind), n.Reason}
		case <-ctx.Done():
			poll.Stop()
			return nil, errors.Join(fmt.Errorf("wait in the queue: %w", ctx.Err()), q.giveUp(ctx))
		case <-poll.C:
			if granted, err := q.ask(ctx); granted != nil || err != nil {
				return granted, err
			}
		}
	}
}

// Cancel gives the place up. A grant that came before is released.
func (q *Queued) Cancel(ctx context.Context) error {
	defer q.forget()
	_, err := q.agent.Release(ctx, wire.ReleaseRequest{ReservationID: q.id, Reason: "the agent waits no longer"})
	return err
}

// giveUp cancels when the caller's context has ended; who ended it need not hear that the wait had ended already.
func (q *Queued) giveUp(ctx context.Context) error {
	over, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.agent.client.options.Patience)
	defer cancel()
	err := q.Cancel(over)
	if errors.Is(err, wire.ErrAllocationNotFound) || errors.Is(err, wire.ErrClosed) {
		return nil
	}
	return err
}

// pollEvery is a third of the grace period at most.
func (q *Queued) pollEvery() time.Duration {
	grace := time.Duration(q.Place().GraceMS) * time.Millisecond
	if grace <= 0 {
		return slowestPoll
	}
	return max(fastestPoll, min(slowestPoll, grace/pollsPerGrace))
}

// ask looks where the reservation stands; both results are nil while it waits, or while nobody answers.
func (q *Queued) ask(ctx context.Context) (*wire.ReservationReply, error) {
	reply, err := q.agent.Status(ctx, wire.StatusRequest{ReservationID: q.id})
	switch {
	case errors.Is(err, wire.ErrAllocationNotFound):
		select {
		case n := <-q.ended: // the notice came with the same reply
			return nil, &NotGranted{q.id, quota.QueueOutcome(n.Kind), n.Reason}
		default:
			return nil, &NotGranted{ReservationID: q.id}
		}
	case err != nil:
		if _, retry := retryable(err); retry || ctx.Err() != nil {
			return nil, nil //nolint:nilnil // neither granted nor ended: the loop goes on
		}
		var unanswered *Unanswered
		if errors.As(err, &unanswered) {
			return nil, nil //nolint:nilnil // as above
		}
		return nil, err
	case len(reply.Queue) > 0:
		q.mu.Lock()
		q.place = reply.Queue[0].Queue
		q.mu.Unlock()
		return nil, nil //nolint:nilnil // as above
	case len(reply.Reservations) > 0 && reply.Reservations[0].Outcome == "":
		return q.claim(ctx)
	case len(reply.Reservations) > 0:
		return nil, &wire.Error{Code: quota.CodeClosed, Message: "the reservation was granted and has " + reply.Reservations[0].Outcome + " since"}
	}
	return nil, &NotGranted{ReservationID: q.id}
}

// claim gives the sign of life. Where ctx ends meanwhile nobody will use the grant, and the sign of life may have renewed its
// lease: it is given back.
func (q *Queued) claim(ctx context.Context) (*wire.ReservationReply, error) {
	reply, err := q.agent.Report(ctx, wire.ReportRequest{ReservationID: q.id})
	if err != nil && ctx.Err() != nil {
		return nil, errors.Join(err, q.giveUp(ctx))
	}
	return reply, err
}

func (q *Queued) forget() {
	q.agent.mu.Lock()
	defer q.agent.mu.Unlock()
	delete(q.agent.waits, q.id)
}

// noticed takes in a notice that ends the wait.
func (q *Queued) noticed(n wire.Notice) {
	switch quota.NoticeKind(n.Kind) {
	case quota.NoticeGranted, quota.NoticeCancelled, quota.NoticeTimedOut, quota.NoticeRefused:
		select {
		case q.ended <- n:
		default: // it is known already
		}
	}
}

// waiting finds what waits under a reservation's id.
func (a *Agent) waiting(id string) *Queued {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waits[id]
}
