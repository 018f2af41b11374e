//go:build fault

package allocator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
)

// amplyConfig has room for every load here.
const amplyConfig = `
version: 1
teams: [core]
accounts:
  - id: api-1
    provider: openai
    kind: api
    limits:
      - {name: day, unit: tokens, capacity: 1000000000, window: {kind: calendar, period: day}}
      - {name: parallel, unit: requests, capacity: 1000, window: {kind: concurrent}}
principals:
  - {name: ann, team: core}
`

// tally is what clients were told.
type tally struct {
	granted, used, unanswered atomic.Int64
	mu                        sync.Mutex
	slowest                   time.Duration
	problems                  []string
}

func (y *tally) took(d time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.slowest = max(y.slowest, d)
}

func (y *tally) problem(format string, args ...any) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.problems = append(y.problems, fmt.Sprintf(format, args...))
}

// load has agents reserve, report and settle until stop is closed, and counts what they were told.
func (y *tally) load(ctx context.Context, c *client.Client, agents int, stop <-chan struct{}) {
	var running sync.WaitGroup
	for i := range agents {
		running.Go(func() {
			agent := c.Agent("a" + strconv.Itoa(i))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				y.task(ctx, agent, fmt.Sprintf("%d-%d", i, n))
			}
		})
	}
	running.Wait()
}

// goesOn waits until n more requests have been granted.
func (y *tally) goesOn(p *plant, n int64) {
	p.t.Helper()
	want := y.granted.Load() + n
	p.eventually("the load goes on", func() bool { return y.granted.Load() >= want })
}

// task is one piece of work; every call id is used once, so that usage counted twice or lost shows in the totals.
func (y *tally) task(ctx context.Context, a *client.Agent, name string) {
	began := time.Now()
	r, err := a.Reserve(ctx, reserveRequest(100))
	y.took(time.Since(began))
	if err != nil {
		y.failed(err)
		return
	}
	y.granted.Add(1)
	usage := func(suffix string, n int64) []wire.UsageItem {
		return []wire.UsageItem{{CallID: name + suffix, Tokens: tokens(n)}}
	}
	began = time.Now()
	if _, err := a.Report(ctx, wire.ReportRequest{ReservationID: r.ReservationID, Usage: usage("r", 40)}); err != nil {
		y.failed(err)
	} else {
		y.used.Add(40)
	}
	y.took(time.Since(began))
	began = time.Now()
	if _, err := a.Settle(ctx, wire.SettleRequest{ReservationID: r.ReservationID, Usage: usage("s", 30)}); err != nil {
		y.failed(err)
	} else {
		y.used.Add(30)
	}
	y.took(time.Since(began))
}

func (y *tally) failed(err error) {
	if _, ok := errors.AsType[*client.Unanswered](err); ok {
		y.unanswered.Add(1)
	}
	y.problem("%v", err)
}

// check compares what clients were told with the ledger, which must hold exactly that.
func (y *tally) check(t *testing.T, r *wire.VerifyReply) {
	t.Helper()
	if len(y.problems) > 0 {
		t.Fatalf("%d requests failed, the first: %s", len(y.problems), y.problems[0])
	}
	if y.granted.Load() == 0 {
		t.Fatal("nothing was granted: the load did not run")
	}
	if got := r.Totals; int64(r.Reservations) != y.granted.Load() || got.UsedTokens != y.used.Load() || got.Live != 0 {
		t.Fatalf("clients were told %d grants and %d tokens; the ledger has %d grants, %d tokens, %d live",
			y.granted.Load(), y.used.Load(), r.Reservations, got.UsedTokens, got.Live)
	}
}

// eventsComplete waits until the event stream has every event of the log, once.
func (p *plant) eventsComplete() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), waitLimit)
	defer cancel()
	want := p.verify().Events
	js, err := jetstream.New(p.connect(natsauth.Service(natsauth.RoleReader)))
	if err != nil {
		p.t.Fatal(err)
	}
	stream, err := js.Stream(ctx, wire.StreamEvents)
	if err != nil {
		p.t.Fatal(err)
	}
	p.eventually(fmt.Sprintf("the event stream has the %d events of the log", want), func() bool {
		info, err := stream.Info(ctx)
		if err != nil {
			p.t.Fatal(err)
		}
		if info.State.Msgs > want {
			p.t.Fatalf("%d events for %d of the log", info.State.Msgs, want)
		}
		return info.State.Msgs == want
	})
}

// eventually polls another process until a condition holds.
func (p *plant) eventually(what string, holds func() bool) {
	p.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(waitLimit); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("not within %s: %s", waitLimit, what)
		}
	}
}
