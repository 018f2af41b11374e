package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/dashboards"
	"github.com/bursarhq/bursar/services/analytics/internal/query"
)

const (
	// All rows are spread over the time from begins on, which is within a month.
	begins = "2026-09-01 00:00:00"
	// Ends is the end of that time, as ClickHouse reads it, but for beforeEnd: the ends of a timeframe are seldom whole hours.
	Ends      = "2026-09-29 00:00:00"
	beforeEnd = 17 * time.Minute
)

// shownFor is the time that dashboards show by default, and point the width of a point of it in a panel of usual width.
const (
	shownFor = 7 * 24 * time.Hour
	point    = 10 * time.Minute
)

// adder measures a question; a hot one has to be answered within HotLimit.
type adder func(name string, hot bool, ask func(context.Context) error) error

// span is the time of the rows; questions are asked at its end.
func span() (begin, end time.Time, err error) {
	if begin, err = time.Parse(time.DateTime, begins); err != nil {
		return begin, end, err
	}
	end, err = time.Parse(time.DateTime, Ends)
	return begin, end.Add(-beforeEnd), err
}

// askOverNATS asks what the service answers, as it answers: what the commands and the page ask for.
func (b *Bench) askOverNATS(add adder) error {
	_, now, err := span()
	if err != nil {
		return err
	}
	reader := query.NewReader(b.conn)
	for _, timeframe := range []string{"24h", "7d", "4w", "30d", "90d"} {
		if err := add("summary of "+timeframe, true, b.summary(reader, wire.Scope{Timeframe: timeframe}, now)); err != nil {
			return err
		}
		if err := add("history of "+timeframe, true, b.history(reader, wire.Scope{Timeframe: timeframe}, now)); err != nil {
			return err
		}
		if err := add("peaks of "+timeframe, true, b.peaks(reader, wire.Scope{Timeframe: timeframe}, now)); err != nil {
			return err
		}
	}
	return b.askPage(reader, now, add)
}

// askPage asks what only the page asks for: histories of each of the largest spenders, in its two widths, and forecasts.
func (b *Bench) askPage(reader *query.Reader, now time.Time, add adder) error {
	for _, timeframe := range []string{"7d", "90d"} {
		for name, scope := range map[string]wire.Scope{
			"provider": {Provider: "claude"}, "account": {Account: "account-2"}, "team": {Team: "team-3"}, "agent": {Agent: b.agent(3)},
			"model": {Model: tenantModels[0][1]}, "task": {TaskType: "analysis"},
		} {
			scope.Timeframe = timeframe
			if err := add("page: "+timeframe+" of one "+name, true, b.history(reader, scope, now)); err != nil {
				return err
			}
		}
	}
	forecast := func(ctx context.Context) error {
		reply, err := reader.Forecast(ctx, b.workspace, &wire.ForecastRequest{}, now)
		if err == nil && (len(reply.Limits) == 0 || reply.Limits[0].NextWeek == nil) {
			err = fmt.Errorf("nothing is forecast: %+v", reply)
		}
		return err
	}
	return add("forecast of all limits", true, forecast)
}

// agent is the name of an agent of the workspace that is asked about.
func (b *Bench) agent(n int) string {
	name := "agent-" + strconv.Itoa(n)
	if b.workspace == workspaceOf(0) {
		return name
	}
	return b.workspace + "-" + name
}

func (b *Bench) summary(reader *query.Reader, scope wire.Scope, now time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		reply, err := reader.Summary(ctx, b.workspace, &wire.SummaryRequest{Scope: scope}, now)
		if err == nil && reply.Totals.TotalTokens == 0 {
			err = errNothing
		}
		return err
	}
}

func (b *Bench) history(reader *query.Reader, scope wire.Scope, now time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		reply, err := reader.History(ctx, b.workspace, &wire.HistoryRequest{Scope: scope}, now)
		if err == nil && reply.Totals.TotalTokens == 0 {
			err = errNothing
		}
		return err
	}
}

func (b *Bench) peaks(reader *query.Reader, scope wire.Scope, now time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		reply, err := reader.Peaks(ctx, b.workspace, &wire.PeaksRequest{Scope: scope}, now)
		if err == nil && reply.Totals.TotalTokens == 0 {
			err = errNothing
		}
		return err
	}
}

// askPanels asks what every panel of the dashboards asks for, as the analyst that Grafana is.
func (b *Bench) askPanels(panels []dashboards.Query, add adder) error {
	_, now, err := span()
	if err != nil {
		return err
	}
	g := dashboards.Grafana{From: now.Add(-shownFor), To: now, Interval: point, Variables: map[string]string{"workspace": b.workspace}}
	for _, p := range panels {
		statement, err := g.Expand(p.SQL)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", p.Dashboard, p.Panel, err)
		}
		name := "Grafana " + p.Dashboard + ": " + p.Panel
		if err := add(name, true, func(ctx context.Context) error { return drain(ctx, b.analyst, statement) }); err != nil {
			return err
		}
	}
	return nil
}
