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

// The reasons with which [Agent.Do] releases.
const (
	reasonFailed   = "the work failed before it used anything"
	reasonPanicked = "the work panicked before it used anything"
)

// renewals is how often a lease is renewed within its length, and a preemptible one within the grace of a preemption.
const renewals = 3

// Task is a reservation while the work runs; see [Agent.Do]. It is safe for concurrent use.
type Task struct {
	agent  *Agent
	id     string
	cancel context.CancelCauseFunc

	mu          sync.Mutex
	reservation wire.Reservation
	ready       time.Time             // when the next provider call is due
	unsent      []*wire.ReportRequest // reports that nobody answered; to be repeated as they are

	preempted *preemptions
}

// Do reserves, waiting in the queue for as long as r.MaxWaitMS allows, runs work, and closes the reservation however work ends: it is settled when work returns nil or has
// reported usage, and released otherwise; the rest returns either way. A panic goes on after that. The lease is renewed
// while work runs. When the reservation ends before work does (revoked, or expired), work's context is cancelled; what it
// reports after that is still recorded.
//
// Do returns what Reserve refused, or work's error joined with that of closing. An error that matches
// wire.ErrAllocationExceeded alone means that all went well and more was used than reserved, and wire.ErrClosed that the
// reservation had ended before; all usage is recorded in both cases. Reports that nobody answered are repeated before
// closing, with their request ids, so that they count once.
func (a *Agent) Do(ctx context.Context, r wire.ReserveRequest, work func(context.Context, *Task) error) (err error) {
	if r.LeaseMS == 0 {
		r.LeaseMS = a.client.options.Lease.Milliseconds()
	}
	granted, err := a.reserveAndWait(ctx, r)
	if err != nil {
		return err
	}
	working, cancel := context.WithCancelCause(ctx)
	t := &Task{agent: a, id: granted.ReservationID, cancel: cancel, preempted: newPreemptions()}
	t.update(granted.Reservation, granted.RetryAfterMS)
	a.adopt(t)
	renewing := t.renew(working, a.renewEvery(&r))
	returned := false
	defer func() {
		// 1. Nothing renews any more. 2. Nothing is to be learned of notices. 3. Close, also when ctx has ended.
		cancel(nil)
		<-renewing
		a.forget(t)
		reason := reasonFailed
		if !returned {
			reason = reasonPanicked
		}
		err = errors.Join(err, t.close(context.WithoutCancel(ctx), returned && err == nil, reason))
	}()
	err = work(working, t)
	returned = true
	return err
}

// renewEvery is how often a task shows life: with the answer it learns of its preemption, too.
func (a *Agent) renewEvery(r *wire.ReserveRequest) time.Duration {
	within := time.Duration(r.LeaseMS) * time.Millisecond
	if r.Preemptible {
		within = min(within, a.client.options.PreemptGrace)
	}
	return within / renewals
}

func (a *Agent) adopt(t *Task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tasks[t.id] = t
}

func (a *Agent) forget(t *Task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tasks, t.id)
}

// ID is the reservation's id.
func (t *Task) ID() string { return t.id }

// Reservation is how the reservation stood at the last answer.
func (t *Task) Reservation() wire.Reservation {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reservation
}

// Report records usage; see [Agent.Report]. After an *[Unanswered] do not report the same again: the Task does.
func (t *Task) Report(ctx context.Context, usage ...wire.UsageItem) error {
	r := &wire.ReportRequest{ReservationID: t.id, Usage: usage}
	identify(r)
	err := t.send(ctx, r)
	if _, unanswered := errors.AsType[*Unanswered](err); unanswered && len(usage) > 0 {
		t.mu.Lock()
		t.unsent = append(t.unsent, r)
		t.mu.Unlock()
	}
	return err
}

// Extend asks for more units or time; r.ReservationID is filled in. Errors as of [Agent.Extend].
func (t *Task) Extend(ctx context.Context, r wire.ExtendRequest) error {
	r.ReservationID = t.id
	reply, err := t.agent.Extend(ctx, r)
	return t.learn(reply, err)
}

// Wait pauses until the next provider call is due by the limits per minute. It returns ctx's error when ctx ends.
func (t *Task) Wait(ctx context.Context) error {
	t.mu.Lock()
	pause := time.Until(t.ready)
	t.mu.Unlock()
	if pause <= 0 {
		return ctx.Err()
	}
	return sleep(ctx, pause, pause)
}

// send sends a report.
func (t *Task) send(ctx context.Context, r *wire.ReportRequest) error {
	reply, err := t.agent.Report(ctx, *r)
	return t.learn(reply, err)
}

// learn takes in what an answer says of the reservation.
func (t *Task) learn(reply *wire.ReservationReply, err error) error {
	if err == nil {
		t.update(reply.Reservation, reply.RetryAfterMS)
		return nil
	}
	refused, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return err
	}
	if refused.Details.Reservation != nil {
		t.mu.Lock()
		t.reservation = *refused.Details.Reservation // a refusal does not tell when the next call is due
		t.mu.Unlock()
	}
	if refused.Code == quota.CodeClosed || refused.Code == quota.CodeAllocationNotFound {
		t.cancel(err)
	}
	return err
}

func (t *Task) update(r wire.Reservation, retryAfterMS int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reservation = r
	t.ready = time.Now().Add(time.Duration(retryAfterMS) * time.Millisecond)
}

// noticed takes in a notice about the reservation; one that has ended cancels the work.
func (t *Task) noticed(n wire.Notice) {
	switch quota.NoticeKind(n.Kind) {
	case quota.NoticePreempting:
		t.preempted.tell(n)
	case quota.NoticeRevoked, quota.NoticeExpired, quota.NoticePreempted:
		t.cancel(fmt.Errorf("%w: %s: %s", wire.ErrClosed, n.Kind, n.Reason))
	}
}

// renew keeps the lease alive until ctx ends; the channel closes when it has stopped.
func (t *Task) renew(ctx context.Context, every time.Duration) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for sleep(ctx, every, every) == nil {
			err := t.send(ctx, &wire.ReportRequest{ReservationID: t.id})
			if err != nil && ctx.Err() == nil && !errors.Is(err, wire.ErrAllocationExceeded) {
				t.agent.client.options.Log.Warn("renew lease", "reservation", t.id, "error", err)
			}
		}
	}()
	return stopped
}

// close repeats what was not answered, and settles or releases.
func (t *Task) close(ctx context.Context, done bool, reason string) error {
	t.mu.Lock()
	unsent := t.unsent
	t.unsent = nil
	t.mu.Unlock()
	var errs []error
	for _, r := range unsent {
		if err := t.send(ctx, r); err != nil && !recorded(err) {
			errs = append(errs, fmt.Errorf("report usage of reservation %s: %w", t.id, err))
		}
	}
	used := t.Reservation().Used != wire.Amount{}
	var err error
	if done || used || len(unsent) > 0 {
		_, err = t.agent.Settle(ctx, wire.SettleRequest{ReservationID: t.id})
	} else {
		_, err = t.agent.Release(ctx, wire.ReleaseRequest{ReservationID: t.id, Reason: reason})
	}
	if err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// recorded tells whether a refusal has recorded the usage all the same.
func recorded(err error) bool {
	refused, ok := errors.AsType[*wire.Error](err)
	return ok && refused.Recorded
}
