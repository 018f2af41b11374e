// Package replay lets agents do jobs against a running Bursar, as real agents would: each estimates, reserves, reports
// what its calls spend, and settles.
//
// It guarantees that what an agent has spent is reported and its reservation settled however a job ends, an interrupted
// replay included (but for jobs that are to be left unfinished), and that one agent does one job at a time, in the order of the jobs. Callers must tolerate that jobs of
// different agents run at once, so that under limits that bind, who is denied differs from run to run.
package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/work"
)

// closeTimeout bounds the settling of what an interrupted replay holds.
const closeTimeout = 10 * time.Second

// Options say how to replay.
type Options struct {
	// Speed is how many times faster than the jobs' own pace; 0 waits for nothing.
	Speed float64
	// Agent gives the client of an agent of a principal; an empty principal is the caller's own.
	Agent func(principal, name string) (*client.Agent, error)
	// Done is told after each job; nil tells no one.
	Done func()
}

// Run does the jobs and returns when all are done. It ends early when ctx ends, or when Bursar answers no more: then the
// summary tells what was done, and the error why it ended.
func Run(ctx context.Context, jobs []work.Job, o Options) (Summary, error) {
	queues, err := queue(jobs, o.Agent)
	if err != nil {
		return NewRecorder().Summary(0), err
	}
	start := time.Now()
	recorder := NewRecorder()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for _, q := range queues {
		workers.Go(func() {
			w := worker{agent: q.agent, recorder: recorder, options: &o, start: start}
			for _, job := range q.jobs {
				if err := w.do(ctx, job); err != nil {
					cancel(err)
					return
				}
				if o.Done != nil {
					o.Done()
				}
			}
		})
	}
	workers.Wait()
	err = context.Cause(ctx)
	return recorder.Summary(time.Since(start)), err
}

// agentQueue is what one agent has to do.
type agentQueue struct {
	agent *client.Agent
	jobs  []*work.Job
}

// queue deals the jobs out to their agents.
func queue(jobs []work.Job, agent func(principal, name string) (*client.Agent, error)) ([]*agentQueue, error) {
	type key struct{ principal, name string }
	byAgent := map[key]*agentQueue{}
	var queues []*agentQueue
	for i := range jobs {
		j := &jobs[i]
		k := key{j.Principal, j.Agent}
		q := byAgent[k]
		if q == nil {
			a, err := agent(j.Principal, j.Agent)
			if err != nil {
				return nil, err
			}
			q = &agentQueue{agent: a}
			byAgent[k] = q
			queues = append(queues, q)
		}
		q.jobs = append(q.jobs, j)
	}
	return queues, nil
}

// worker is one agent at work.
type worker struct {
	agent    *client.Agent
	recorder *Recorder
	options  *Options
	start    time.Time
}

// do does one job. A refusal is an outcome, not an error; an error ends the replay.
func (w *worker) do(ctx context.Context, j *work.Job) error {
	if err := w.wait(ctx, j.At); err != nil {
		return err
	}
	request, err := w.request(ctx, j)
	if err != nil {
		return err
	}
	begin := time.Now()
	reservation, queued, err := w.agent.ReserveOrQueue(ctx, *request)
	took := time.Since(begin)
	if queued != nil {
		w.recorder.Queued()
		reservation, err = queued.Wait(ctx)
	}
	code := refusal(err)
	if err != nil && code == quota.CodeOK {
		return fmt.Errorf("reserve for %s: %w", j.Agent, err)
	}
	w.recorder.Answered(took)
	if code != quota.CodeOK {
		w.recorder.Denied(code)
		return nil
	}
	w.recorder.Granted(tokens(reservation.Granted), quota.Tokens(request.Tokens).Total(), queued != nil)
	return w.spend(ctx, j, &holding{id: reservation.ReservationID, granted: tokens(reservation.Granted)})
}

// refusal is the code of a refusal, at once or after waiting in vain; CodeOK for anything else.
func refusal(err error) quota.Code {
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		return refused.Code
	}
	if _, ok := errors.AsType[*client.NotGranted](err); ok {
		return quota.CodeInsufficientQuota
	}
	return quota.CodeOK
}

