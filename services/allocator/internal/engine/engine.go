// Package engine runs the commit protocol of one workspace: it drives a writer.Writer with what JetStream, the lease
// and the front say, and takes the actions that the writer asks for.
//
// One goroutine steps the writer; publishing, reading, loading and storing keyframes happen beside it and come back as
// inputs; replies leave through a goroutine of their own, in order. The engine decides nothing: the rules are in
// pkg/quota, the protocol in pkg/writer.
//
// Callers must tolerate that a call is answered with unavailable at any time, and that Done runs on the engine's
// goroutines and must not block.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

// Bounds of the engine.
const (
	inputsWaiting  = 256 // outcomes of work beside the engine
	replyBatches   = 256 // steps whose replies are not sent yet
	answersFetched = 16  // repeated requests that are looked up in the log at a time
	readAtMost     = 256 // revisions that one Read hands in
)

// Log is the log that an engine writes. *store.Log is one.
type Log interface {
	Publish(ctx context.Context, data []byte, expected uint64) store.Outcome
	Entry(ctx context.Context, revision uint64) (ledger.Entry, error)
	After(ctx context.Context, revision uint64, most int) ([]ledger.Entry, error)
	Last(ctx context.Context) (uint64, error)
	Each(ctx context.Context, revision uint64, fold func(ledger.Entry) error) error
}

// Keyframes keeps keyframes. *store.Keyframes does.
type Keyframes interface {
	Save(ctx context.Context, f *ledger.EncodedKeyframe) error
	Newest(ctx context.Context) (l *ledger.Ledger, rejected []error, err error)
}

// Observer is told what happens, for metrics, notices and readiness. Its methods run on the engine's goroutine.
type Observer interface {
	// Served: requests may come. Stopped: they may not any more; halted means until a restart.
	Served(epoch uint64)
	Stopped(reason string, halted bool)
	// Committed: a commit is in the log. state is as decided so far.
	Committed(c *writer.Committed, took time.Duration, state *quota.State)
	Outcome(v writer.Verdict)
	Alarm(kind writer.AlarmKind, detail string)
}

// Options configure an engine; everything is required but Points.
type Options struct {
	Name      string // of this process
	Log       Log
	Keyframes Keyframes
	Prices    func(*quota.Config) quota.Prices
	Observer  Observer
	Points    *failpoint.Set
	Logger    *slog.Logger
}

// Call is one request. Done is called once.
type Call struct {
	writer.Request
	Done func(*writer.Reply)
}

// Engine runs one workspace.
type Engine struct {
	opt    Options
	start  time.Time
	writer *writer.Writer

	mu      sync.Mutex
	waiting []*Call
	stopped bool
	wake    chan struct{} // something is in waiting

	inputs  chan writer.Input
	replies chan []ready
	beside  sync.WaitGroup
	fetches chan struct{}

	calls     map[writer.Token]*Call
	lastToken writer.Token
	timer     *time.Timer
	sent      time.Time // when the commit in flight was published
	keyframe  chan struct{}
	drained   chan struct{} // closed when a drain is done
	draining  bool
	drainOnce sync.Once
}

// ready is a reply on its way out.
type ready struct {
	call  *Call
	reply writer.Reply
}

// New makes an engine that does not lead.
func New(opt Options) *Engine {
	e := &Engine{
		opt: opt, start: time.Now(), wake: make(chan struct{}, 1), inputs: make(chan writer.Input, inputsWaiting),
		replies: make(chan []ready, replyBatches), fetches: make(chan struct{}, answersFetched), calls: map[writer.Token]*Call{},
		timer: time.NewTimer(time.Hour), keyframe: make(chan struct{}, 1), drained: make(chan struct{}),
	}
	e.writer = writer.New(writer.Options{Name: opt.Name, NewID: newID, Prices: opt.Prices})
	return e
}

func newID() (id ledger.ID) {
	// crypto/rand.Read never fails: it ends the process instead (Go 1.24).
	_, _ = rand.Read(id[:])
	return id
}

// Submit hands in calls; they are decided in the order given. It never blocks.
func (e *Engine) Submit(calls ...*Call) {
	e.mu.Lock()
	stopped := e.stopped
	if !stopped {
		e.waiting = append(e.waiting, calls...)
	}
	e.mu.Unlock()
	if stopped {
		for _, c := range calls {
			c.Done(unavailable("the allocator has stopped"))
		}
		return
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func unavailable(message string) *writer.Reply {
	return &writer.Reply{Result: quota.Result{
		Code: quota.CodeUnavailable, Retryable: true, RetryAfter: quota.Second / 4, Message: message + "; ask again with the same request id",
	}}
}

// Elect says that the lease is held, Demote that it is lost.
func (e *Engine) Elect(ctx context.Context) { e.give(ctx, writer.Elect{}) }

// Demote says that this process should not lead any more.
func (e *Engine) Demote(ctx context.Context) { e.give(ctx, writer.Demote{}) }

// Drain stops serving in good order: what is decided is committed and answered. It returns when that is done or ctx ends.
func (e *Engine) Drain(ctx context.Context) error {
	e.give(ctx, drain{})
	select {
	case <-e.drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain the ledger: %w", ctx.Err())
	}
}

// drain is an input of the engine itself, around writer.Drain.
type drain struct{ writer.Drain }

// give hands in an outcome. It gives up when ctx ends: nobody listens any more.
func (e *Engine) give(ctx context.Context, in writer.Input) {
	select {
	case e.inputs <- in:
	case <-ctx.Done():
	}
}

// Run steps the writer until ctx ends, then answers what is left with unavailable. To end in good order call Drain first.
func (e *Engine) Run(ctx context.Context) {
	beside, cancel := context.WithCancel(ctx)
	var sender sync.WaitGroup
	sender.Go(e.sendReplies)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-e.wake:
			e.submit(beside)
		case in := <-e.inputs:
			e.input(beside, in)
		case <-e.timer.C:
			e.step(beside, writer.Wake{})
		}
	}
	cancel()
	e.beside.Wait()
	e.mu.Lock()
	e.stopped = true
	left := e.waiting
	e.waiting = nil
	e.mu.Unlock()
	for _, call := range e.calls {
		left = append(left, call)
	}
	close(e.replies)
	sender.Wait()
	for _, call := range left {
		call.Done(unavailable("the allocator has stopped"))
	}
}

