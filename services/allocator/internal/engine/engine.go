package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"runtime"
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
	// MaxWaiting is how many calls may wait to be handed to the writer, which has the same bound for its own.
	MaxWaiting     = writer.MaxWaiting
	inputsWaiting  = 256 // outcomes of work beside the engine
	ordersWaiting  = 16  // to the follower; two reigns are at least a lease apart
	replyBatches   = 256 // steps whose replies are not sent yet
	answersFetched = 16  // repeated requests that are looked up in the log at a time
	readAtMost     = 256 // revisions that one Read hands in
)

// retryUnavailable is what a caller is told to wait by an engine that is not there.
const retryUnavailable = quota.Second / 4

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
	Newest(ctx context.Context) (l *ledger.Ledger, passedOver []error, err error)
}

// Observer is told what happens, for metrics, notices and readiness. Its methods run on the engine's goroutine and must
// not block or keep the state.
type Observer interface {
	// Served: requests may come.
	Served(epoch uint64, state *quota.State)
	// Stopped: they may not any more.
	Stopped(reason writer.StepReason)
	// Halted: neither now nor later, until a restart.
	Halted(detail string)
	// Committed: a commit is in the log. state is as decided so far, which may be ahead of it.
	Committed(c *writer.Committed, took time.Duration, state *quota.State)
	// Outcome is what became of a publish.
	Outcome(v writer.Verdict, err error)
	// Alarm is raised, or cleared when detail is empty.
	Alarm(kind writer.AlarmKind, detail string)
}

// Options configure an engine; everything is required but Points and the keyframe distances.
type Options struct {
	Name      string // of this process, for the record of epochs
	Log       Log
	Keyframes Keyframes
	Prices    func(*quota.Config) quota.Prices
	Observer  Observer
	Logger    *slog.Logger
	Points    *failpoint.Set
	// Answered is called when calls were answered, after one or after several that were answered together: what their Done
	// held back is to be sent then. Nil where nothing is.
	Answered func()
	// KeyframeCommits and KeyframeBytes say after how much of the log a keyframe is due; 0 means the writer's defaults.
	KeyframeCommits, KeyframeBytes int
}

// Call is one request.
type Call struct {
	writer.Request
	// Done is called once, from one of the engine's goroutines, and [Options.Answered] soon after it. It must not keep the reply.
	Done func(*writer.Reply)
}

// Engine runs one workspace.
type Engine struct {
	opt      Options
	start    time.Time
	writer   *writer.Writer
	follower *follower

	mu      sync.Mutex
	waiting []*Call // handed in and not taken yet
	spare   []*Call // the other of two buffers
	stopped bool
	wake    chan struct{} // something is in waiting

	inputs  chan writer.Input
	replies chan []ready
	beside  sync.WaitGroup // work beside the engine
	fetches chan struct{}  // room for looking answers up
	storing chan struct{}  // room for storing a keyframe

	// What follows belongs to Run's goroutine.
	calls     []*Call        // that the writer has, by the place in their token
	free      []writer.Token // places in calls
	lastToken writer.Token   // in which the place is 0
	requests  []writer.Request
	timer     *time.Timer
	sent      time.Time       // when the commit in flight was published
	drains    []chan struct{} // closed when the reign has ended
}

// ready is a reply on its way out.
type ready struct {
	call  *Call
	reply *writer.Reply
}

// New makes an engine that does not lead.
func New(opt Options) *Engine {
	e := &Engine{
		opt: opt, start: time.Now(), wake: make(chan struct{}, 1), inputs: make(chan writer.Input, inputsWaiting),
		replies: make(chan []ready, replyBatches), fetches: make(chan struct{}, answersFetched), storing: make(chan struct{}, 1),
		timer: time.NewTimer(time.Hour), follower: newFollower(&opt),
	}
	e.writer = writer.New(writer.Options{
		Name: opt.Name, NewID: newID, Prices: opt.Prices, KeyframeCommits: opt.KeyframeCommits, KeyframeBytes: opt.KeyframeBytes,
	})
	return e
}

func newID() (id ledger.ID) {
	_, _ = rand.Read(id[:]) // never fails: it ends the process instead
	return id
}

