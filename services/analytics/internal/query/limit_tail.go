package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/bursarhq/bursar/pkg/wire"
)

// What bursar.charges does not have, read from events: what came after the sums, and the parts of quarters that count in part. Which
// these are is known for sure only with the sums. It is guessed before, so that all is asked at once, and asked again where the guess
// was wrong.

// tail is what was charged by commits that are not summed.
type tail struct {
	after summed // where it begins; nil where nothing was read
	cells []cell
	// through is the ledger time of the last commit.
	through wire.Time
}

// tailOf returns a tail of the ledgers: the one that was read, if it begins where the sums end.
func (r *Reader) tailOf(ctx context.Context, f filter, read tail, done summed) (t tail, same bool, err error) {
	if read.after != nil && maps.Equal(read.after, done) {
		return read, true, nil
	}
	t, err = r.readTail(ctx, f, done)
	return t, false, err
}

const quarterOf = "intDiv(toUnixTimestamp64Milli(occurred_at), 900000) * 900000"

// readTail reads what is not summed. The marker of the last commit is among the last ones, of no limit.
func (r *Reader) readTail(ctx context.Context, f filter, done summed) (tail, error) {
	t := tail{after: maps.Clone(done)}
	f = f.with(done.parameters())
	text := `SELECT CAST(l_id, 'String') AS id, toUnixTimestamp64Milli(l_window) AS charged_to, ` + quarterOf + ` AS begin, CAST(` + done.of(">") + `, 'Bool') AS fresh,
			min(commit), max(commit), sum(l_amount), toUnixTimestamp64Milli(max(committed_at))
		FROM bursar.ledger_events FINAL
		LEFT ARRAY JOIN limits.id AS l_id, limits.window AS l_window, limits.amount AS l_amount
		WHERE workspace = {workspace:String} AND ` + done.of(">=") + ` AND kind IN ('commit', 'usage.recorded')
		GROUP BY id, charged_to, begin, fresh`
	rows, err := r.conn.Query(f.eventContext(ctx), text)
	if err != nil {
		return tail{}, fmt.Errorf("summing what was used of limits: %w", err)
	}
	for rows.Next() {
		var e cell
		var fresh bool
		var at int64
		if err := rows.Scan(&e.limit, &e.window, &e.begin, &fresh, &e.first, &e.last, &e.amount, &at); err != nil {
			return tail{}, errors.Join(err, rows.Close())
		}
		t.through = max(t.through, wire.Time(at))
		if fresh {
			t.cells = append(t.cells, e)
		}
	}
	return t, errors.Join(rows.Err(), rows.Close())
}

// partial are the quarters of whose events only some count to present windows, and the limits that it is so of.
type partial struct {
	limits map[string]bool
	begins map[int64]bool // ms
}

func newPartial() partial { return partial{map[string]bool{}, map[int64]bool{}} }

func (p partial) add(limit string, begin int64) { p.limits[limit], p.begins[begin] = true, true }

// within tells whether whatever is of p is of q, too.
func (p partial) within(q partial) bool {
	for limit := range p.limits {
		if !q.limits[limit] {
			return false
		}
	}
	for begin := range p.begins {
		if !q.begins[begin] {
			return false
		}
	}
	return true
}

// partialOf are the quarters that certainly count in part.
func partialOf(quarters map[quarter]bool) partial {
	p := newPartial()
	for q := range quarters {
		p.add(q.limit, q.begin)
	}
	return p
}

// probablyPartial are those in which an observation was made or the present window began.
func probablyPartial(limits []*limitUse, now wire.Time) partial {
	p := newPartial()
	for _, l := range limits {
		if l.openAt(now.Time()) {
			for _, at := range []int64{int64(l.seenUntil()), l.windowAt.at, int64(l.opened)} {
				p.add(l.spec.LimitID, at/quarterMS*quarterMS)
			}
		}
	}
	return p
}

// charge is one usage charged to a limit.
type charge struct {
	limit            string
	window, occurred int64 // ms
	commit           uint64
	amount           int64
}

// charges are the events of some quarters.
type charges struct {
	of  partial
	all []charge
}

// readCharges reads the events of quarters.
func (r *Reader) readCharges(ctx context.Context, f filter, p partial) (charges, error) {
	c := charges{of: p}
	if len(p.begins) == 0 {
		return c, nil
	}
	f = f.with(clickhouse.Parameters{"ids": textArray(slices.Sorted(maps.Keys(p.limits)))})
	rows, err := r.conn.Query(f.eventContext(ctx), chargesOf(p))
	if err != nil {
		return charges{}, fmt.Errorf("reading what was used of limits: %w", err)
	}
	for rows.Next() {
		var e charge
		if err := rows.Scan(&e.limit, &e.window, &e.occurred, &e.commit, &e.amount); err != nil {
			return charges{}, errors.Join(err, rows.Close())
		}
		c.all = append(c.all, e)
	}
	return c, errors.Join(rows.Err(), rows.Close())
}

// chargesOf is the query of the events of quarters, and of some others.
func chargesOf(p partial) string {
	var exact, counted []string
	hours := map[int64]bool{}
	sorted := slices.Sorted(maps.Keys(p.begins))
	for _, begin := range sorted {
		s := span{wire.Time(begin), wire.Time(begin + quarterMS)}
		exact, counted = append(exact, strconv.FormatInt(begin/quarterMS, 10)), append(counted, s.has(countedAt))
		hours[begin/hourMS] = true
	}
	return `SELECT CAST(l_id, 'String'), toUnixTimestamp64Milli(l_window), toUnixTimestamp64Milli(occurred_at), commit, l_amount
		FROM bursar.ledger_events FINAL
		ARRAY JOIN limits.id AS l_id, limits.window AS l_window, limits.amount AS l_amount
		WHERE workspace = {workspace:String} AND kind = 'usage.recorded' AND l_id IN {ids:Array(String)} AND committed_at >= ` + instant(wire.Time(sorted[0])) + `
			AND intDiv(toUnixTimestamp64Milli(occurred_at), 900000) IN (` + strings.Join(exact, ", ") + `) AND (` + strings.Join(counted, " OR ") + `)` + hoursOfUse(slices.Sorted(maps.Keys(hours)))
}
