package query

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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
	a, err := r.tally(ctx, filterOf(workspace, q.Scope, p, now), question{
		topic: "summing usage and decisions", start: byHour, dimensions: strings.Split(labels, ", "),
		decisions: []string{kindGranted, kindExtended, kindDenied, kindShrunk, kindClosed, kindDequeued, kindOverrun},
	})
	if err != nil {
		return nil, err
	}
	parts := breakdown(a.tallies)
	totals := parts.totals()
	return &wire.SummaryReply{
		From: timeOf(p.From), To: timeOf(p.To), Zone: p.Zone.String(), Through: a.through,
		Totals: totals, Decisions: decisions(a.tallies),
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
	a, err := r.tally(ctx, filterOf(workspace, q.Scope, p, now), question{topic: "summing usage by the hour", start: byHour})
	if err != nil {
		return nil, err
	}
	parts := breakdown(a.tallies)
	limit := int(q.Limit)
	if limit <= 0 || limit > wire.MaxPeaks {
		limit = wire.DefaultPeaks
	}
	totals := parts.totals()
	return &wire.PeaksReply{
		From: timeOf(p.From), To: timeOf(p.To), Zone: p.Zone.String(), Through: a.through,
		Totals: totals, Peaks: parts.peaks(p, totals, limit),
	}, nil
}

// member is one member of one breakdown: an agent of the agents, an hour of the hours.
type member struct {
	dimension, name string
	hour            int64 // Unix seconds
}

// parts are what the members of all breakdowns of a query spent.
type parts map[member]wire.Spent

// byHour is the start of the hour of the zone that a time is in, in Unix seconds.
func byHour(time string) string {
	return "toInt64(toUnixTimestamp(toStartOfHour(toDateTime(" + time + ", {zone:String}))))"
}

// breakdown sums usage in every way at once: as a whole, by the hour, and by dimension.
func breakdown(tallies []tally) parts {
	all := parts{}
	for _, t := range tallies {
		switch {
		case t.kind != kindUsage:
		case t.dimension != "":
			m := member{dimension: t.dimension, name: t.member}
			all[m] = plus(all[m], t.spent)
		default:
			m := member{dimension: "hour", hour: t.start}
			all[m] = plus(all[m], t.spent)
			all[member{}] = plus(all[member{}], t.spent)
		}
	}
	return all
}

// totals returns the grand total; zeros if there was no usage.
func (all parts) totals() wire.Spent {
	return all[member{}]
}

// slices returns one breakdown, the largest parts first.
func (all parts) slices(dimension string, totals wire.Spent) []wire.Slice {
	found := []wire.Slice{}
	for m, spent := range all {
		if m.dimension != dimension {
			continue
		}
		found = append(found, wire.Slice{
			Name: m.name, Spent: spent,
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
	for m, spent := range all {
		if m.dimension != "hour" {
			continue
		}
		from := time.Unix(m.hour, 0).In(p.Zone)
		to := from.Add(time.Hour)
		if from.Before(p.From) {
			from = p.From
		}
		if to.After(p.To) {
			to = p.To
		}
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

// through returns the ledger time of the last commit that is stored. done are all ledgers, and how far each is summed: no commit
// before that is the last one.
func (r *Reader) through(ctx context.Context, f filter, done summed) (wire.Time, error) {
	f = f.with(done.parameters())
	query := "SELECT toUnixTimestamp64Milli(max(committed_at)) FROM bursar.ledger_events WHERE workspace = {workspace:String} AND idx = -1 AND " + done.of(">=")
	var ms int64
	if err := r.conn.QueryRow(f.context(ctx), query).Scan(&ms); err != nil {
		return 0, fmt.Errorf("looking how far the ledger is stored: %w", err)
	}
	return wire.Time(ms), nil
}
