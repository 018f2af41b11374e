package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
)

const (
	provider = "claude"
	account  = "example-api"
	model    = "claude-sonnet-4-5"
	lease    = time.Minute
)

// example is one agent at work.
type example struct {
	agent *client.Agent
	out   io.Writer
}

// run does the work of a day, and then meets every kind of refusal.
func (e *example) run(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"work", e.work}, {"overrun", e.overrun}, {"refusals", e.refusals}, {"later", e.later}, {"afterwards", e.afterwards},
		{"subscription", e.subscription}, {"repeat", e.repeat}, {"nothing left over", e.nothingLeft},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// say tells the user; a terminal that is gone is not the agent's trouble.
func (e *example) say(format string, args ...any) { _, _ = fmt.Fprintf(e.out, format, args...) }

// work is the usual case: estimate, reserve, report as the work goes, extend, settle.
func (e *example) work(ctx context.Context) error {
	files := int64(12)
	estimate, err := e.agent.Estimate(ctx, wire.EstimateRequest{TaskType: "code_review", Files: &files, Model: model})
	if err != nil {
		return err
	}
	e.say("estimate: %d tokens, %d micro-USD\n", estimate.TotalTokens, estimate.CostMicroUSD)
	request := wire.ReserveRequest{
		Account: account, Model: model, TaskType: "code_review", Priority: estimate.Priority, Tokens: estimate.Tokens, LeaseMS: lease.Milliseconds(),
	}
	// Do settles or releases on every way out of the function, and renews the lease meanwhile.
	return e.agent.Do(ctx, request, func(ctx context.Context, task *client.Task) error {
		e.say("reserved: %s\n", task.ID())
		call := newCall()
		// A streaming call is reported as often as one likes: under its call id the figures are cumulative.
		for _, output := range []int64{100, 450, 800} {
			if err := task.Report(ctx, used(call, 5200, output)); err != nil {
				return err
			}
			if err := task.Wait(ctx); err != nil {
				return err
			}
		}
		if err := task.Extend(ctx, wire.ExtendRequest{Tokens: wire.Tokens{Output: 2000}}); err != nil {
			return err
		}
		if err := task.Report(ctx, used(newCall(), 300, 1500)); err != nil {
			return err
		}
		if got := task.Reservation().Used.Tokens; got.Input != 5500 || got.Output != 2300 {
			return fmt.Errorf("used %+v, want 5500 and 2300", got)
		}
		return nil
	})
}

// overrun uses more than it reserved. All of it is recorded; the agent extends before it goes on.
func (e *example) overrun(ctx context.Context) error {
	request := wire.ReserveRequest{Account: account, Model: model, Tokens: wire.Tokens{Output: 1000}}
	return e.agent.Do(ctx, request, func(ctx context.Context, task *client.Task) error {
		err := task.Report(ctx, used(newCall(), 0, 1400))
		refused, ok := errors.AsType[*wire.Error](err)
		if !ok || !errors.Is(err, wire.ErrAllocationExceeded) || !refused.Recorded {
			return fmt.Errorf("1400 tokens of 1000 were answered with %w", orNothing(err))
		}
		e.say("overrun: %d tokens used of %d, recorded all the same\n", refused.Details.Requested, refused.Details.Allocated)
		return task.Extend(ctx, wire.ExtendRequest{Tokens: wire.Tokens{Output: refused.Details.Requested - refused.Details.Allocated}})
	})
}

// nothingLeft checks that every reservation was closed.
func (e *example) nothingLeft(ctx context.Context) error {
	status, err := e.agent.Status(ctx, wire.StatusRequest{})
	if err != nil {
		return err
	}
	if n := len(status.Reservations); n != 0 {
		return fmt.Errorf("%d reservations are still open", n)
	}
	return nil
}

// used is what the provider says of one call.
func used(call string, input, output int64) wire.UsageItem {
	return wire.UsageItem{CallID: call, Tokens: wire.Tokens{Input: input, Output: output}}
}

// newCall stands for the request id that a provider gives to a call.
func newCall() string {
	id, err := wire.NewRequestID()
	if err != nil {
		panic(err) // the system has no randomness
	}
	return "msg_" + id
}

// orNothing makes the absence of an error tellable.
func orNothing(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}
