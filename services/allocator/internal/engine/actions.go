package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

// step takes one step and its actions, in order.
func (e *Engine) step(ctx context.Context, in writer.Input) {
	var out []ready
	actions := e.writer.Step(e.now(), in)
	for i, action := range actions {
		switch a := action.(type) {
		case *writer.Reply:
			if out == nil {
				out = make([]ready, 0, len(actions)-i)
			}
			if call := e.leave(a.Token); call != nil {
				out = append(out, ready{call, a})
			}
		case writer.FetchAnswer:
			e.fetch(ctx, a)
		case writer.Publish:
			e.publish(ctx, a)
		case writer.Read:
			e.read(ctx, a)
		case writer.Load:
			e.follower.orders <- orderLoad
		case writer.Timer:
			e.timer.Reset(max(0, a.At-time.Since(e.start)))
		case writer.Committed:
			e.opt.Observer.Committed(&a, time.Since(e.sent), e.writer.State())
			e.hit(ctx, failpoint.BeforeReply)
		case writer.Keyframe:
			e.storeKeyframe(ctx, a.Snapshot)
		default:
			e.phase(ctx, action)
		}
	}
	if len(out) > 0 {
		e.replies <- out
	}
	if len(e.drains) > 0 {
		e.endDrains()
	}
}

// phase takes the actions that begin and end reigns.
func (e *Engine) phase(ctx context.Context, action writer.Action) {
	log := e.opt.Logger
	switch a := action.(type) {
	case writer.Serve:
		e.hit(ctx, failpoint.AfterEpochClaim)
		log.Info("serving", "epoch", a.Epoch)
		e.opt.Observer.Served(a.Epoch, e.writer.State())
	case writer.StepDown:
		log.Info("stepped down", "reason", a.Reason, "detail", a.Detail)
		e.follower.orders <- orderFollow
		e.opt.Observer.Stopped(a.Reason)
	case writer.Halt:
		log.Error("ledger halted: this process does not write it any more; look, and restart it", "detail", a.Detail)
		e.opt.Observer.Halted(a.Detail)
	case writer.Alarm:
		if a.Detail != "" {
			log.Error("alarm", "kind", a.Kind, "detail", a.Detail)
		} else {
			log.Info("alarm is over", "kind", a.Kind)
		}
		e.opt.Observer.Alarm(a.Kind, a.Detail)
	}
}

// hit reaches a failpoint on the engine's goroutine, where an injected error has no meaning.
func (e *Engine) hit(ctx context.Context, name failpoint.Name) {
	if err := e.opt.Points.Hit(ctx, name); err != nil {
		e.opt.Logger.Warn("failpoint", "name", name, "error", err)
	}
}

func (e *Engine) sendReplies() {
	for batch := range e.replies {
		e.answered(batch...)
	}
}

// answered answers calls.
func (e *Engine) answered(calls ...ready) {
	for i := range calls {
		calls[i].call.Done(calls[i].reply)
	}
	if e.opt.Answered != nil {
		e.opt.Answered()
	}
}

// fetch answers a repeated request from the log.
func (e *Engine) fetch(ctx context.Context, a writer.FetchAnswer) {
	call := e.leave(a.Token)
	if call == nil {
		return
	}
	e.beside.Go(func() {
		e.fetches <- struct{}{}
		defer func() { <-e.fetches }()
		answer, number, err := e.answer(ctx, a)
		if err != nil {
			e.opt.Logger.Warn("an answer cannot be read from the log", "revision", a.Revision, "error", err)
			e.answered(ready{call, unavailable("the answer that was given cannot be read now")})
			return
		}
		e.answered(ready{call, &writer.Reply{Token: a.Token, Result: &answer.Result, Now: a.Now, Notices: a.Notices, Version: number}})
	})
}

func (e *Engine) answer(ctx context.Context, a writer.FetchAnswer) (*ledger.Answer, uint64, error) {
	entry, err := e.opt.Log.Entry(ctx, a.Revision)
	if err != nil {
		return nil, 0, err
	}
	commit, err := ledger.Decode(entry.Data)
	if err != nil {
		return nil, 0, err
	}
	if int(a.Index) >= len(commit.Answers) {
		return nil, 0, fmt.Errorf("commit %d has %d answers, not %d", commit.Number, len(commit.Answers), a.Index+1)
	}
	return &commit.Answers[a.Index], commit.Number, nil
}

func (e *Engine) publish(ctx context.Context, a writer.Publish) {
	e.sent = time.Now()
	e.beside.Go(func() {
		o := e.opt.Log.Publish(ctx, a.Data, a.Expected)
		e.give(ctx, writer.PublishOutcome{Attempt: a.Attempt, Verdict: o.Verdict, Revision: o.Revision, Err: o.Err})
	})
}

// read hands in what the log has after a revision. Last is read after the entries: if nothing was there and it is
// beyond, something was written in between, and the writer looks again.
func (e *Engine) read(ctx context.Context, a writer.Read) {
	e.beside.Go(func() {
		out := writer.ReadOutcome{Read: a.Read}
		out.Entries, out.Err = e.opt.Log.After(ctx, a.After, readAtMost)
		if out.Err == nil && len(out.Entries) == 0 {
			out.Last, out.Err = e.opt.Log.Last(ctx)
		}
		e.give(ctx, out)
	})
}

// storeKeyframe stores a keyframe beside the commits, one at a time: while one is being stored, newer ones are left out.
func (e *Engine) storeKeyframe(ctx context.Context, s *ledger.Snapshot) {
	select {
	case e.storing <- struct{}{}:
	default:
		return
	}
	e.beside.Go(func() {
		defer func() { <-e.storing }()
		began := time.Now()
		encoded, err := s.Encode()
		if err == nil {
			err = e.opt.Keyframes.Save(ctx, encoded)
		}
		switch {
		case err == nil:
			e.opt.Logger.Debug("keyframe stored", "commit", s.Position().Number, "chunks", len(encoded.Chunks), "took", time.Since(began))
		case errors.Is(err, store.ErrSuperseded), errors.Is(err, context.Canceled):
		default:
			e.opt.Logger.Warn("keyframe not stored; recovery will take longer", "error", err)
		}
	})
}
