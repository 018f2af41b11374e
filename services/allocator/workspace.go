package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/engine"
	"github.com/bursarhq/bursar/services/allocator/internal/estimates"
	"github.com/bursarhq/bursar/services/allocator/internal/front"
	"github.com/bursarhq/bursar/services/allocator/internal/lease"
	"github.com/bursarhq/bursar/services/allocator/internal/limits"
	"github.com/bursarhq/bursar/services/allocator/internal/metrics"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

const (
	// pauseAfterFailure is how long a process that could not lead leaves the lease to others.
	pauseAfterFailure = 2 * time.Second
	// pauseAfterHalt outlasts the process: somebody has to look first.
	pauseAfterHalt = 10 * 365 * 24 * time.Hour
	flushTimeout   = 2 * time.Second
	// configureAgain is the pause after a configuration could not be read or applied, before it is tried again.
	configureAgain = 500 * time.Millisecond
)

func samePrices(a, b []quota.PriceOverride) bool { return slices.Equal(a, b) }

// workspace serves one workspace: its lease, its engine and its front. It is the engine's observer.
type workspace struct {
	service *service
	name    string
	log     *slog.Logger
	metrics *metrics.Workspace
	lease   *lease.Lease
	engine  *engine.Engine
	front   *front.Front
	learned *estimates.Watch
	limits  *limits.Watch

	background sync.WaitGroup
	ctx        context.Context //nolint:containedctx // of the engine; for what Observer methods start
	draining   atomic.Bool
	serving    atomic.Bool

	mu     sync.Mutex // keeps the front in step with the reign
	reign  uint64     // its epoch; 0 while this process does not lead
	alarms map[writer.AlarmKind]string
	halted string // why
}

var _ engine.Observer = (*workspace)(nil)

func (s *service) workspace(ctx context.Context, name string) (*workspace, error) {
	w := &workspace{
		service: s, name: name, log: s.log.With("workspace", name), metrics: s.metrics.Workspace(name), alarms: map[writer.AlarmKind]string{},
	}
	key, err := lease.Workspace(name)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	var log *store.Log
	var keyframes *store.Keyframes
	err = natsconn.Await(ctx, w.log, "the ledger", func(ctx context.Context) (err error) {
		if log, err = store.OpenLog(ctx, s.storeJS, name, s.cfg.Points); err != nil {
			return err
		}
		if keyframes, err = store.OpenKeyframes(ctx, s.storeJS, name, s.cfg.Points); err != nil {
			return err
		}
		w.lease, err = lease.Open(ctx, s.storeJS, key, s.name, w.log)
		return err
	})
	if err != nil {
		return nil, err
	}
	w.engine = engine.New(engine.Options{
		Name: s.name, Log: log, Keyframes: keyframes, Prices: s.prices.of, Observer: w, Points: s.cfg.Points, Logger: w.log,
		Answered: func() { w.front.Flush() },
	})
	if w.learned, err = estimates.New(s.storeJS, name, w.log); err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	w.limits = limits.New(limits.Options{Ledger: sources{w}, Getenv: s.cfg.Getenv, URL: s.cfg.LimitsURL, Log: w.log})
	w.front = front.New(front.Options{
		Conn: s.front, Workspace: name, Version: s.cfg.Version, Engine: w.engine, Prices: s.prices.of,
		Verifier: &verifier{log, keyframes}, History: log, Estimates: w.learned, Metrics: w.metrics, Sure: w.lease.Sure, Tracer: s.cfg.Tracer, Log: w.log,
	})
	s.cfg.Telemetry.Check("ledger "+name, w.ready)
	return w, nil
}

// ready tells whether the workspace is served, here or by another process that is seen alive.
func (w *workspace) ready(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, kind := range []writer.AlarmKind{writer.AlarmFull, writer.AlarmUnresolved, writer.AlarmClock} {
		if detail := w.alarms[kind]; detail != "" {
			return fmt.Errorf("alarm %s: %s", kind, detail)
		}
	}
	switch {
	case w.halted != "":
		return fmt.Errorf("the ledger is halted, an operator has to look: %s", w.halted)
	case w.serving.Load() || w.lease.Elsewhere():
		return nil
	default:
		return errors.New("not served yet")
	}
}

