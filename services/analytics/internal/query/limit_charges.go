package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/bursarhq/bursar/pkg/forecast"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
)

// quarterMS is the time of one cell of bursar.charges.
const quarterMS = 15 * 60 * 1000

// charging is what was charged to limits, read from the sums of bursar.charges as far as these go, and else from events.
//
// A cell of the sums has a limit, a window, a block of commits and a quarter of an hour. It counts whole where all of it
// does; the events of cells that count in part are read: of the quarters that the last hour and an observation begin or
// end in, and of cells with commits both before and after the one that began the present window.
type charging struct {
	limits map[string]*limitUse
	now    int64 // ms
	// partly are the cells of which some commits count to the present window: (ledger, block, limit, window, quarter).
	partly []string
}

// fillUse reads what was used of the limits: by steps of time back from now, by hours of the clock, in the last hour and
// in the present windows. It returns how far the ledgers are summed.
func (r *Reader) fillUse(ctx context.Context, f filter, limits []*limitUse, now time.Time) (summed, error) {
	if len(limits) == 0 {
		return nil, nil
	}
	c := &charging{limits: map[string]*limitUse{}, now: now.UnixMilli()}
	f.parameters = maps.Clone(f.parameters)
	maps.Copy(f.parameters, c.parameters(limits, now))
	done, err := r.chargedCells(ctx, f, c)
	if err != nil {
		return nil, err
	}
	return done, r.chargedEvents(ctx, f, c, done)
}

// parameters are those of both queries: of each limit the start of its present window, that of the one before, the commit
// that told of it, and until when an observation saw it.
func (c *charging) parameters(limits []*limitUse, now time.Time) clickhouse.Parameters {
	var ids, opened, ended, commits, seen []string
	since := now.Add(-forecast.MaxHistory)
	for _, l := range limits {
		c.limits[l.spec.LimitID] = l
		ids = append(ids, l.spec.LimitID)
		from, until := l.opened, l.start
		if !l.openAt(now) {
			from = wire.TimeOf(quota.InstantOf(now)) // nothing is charged to a window that is not open
		}
		if l.observed != nil {
			until = l.observed.ObservedAt
		}
		opened, seen = append(opened, number(from)), append(seen, number(until))
		ended, commits = append(ended, number(l.ended)), append(commits, strconv.FormatUint(l.windowAt.commit, 10))
		if begin := from.Time(); begin.Before(since) {
			since = begin
		}
	}
	return clickhouse.Parameters{
		"ids": textArray(ids), "marked_ids": textArray(append([]string{""}, ids...)),
		"opened": array(opened), "ended": array(ended), "commits": array(commits), "seen": array(seen),
		"since": strconv.FormatInt(since.UnixMilli()/quarterMS*quarterMS, 10), "hour_ago": strconv.FormatInt(c.now-time.Hour.Milliseconds(), 10),
		"block": strconv.Itoa(rollup.BlockCommits),
	}
}

// Conditions and values of a limit, by its id.
const (
	ofLimit = "transform(id, {ids:Array(String)}, "
	// mine: charged to no earlier start, and not late usage of the window before.
	mine = "(charged_to >= " + ofLimit + "{opened:Array(Int64)}, toInt64(0)) AND (charged_to = 0 OR charged_to != " + ofLimit + "{ended:Array(Int64)}, toInt64(0))))"
	// begun is the commit that began the present window: what was recorded before is not of it.
	begun = ofLimit + "{commits:Array(UInt64)}, toUInt64(0))"
	// seenUntil is until when the observation saw it, in milliseconds.
	seenUntil = ofLimit + "{seen:Array(Int64)}, toInt64(0))"

	quarter = "intDiv(toUnixTimestamp64Milli(occurred_at), 900000) * 900000"
)

// chargedCells reads the sums.
func (r *Reader) chargedCells(ctx context.Context, f filter, c *charging) (summed, error) {
	const cells = `SELECT id, begin, groupArrayIf((ledger, through), id = ''), sum(amount), sumIf(amount, begin >= {hour_ago:Int64}),
			sumIf(amount, is_mine AND first_commit >= since_commit), sumIf(amount, is_mine AND first_commit >= since_commit AND begin + 900000 <= seen_until + 1),
			groupArrayIf((ledger, block, charged_to), is_mine AND first_commit < since_commit AND last_commit >= since_commit)
		FROM
		(
			SELECT CAST(limit_id, 'String') AS id, toInt64(toUnixTimestamp(quarter)) * 1000 AS begin, CAST(ledger_id, 'String') AS ledger, block, through, amount,
				first_commit, last_commit, toUnixTimestamp64Milli(window) AS charged_to, ` + mine + ` AS is_mine, ` + begun + ` AS since_commit, ` + seenUntil + ` AS seen_until
			FROM bursar.charges FINAL
			WHERE workspace = {workspace:String} AND limit_id IN {marked_ids:Array(String)} AND (limit_id = '' OR quarter >= toDateTime(intDiv({since:Int64}, 1000), 'UTC'))
		)
		GROUP BY id, begin`
	rows, err := r.conn.Query(f.context(ctx), cells)
	if err != nil {
		return nil, fmt.Errorf("reading what was used of limits: %w", err)
	}
	done := summed{}
	for rows.Next() {
		var id string
		var u chargedQuarter
		var marks, partly [][]any
		if err := rows.Scan(&id, &u.begin, &marks, &u.amount, &u.lastHour, &u.used, &u.before, &partly); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		for _, m := range marks {
			ledger, _ := m[0].(string)
			through, _ := m[1].(uint64)
			done[ledger] = max(done[ledger], through)
		}
		for _, p := range partly {
			c.partly = append(c.partly, fmt.Sprintf("(%s,%d,%s,%d,%d)", quoted(p[0].(string)), p[1], quoted(id), p[2], u.begin))
		}
		if id != "" {
			c.add(id, u)
		}
	}
	return done, errors.Join(rows.Err(), rows.Close())
}