// wait pauses until the job's time has come.
func (w *worker) wait(ctx context.Context, at time.Duration) error {
	if w.options.Speed <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(time.Until(w.start.Add(time.Duration(float64(at) / w.options.Speed))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// request asks for an estimate. One of the table knows nothing of the conversation so far, which is read from the cache
// with every call: the agent adds what it expects of that. A learned one knows it; only who is too generous adds to it.
func (w *worker) request(ctx context.Context, j *work.Job) (*wire.ReserveRequest, error) {
	estimate, err := w.agent.Estimate(ctx, wire.EstimateRequest{
		TaskType: string(j.TaskType), Complexity: string(j.Complexity), Files: &j.Files, Model: j.Model,
	})
	if err != nil {
		return nil, fmt.Errorf("estimate for %s: %w", j.Agent, err)
	}
	r := &wire.ReserveRequest{
		Provider: j.Provider, Account: j.Account, Model: j.Model, TaskType: string(j.TaskType), Complexity: estimate.Complexity,
		Files: j.Files, Estimated: estimate.TotalTokens,
		Priority: estimate.Priority, Requests: j.Expected.Requests, LeaseMS: j.Lease.Milliseconds(),
		Tokens: estimate.Tokens, MaxWaitMS: j.Patience.Milliseconds(),
	}
	if j.Generous || estimate.Ground != wire.GroundLearned {
		r.Tokens = wire.Tokens(quota.Tokens(estimate.Tokens).Add(j.Expected.Tokens))
	}
	r.MinTokens = min(j.MinTokens, quota.Tokens(r.Tokens).Total())
	if j.Priority != 0 {
		r.Priority = j.Priority.String()
	}
	return r, nil
}

// spend reports the calls, extends where the next one would not fit, and settles with the last one. What was spent is
// settled even when ctx ends in between.
func (w *worker) spend(ctx context.Context, j *work.Job, h *holding) error {
	last := len(j.Calls) - 1
	if j.Unfinished {
		last = len(j.Calls)
	}
	for i := range last {
		if err := w.extend(ctx, j, h); err != nil && ctx.Err() == nil {
			return err
		}
		if err := w.report(ctx, h, &j.Calls[i]); err != nil {
			if ctx.Err() == nil {
				return fmt.Errorf("report for %s: %w", j.Agent, err)
			}
			last = i // it is settled instead, under the same call id
			break
		}
	}
	if j.Unfinished && ctx.Err() == nil {
		return nil
	}
	if err := w.extend(ctx, j, h); err != nil && ctx.Err() == nil {
		return err
	}
	closing, cancel := ctx, context.CancelFunc(func() {})
	if ctx.Err() != nil {
		closing, cancel = context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	}
	defer cancel()
	if err := w.settle(closing, h.id, j.Calls[last:min(last+1, len(j.Calls))]); err != nil {
		return fmt.Errorf("settle for %s: %w", j.Agent, err)
	}
	return ctx.Err()
}

func (w *worker) report(ctx context.Context, h *holding, call *work.Call) error {
	reply, err := w.agent.Report(ctx, wire.ReportRequest{ReservationID: h.id, Usage: usage([]work.Call{*call})})
	if refusal, ok := errors.AsType[*wire.Error](err); ok && refusal.Recorded {
		h.note(refusal.Details.Reservation, call)
		return nil
	}
	if err == nil {
		h.note(&reply.Reservation, call)
	}
	return err
}

func (w *worker) settle(ctx context.Context, id string, calls []work.Call) error {
	reply, err := w.agent.Settle(ctx, wire.SettleRequest{ReservationID: id, Usage: usage(calls)})
	if err == nil {
		w.recorder.Settled(&reply.Reservation)
		return nil
	}
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok || !refusal.Recorded || refusal.Details.Reservation == nil {
		return err
	}
	w.recorder.Settled(refusal.Details.Reservation)
	return nil
}

func usage(calls []work.Call) []wire.UsageItem {
	items := make([]wire.UsageItem, len(calls))
	for i, c := range calls {
		items[i] = wire.UsageItem{CallID: c.ID, Model: c.Model, Tokens: wire.Tokens(c.Tokens)}
		if c.ID == "" {
			items[i].Requests = 1
		}
	}
	return items
}