// Submit hands in a call; calls of one goroutine are decided in their order. It does not block.
func (e *Engine) Submit(c *Call) {
	e.mu.Lock()
	refused := ""
	switch {
	case e.stopped:
		refused = "the allocator has stopped"
	case len(e.waiting) >= MaxWaiting:
		refused = fmt.Sprintf("%d requests wait already, the bound", MaxWaiting)
	default:
		e.waiting = append(e.waiting, c)
	}
	e.mu.Unlock()
	if refused != "" {
		e.answered(ready{c, unavailable(refused)})
		return
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func unavailable(message string) *writer.Reply {
	return &writer.Reply{Result: &quota.Result{
		Code: quota.CodeUnavailable, Retryable: true, RetryAfter: retryUnavailable, Message: message + "; ask again with the same request id",
	}}
}

// Elect says that the lease is held. What comes of it is told to the Observer.
func (e *Engine) Elect(ctx context.Context) { e.give(ctx, writer.Elect{}) }

// Demote says that the lease is lost.
func (e *Engine) Demote(ctx context.Context) { e.give(ctx, writer.Demote{}) }

// drain is an input of the engine itself: done is closed when the writer leads no more.
type drain struct {
	writer.Drain
	done chan struct{}
}

// Drain stops serving in good order: what is decided is committed and answered. It returns when that is done or ctx ends.
func (e *Engine) Drain(ctx context.Context) error {
	d := drain{done: make(chan struct{})}
	e.give(ctx, d)
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain the ledger: %w", ctx.Err())
	}
}

// give hands in an outcome. It gives up when ctx ends: nobody listens any more.
func (e *Engine) give(ctx context.Context, in writer.Input) {
	select {
	case e.inputs <- in:
	case <-ctx.Done():
	}
}

// Run steps the writer until ctx ends, then answers what is left with unavailable. To end in good order call Drain first.
func (e *Engine) Run(ctx context.Context) {
	var sender sync.WaitGroup
	sender.Go(e.sendReplies)
	e.beside.Go(func() { e.follower.run(ctx, e.give) })
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-e.wake:
			runtime.Gosched() // whoever is about to submit more does so first: a step for each call would cost more
			e.submit(ctx)
		case in := <-e.inputs:
			e.input(ctx, in)
		case <-e.timer.C:
			e.step(ctx, writer.Wake{})
		}
	}
	e.beside.Wait()
	e.mu.Lock()
	e.stopped = true
	left := e.waiting
	e.waiting = nil
	e.mu.Unlock()
	close(e.replies)
	sender.Wait()
	for _, call := range append(left, e.calls...) {
		if call == nil {
			continue // its place is free
		}
		e.answered(ready{call, unavailable("the allocator has stopped")})
	}
}

// submit hands everything that waits to the writer in one step.
func (e *Engine) submit(ctx context.Context) {
	e.mu.Lock()
	calls := e.waiting
	e.waiting, e.spare = e.spare[:0], nil
	e.mu.Unlock()
	requests := e.requests[:0]
	for _, c := range calls {
		e.enter(c)
		requests = append(requests, c.Request)
	}
	if len(requests) > 0 {
		e.step(ctx, writer.Submit{Requests: requests})
	}
	clear(requests)
	clear(calls)
	e.requests, e.spare = requests, calls
}

// placeBits are the bits of a token that tell the place of its call; the others tell it from calls that had the place before.
const placeBits = 20

// enter gives a call its token.
func (e *Engine) enter(c *Call) {
	if len(e.free) == 0 {
		e.free = append(e.free, writer.Token(len(e.calls)))
		e.calls = append(e.calls, nil)
	}
	last := len(e.free) - 1
	place := e.free[last]
	e.free = e.free[:last]
	e.lastToken += 1 << placeBits
	c.Token = e.lastToken | place
	e.calls[place] = c
}

// leave gives the call with a token, which is answered now; nil where it was answered before.
func (e *Engine) leave(t writer.Token) *Call {
	place := t & (1<<placeBits - 1)
	c := e.calls[place]
	if c == nil || c.Token != t {
		return nil
	}
	e.calls[place] = nil
	e.free = append(e.free, place)
	return c
}

func (e *Engine) input(ctx context.Context, in writer.Input) {
	switch in := in.(type) {
	case drain:
		e.drains = append(e.drains, in.done)
		e.step(ctx, in.Drain)
	case writer.PublishOutcome:
		e.opt.Observer.Outcome(in.Verdict, in.Err)
		e.step(ctx, in)
	default:
		e.step(ctx, in)
	}
}

// endDrains tells who waits for the end of the reign, once it has ended.
func (e *Engine) endDrains() {
	if phase := e.writer.Status().Phase; phase != writer.Idle && phase != writer.Halted {
		return
	}
	for _, done := range e.drains {
		close(done)
	}
	e.drains = nil
}

func (e *Engine) now() writer.Time {
	now := time.Now()
	return writer.Time{Wall: quota.InstantOf(now), Mono: now.Sub(e.start)}
}
