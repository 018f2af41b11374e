package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/bursarhq/bursar/pkg/forecast"
	"github.com/bursarhq/bursar/pkg/wire"
)

// quarterMS is the time of one cell of bursar.charges.
const quarterMS = 15 * 60 * 1000

// quarter is a quarter of an hour in which something was charged to a window of a limit.
type quarter struct {
	limit  string
	window int64 // its start as it was charged, in ms; 0 if none was open
	begin  int64 // ms
}

// cell is what was charged in a quarter by some commits.
type cell struct {
	quarter
	first, last uint64 // commits
	amount      int64
}

// charged is what was charged to limits, read from the sums of bursar.charges as far as these go, and else from events.
//
// A cell counts whole where all of it does. The events of quarters that count in part are read one by one: of those in which an
// observation was made, and of those with commits both before and after the one that began the present window.
type charged struct {
	cells []cell
	// done are all ledgers, and how far each is summed.
	done summed
	// since is how far back what was used counts, in ms.
	since int64
	// edge is what was used of each limit in the part of the last hour that is less than a quarter.
	edge map[string]int64
	// guessed is read beside them.
	guessed guessed
}

// guessed is what was read before it was known whether it is needed.
type guessed struct {
	tail    tail
	charges charges
}

// fillUse reads what was used of the limits: by steps of time back from now, by hours of the clock, in the last hour and
// in the present windows. It returns the ledger time of the last commit that is stored.
func (r *Reader) fillUse(ctx context.Context, f filter, limits []*limitUse, sums *charged, now time.Time) (wire.Time, error) {
	c := &charging{limits: map[string]*limitUse{}, now: now.UnixMilli(), hourAgo: hourBefore(timeOf(now)), since: sums.since}
	for _, l := range limits {
		c.limits[l.spec.LimitID] = l
		l.lastHour = sums.edge[l.spec.LimitID]
	}
	after, same, err := r.tailOf(ctx, f, sums.guessed.tail, sums.done)
	if err != nil {
		return 0, err
	}
	partly := c.count(slices.Concat(sums.cells, after.cells))
	// What was read before the tail may lack what the tail tells of.
	events := sums.guessed.charges
	if parts := partialOf(partly); !same || !parts.within(events.of) {
		if events, err = r.readCharges(ctx, f, parts); err != nil {
			return 0, err
		}
	}
	c.countCharges(events.all, partly)
	return after.through, nil
}

// hourBefore is an hour before an instant, in ms.
func hourBefore(now wire.Time) int64 { return int64(now) - hourMS }

