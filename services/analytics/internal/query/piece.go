package query

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// piece is a part of the events that are not in the sums: of an end of the period, or of the commits after those that are
// summed. Each is a query of its own and as short as can be, and all are asked at once: planning a query takes ClickHouse
// longer than reading so few rows.
type piece struct {
	// usage and decisions say what is counted; usage beyond reservations is among the decisions.
	usage, decisions bool
	// time is when an event counts, as SQL, and where is which events they are.
	time, where string
	// after says that they are those of the commits after, whatever their time.
	after bool
}

// pieces are the parts of the events that are not summed.
func (f filter) pieces(q question, done summed) []piece {
	const usage, decision, here = "occurred_at", "at", "workspace = {workspace:String} AND "
	decisions, labels := len(q.decisions) > 0, f.labels()
	var all []piece
	if len(done) > 0 {
		upTo := " AND " + done.upTo()
		for _, s := range f.ends() {
			all = append(all, piece{usage: true, time: usage, where: here + "kind = 'usage.recorded'" + labels + " AND " + s.of(usage) + s.hours() + upTo})
			if decisions {
				all = append(all, piece{decisions: true, time: decision, where: here + q.counted() + labels + " AND " + s.of(decision) + upTo})
			}
		}
	}
	which := "kind = 'usage.recorded'"
	if decisions {
		which = "(" + which + " OR " + q.counted() + ")"
	}
	// The marker of the last commit that is summed is among those of the commits after: it tells when that was.
	return append(all, piece{
		usage: true, decisions: decisions, after: true, time: "if(kind = 'usage.recorded', occurred_at, at)",
		where: here + done.from() + " AND (kind = 'commit' OR " + which + labels + " AND " + done.beyond() + ")",
	})
}

// counted is the condition of the decisions that are counted.
func (q question) counted() string {
	kinds := "kind IN (" + listed(q.decisions) + ")"
	if slices.Contains(q.decisions, kindOverrun) {
		return "(" + kinds + " OR kind = 'usage.recorded' AND overrun_tokens > 0)"
	}
	return kinds
}

// detailed tells whether more is asked of decisions than how many there were of a kind.
func (q question) detailed() bool { return slices.Contains(q.decisions, kindClosed) }

// byOutcome tells whether it counts how decisions ended.
func (q question) byOutcome() bool { return q.detailed() || slices.Contains(q.decisions, kindDequeued) }

// event is a row of the answer to a piece: events that are alike.
type event struct {
	kind, outcome, code, reason string
	members                     []string // of the dimensions
	counted                     bool     // in the period
	fresh                       bool     // of a commit: after those that are summed
	last                        time.Time
	overrun                     int64
	tally
}

// readPiece reads the tallies of a piece.
func (r *Reader) readPiece(ctx context.Context, text string, q question, p piece) (*answer, error) {
	rows, err := r.conn.Query(ctx, text)
	if err != nil {
		return nil, err
	}
	a := &answer{}
	for rows.Next() {
		e := event{members: make([]string, len(q.dimensions)), counted: true}
		if err := rows.Scan(e.targets(q, p)...); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		e.add(a, q, p)
	}
	return a, errors.Join(rows.Err(), rows.Close())
}

// sql is the query of a piece; targets are where its columns are scanned to.
func (f filter) sql(q question, done summed, p piece) string {
	const total = "input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens"
	keys := []string{"kind", q.start(p.time) + " AS start"}
	sums := []string{summing, "sumIf(" + total + ", unpriced)", "count()"}
	if q.byOutcome() && p.decisions {
		keys = append(keys, "outcome")
	}
	if q.detailed() && p.decisions {
		keys = append(keys, "code", "reason")
		sums = append(sums, "sum(greatest(0, granted_tokens - ("+total+")))")
	}
	period := span{f.from, f.to}
	if p.usage {
		keys = append(keys, q.dimensions...)
	}
	switch {
	case p.decisions && p.after:
		sums = append(sums, "sumIf(overrun_tokens, "+period.has("at")+")")
	case p.decisions:
		sums = append(sums, "sum(overrun_tokens)")
	}
	if p.after {
		keys = append(keys, "CAST("+period.has(p.time)+", 'Bool') AS counted", "CAST("+done.beyond()+", 'Bool') AS fresh")
		sums = append(sums, "max(committed_at)")
	}
	return "SELECT " + strings.Join(slices.Concat(keys, sums), ", ") + " FROM bursar.ledger_events FINAL WHERE " + p.where + " GROUP BY ALL"
}

