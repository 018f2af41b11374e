package client_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/client/clienttest"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

var errWork = errors.New("the work failed")

func TestDoClosesOnEveryWayOut(t *testing.T) {
	t.Parallel()
	report := func(ctx context.Context, task *client.Task) error { return task.Report(ctx, usage("m1", 40)) }
	for name, tc := range map[string]struct {
		work              func(context.Context, *client.Task) error
		want              error
		settled, released int64
		used              int64
	}{
		"returns":             {func(context.Context, *client.Task) error { return nil }, nil, 1, 0, 0},
		"reports and returns": {report, nil, 1, 0, 40},
		"fails":               {func(context.Context, *client.Task) error { return errWork }, errWork, 0, 1, 0},
		"reports and fails": {func(ctx context.Context, task *client.Task) error {
			return errors.Join(report(ctx, task), errWork)
		}, errWork, 1, 0, 40},
		"panics":  {func(context.Context, *client.Task) error { panic(errWork) }, errWork, 0, 1, 0},
		"Goexits": {func(context.Context, *client.Task) error { runtime.Goexit(); return nil }, nil, 0, 1, 0},
		"reports and panics": {func(ctx context.Context, task *client.Task) error {
			if err := report(ctx, task); err != nil {
				return err
			}
			panic(errWork)
		}, errWork, 1, 0, 40},
		"overruns": {func(ctx context.Context, task *client.Task) error {
			if err := task.Report(ctx, usage("m1", 140)); !errors.Is(err, wire.ErrAllocationExceeded) {
				t.Errorf("an overrun: %v", err)
			}
			return nil
		}, wire.ErrAllocationExceeded, 1, 0, 140},
		"extends": {func(ctx context.Context, task *client.Task) error {
			return errors.Join(task.Extend(ctx, wire.ExtendRequest{Tokens: wire.Tokens{Input: 50}}), task.Wait(ctx), task.Report(ctx, usage("m1", 140)))
		}, nil, 1, 0, 140},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, client.Options{}, nil)
			err := runToTheEnd(func() error { return f.Agent("worker").Do(t.Context(), task(100), tc.work) })
			totals := f.totals()
			if !errors.Is(err, tc.want) || f.live() != 0 || totals.Settled != tc.settled || totals.Released != tc.released || totals.Used != tc.used {
				t.Errorf("got %v, %d live, totals %+v", err, f.live(), totals)
			}
			f.desk.Look(func(s *quota.State) {
				if broken := s.Check(); len(broken) > 0 {
					t.Error(broken)
				}
			})
		})
	}
}

// runToTheEnd turns a panic into an error, and returns also when the goroutine exits.
func runToTheEnd(run func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				err = p.(error)
			}
		}()
		err = run()
	}()
	<-done
	return err
}

func TestDoClosesWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	err := f.Agent("worker").Do(ctx, task(100), func(ctx context.Context, task *client.Task) error {
		if err := task.Report(ctx, usage("m1", 40)); err != nil {
			return err
		}
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || f.live() != 0 || f.totals().Settled != 1 || f.totals().Used != 40 {
		t.Errorf("%v, totals %+v", err, f.totals())
	}
	if err := f.Agent("worker").Do(ctx, task(100), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended before: %v", err)
	}
}

func TestDoCancelsTheWorkOfARevokedReservation(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{}, nil)
	err := f.Agent("worker").Do(t.Context(), task(100), func(ctx context.Context, task *client.Task) error {
		f.desk.Do(quota.Revoke{Actor: quota.Actor{Principal: "root"}, Reservation: task.ID(), Reason: "needed elsewhere"})
		if err := f.desk.Push(principal, "worker"); err != nil {
			return err
		}
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, wire.ErrClosed) {
			t.Errorf("cause %v", cause)
		}
		if err := task.Report(t.Context(), usage("m1", 7)); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("late usage: %v", err)
		}
		return nil
	})
	if !errors.Is(err, wire.ErrClosed) || f.totals().Used != 7 {
		t.Errorf("%v, totals %+v", err, f.totals())
	}
}

func TestDoRepeatsReportsThatNobodyAnswered(t *testing.T) {
	t.Parallel()
	silent := true
	f := start(t, client.Options{Patience: 2 * shortTry}, nil)
	f.desk.Interfere = func(verb string, _ wire.Request, _ int) clienttest.Fault {
		if verb == wire.VerbReport && silent {
			return clienttest.LoseReply
		}
		return clienttest.None
	}
	err := f.Agent("worker").Do(t.Context(), task(100), func(ctx context.Context, task *client.Task) error {
		// Without a call id only the request id keeps it from counting twice.
		err := task.Report(ctx, wire.UsageItem{Tokens: wire.Tokens{Input: 40}})
		if !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		f.desk.Look(func(*quota.State) { silent = false })
		return nil
	})
	if err != nil || f.totals().Used != 40 || f.totals().Settled != 1 {
		t.Errorf("%v, totals %+v", err, f.totals())
	}
}

