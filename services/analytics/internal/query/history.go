package query

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// decisions counts what was decided.
func decisions(tallies []tally) (all wire.Decisions) {
	outcomes := map[string]*int64{
		"settled": &all.Settled, "released": &all.Released, "expired": &all.Expired, "revoked": &all.Revoked, "preempted": &all.Preempted,
	}
	for _, t := range tallies {
		n := int64(t.events)
		switch t.kind {
		case kindGranted:
			all.Granted += n
			all.ReservedTokens += t.spent.TotalTokens
		case kindExtended:
			all.ReservedTokens += t.spent.TotalTokens
		case kindDenied:
			all.Denied += n
			if t.exhausted {
				all.Exhausted += n
			}
		case kindShrunk:
			all.ReturnedTokens += t.returned
		case kindClosed:
			if count := outcomes[t.outcome]; count != nil {
				*count += n
			}
			all.ReturnedTokens += t.returned
		case kindDequeued:
			if t.outcome == string(quota.QueueGranted) {
				all.QueueGranted += n
			} else {
				all.QueueEnded += n
			}
		case kindOverrun:
			all.OverrunTokens += t.overrun
		}
	}
	return all
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
	f := filterOf(workspace, q.Scope, p, now)
	f.parameters["starts"] = startsOf(bounds)
	counted := []string{kindGranted, kindDenied}
	if q.Waits {
		counted = append(counted, kindDequeued)
	}
	a, err := r.tally(ctx, f, question{
		topic: "summing over time", decisions: counted,
		start: func(time string) string {
			return "toInt64(roundDown(toUnixTimestamp64Milli(" + time + "), {starts:Array(Int64)}))"
		},
	})
	if err != nil {
		return nil, err
	}
	for _, t := range a.tallies {
		point := &reply.Points[byStart[t.start]]
		switch t.kind {
		case kindUsage:
			point.Spent = plus(point.Spent, t.spent)
			reply.Totals = plus(reply.Totals, t.spent)
		case kindGranted:
			point.Granted += int64(t.events)
		case kindDenied:
			point.Denied += int64(t.events)
		case kindDequeued:
			if t.outcome != string(quota.QueueGranted) {
				point.QueueEnded += int64(t.events)
			}
		}
	}
	reply.Through = a.through
	return reply, nil
}

// startsOf writes the starts of the intervals as an array of milliseconds.
func startsOf(bounds []time.Time) string {
	texts := make([]string, len(bounds)-1)
	for i, start := range bounds[:len(bounds)-1] {
		texts[i] = strconv.FormatInt(start.UnixMilli(), 10)
	}
	return "[" + strings.Join(texts, ",") + "]"
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
