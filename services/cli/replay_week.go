package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/work"
)

// callsPerReport keeps a report well below the largest request.
const callsPerReport = 250

// pastAccount is an account of the built-in configuration, on which the demonstration has a week behind it.
const pastAccount = "anthropic-api"

// bringPast records the days before the demonstration's day. In a configuration without the account there were none. It
// returns the number of calls.
func (c *replayCommand) bringPast(ctx context.Context, crew *crew, jobs int) (int, error) {
	run, err := wire.NewRequestID()
	if err != nil {
		return 0, err
	}
	past := work.Week(c.seed, jobs, "demo-"+run, pastAccount)
	agent, err := crew.agent(ctx, demoPrincipal, past.Agent)
	if err != nil {
		return 0, err
	}
	status, err := agent.Status(ctx, wire.StatusRequest{})
	if err != nil {
		return 0, err
	}
	known := false
	for i := range status.Limits {
		known = known || status.Limits[i].Account == pastAccount
	}
	if !known {
		return 0, nil
	}
	today := status.Now.Time().UTC().Truncate(hoursADay * time.Hour)
	var items []wire.UsageItem
	for _, call := range past.Calls {
		items = append(items, wire.UsageItem{
			CallID: call.ID, Model: call.Model, Tokens: wire.Tokens(call.Tokens), OccurredAt: wire.TimeOf(quota.InstantOf(today.Add(-call.Before))), Source: "demo",
		})
	}
	for from := 0; from < len(items); from += callsPerReport {
		part := items[from:min(from+callsPerReport, len(items))]
		if _, err := agent.Report(ctx, wire.ReportRequest{Account: past.Account, Usage: part}); err != nil {
			return from, fmt.Errorf("record the days before: %w", err)
		}
	}
	return len(items), nil
}

const hoursADay = 24