// run competes for the lease and serves while it is held. When ctx ends it
//
//  1. unsubscribes, so that clients turn to whoever comes next;
//  2. drains the engine: what is decided is committed and answered, and the lease is kept meanwhile; whoever waits for
//     what is read from the log is told to ask again;
//  3. gives the lease up, and another process takes over at once;
//  4. stops the engine, which tells everybody who came too late.
func (w *workspace) run(ctx context.Context) {
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	leaseCtx, giveUp := context.WithCancel(engineCtx)
	w.ctx = engineCtx
	var leasing, running sync.WaitGroup
	running.Go(func() { w.engine.Run(engineCtx) })
	running.Go(func() { w.learned.Run(engineCtx) })
	running.Go(func() { w.limits.Run(ctx) })
	leasing.Go(func() { w.lease.Run(leaseCtx, lease.Events{Acquired: w.acquired, Lost: w.lost}) })
	<-ctx.Done()
	w.draining.Store(true)
	w.close(false)
	drain, cancel := context.WithTimeout(engineCtx, drainTimeout)
	if err := w.engine.Drain(drain); err != nil {
		w.log.Warn("the ledger did not drain; its clients ask again", "error", err)
	}
	cancel()
	w.front.Finish()
	giveUp()
	leasing.Wait()
	stopEngine()
	running.Wait()
	w.background.Wait()
}

func (w *workspace) acquired() {
	if !w.draining.Load() {
		w.engine.Elect(w.ctx)
	}
}

func (w *workspace) lost() { w.engine.Demote(w.ctx) }

// Served applies the initial configuration and opens the front. It must not block, so the work happens beside it.
func (w *workspace) Served(epoch uint64, s *quota.State) {
	w.metrics.Served(epoch, s)
	w.mu.Lock()
	w.reign = epoch
	w.mu.Unlock()
	w.background.Go(func() { w.open(epoch) })
}

// open gives the ledger its configuration and opens the front, as long as the reign is on.
func (w *workspace) open(epoch uint64) {
	for !w.configured() {
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(configureAgain):
		}
		if !w.reigns(epoch, nil) {
			return
		}
	}
	var err error
	if !w.reigns(epoch, func() { err = w.front.Open() }) {
		return
	}
	if err == nil {
		err = w.service.front.FlushTimeout(flushTimeout)
	}
	if err != nil {
		w.log.Error("cannot serve on NATS; another process has to", "error", err)
		w.engine.Demote(w.ctx)
		w.lease.GiveUp(pauseAfterFailure)
		return
	}
	if w.reigns(epoch, func() { w.serving.Store(true) }) {
		w.log.Info("requests are served", "epoch", epoch)
	}
}

// reigns tells whether a reign is on, and does something while it cannot end.
func (w *workspace) reigns(epoch uint64, do func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reign != epoch || w.draining.Load() {
		return false
	}
	if do != nil {
		do()
	}
	return true
}

// close closes the front; over says that the reign is over too.
func (w *workspace) close(over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if over {
		w.reign = 0
	}
	w.serving.Store(false)
	w.front.Close()
}

// Stopped closes the front. Where this process is the reason, another one may do better.
func (w *workspace) Stopped(reason writer.StepReason) {
	w.metrics.Stopped()
	w.close(true)
	switch reason {
	case writer.StepLoad, writer.StepClock, writer.StepFenced:
		w.lease.GiveUp(pauseAfterFailure)
	case writer.StepDemoted, writer.StepDrained:
	}
}

// Halted closes the front for good.
func (w *workspace) Halted(detail string) {
	w.metrics.Halted()
	w.close(true)
	w.mu.Lock()
	w.halted = detail
	w.mu.Unlock()
	w.lease.GiveUp(pauseAfterHalt)
}

// Committed measures a commit and hurries the agents that it concerns.
func (w *workspace) Committed(c *writer.Committed, took time.Duration, s *quota.State) {
	w.metrics.Committed(c, took, s)
	w.front.Hurry(c.Commit)
}

