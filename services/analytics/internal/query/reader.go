package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// hourlyUpTo is the longest time of which a history is told by the hour unless asked for otherwise.
const hourlyUpTo = 48 * time.Hour

// Reader answers questions from ClickHouse. It is safe for concurrent use.
type Reader struct {
	conn driver.Conn
}

// NewReader returns a reader on a connection that may read the tables of Bursar.
func NewReader(conn driver.Conn) *Reader { return &Reader{conn: conn} }

// Summary answers a summary of a workspace at the instant now. Errors: *wire.Error with code invalid for
// a time that makes no sense, and what ClickHouse said.
func (r *Reader) Summary(ctx context.Context, workspace string, q *wire.SummaryRequest, now time.Time) (*wire.SummaryReply, error) {
	p, err := PeriodOf(q.Scope, now)
	if err != nil {
		return nil, err
	}
	f := filterOf(workspace, q.Scope, p)
	parts, err := r.breakdown(ctx, f)
	if err != nil {
		return nil, err
	}
	decisions, err := r.decisions(ctx, f)
	if err != nil {
		return nil, err
	}
	through, err := r.through(ctx, workspace)
	if err != nil {
		return nil, err
	}
	totals := parts.totals()
	return &wire.SummaryReply{
		From: timeOf(p.From), To: timeOf(p.To), Zone: p.Zone.String(), Through: through,
		Totals: totals, Decisions: decisions,
		Providers: parts.slices("provider", totals),
		Accounts:  parts.slices("account", totals),
		Teams:     parts.slices("team", totals),
		Agents:    parts.slices("agent", totals),
		TaskTypes: parts.slices("task_type", totals),
		Models:    parts.slices("model", totals),
		Peaks:     parts.peaks(p, totals, wire.DefaultPeaks),
	}, nil
}

// Peaks answers which hours were the busiest. Errors as of Summary.
func (r *Reader) Peaks(ctx context.Context, workspace string, q *wire.PeaksRequest, now time.Time) (*wire.PeaksReply, error) {
	p, err := PeriodOf(q.Scope, now)
	if err != nil {
		return nil, err
	}
	parts, err := r.breakdown(ctx, filterOf(workspace, q.Scope, p))
	if err != nil {
		return nil, err
	}
	through, err := r.through(ctx, workspace)
	if err != nil {
		return nil, err
	}
	limit := int(q.Limit)
	if limit <= 0 || limit > wire.MaxPeaks {
		limit = wire.DefaultPeaks
	}
	totals := parts.totals()
	return &wire.PeaksReply{
		From: timeOf(p.From), To: timeOf(p.To), Zone: p.Zone.String(), Through: through,
		Totals: totals, Peaks: parts.peaks(p, totals, limit),
	}, nil
}

// part is what one member of one breakdown spent.
type part struct {
	dimension, name string
	hour            time.Time
	spent           wire.Spent
}

// parts are the members of all breakdowns of a query.
type parts []part