// submit hands everything that waits to the writer in one step.
func (e *Engine) submit(ctx context.Context) {
	e.mu.Lock()
	calls := e.waiting
	e.waiting = nil
	e.mu.Unlock()
	if len(calls) == 0 {
		return
	}
	requests := make([]writer.Request, len(calls))
	for i, c := range calls {
		e.lastToken++
		c.Token = e.lastToken
		e.calls[c.Token] = c
		requests[i] = c.Request
	}
	e.step(ctx, writer.Submit{Requests: requests})
}

func (e *Engine) input(ctx context.Context, in writer.Input) {
	if d, ok := in.(drain); ok {
		e.draining = true
		idle := e.writer.Status().Phase
		e.step(ctx, d.Drain)
		if idle == writer.Idle || idle == writer.Halted {
			e.endDrain()
		}
		return
	}
	if o, ok := in.(writer.PublishOutcome); ok {
		e.opt.Observer.Outcome(o.Verdict)
	}
	e.step(ctx, in)
}

func (e *Engine) endDrain() { e.drainOnce.Do(func() { close(e.drained) }) }

func (e *Engine) now() writer.Time {
	now := time.Now()
	return writer.Time{Wall: quota.InstantOf(now), Mono: now.Sub(e.start)}
}

// step takes one step and its actions, in order.
func (e *Engine) step(ctx context.Context, in writer.Input) {
	var out []ready
	for _, action := range e.writer.Step(e.now(), in) {
		switch a := action.(type) {
		case writer.Reply:
			out = e.reply(out, a)
		case writer.FetchAnswer:
			e.fetch(ctx, a)
		case writer.Publish:
			e.publish(ctx, a)
		case writer.Read:
			e.read(ctx, a)
		case writer.Load:
			e.load(ctx)
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
}

// phase takes the actions that begin and end reigns.
func (e *Engine) phase(ctx context.Context, action writer.Action) {
	log := e.opt.Logger
	switch a := action.(type) {
	case writer.Serve:
		e.hit(ctx, failpoint.AfterEpochClaim)
		log.Info("serving", "epoch", a.Epoch)
		e.opt.Observer.Served(a.Epoch)
	case writer.StepDown:
		log.Info("stepped down", "reason", a.Reason, "detail", a.Detail)
		e.opt.Observer.Stopped(string(a.Reason), false)
		if e.draining {
			e.endDrain()
		}
	case writer.Halt:
		log.Error("ledger halted: it is not written any more until an operator has looked and this process is restarted", "detail", a.Detail)
		e.opt.Observer.Stopped("halted", true)
	case writer.Alarm:
		if a.Detail != "" {
			log.Error("alarm", "kind", a.Kind, "detail", a.Detail)
		}
		e.opt.Observer.Alarm(a.Kind, a.Detail)
	}
}

// hit reaches a failpoint on the engine's goroutine; an injected error has no meaning there.
func (e *Engine) hit(ctx context.Context, name failpoint.Name) {
	if err := e.opt.Points.Hit(ctx, name); err != nil {
		e.opt.Logger.Warn("failpoint", "name", name, "error", err)
	}
}

func (e *Engine) reply(out []ready, a writer.Reply) []ready {
	call, ok := e.calls[a.Token]
	if !ok {
		return out
	}
	delete(e.calls, a.Token)
	return append(out, ready{call, a})
}

func (e *Engine) sendReplies() {
	for batch := range e.replies {
		for i := range batch {
			batch[i].call.Done(&batch[i].reply)
		}
	}
}

// fetch answers a repeated request from the log.
func (e *Engine) fetch(ctx context.Context, a writer.FetchAnswer) {
	call, ok := e.calls[a.Token]
	if !ok {
		return
	}
	delete(e.calls, a.Token)
	e.beside.Go(func() {
		e.fetches <- struct{}{}
		defer func() { <-e.fetches }()
		answer, number, err := e.answer(ctx, a)
		if err != nil {
			e.opt.Logger.Error("cannot read an answer from the log", "revision", a.Revision, "error", err)
			call.Done(unavailable("the earlier answer cannot be read now"))
			return
		}
		call.Done(&writer.Reply{Token: a.Token, Result: answer.Result, Now: a.Now, Notices: a.Notices, Version: number})
	})
}

// answer reads an answer and the number of the commit that holds it.
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
	case e.keyframe <- struct{}{}:
	default:
		return
	}
	e.beside.Go(func() {
		defer func() { <-e.keyframe }()
		encoded, err := s.Encode()
		if err == nil {
			err = e.opt.Keyframes.Save(ctx, encoded)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			e.opt.Logger.Warn("keyframe not stored; recovery will take longer", "error", err)
		}
	})
}
