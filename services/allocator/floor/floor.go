// Package floor answers as the allocator does and decides nothing. It is for benchmarks only: how much of the cost of a
// decision is left where its rules cost nothing says what better rules could bring at most.
//
// Requests are read and replies written by the allocator's own front, to the same clients. With BytesEach, what the
// requests that wait would have written goes into the ledger's stream first, as one revision under compare-and-set, one in
// flight, through the allocator's own store: the commit protocol in the good case, without the ledger. What is stored are
// random bytes; nobody can read such a stream as a ledger afterwards.
//
// Every reserve is granted in full and every release returns it, whatever was asked for. Every other verb is refused.
package floor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/engine"
	"github.com/bursarhq/bursar/services/allocator/internal/front"
	"github.com/bursarhq/bursar/services/allocator/internal/metrics"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

// Config configures a floor.
type Config struct {
	// Workspaces to answer for. Required.
	Workspaces []string
	// Front and Store are the connections of an allocator; Store may be empty where nothing is stored.
	Front, Store natsconn.Config
	// BytesEach is how much is stored for each request before it is answered; 0 stores nothing.
	BytesEach int
	// Telemetry is told when requests are answered. Required.
	Telemetry *telemetry.Telemetry
}

const (
	// groupBytes is the most that is stored at once, as in the allocator.
	groupBytes = writer.MaxDraftBytes
	// answerBatches is how many groups may wait to be answered.
	answerBatches = 256
	lifetime      = 4 * quota.Hour
	flushTimeout  = 5 * time.Second
)

// Run answers until ctx ends. It returns an error when it cannot begin, and when something cannot be stored: a benchmark
// that goes on would measure something else.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if len(cfg.Workspaces) == 0 || cfg.Telemetry == nil || cfg.BytesEach < 0 {
		return errors.New("a floor needs workspaces, telemetry and no negative number of bytes")
	}
	nc, err := natsconn.Connect(ctx, cfg.Front)
	if err != nil {
		return fmt.Errorf("front connection: %w", err)
	}
	defer nc.Close()
	logs, closeStore, err := openLogs(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeStore()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	gate, measured := cfg.Telemetry.Gate("floor"), metrics.New(cfg.Telemetry.Registerer())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop(nil)
	for _, name := range cfg.Workspaces {
		d := &desk{log: logs[name], each: cfg.BytesEach, wake: make(chan struct{}, 1), answers: make(chan []*engine.Call, answerBatches)}
		d.front = front.New(front.Options{Conn: nc, Workspace: name, Version: "0.0.0", Engine: d, Metrics: measured.Workspace(name), Log: log})
		if err := d.front.Open(); err != nil {
			return err
		}
		defer d.front.Close()
		running.Go(func() {
			if err := d.run(ctx); err != nil {
				stop(fmt.Errorf("workspace %s: %w", name, err))
			}
		})
	}
	if err := nc.FlushTimeout(flushTimeout); err != nil {
		return fmt.Errorf("serve on NATS: %w", err)
	}
	gate.Open()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// openLogs opens the ledger of each workspace; none where nothing is stored.
func openLogs(ctx context.Context, cfg Config) (logs map[string]*store.Log, closeStore func(), err error) {
	if cfg.BytesEach == 0 {
		return nil, func() {}, nil
	}
	nc, err := natsconn.Connect(ctx, cfg.Store)
	if err != nil {
		return nil, nil, fmt.Errorf("store connection: %w", err)
	}
	defer func() {
		if err != nil {
			nc.Close()
		}
	}()
	js, err := store.NewJetStream(nc)
	if err != nil {
		return nil, nil, err
	}
	logs = map[string]*store.Log{}
	for _, name := range cfg.Workspaces {
		if logs[name], err = store.OpenLog(ctx, js, name, nil); err != nil {
			return nil, nil, err
		}
	}
	return logs, nc.Close, nil
}

// desk answers for one workspace, in the place of its engine.
type desk struct {
	log   *store.Log // nil where nothing is stored
	each  int
	front *front.Front

	mu      sync.Mutex
	waiting []*engine.Call
	wake    chan struct{} // something is in waiting
	answers chan []*engine.Call
}

var _ front.Submitter = (*desk)(nil)

// Submit takes a call. It does not block.
func (d *desk) Submit(c *engine.Call) {
	d.mu.Lock()
	d.waiting = append(d.waiting, c)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run stores and answers what waits, in the steps of the engine: replies are written beside the next group.
func (d *desk) run(ctx context.Context) error {
	var answering sync.WaitGroup
	answering.Go(d.answer)
	defer answering.Wait()
	defer close(d.answers)
	group := make([]byte, groupBytes)
	_, _ = rand.Read(group) // commits are compressed: nothing is to be gained from compressing them again
	var revision uint64
	if d.log != nil {
		var err error
		if revision, err = d.log.Last(ctx); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		}
		runtime.Gosched()
		d.mu.Lock()
		calls := d.waiting
		d.waiting = nil
		d.mu.Unlock()
		if d.log != nil && len(calls) > 0 {
			stored := d.log.Publish(ctx, group[:min(len(calls)*d.each, len(group))], revision)
			if stored.Verdict != writer.Acked {
				return fmt.Errorf("store %d requests: %w", len(calls), stored.Err)
			}
			revision = stored.Revision
		}
		d.answers <- calls
	}
}

func (d *desk) answer() {
	for calls := range d.answers {
		for _, c := range calls {
			c.Done(&writer.Reply{Result: result(c.Command), Version: 1})
		}
		d.front.Flush()
	}
}

// result is what a ledger with room for everything would answer. A floor remembers nothing, so what a release returns is
// made up, of the usual size.
func result(command quota.Command) *quota.Result {
	r := quota.Result{
		Provider: "claude", Account: "floor", Model: "claude-haiku-4-5", Priority: quota.PriorityNormal,
		Granted:  quota.Amount{Tokens: quota.Tokens{Input: 500, Output: 500}, Requests: 1},
		CostHeld: 3000, Expires: quota.InstantOf(time.Now()).Add(lifetime), Version: 1,
	}
	switch c := command.(type) {
	case quota.Reserve:
		r.Reservation, r.Model, r.Granted.Tokens = c.Reservation, c.Model, c.Amount.Tokens
	case quota.Release:
		r.Reservation, r.Outcome, r.Returned = c.Reservation, quota.OutcomeReleased, r.Granted
	default:
		return &quota.Result{Code: quota.CodeInvalid, Message: "a floor grants and releases only: it is there for benchmarks"}
	}
	return &r
}