// breakdown sums usage in every way at once, in one pass over the data.
func (r *Reader) breakdown(ctx context.Context, f filter) (parts, error) {
	query := `SELECT
		multiIf(grouping(provider) = 0, 'provider', grouping(account) = 0, 'account', grouping(team) = 0, 'team',
			grouping(agent) = 0, 'agent', grouping(task_type) = 0, 'task_type', grouping(model) = 0, 'model',
			grouping(hour) = 0, 'hour', '') AS dimension,
		multiIf(dimension = 'provider', provider, dimension = 'account', account, dimension = 'team', team,
			dimension = 'agent', agent, dimension = 'task_type', task_type, dimension = 'model', model, '') AS name,
		hour, ` + sums + `
	FROM
	(
		SELECT
			CAST(provider, 'String') AS provider, CAST(account, 'String') AS account, CAST(team, 'String') AS team,
			CAST(agent, 'String') AS agent, CAST(task_type, 'String') AS task_type, CAST(model, 'String') AS model,
			toStartOfHour(toDateTime(occurred_at, {zone:String})) AS hour, ` + summed + `
		FROM bursar.ledger_events FINAL
		WHERE ` + f.usage() + `
	)
	GROUP BY GROUPING SETS ((), (provider), (account), (team), (agent), (task_type), (model), (hour))`
	rows, err := r.conn.Query(f.context(ctx), query)
	if err != nil {
		return nil, fmt.Errorf("summing usage: %w", err)
	}
	var all parts
	for rows.Next() {
		var p part
		if err := rows.Scan(append([]any{&p.dimension, &p.name, &p.hour}, targets(&p.spent)...)...); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		all = append(all, p)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}

// sums and summed are the sums of a Spent and the columns that they are made of; targets are where they
// are scanned to.
const (
	sums = `sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), sum(output_tokens),
		sum(requests), sum(cost_micro_usd), sumIf(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens, unpriced)`
	summed = `input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, requests, cost_micro_usd, unpriced`
)

func targets(s *wire.Spent) []any {
	return []any{
		&s.Tokens.Input, &s.Tokens.CacheRead, &s.Tokens.CacheWrite5m, &s.Tokens.CacheWrite1h, &s.Tokens.Output,
		&s.Requests, &s.CostMicroUSD, &s.UnpricedTokens,
	}
}

// totals returns the grand total; zeros if there was no usage.
func (all parts) totals() wire.Spent {
	for _, p := range all {
		if p.dimension == "" {
			return finished(p.spent)
		}
	}
	return wire.Spent{}
}

func finished(s wire.Spent) wire.Spent {
	s.TotalTokens = s.Tokens.Total()
	return s
}

// slices returns one breakdown, the largest parts first.
func (all parts) slices(dimension string, totals wire.Spent) []wire.Slice {
	found := []wire.Slice{}
	for _, p := range all {
		if p.dimension != dimension {
			continue
		}
		spent := finished(p.spent)
		found = append(found, wire.Slice{
			Name: p.name, Spent: spent,
			TokensPercent: wire.PercentOf(spent.TotalTokens, totals.TotalTokens),
			CostPercent:   wire.PercentOf(spent.CostMicroUSD, totals.CostMicroUSD),
		})
	}
	slices.SortFunc(found, func(a, b wire.Slice) int {
		return compare(a.Spent, b.Spent, strings.Compare(a.Name, b.Name))
	})
	return found[:min(len(found), wire.MaxSlices)]
}

// peaks returns the busiest hours, cut off at the ends of the period.
func (all parts) peaks(p Period, totals wire.Spent, limit int) []wire.Peak {
	found := []wire.Peak{}
	for _, part := range all {
		if part.dimension != "hour" {
			continue
		}
		from, to := part.hour, part.hour.Add(time.Hour)
		if from.Before(p.From) {
			from = p.From
		}
		if to.After(p.To) {
			to = p.To
		}
		spent := finished(part.spent)
		found = append(found, wire.Peak{
			From: timeOf(from), To: timeOf(to), Spent: spent, TokensPercent: wire.PercentOf(spent.TotalTokens, totals.TotalTokens),
		})
	}
	slices.SortFunc(found, func(a, b wire.Peak) int { return compare(a.Spent, b.Spent, int(a.From-b.From)) })
	return found[:min(len(found), limit)]
}

// compare puts the one with more tokens first, then the one that cost more.
func compare(a, b wire.Spent, otherwise int) int {
	switch {
	case a.TotalTokens != b.TotalTokens:
		return order(b.TotalTokens, a.TotalTokens)
	case a.CostMicroUSD != b.CostMicroUSD:
		return order(b.CostMicroUSD, a.CostMicroUSD)
	}
	return otherwise
}

func order(a, b int64) int {
	if a < b {
		return -1
	}
	return 1
}

func timeOf(t time.Time) wire.Time { return wire.TimeOf(quota.InstantOf(t)) }

// through returns the ledger time of the last commit that is stored.
func (r *Reader) through(ctx context.Context, workspace string) (wire.Time, error) {
	const query = `SELECT toUnixTimestamp64Milli(max(committed_at)) FROM bursar.ledger_events WHERE workspace = {workspace:String} AND idx = -1`
	var ms int64
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"workspace": workspace}))
	if err := r.conn.QueryRow(ctx, query).Scan(&ms); err != nil {
		return 0, fmt.Errorf("looking how far the ledger is stored: %w", err)
	}
	return wire.Time(ms), nil
}
