package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// itemsPerReport keeps a report well below the largest request.
const itemsPerReport = 250

// Reporter records usage; a client's agent is one.
type Reporter interface {
	Report(ctx context.Context, r wire.ReportRequest) (*wire.ReservationReply, error)
}

// Receiver records what exporters send.
type Receiver struct {
	// Accounts says which account pays for a provider's calls, by provider.
	Accounts map[string]string
	// Agent gives the client of an agent; a call that names none is its program's.
	Agent func(name string) Reporter
	Log   *slog.Logger

	mu    sync.Mutex
	tally Tally
}

// Tally counts what was received.
type Tally struct {
	Calls      int   `json:"calls"`
	Tokens     int64 `json:"tokens"` // of these calls, repeated ones included
	Measured   int64 `json:"measured_tokens"`
	Other      int   `json:"other"`      // events that tell no call
	Unreadable int   `json:"unreadable"` // events of a call that cannot be read
	NoAccount  int   `json:"no_account"` // calls of a provider for which no account is given
	Refused    int   `json:"refused"`    // calls that the broker refuses, now and later
}

// Tally tells what was received so far.
func (r *Receiver) Tally() Tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tally
}

// group are the calls of one report.
type group struct{ agent, reservation, account string }

// record brings calls into the ledger, and gives what an exporter is told of those that are refused for good: they hold up
// no others. An error means that the exporter should send all of them again.
func (r *Receiver) record(ctx context.Context, found []Call, other, unreadable int) (refused *collogs.ExportLogsPartialSuccess, err error) {
	groups := map[group][]wire.UsageItem{}
	var order []group
	news := Tally{Other: other, Unreadable: unreadable}
	for i := range found {
		call := &found[i]
		account := r.Accounts[call.Provider]
		if account == "" {
			news.NoAccount++
			continue
		}
		g := group{call.Agent, call.Reservation, account}
		if g.agent == "" {
			g.agent = call.Program
		}
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], item(call))
		news.Calls++
		news.Tokens += call.Tokens.Total()
	}
	for _, g := range order {
		left, err := r.report(ctx, g, groups[g])
		if err != nil && !final(err) {
			return nil, err
		}
		if err != nil {
			r.Log.Error("calls are refused and left out", "error", err)
			refused = &collogs.ExportLogsPartialSuccess{RejectedLogRecords: refused.GetRejectedLogRecords() + int64(len(left)), ErrorMessage: err.Error()}
			news.leaveOut(left)
		}
	}
	r.count(news)
	return refused, nil
}

// final tells whether the same calls will be refused again: there is no such account, or no agent can have that name.
func final(err error) bool {
	refused, ok := errors.AsType[*wire.Error](err)
	return errors.Is(err, wire.ErrInvalid) || errors.Is(err, wire.ErrName) || ok && !refused.Retryable && refused.Code != wire.CodeInternal
}

// leaveOut takes back what was counted of calls.
func (t *Tally) leaveOut(items []wire.UsageItem) {
	t.Calls -= len(items)
	t.Refused += len(items)
	for i := range items {
		t.Tokens -= quota.Tokens(items[i].Tokens).Total()
	}
}

func (r *Receiver) count(news Tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.tally
	t.Calls += news.Calls
	t.Tokens += news.Tokens
	t.Measured += news.Measured
	t.Other += news.Other
	t.Unreadable += news.Unreadable
	t.NoAccount += news.NoAccount
	t.Refused += news.Refused
}

func item(c *Call) wire.UsageItem {
	i := wire.UsageItem{
		CallID: wire.Clip(c.ID, wire.MaxTextBytes), Model: wire.Clip(c.Model, wire.MaxNameBytes), Tokens: wire.Tokens(c.Tokens),
		Source: "otlp:" + c.Program, Session: wire.Clip(c.Session, wire.MaxTextBytes),
	}
	if c.At.Unix() > 0 {
		i.OccurredAt = wire.TimeOf(quota.InstantOf(c.At))
	}
	return i
}

// report records the calls of one group, and gives those that are not recorded beside an error. Usage beyond a reservation,
// or of one that has ended, is recorded all the same.
func (r *Receiver) report(ctx context.Context, g group, items []wire.UsageItem) (left []wire.UsageItem, err error) {
	for len(items) > 0 {
		n := min(len(items), itemsPerReport)
		_, err := r.Agent(g.agent).Report(ctx, wire.ReportRequest{ReservationID: g.reservation, Account: g.account, Usage: items[:n]})
		if refused := (*wire.Error)(nil); errors.As(err, &refused) && refused.Recorded {
			r.Log.Warn("usage was recorded, but not within its reservation", "reservation", g.reservation, "agent", g.agent, "code", refused.Code)
			err = nil
		}
		if err != nil {
			return items, fmt.Errorf("record %d calls of %s: %w", n, wire.Clip(g.agent, wire.MaxNameBytes), err)
		}
		items = items[n:]
	}
	return nil, nil
}