// readCells reads the sums. What is older than forecasts look back, and not of a present window, counts for nothing.
func (r *Reader) readCells(ctx context.Context, f filter, limits []*limitUse, c *charged) error {
	ids := []string{""} // the rows that tell how far a ledger is summed
	since := f.from
	for _, l := range limits {
		ids = append(ids, l.spec.LimitID)
		if l.openAt(f.to.Time()) {
			since = min(since, l.opened)
		}
	}
	c.cells, c.done, c.since = nil, summed{}, int64(since)/quarterMS*quarterMS
	f = f.with(clickhouse.Parameters{"ids": textArray(ids)})
	rows, err := r.conn.Query(f.context(ctx), `SELECT CAST(limit_id, 'String'), toUnixTimestamp64Milli(window), toInt64(toUnixTimestamp(quarter)) * 1000,
			first_commit, last_commit, amount, if(limit_id = '', CAST(ledger_id, 'String'), ''), through
		FROM bursar.charges FINAL
		WHERE workspace = {workspace:String} AND limit_id IN {ids:Array(String)} AND (limit_id = '' OR quarter >= toDateTime(`+strconv.FormatInt(c.since/1000, 10)+`, 'UTC'))`)
	if err != nil {
		return fmt.Errorf("reading what was used of limits: %w", err)
	}
	for rows.Next() {
		var e cell
		var ledger string
		var through uint64
		if err := rows.Scan(&e.limit, &e.window, &e.begin, &e.first, &e.last, &e.amount, &ledger, &through); err != nil {
			return errors.Join(err, rows.Close())
		}
		if e.limit == "" {
			c.done[ledger] = max(c.done[ledger], through)
			continue
		}
		c.cells = append(c.cells, e)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// charging counts to limits what was charged to them.
type charging struct {
	limits              map[string]*limitUse
	now, hourAgo, since int64 // ms
}

// readHour reads what was used in the part of the last hour that is less than a quarter.
func (r *Reader) readHour(ctx context.Context, f filter, c *charged) error {
	begin := hourBefore(f.to)
	edge := span{wire.Time(begin), wire.Time((begin + quarterMS - 1) / quarterMS * quarterMS)}
	c.edge = map[string]int64{}
	if edge.from == edge.to {
		return nil
	}
	rows, err := r.conn.Query(f.eventContext(ctx), `SELECT CAST(l_id, 'String') AS id, sum(l_amount)
		FROM bursar.ledger_events FINAL
		ARRAY JOIN limits.id AS l_id, limits.amount AS l_amount
		WHERE workspace = {workspace:String} AND kind = 'usage.recorded' AND `+edge.of("occurred_at")+edge.hours()+`
		GROUP BY id`)
	if err != nil {
		return fmt.Errorf("summing what was used of limits in an hour: %w", err)
	}
	for rows.Next() {
		var id string
		var amount int64
		if err := rows.Scan(&id, &amount); err != nil {
			return errors.Join(err, rows.Close())
		}
		c.edge[id] = amount
	}
	return errors.Join(rows.Err(), rows.Close())
}

// count counts cells, and returns the quarters that count in part to present windows, of which nothing is counted there.
func (c *charging) count(cells []cell) map[quarter]bool {
	partly := map[quarter]bool{}
	for i := range cells {
		if e := &cells[i]; c.inPart(e) {
			partly[e.quarter] = true
		}
	}
	for i := range cells {
		e := &cells[i]
		l := c.limits[e.limit]
		if l == nil || e.begin < c.since {
			continue
		}
		l.total += e.amount
		if e.begin >= c.hourAgo {
			l.lastHour += e.amount
		}
		if c.mine(l, e.window) && e.first >= l.windowAt.commit && !partly[e.quarter] {
			l.used += e.amount
			if e.begin+quarterMS <= int64(l.seenUntil())+1 {
				l.before += e.amount
			}
		}
		c.add(l, e.begin, e.amount)
	}
	return partly
}

// mine tells whether what was charged to a window counts to the present one: to no earlier start, and not late usage of the
// window before.
func (c *charging) mine(l *limitUse, window int64) bool {
	return l.openAt(time.UnixMilli(c.now)) && window >= int64(l.opened) && (window == 0 || window != int64(l.ended))
}

// inPart tells whether a cell counts in part to the present window, or to the time up to the observation.
func (c *charging) inPart(e *cell) bool {
	l := c.limits[e.limit]
	if l == nil || !c.mine(l, e.window) || e.last < l.windowAt.commit {
		return false
	}
	seen := int64(l.seenUntil())
	return e.first < l.windowAt.commit || e.begin <= seen && seen < e.begin+quarterMS-1
}

// countCharges counts the events of quarters that count in part.
func (c *charging) countCharges(events []charge, partly map[quarter]bool) {
	for _, e := range events {
		l := c.limits[e.limit]
		if !partly[quarter{e.limit, e.window, e.occurred / quarterMS * quarterMS}] || e.commit < l.windowAt.commit {
			continue
		}
		l.used += e.amount
		if e.occurred <= int64(l.seenUntil()) {
			l.before += e.amount
		}
	}
}

// add counts what was used in a quarter of the clock to its hour, and to the steps back from now that it lies in, as if it had been used
// evenly. What is told of the time to come counts as now.
func (c *charging) add(l *limitUse, begin, amount int64) {
	if amount == 0 {
		return
	}
	l.byHour[begin/time.Hour.Milliseconds()] += amount
	step := forecast.FineStep.Milliseconds()
	end := min(begin+quarterMS, c.now)
	if end <= begin {
		l.byAge[0] += float64(amount)
		return
	}
	newest, oldest := (c.now-end)/step, (c.now-1-begin)/step
	if newest == oldest {
		l.byAge[newest] += float64(amount)
		return
	}
	part := float64(end-(c.now-oldest*step)) / float64(end-begin)
	l.byAge[newest] += float64(amount) * part
	l.byAge[oldest] += float64(amount) * (1 - part)
}

// textArray writes a parameter of ClickHouse.
func textArray(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	return "[" + strings.Join(all, ",") + "]"
}
