package query

import (
	"context"
	"errors"
	"fmt"
)

// source is what a question is about, in two shapes with the same columns: the events themselves, and their sums by the
// hour. The columns of both: labels, time, those of what is counted, and, of the rows of the sums that tell how far a
// ledger is summed, marked and mark.
type source struct {
	// events and eventKinds are the columns and the kinds, as SQL, of events; column is their time.
	events, eventKinds, column string
	// cells and cellKinds are those of the sums.
	cells, cellKinds string
}

const (
	labels  = `provider, account, team, agent, task_type, model`
	classes = `input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens`
	amount  = `input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens`
	decided = `'reservation.granted', 'reservation.extended', 'reservation.denied', 'reservation.dequeued', 'reservation.shrunk', 'reservation.closed'`

	unmarked = `'' AS marked, toUInt64(0) AS mark`
	marked   = `if(kind = '', CAST(ledger_id, 'String'), '') AS marked, through AS mark`
	inHours  = `toDateTime64(hour, 3, 'UTC') AS time`
)

// usageSource is usage, by when it occurred.
func usageSource() source {
	return source{
		column: "occurred_at", eventKinds: `'usage.recorded'`, cellKinds: `'usage.recorded'`,
		events: labels + ", occurred_at AS time, " + classes + ", requests, cost_micro_usd, if(unpriced, " + amount + ", 0) AS unpriced_tokens, " + unmarked,
		cells:  labels + ", " + inHours + ", " + classes + ", requests, cost_micro_usd, unpriced_tokens, " + marked,
	}
}

// decisionSource is what was decided, and usage beyond reservations, by when it was recorded.
func decisionSource() source {
	return source{
		column: "at", eventKinds: decided + `, 'usage.recorded'`, cellKinds: decided + `, 'usage.overrun'`,
		events: "at AS time, kind, outcome, code, reason, toUInt64(1) AS events, " + amount + " AS tokens, if(kind = 'reservation.shrunk', " + amount + ", greatest(0, granted_tokens - (" + amount + "))) AS returned_tokens, overrun_tokens, " + unmarked,
		cells:  inHours + ", kind, outcome, code, reason, events, " + amount + " AS tokens, returned_tokens, overrun_tokens, " + marked,
	}
}

// question is what to ask of a source. The columns of the source may be named in both parts.
type question struct {
	what, groupBy string
	// row returns where the columns of what are scanned to, and what to do with them then.
	row func() (targets []any, add func())
	// topic is for errors.
	topic string
}

// each asks a question of a source: first of the sums of whole hours, where there are any, then of the events that these
// do not tell of. So the rows of both must be added up. It returns how far the ledgers are summed, nil if it did not look.
//
// The sums and the marks are of one read of one table, hence of one instant; events come later and are kept from
// counting twice by their numbers. So an answer is whole, whatever is summed meanwhile.
func (r *Reader) each(ctx context.Context, f filter, s source, ask question) (summed, error) {
	from := "SELECT " + s.events + " FROM bursar.ledger_events FINAL WHERE kind IN (" + s.eventKinds + ") AND "
	if !f.cells {
		return nil, r.rows(ctx, f, ask, from+f.events(s.column), nil)
	}
	done := summed{}
	if err := r.rows(ctx, f, ask, "SELECT "+s.cells+" FROM bursar.hourly FINAL WHERE "+f.sums(s.cellKinds), done); err != nil {
		return nil, err
	}
	beyond := done.beyond(f)
	rest := from + f.edges(s.column) + " AND NOT " + beyond + " UNION ALL " + from + f.events(s.column) + " AND " + beyond
	return done, r.rows(ctx, f, ask, rest, nil)
}

// rows asks a question of a subquery, and notes in done, if it is not nil, how far the ledgers are summed.
func (r *Reader) rows(ctx context.Context, f filter, ask question, from string, done summed) error {
	query := "SELECT groupArrayIf(marked, marked != ''), groupArrayIf(mark, marked != ''), countIf(marked = ''), " + ask.what + " FROM (" + from + ")"
	if ask.groupBy != "" {
		query += " GROUP BY " + ask.groupBy
	}
	if ctx = f.context(ctx); done == nil {
		ctx = f.eventContext(ctx)
	}
	rows, err := r.conn.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", ask.topic, err)
	}
	for rows.Next() {
		var ids []string
		var throughs []uint64
		var counted uint64
		targets, add := ask.row()
		if err := rows.Scan(append([]any{&ids, &throughs, &counted}, targets...)...); err != nil {
			return errors.Join(err, rows.Close())
		}
		for i, id := range ids {
			done[id] = max(done[id], throughs[i])
		}
		if counted > 0 {
			add()
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}