func (e *event) targets(q question, p piece) []any {
	keys := []any{&e.kind, &e.start}
	sums := slices.Concat(targets(&e.spent), []any{&e.spent.UnpricedTokens, &e.events})
	if q.byOutcome() && p.decisions {
		keys = append(keys, &e.outcome)
	}
	if q.detailed() && p.decisions {
		keys = append(keys, &e.code, &e.reason)
		sums = append(sums, &e.returned)
	}
	if p.usage {
		for i := range e.members {
			keys = append(keys, &e.members[i])
		}
	}
	if p.decisions {
		sums = append(sums, &e.overrun)
	}
	if p.after {
		keys = append(keys, &e.counted, &e.fresh)
		sums = append(sums, &e.last)
	}
	return slices.Concat(keys, sums)
}

// add adds what a row tells of.
func (e *event) add(a *answer, q question, p piece) {
	e.spent.TotalTokens = e.spent.Tokens.Total()
	switch {
	case e.kind == kindCommit:
		at := timeOf(e.last)
		a.through = max(a.through, at)
		if !e.fresh {
			a.summedAt = max(a.summedAt, at)
		}
		return
	case e.kind == kindUsage:
		if p.decisions && e.overrun > 0 {
			a.tallies = append(a.tallies, tally{kind: kindOverrun, overrun: e.overrun})
		}
		if p.usage && e.counted {
			a.tallies = append(a.tallies, tally{kind: kindUsage, start: e.start, spent: e.spent})
			for i, d := range q.dimensions {
				a.tallies = append(a.tallies, tally{kind: kindUsage, dimension: d, member: e.members[i], spent: e.spent})
			}
		}
		return
	case !e.counted:
		return
	}
	t := tally{kind: e.kind, start: e.start, spent: e.spent, events: e.events, returned: e.returned}
	switch e.kind {
	case kindClosed, kindDequeued:
		t.outcome = e.outcome
	case kindShrunk:
		t.returned = e.spent.TotalTokens
	case kindDenied:
		t.exhausted = quota.Exhausts(quota.Code(e.code), quota.Reason(e.reason))
	}
	a.tallies = append(a.tallies, t)
}

// ends are the times of the period that are read from events although their commits are summed.
func (f filter) ends() []span {
	if !f.cells {
		return []span{{f.from, f.to}}
	}
	var ends []span
	if f.from < f.cellsFrom {
		ends = append(ends, span{f.from, f.cellsFrom})
	}
	if f.cellsTo < f.to && !f.lastHour {
		ends = append(ends, span{f.cellsTo, f.to})
	}
	return ends
}

// span is a time from an instant up to but excluding another, in milliseconds.
type span struct{ from, to wire.Time }

// has is the condition that a time is in it.
func (s span) has(time string) string {
	return "(" + time + " >= " + instant(s.from) + " AND " + time + " < " + instant(s.to) + ")"
}

// of is the condition of a column. What happened at an instant was committed then or later.
func (s span) of(column string) string {
	return s.has(column) + " AND committed_at >= " + instant(s.from)
}

// hours is a condition that changes nothing but what is read: an index knows the least and the greatest time of each granule.
func (s span) hours() string {
	first, last := int64(s.from)/hourMS, (int64(s.to)-1)/hourMS
	times := " AND " + s.has(countedAt)
	if last-first >= fewHours {
		return times
	}
	var hours []int64
	for h := first; h <= last; h++ {
		hours = append(hours, h)
	}
	return times + hoursOfUse(hours)
}

// fewHours are so many that an index, which late usage does not widen, is asked for each of them.
const fewHours = 3

// hoursOfUse is a condition that changes nothing but what is read, of usage in some hours since 1970: an index has the set of
// the hours of usage. It is empty where these are too many.
func hoursOfUse(hours []int64) string {
	if len(hours) > fewHours {
		return ""
	}
	var listed []string
	for _, h := range hours {
		listed = append(listed, "toDateTime("+strconv.FormatInt(h*secondsPerHour, 10)+", 'UTC')")
	}
	return " AND toStartOfHour(occurred_at) IN (" + strings.Join(listed, ", ") + ")"
}

const hourMS = secondsPerHour * 1000

func instant(t wire.Time) string {
	return "fromUnixTimestamp64Milli(toInt64(" + strconv.FormatInt(int64(t), 10) + "))"
}

// listed writes texts that are constants of this package as a list of SQL.
func listed(texts []string) string {
	if len(texts) == 0 {
		return "''"
	}
	return "'" + strings.Join(texts, "', '") + "'"
}
