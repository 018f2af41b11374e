// Package runner gives every process one way to start, to serve and to end.
//
// A process is a list of [Part]s. [Run] acquires them in order, each after the one before is usable,
// runs them together, and releases them in reverse, each after the ones that depend on it are gone.
// The first part to end, for whatever reason, ends all.
//
// [WithSignals] turns the first SIGINT or SIGTERM into a cancelled context, which drains, and makes
// the second one end the process at once. A main function is then
//
//	func main() { os.Exit(run()) }
//
//	func run() int {
//		ctx, stop := runner.WithSignals(context.Background(), log)
//		defer stop()
//		return runner.ExitCode(log, runner.Run(ctx, log, runner.DrainTime, parts...))
//	}
//
// Callers must tolerate that a part which ignores its context is given up after the drain time: its
// goroutine lives on until the process ends, and Run says so in its error.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oklog/run"
)

// DrainTime is how long all parts together have to end by default.
const DrainTime = 20 * time.Second

var (
	// ErrSignal is the cause ([context.Cause]) of a context that a signal ended.
	ErrSignal = errors.New("ended by a signal")
	// ErrEnded is wrapped by the error of Run when a part ended by itself without an error.
	ErrEnded = errors.New("ended unexpectedly")
	// ErrDrain is wrapped by the error of Run when a part did not end within the drain time.
	ErrDrain = errors.New("did not end within the drain time")
)

// Part is one thing with a life: a server, a connection, a loop. Every function is optional.
type Part struct {
	// Name is used in log lines and errors.
	Name string
	// Start acquires the part and returns when it is usable. The parts before it are usable then.
	Start func(ctx context.Context) error
	// Run serves until ctx ends and then drains. A return before that ends all parts; a nil error
	// then counts as [ErrEnded] unless Completes is set.
	Run func(ctx context.Context) error
	// Completes marks a part whose Run is the purpose of the process: its nil return is a success.
	Completes bool
	// Stop releases what Start acquired. It is called once Run has returned, and only if Start
	// succeeded. Its context ends with the drain time.
	Stop func(ctx context.Context) error
}

// Run starts the parts in order, runs them until ctx ends or one of them does, and releases them in
// reverse within drain.
//
// It returns nil when ctx ended and every part drained, or a part with Completes set was done. Else
// it returns the joined errors, each with its part's name: of the part that could not start or ended
// first, and of every part that did not drain or release well.
func Run(ctx context.Context, log *slog.Logger, drain time.Duration, parts ...Part) error {
	s := &supervisor{log: log, drain: drain, stopping: make(chan struct{})}
	for _, part := range parts {
		if err := s.start(ctx, part); err != nil {
			s.fail(err)
			s.releaseAll()
			return errors.Join(s.failures...)
		}
	}
	s.serve(ctx)
	return errors.Join(s.failures...)
}

// ExitCode logs err, if any, and gives the exit status of the process: 0 for nil, else 1.
func ExitCode(log *slog.Logger, err error) int {
	if err == nil {
		return 0
	}
	log.Error("ended with an error", "error", err)
	return 1
}

// supervisor holds the started parts. Only the goroutine that calls Run touches its fields: oklog/run
// calls every interrupt from there.
type supervisor struct {
	log      *slog.Logger
	drain    time.Duration
	stopping chan struct{}
	release  context.Context //nolint:containedctx // the one deadline of the release, set when it begins
	cancel   context.CancelFunc
	live     []*livePart
	failures []error
}

// livePart is a part that has started. Its Run gets a context that only its own turn to end cancels,
// so that parts end one after the other.
type livePart struct {
	Part
	ctx    context.Context //nolint:containedctx // handed to Run on the part's own goroutine
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run returned
	err    error         // of Run; read only after ended
}

func (s *supervisor) start(ctx context.Context, part Part) error {
	begin := time.Now()
	if part.Start != nil {
		if err := part.Start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", part.Name, err)
		}
	}
	s.log.Debug("started", "part", part.Name, "took", time.Since(begin))
	live := &livePart{Part: part, ended: make(chan struct{})}
	live.ctx, live.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.live = append(s.live, live)
	return nil
}

// serve runs all started parts. oklog/run ends its actors in the order in which they were added, each
// interrupt after the one before returned: adding them in reverse makes that the order of release.
func (s *supervisor) serve(ctx context.Context) {
	var group run.Group
	group.Add(func() error {
		select {
		case <-ctx.Done():
		case <-s.stopping:
		}
		return nil
	}, func(error) { close(s.stopping) })
	for i := len(s.live) - 1; i >= 0; i-- {
		part := s.live[i]
		group.Add(s.execute(part), func(first error) { s.end(part, first) })
	}
	first := group.Run()
	if first != nil {
		s.failures = append([]error{first}, s.failures...)
	}
	s.cancel()
}

// execute gives the actor of one part. It returns when Run did, or when the part was given up.
func (s *supervisor) execute(part *livePart) func() error {
	return func() error {
		go func() {
			defer close(part.ended)
			if part.Run == nil {
				<-part.ctx.Done()
				return
			}
			part.err = part.Run(part.ctx)
		}()
		select {
		case <-part.ended:
		case <-s.stopping:
			return nil // what it returns from now on is end's to report
		}
		switch {
		case part.err != nil:
			return fmt.Errorf("%s: %w", part.Name, part.err)
		case part.Completes:
			return nil
		default:
			return fmt.Errorf("%s: %w", part.Name, ErrEnded)
		}
	}
}

// end cancels one part, waits for its Run within the drain time, and releases it. The error that ended
// all of them, first, is reported by serve and not once more here.
func (s *supervisor) end(part *livePart, first error) {
	s.beginRelease()
	part.cancel()
	select {
	case <-part.ended:
		if part.err != nil && !errors.Is(first, part.err) && !errors.Is(part.err, context.Canceled) {
			s.fail(fmt.Errorf("drain %s: %w", part.Name, part.err))
		}
	case <-s.release.Done():
		s.fail(fmt.Errorf("drain %s: %w of %s", part.Name, ErrDrain, s.drain))
	}
	s.stop(part)
}

// releaseAll releases, in reverse, what was started when a later part could not start.
func (s *supervisor) releaseAll() {
	s.beginRelease()
	defer s.cancel()
	for i := len(s.live) - 1; i >= 0; i-- {
		s.live[i].cancel()
		s.stop(s.live[i])
	}
}

func (s *supervisor) beginRelease() {
	if s.release == nil {
		s.release, s.cancel = context.WithTimeout(context.Background(), s.drain)
	}
}

func (s *supervisor) stop(part *livePart) {
	if part.Stop == nil {
		return
	}
	if err := part.Stop(s.release); err != nil {
		s.fail(fmt.Errorf("release %s: %w", part.Name, err))
		return
	}
	s.log.Debug("released", "part", part.Name)
}

func (s *supervisor) fail(err error) { s.failures = append(s.failures, err) }
