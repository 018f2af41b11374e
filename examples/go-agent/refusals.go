package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

// refusals are terminal: the same will be refused again. The agent gives up, or asks for something else.
func (e *example) refusals(ctx context.Context) error {
	for _, c := range []struct {
		name    string
		request wire.ReserveRequest
		want    error
	}{
		{"a negative number", wire.ReserveRequest{Account: account, Model: model, Tokens: wire.Tokens{Input: -1}}, wire.ErrInvalid},
		{"an unknown provider", wire.ReserveRequest{Provider: "nobody", Model: model}, wire.ErrProviderNotSupported},
		{"an unknown account", wire.ReserveRequest{Account: "nobody", Model: model}, wire.ErrSubscriptionInfoUnavailable},
		{"more than the whole limit", wire.ReserveRequest{Account: account, Model: model, Tokens: wire.Tokens{Input: 2_000_000}}, wire.ErrInsufficientQuota},
	} {
		_, err := e.agent.Reserve(ctx, c.request)
		if err := e.refusal(err, c.want, false); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// later is a refusal that passes: the agent waits, and asks again with a new request id.
func (e *example) later(ctx context.Context) error {
	request := wire.ReserveRequest{Account: account, Model: model, Tokens: wire.Tokens{Input: 10}}
	first, err := e.agent.Reserve(ctx, request)
	if err != nil {
		return err
	}
	_, err = e.agent.Reserve(ctx, request)
	if err := e.refusal(err, wire.ErrConcurrentLimitExceeded, true); err != nil {
		return err
	}
	if _, err := e.agent.Release(ctx, wire.ReleaseRequest{ReservationID: first.ReservationID, Reason: "make room"}); err != nil {
		return err
	}
	// ReserveWait asks again for as long as refusals are retryable.
	second, err := e.agent.ReserveWait(ctx, request)
	if err != nil {
		return err
	}
	_, err = e.agent.Release(ctx, wire.ReleaseRequest{ReservationID: second.ReservationID})
	return err
}

// afterwards reports usage that comes too late, or that nobody reserved: it is recorded all the same.
func (e *example) afterwards(ctx context.Context) error {
	granted, err := e.agent.Reserve(ctx, wire.ReserveRequest{Account: account, Model: model, Tokens: wire.Tokens{Input: 10}})
	if err != nil {
		return err
	}
	if _, err := e.agent.Settle(ctx, wire.SettleRequest{ReservationID: granted.ReservationID}); err != nil {
		return err
	}
	_, err = e.agent.Report(ctx, wire.ReportRequest{ReservationID: granted.ReservationID, Usage: []wire.UsageItem{used(newCall(), 7, 0)}})
	if err := e.recorded(err, wire.ErrClosed); err != nil {
		return err
	}
	_, err = e.agent.Report(ctx, wire.ReportRequest{ReservationID: "long-forgotten", Account: account, Model: model, Usage: []wire.UsageItem{used(newCall(), 7, 0)}})
	return e.recorded(err, wire.ErrAllocationNotFound)
}

// subscription reserves on a plan of which nothing is known, hands in what the provider says of it, and reserves again.
func (e *example) subscription(ctx context.Context) error {
	plan := e.agent.Name() + "-plan"
	request := wire.ReserveRequest{Account: plan, Model: model, Tokens: wire.Tokens{Input: 10}}
	granted, err := e.agent.Reserve(ctx, request)
	if errors.Is(err, wire.ErrSubscriptionInfoUnavailable) {
		e.say("refused: %v\n", err)
		percent := wire.Percent(12_500) // 12.5 %, as a status line says
		if _, err := e.agent.Observe(ctx, wire.ObserveRequest{
			Account: plan, Window: "session", UsedPercent: &percent, Source: "go-agent",
			ResetsAt: wire.Time(time.Now().Add(4 * time.Hour).UnixMilli()),
		}); err != nil {
			return err
		}
		granted, err = e.agent.Reserve(ctx, request)
	}
	if err != nil {
		return err
	}
	_, err = e.agent.Release(ctx, wire.ReleaseRequest{ReservationID: granted.ReservationID})
	return err
}

// repeat sends the same request again, as one does after a lost reply: it is answered the same and done once.
func (e *example) repeat(ctx context.Context) error {
	id, err := wire.NewRequestID()
	if err != nil {
		return err
	}
	request := wire.ReserveRequest{Account: account, Model: model, Tokens: wire.Tokens{Input: 10}}
	request.RequestID = id
	first, err := e.agent.Reserve(ctx, request)
	if err != nil {
		return err
	}
	again, err := e.agent.Reserve(ctx, request)
	if err != nil {
		return err
	}
	if first.ReservationID != again.ReservationID {
		return fmt.Errorf("one request id gave two reservations, %s and %s", first.ReservationID, again.ReservationID)
	}
	request.Tokens.Input = 11
	_, err = e.agent.Reserve(ctx, request)
	if err := e.refusal(err, wire.ErrConflict, false); err != nil {
		return err
	}
	_, err = e.agent.Release(ctx, wire.ReleaseRequest{ReservationID: first.ReservationID})
	return err
}

// refusal checks that an error is the refusal that was expected.
func (e *example) refusal(err, want error, retryable bool) error {
	refused, ok := errors.AsType[*wire.Error](err)
	if !ok || !errors.Is(err, want) || refused.Retryable != retryable {
		return fmt.Errorf("wanted %w (retryable: %t), got %w", want, retryable, orNothing(err))
	}
	e.say("refused: %s\n", refused.Message)
	return nil
}

// recorded checks that usage was refused and recorded.
func (e *example) recorded(err, want error) error {
	refused, ok := errors.AsType[*wire.Error](err)
	if !ok || !errors.Is(err, want) || !refused.Recorded {
		return fmt.Errorf("wanted %w with the usage recorded, got %w", want, orNothing(err))
	}
	e.say("recorded: %s\n", refused.Message)
	return nil
}