func TestDoRenewsTheLease(t *testing.T) {
	t.Parallel()
	renewed := make(chan struct{}, 100)
	f := start(t, client.Options{}, nil)
	f.desk.Interfere = func(verb string, r wire.Request, _ int) clienttest.Fault {
		if report, ok := r.(*wire.ReportRequest); ok && len(report.Usage) == 0 {
			renewed <- struct{}{}
		}
		return clienttest.None
	}
	short := task(100)
	short.LeaseMS = 60
	err := f.Agent("worker").Do(t.Context(), short, func(context.Context, *client.Task) error {
		for range 3 {
			<-renewed
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestATaskKeepsThePaceOfItsLimitsPerMinute: neither more time nor an overrun makes the next call due at once.
func TestATaskKeepsThePaceOfItsLimitsPerMinute(t *testing.T) {
	t.Parallel()
	config := clienttest.Config()
	config.Limits = append(config.Limits, quota.Limit{
		ID: "api-1/tpm", Name: "tpm", Scope: quota.Scope{Account: "api-1"}, Unit: quota.UnitTokens, Capacity: 1000,
		Window: quota.Window{Kind: quota.WindowBucket, Duration: quota.Hour}, Weights: quota.DefaultWeights(quota.UnitTokens),
	})
	for name, do := range map[string]func(context.Context, *client.Task) error{
		"more time": func(ctx context.Context, task *client.Task) error {
			return task.Extend(ctx, wire.ExtendRequest{TTLMS: time.Hour.Milliseconds()})
		},
		"an overrun": func(ctx context.Context, task *client.Task) error {
			if err := task.Report(ctx, usage("m1", 7000)); !errors.Is(err, wire.ErrAllocationExceeded) {
				return fmt.Errorf("an overrun: %w", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, client.Options{}, nil)
			if r := f.desk.Do(quota.ApplyConfig{Actor: quota.Actor{Principal: "root"}, Config: config}); !r.OK() {
				t.Fatal(r.Message)
			}
			err := f.Agent("worker").Do(t.Context(), task(6000), func(ctx context.Context, task *client.Task) error {
				wait := func() error {
					ending, cancel := context.WithTimeout(ctx, shortTry)
					defer cancel()
					return task.Wait(ending)
				}
				if err := wait(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the next call is not due, and the wait ends with %v", err)
				}
				err := do(ctx, task)
				if err := wait(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("then the wait ends with %v", err)
				}
				return err
			})
			if err != nil && !errors.Is(err, wire.ErrAllocationExceeded) {
				t.Error(err)
			}
		})
	}
}

// TestAPreemptionIsFoundWithoutAPush: nothing is pushed, and work that lasts long without a report is told of its preemption
// within the grace.
func TestAPreemptionIsFoundWithoutAPush(t *testing.T) {
	t.Parallel()
	const grace = 3 * quota.Second
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := start(t, client.Options{Lease: time.Hour, PreemptGrace: grace.Duration()}, nil)
	owner := quota.Actor{Principal: "owner", Agent: "o"}
	config := clienttest.Config()
	config.Policy.PreemptGrace = grace
	config.Unlisted.Team = "guests"
	config.Principals = []quota.Principal{{Name: owner.Principal, Team: "core", MaxPriority: quota.PriorityHigh}}
	config.Teams = []quota.Team{{Name: "core", Shares: []quota.Share{{Limit: "api-1/day", FloorPart: 60_000, LendPart: 100_000}}}}
	if r := f.desk.Do(quota.ApplyConfig{Actor: quota.Actor{Principal: "root"}, Config: config}); !r.OK() {
		t.Fatal(r.Message)
	}
	loan := task(100_000)
	loan.Preemptible = true
	err := f.Agent("borrower").Do(ctx, loan, func(ctx context.Context, task *client.Task) error {
		r := f.desk.Do(quota.Reserve{Actor: owner, Reservation: "back", Provider: "claude", Model: clienttest.PricedModel, MaxWait: quota.Hour, Amount: quota.Amount{Tokens: quota.Tokens{Input: 50_000}}})
		if r.Queue == nil {
			t.Errorf("the owner does not wait: %+v", r)
		}
		select {
		case p := <-task.Preempted():
			if left := time.Until(p.At); left <= 0 || p.Ends() || p.Amount.Tokens.Input != 50_000 {
				t.Errorf("told %+v with %s left", p, left)
			}
		case <-ctx.Done():
			t.Error("told nothing")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
