package query

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

// decisions counts what was decided in the period.
func (r *Reader) decisions(ctx context.Context, f filter) (wire.Decisions, error) {
	var all wire.Decisions
	_, err := r.each(ctx, f, decisionSource(), question{
		topic: "counting decisions",
		what: `sumIf(events, kind = 'reservation.granted'), sumIf(events, kind = 'reservation.denied'),
			sumIf(events, kind = 'reservation.denied' AND code IN ('insufficient_quota', 'concurrent_limit_exceeded') AND reason != 'held_back'),
			sumIf(events, kind = 'reservation.closed' AND outcome = 'settled'), sumIf(events, kind = 'reservation.closed' AND outcome = 'released'),
			sumIf(events, kind = 'reservation.closed' AND outcome = 'expired'), sumIf(events, kind = 'reservation.closed' AND outcome = 'revoked'),
			sumIf(events, kind = 'reservation.closed' AND outcome = 'preempted'),
			sumIf(events, kind = 'reservation.dequeued' AND outcome = 'granted'), sumIf(events, kind = 'reservation.dequeued' AND outcome != 'granted'),
			sumIf(tokens, kind IN ('reservation.granted', 'reservation.extended')),
			sumIf(returned_tokens, kind IN ('reservation.shrunk', 'reservation.closed')),
			sumIf(overrun_tokens, kind IN ('usage.recorded', 'usage.overrun'))`,
		row: func() ([]any, func()) {
			var n [10]uint64
			var reserved, returned, overrun int64
			counts := []*int64{&all.Granted, &all.Denied, &all.Exhausted, &all.Settled, &all.Released, &all.Expired, &all.Revoked, &all.Preempted,
				&all.QueueGranted, &all.QueueEnded}
			return []any{&n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &n[9], &reserved, &returned, &overrun}, func() {
				for i, count := range counts {
					*count += int64(n[i])
				}
				all.ReservedTokens += reserved
				all.ReturnedTokens += returned
				all.OverrunTokens += overrun
			}
		},
	})
	return all, err
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
	done, err := r.fillUsage(ctx, f, reply, byStart)
	if err != nil {
		return nil, err
	}
	if err := r.fillDecisions(ctx, f, reply, byStart); err != nil {
		return nil, err
	}
	reply.Through, err = r.through(ctx, f, done)
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

// starting is the start of the interval that a row's time is in.
const starting = "toInt64(roundDown(toUnixTimestamp64Milli(time), {starts:Array(Int64)})) AS start"

func (r *Reader) fillUsage(ctx context.Context, f filter, reply *wire.HistoryReply, byStart map[int64]int) (summed, error) {
	return r.each(ctx, f, usageSource(), question{
		topic: "summing usage over time", what: starting + ", " + sums, groupBy: "start",
		row: func() ([]any, func()) {
			var start int64
			var spent wire.Spent
			return append([]any{&start}, targets(&spent)...), func() {
				spent := finished(spent)
				point := &reply.Points[byStart[start]]
				point.Spent = plus(point.Spent, spent)
				reply.Totals = plus(reply.Totals, spent)
			}
		},
	})
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
	_, err := r.each(ctx, f, decisionSource(), question{
		topic:   "counting decisions over time",
		what:    starting + ", sumIf(events, kind = 'reservation.granted'), sumIf(events, kind = 'reservation.denied')",
		groupBy: "start",
		row: func() ([]any, func()) {
			var start int64
			var granted, denied uint64
			return []any{&start, &granted, &denied}, func() {
				point := &reply.Points[byStart[start]]
				point.Granted += int64(granted)
				point.Denied += int64(denied)
			}
		},
	})
	return err
}