// chargedEvents reads the events of what is not summed, and of cells that count in part.
func (r *Reader) chargedEvents(ctx context.Context, f filter, c *charging, done summed) error {
	const from = `SELECT CAST(l_id, 'String') AS id, ` + quarter + ` AS begin, toUnixTimestamp64Milli(occurred_at) AS occurred, commit, l_amount AS amount,
			toUnixTimestamp64Milli(l_window) AS charged_to, (CAST(ledger_id, 'String'), intDiv(commit, {block:UInt64}), id, charged_to, begin) AS cell, `
	const where = ` AS fresh
		FROM bursar.ledger_events FINAL
		ARRAY JOIN limits.id AS l_id, limits.window AS l_window, limits.amount AS l_amount
		WHERE workspace = {workspace:String} AND kind = 'usage.recorded' AND l_id IN {ids:Array(String)}
			AND occurred_at >= fromUnixTimestamp64Milli({since:Int64}) AND committed_at >= fromUnixTimestamp64Milli({since:Int64}) AND `
	beyond := done.beyond(f)
	pieces := []string{from + "true" + where + beyond}
	f.parameters["partly"] = array(c.partly)
	const isPartly = "cell IN {partly:Array(Tuple(String, UInt64, String, Int64, Int64))}"
	if len(done) > 0 {
		pieces = append(pieces, from+"false"+where+"NOT "+beyond+" AND ("+c.edges()+")")
	}
	use := `SELECT id, begin, sumIf(amount, fresh), sumIf(amount, occurred >= {hour_ago:Int64} AND (fresh OR begin < {hour_ago:Int64})),
			sumIf(amount, is_mine AND (fresh OR in_part)), sumIf(amount, is_mine AND occurred <= seen_until AND (fresh OR in_part OR begin + 900000 > seen_until + 1))
		FROM
		(
			SELECT *, ` + mine + ` AND commit >= ` + begun + ` AS is_mine, ` + seenUntil + ` AS seen_until, ` + isPartly + ` AS in_part
			FROM (` + strings.Join(pieces, " UNION ALL ") + `)
		)
		GROUP BY id, begin`
	rows, err := r.conn.Query(f.eventContext(ctx), use)
	if err != nil {
		return fmt.Errorf("summing what was used of limits: %w", err)
	}
	for rows.Next() {
		var id string
		var u chargedQuarter
		if err := rows.Scan(&id, &u.begin, &u.amount, &u.lastHour, &u.used, &u.before); err != nil {
			return errors.Join(err, rows.Close())
		}
		c.add(id, u)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// edges is the condition of events in quarters of which a part counts, as ranges of one column, which an index knows.
func (c *charging) edges() string {
	begins := map[int64]bool{(c.now - time.Hour.Milliseconds()) / quarterMS * quarterMS: true}
	for _, l := range c.limits {
		if l.observed != nil {
			begins[int64(l.observed.ObservedAt)/quarterMS*quarterMS] = true
		}
	}
	for _, cell := range c.partly {
		begin, err := strconv.ParseInt(strings.TrimSuffix(cell[strings.LastIndexByte(cell, ',')+1:], ")"), 10, 64)
		if err == nil {
			begins[begin] = true
		}
	}
	var ranges, exact []string
	for begin := range begins {
		const within = "%[1]s >= fromUnixTimestamp64Milli(toInt64(%[2]d)) AND %[1]s < fromUnixTimestamp64Milli(toInt64(%[3]d))"
		ranges = append(ranges, fmt.Sprintf(within, countedAt, begin, begin+quarterMS))
		exact = append(exact, fmt.Sprintf(within, "occurred_at", begin, begin+quarterMS))
	}
	return "(" + strings.Join(ranges, " OR ") + ") AND (" + strings.Join(exact, " OR ") + ")"
}

// chargedQuarter is what was charged to a limit for a quarter of an hour.
type chargedQuarter struct {
	begin int64 // ms
	// amount is all of it; lastHour, used and before are the parts of the last hour, of the present window, and of that up
	// to the observation.
	amount, lastHour, used, before int64
}

// add counts a quarter.
func (c *charging) add(id string, u chargedQuarter) {
	l := c.limits[id]
	l.total += u.amount
	l.lastHour += u.lastHour
	l.used += u.used
	l.before += u.before
	if u.amount == 0 {
		return
	}
	l.byHour[u.begin/time.Hour.Milliseconds()] += u.amount
	c.spread(l, u)
}

// spread counts a quarter of the clock to the steps back from now that it lies in, as if it had been used evenly. What is
// told of the time to come counts as now.
func (c *charging) spread(l *limitUse, u chargedQuarter) {
	step := forecast.FineStep.Milliseconds()
	end := min(u.begin+quarterMS, c.now)
	if end <= u.begin {
		l.byAge[0] += float64(u.amount)
		return
	}
	newest, oldest := (c.now-end)/step, (c.now-1-u.begin)/step
	if newest == oldest {
		l.byAge[newest] += float64(u.amount)
		return
	}
	part := float64(end-(c.now-oldest*step)) / float64(end-u.begin)
	l.byAge[newest] += float64(u.amount) * part
	l.byAge[oldest] += float64(u.amount) * (1 - part)
}

// array and textArray write parameters of ClickHouse.
func array(values []string) string { return "[" + strings.Join(values, ",") + "]" }

func textArray(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = quoted(text)
	}
	return array(all)
}

func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

func number(t wire.Time) string { return strconv.FormatInt(int64(t), 10) }
