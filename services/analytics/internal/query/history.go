package query

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

const (
	amount = "input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens"

	// decided are the kinds of events that decisions counts.
	decided = "kind IN ('reservation.granted', 'reservation.extended', 'reservation.denied', 'reservation.closed', 'usage.recorded')"
)

// decisions counts what was decided in the period.
func (r *Reader) decisions(ctx context.Context, f filter) (wire.Decisions, error) {
	const counts = `SELECT
		countIf(kind = 'reservation.granted'), countIf(kind = 'reservation.denied'),
		countIf(kind = 'reservation.denied' AND code IN ('insufficient_quota', 'concurrent_limit_exceeded') AND reason != 'held_back'),
		countIf(kind = 'reservation.closed' AND outcome = 'settled'), countIf(kind = 'reservation.closed' AND outcome = 'released'),
		countIf(kind = 'reservation.closed' AND outcome = 'expired'), countIf(kind = 'reservation.closed' AND outcome = 'revoked'),
		countIf(kind = 'reservation.closed' AND outcome = 'preempted'),
		sumIf(` + amount + `, kind IN ('reservation.granted', 'reservation.extended')),
		sumIf(greatest(0, granted_tokens - (` + amount + `)), kind = 'reservation.closed'),
		sumIf(overrun_tokens, kind = 'usage.recorded')
	FROM bursar.ledger_events FINAL
	WHERE `
	var n [8]uint64
	var d wire.Decisions
	err := r.conn.QueryRow(f.context(ctx), counts+f.decisions()+" AND "+decided).
		Scan(&n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &d.ReservedTokens, &d.ReturnedTokens, &d.OverrunTokens)
	if err != nil {
		return wire.Decisions{}, fmt.Errorf("counting decisions: %w", err)
	}
	for i, to := range []*int64{&d.Granted, &d.Denied, &d.Exhausted, &d.Settled, &d.Released, &d.Expired, &d.Revoked, &d.Preempted} {
		*to = int64(n[i])
	}
	return d, nil
}

// History answers usage over time. Errors as of Summary.
func (r *Reader) History(ctx context.Context, workspace string, q *wire.HistoryRequest, now time.Time) (*wire.HistoryReply, error) {
	p, err := PeriodOf(q.Scope, now)
	if err != nil {
		return nil, err
	}
	interval := q.Interval
	if interval == "" {
		interval = wire.IntervalDay
		if p.To.Sub(p.From) <= hourlyUpTo {
			interval = wire.IntervalHour
		}
	}
	bounds, err := p.intervals(interval)
	if err != nil {
		return nil, err
	}
	reply := &wire.HistoryReply{From: timeOf(p.From), To: timeOf(p.To), Zone: p.Zone.String(), Interval: interval}
	byStart := map[int64]int{}
	for i, start := range bounds[:len(bounds)-1] {
		byStart[start.UnixMilli()] = i
		reply.Points = append(reply.Points, wire.Point{From: timeOf(start), To: timeOf(bounds[i+1])})
	}
	f := filterOf(workspace, q.Scope, p)
	f.parameters["starts"] = startsOf(bounds)
	if err := r.fillUsage(ctx, f, reply, byStart); err != nil {
		return nil, err
	}
	if err := r.fillDecisions(ctx, f, reply, byStart); err != nil {
		return nil, err
	}
	reply.Through, err = r.through(ctx, workspace)
	return reply, err
}

// startsOf writes the starts of the intervals as an array of milliseconds.
func startsOf(bounds []time.Time) string {
	texts := make([]string, len(bounds)-1)
	for i, start := range bounds[:len(bounds)-1] {
		texts[i] = strconv.FormatInt(start.UnixMilli(), 10)
	}
	return "[" + strings.Join(texts, ",") + "]"
}

// startOf is the start of the interval that a column's time is in.
func startOf(column string) string {
	return "toInt64(roundDown(toUnixTimestamp64Milli(" + column + "), {starts:Array(Int64)}))"
}

func (r *Reader) fillUsage(ctx context.Context, f filter, reply *wire.HistoryReply, byStart map[int64]int) error {
	rows, err := r.conn.Query(f.context(ctx), "SELECT "+startOf("occurred_at")+" AS start, "+sums+
		" FROM bursar.ledger_events FINAL WHERE "+f.usage()+" GROUP BY start")
	if err != nil {
		return fmt.Errorf("summing usage over time: %w", err)
	}
	for rows.Next() {
		var start int64
		var spent wire.Spent
		if err := rows.Scan(append([]any{&start}, targets(&spent)...)...); err != nil {
			return errors.Join(err, rows.Close())
		}
		spent = finished(spent)
		reply.Points[byStart[start]].Spent = spent
		reply.Totals = plus(reply.Totals, spent)
	}
	return errors.Join(rows.Err(), rows.Close())
}

func plus(a, b wire.Spent) wire.Spent {
	return wire.Spent{
		Tokens: wire.Tokens{
			Input: a.Tokens.Input + b.Tokens.Input, CacheRead: a.Tokens.CacheRead + b.Tokens.CacheRead,
			CacheWrite5m: a.Tokens.CacheWrite5m + b.Tokens.CacheWrite5m, CacheWrite1h: a.Tokens.CacheWrite1h + b.Tokens.CacheWrite1h,
			Output: a.Tokens.Output + b.Tokens.Output,
		},
		TotalTokens: a.TotalTokens + b.TotalTokens, Requests: a.Requests + b.Requests,
		CostMicroUSD: a.CostMicroUSD + b.CostMicroUSD, UnpricedTokens: a.UnpricedTokens + b.UnpricedTokens,
	}
}

func (r *Reader) fillDecisions(ctx context.Context, f filter, reply *wire.HistoryReply, byStart map[int64]int) error {
	rows, err := r.conn.Query(f.context(ctx), "SELECT "+startOf("at")+" AS start, countIf(kind = 'reservation.granted'), countIf(kind = 'reservation.denied')"+
		" FROM bursar.ledger_events FINAL WHERE "+f.decisions()+" AND kind IN ('reservation.granted', 'reservation.denied') GROUP BY start")
	if err != nil {
		return fmt.Errorf("counting decisions over time: %w", err)
	}
	for rows.Next() {
		var start int64
		var granted, denied uint64
		if err := rows.Scan(&start, &granted, &denied); err != nil {
			return errors.Join(err, rows.Close())
		}
		point := &reply.Points[byStart[start]]
		point.Granted, point.Denied = int64(granted), int64(denied)
	}
	return errors.Join(rows.Err(), rows.Close())
}