// Outcome counts what became of a publish, and what was said where it was not acknowledged.
func (w *workspace) Outcome(v writer.Verdict, err error) {
	w.metrics.Outcome(v)
	if err != nil {
		w.metrics.Refused(store.ReasonOf(err))
	}
}

// Alarm shows an alarm, or clears it.
func (w *workspace) Alarm(kind writer.AlarmKind, detail string) {
	w.metrics.Alarm(kind, detail != "")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarms[kind] = detail
}

// configured tells whether the ledger has the configuration that it is to have before anybody is served, after giving it
// the initial one where it has none, or has another one and the initial one is to be enforced. False means that it is not
// known yet.
func (w *workspace) configured() bool {
	initial := w.service.cfg.Initial
	if initial == nil {
		return true
	}
	differs, known := w.ask(writer.Request{Read: func(s *quota.State, _ quota.Instant) any {
		have, want := s.Config, *initial
		want.Version = have.Version
		return have.Version == 0 || w.service.cfg.Enforce && !reflect.DeepEqual(have, want)
	}}).Value.(bool)
	if !known || !differs {
		return known
	}
	id := uuid.Must(uuid.NewV7())
	applied := w.ask(writer.Request{
		Key: ledger.KeyOf("", string(id[:])), IssuedAt: wire.RequestID(id).Made(), Command: quota.ApplyConfig{Config: *initial},
	}).Result
	switch {
	case applied.OK():
		w.log.Info("initial configuration applied", "version", applied.Version)
	case applied.Code == quota.CodeUnavailable:
		return false
	default:
		w.log.Error("initial configuration not applied", "code", applied.Code, "message", applied.Message)
	}
	return true
}

// ask submits a request and waits for the answer. It must not be called from the engine's goroutines.
func (w *workspace) ask(r writer.Request) writer.Reply {
	answer := make(chan writer.Reply, 1)
	w.engine.Submit(&engine.Call{Request: r, Done: func(reply *writer.Reply) { answer <- *reply }})
	return <-answer
}

// verifier folds the kept log again and checks everything, on an operator's request.
type verifier struct {
	log       *store.Log
	keyframes *store.Keyframes
}

// Verify folds the log from its first commit. Where the first commits are trimmed it begins at the oldest keyframe from
// which the log is whole.
func (v *verifier) Verify(ctx context.Context) (*wire.VerifyReply, error) {
	from, err := v.from(ctx)
	if err != nil {
		return nil, err
	}
	before := from.State().Totals().Granted
	check := ledger.NewVerifier(from)
	if err := v.log.Each(ctx, from.Position().Revision, func(e ledger.Entry) error {
		check.Add(e)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	report := check.Finish()
	return verifyReply(&report, before), nil
}

func verifyReply(r *ledger.Report, grantedBefore int64) *wire.VerifyReply {
	state, at, totals := r.Ledger.State(), r.Ledger.Position(), r.FoldedTotals()
	shown := wire.TotalsOf(totals, state.Live(), state.LiveAgents())
	reply := &wire.VerifyReply{
		OK: r.OK(), Epoch: at.Epoch, LastCommit: at.Number, Commits: uint64(r.Commits), Events: uint64(r.Events),
		Reservations: uint64(totals.Granted - grantedBefore), Violations: r.Violations, Totals: &shown,
	}
	if reply.Violations == nil {
		reply.Violations = []string{}
	}
	if !at.Ledger.IsZero() {
		reply.LedgerID = at.Ledger.String()
		reply.FirstCommit = at.Number - uint64(r.Folded) + 1
	}
	return reply
}

func (v *verifier) from(ctx context.Context) (*ledger.Ledger, error) {
	first, err := v.log.First(ctx)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return ledger.New(), nil
	case err != nil:
		return nil, err
	}
	c, err := ledger.Decode(first.Data)
	if err != nil || c.Number == 1 {
		return ledger.New(), nil //nolint:nilerr // the fold says what is wrong with the first commit
	}
	l, err := v.keyframes.From(ctx, c.Number-1)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return ledger.New(), nil
	}
	return l, nil
}
