package client

import (
	"context"
	"errors"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

// Some questions take longer than a decision: folding a whole log, or reading a month from ClickHouse.
const (
	verifyTimeout = 10 * time.Minute
	queryTimeout  = 30 * time.Second
)

// Apply replaces the configuration. Refusals: ErrInvalid, with every fault in Details.Faults, and ErrConflict.
func (c *Client) Apply(ctx context.Context, r wire.ApplyRequest) (*wire.ApplyReply, error) {
	return order[wire.ApplyReply](ctx, c, &r)
}

// GetConfig tells the configuration that holds.
func (c *Client) GetConfig(ctx context.Context) (*wire.ConfigReply, error) {
	return order[wire.ConfigReply](ctx, c, &wire.GetConfigRequest{})
}

// Accounts tells how accounts and limits stand.
func (c *Client) Accounts(ctx context.Context, r wire.AccountsRequest) (*wire.AccountsReply, error) {
	return order[wire.AccountsReply](ctx, c, &r)
}

// Reservations lists reservations of the workspace.
func (c *Client) Reservations(ctx context.Context, r wire.ReservationsRequest) (*wire.ReservationsReply, error) {
	return order[wire.ReservationsReply](ctx, c, &r)
}

// Queue lists the queued reservations of the workspace in the order of the queue.
func (c *Client) Queue(ctx context.Context, r wire.QueueRequest) (*wire.QueueReply, error) {
	return order[wire.QueueReply](ctx, c, &r)
}

// Estimates tells how estimates did against what was then used.
func (c *Client) Estimates(ctx context.Context) (*wire.EstimatesReply, error) {
	return order[wire.EstimatesReply](ctx, c, &wire.EstimatesRequest{})
}

// Revoke closes a reservation against its holder's will. Refusals: ErrClosed, ErrAllocationNotFound.
func (c *Client) Revoke(ctx context.Context, r wire.RevokeRequest) (*wire.ReservationReply, error) {
	return order[wire.ReservationReply](ctx, c, &r)
}

// Hold stops new grants.
func (c *Client) Hold(ctx context.Context, r wire.HoldRequest) (*wire.BlockReply, error) {
	return order[wire.BlockReply](ctx, c, &r)
}

// Resume allows grants again.
func (c *Client) Resume(ctx context.Context, r wire.ResumeRequest) (*wire.BlockReply, error) {
	return order[wire.BlockReply](ctx, c, &r)
}

// Verify has the allocator fold the kept log again. It may take minutes; bound it with ctx.
func (c *Client) Verify(ctx context.Context) (*wire.VerifyReply, error) {
	return order[wire.VerifyReply](ctx, c, &wire.VerifyRequest{})
}

// Summary tells totals, breakdowns and the busiest hours.
func (c *Client) Summary(ctx context.Context, r wire.SummaryRequest) (*wire.SummaryReply, error) {
	return query[wire.SummaryReply](ctx, c, &r)
}

// History tells usage over time.
func (c *Client) History(ctx context.Context, r wire.HistoryRequest) (*wire.HistoryReply, error) {
	return query[wire.HistoryReply](ctx, c, &r)
}

// Peaks tells the busiest hours.
func (c *Client) Peaks(ctx context.Context, r wire.PeaksRequest) (*wire.PeaksReply, error) {
	return query[wire.PeaksReply](ctx, c, &r)
}

// Forecast tells when limits run out and what the next week needs.
func (c *Client) Forecast(ctx context.Context, r wire.ForecastRequest) (*wire.ForecastReply, error) {
	return query[wire.ForecastReply](ctx, c, &r)
}

// order sends a request of an operator.
func order[Reply any](ctx context.Context, c *Client, r wire.Request) (*Reply, error) {
	subject, err := wire.AdminSubject(c.options.Workspace, c.options.Principal, r.Verb())
	if err != nil {
		return nil, err
	}
	timeout := c.options.Timeout
	if r.Verb() == wire.VerbVerify {
		timeout = verifyTimeout
	}
	if m, ok := r.(wire.Mutation); ok {
		identify(m)
	}
	reply := new(Reply)
	if err := c.call(ctx, subject, r, timeout, reply, nil); err != nil {
		return nil, err
	}
	return reply, nil
}

// query sends a question to analytics.
func query[Reply any](ctx context.Context, c *Client, r wire.Request) (*Reply, error) {
	subject, err := wire.QuerySubject(c.options.Workspace, c.options.Principal, r.Verb())
	if err != nil {
		return nil, err
	}
	reply := new(Reply)
	if err := c.call(ctx, subject, r, max(queryTimeout, c.options.Timeout), reply, nil); err != nil {
		return nil, err
	}
	return reply, nil
}

// retryable tells whether an error is a refusal that may not be one later.
func retryable(err error) (*wire.Error, bool) {
	refused, ok := errors.AsType[*wire.Error](err)
	return refused, ok && refused.Retryable
}
