package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/bursarhq/bursar/pkg/wire"
)

// question is what to add up.
type question struct {
	// topic is for errors.
	topic string
	// start is the start of the interval that a time is in, as SQL.
	start func(time string) string
	// dimensions are the labels by which usage is summed besides, one at a time.
	dimensions []string
	// decisions are the kinds of decisions that are counted besides usage.
	decisions []string
}

// tally is what events of one kind come to: of everything together, in one interval, or of one member of a dimension, in all of
// them.
type tally struct {
	kind, outcome     string
	exhausted         bool
	dimension, member string
	start             int64
	spent             wire.Spent // of usage; of decisions the tokens that they are about
	events            uint64
	returned, overrun int64
}

// Kinds of tallies.
const (
	kindUsage    = "usage.recorded"
	kindOverrun  = "usage.overrun" // usage beyond reservations, by when it was recorded
	kindGranted  = "reservation.granted"
	kindExtended = "reservation.extended"
	kindDenied   = "reservation.denied"
	kindShrunk   = "reservation.shrunk"
	kindClosed   = "reservation.closed"
	kindDequeued = "reservation.dequeued"
	kindCommit   = "commit"
)

const (
	labels  = `provider, account, team, agent, task_type, model`
	classes = `input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, requests, cost_micro_usd`
	// summing sums what tallies have of usage, and of decisions the tokens that they are about.
	summing = `sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), sum(output_tokens), sum(requests), sum(cost_micro_usd)`
)

// answer is what was read for a question.
type answer struct {
	tallies []tally
	// through is the ledger time of the last commit that is stored.
	through wire.Time
	// summed is how far the ledgers are summed, and summedAt the ledger time of the last commit of these.
	summed   summed
	summedAt wire.Time
}

// tally adds up what the filter lets through: first the sums of whole hours, where there are any, then the events that these
// do not tell of. So several tallies may tell of the same.
//
// The sums and the marks that say how far they go are of one read of one table, hence of one instant; events come later and are
// kept from counting twice by the numbers of their commits. So an answer is whole, whatever is summed meanwhile.
//
// What is summed happened before its commit. So where the last of the commits that are summed is from before the end of the
// period, as it is where that is now, the sums of the last hour tell of nothing after it, and count whole.
func (r *Reader) tally(ctx context.Context, f filter, q question) (*answer, error) {
	a, err := r.tallyOnce(ctx, f, q)
	if err == nil && f.lastHour && a.summedAt >= f.to {
		f.lastHour = false
		a, err = r.tallyOnce(ctx, f, q)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", q.topic, err)
	}
	return a, nil
}

func (r *Reader) tallyOnce(ctx context.Context, f filter, q question) (*answer, error) {
	a, err := r.readSums(ctx, f, q)
	if err != nil {
		return nil, err
	}
	f = f.with(a.summed.parameters())
	all := f.pieces(q, a.summed)
	read := make([]*answer, len(all))
	group, ctx := errgroup.WithContext(f.eventContext(ctx))
	for i, p := range all {
		text := f.sql(q, a.summed, p)
		group.Go(func() (err error) {
			read[i], err = r.readPiece(ctx, text, q, p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, more := range read {
		a.tallies = append(a.tallies, more.tallies...)
		a.through, a.summedAt = max(a.through, more.through), max(a.summedAt, more.summedAt)
	}
	return a, nil
}

// readSums reads the sums of whole hours, and the rows that tell how far each ledger is summed.
func (r *Reader) readSums(ctx context.Context, f filter, q question) (*answer, error) {
	rows, err := r.conn.Query(f.context(ctx), "SELECT kind, outcome, exhausted, counted_by, member, if(counted_by = '', "+q.start("time")+", 0) AS start, marked, max(mark), "+
		summing+", sum(unpriced_tokens), sum(events), sum(returned_tokens), sum(overrun_tokens) FROM ("+f.sums(q)+") GROUP BY kind, outcome, exhausted, counted_by, member, start, marked")
	if err != nil {
		return nil, err
	}
	a := &answer{summed: summed{}}
	for rows.Next() {
		var t tally
		var ledger string
		var mark uint64
		targets := slices.Concat([]any{&t.kind, &t.outcome, &t.exhausted, &t.dimension, &t.member, &t.start, &ledger, &mark},
			targets(&t.spent), []any{&t.spent.UnpricedTokens, &t.events, &t.returned, &t.overrun})
		if err := rows.Scan(targets...); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if t.kind == "" {
			a.summed[ledger] = max(a.summed[ledger], mark)
			continue
		}
		t.spent.TotalTokens = t.spent.Tokens.Total()
		a.tallies = append(a.tallies, t)
	}
	return a, errors.Join(rows.Err(), rows.Close())
}

// targets are where summing is scanned to.
func targets(s *wire.Spent) []any {
	return []any{
		&s.Tokens.Input, &s.Tokens.CacheRead, &s.Tokens.CacheWrite5m, &s.Tokens.CacheWrite1h, &s.Tokens.Output, &s.Requests, &s.CostMicroUSD,
	}
}

// sums is the query of the sums of whole hours, and of the rows that tell how far each ledger is summed.
func (f filter) sums(q question) string {
	const rows = "SELECT kind, outcome, exhausted, " + classes + ", unpriced_tokens, overrun_tokens, returned_tokens, events, " +
		"toDateTime64(hour, 3, 'UTC') AS time, if(kind = '', CAST(ledger_id, 'String'), '') AS marked, through AS mark, "
	hours := " AND 0"
	if f.cells {
		end := f.cellsTo
		if f.lastHour {
			end += hourMS
		}
		hours = fmt.Sprintf(" AND hour >= toDateTime(%d, 'UTC') AND hour < toDateTime(%d, 'UTC')", f.cellsFrom/1000, end/1000)
	}
	kinds := "kind IN (" + listed(append([]string{kindUsage}, q.decisions...)) + ")"
	margins := func(columns, which string) string {
		return rows + columns + " FROM bursar.margins FINAL WHERE workspace = {workspace:String} AND (dimension = '' AND kind = '' OR " + which + hours + ")"
	}
	switch {
	case len(f.only) == 0:
		return margins("dimension AS counted_by, name AS member",
			"(dimension = '' AND "+kinds+" OR dimension IN ("+listed(q.dimensions)+") AND kind = 'usage.recorded')")
	case len(f.only) == 1 && len(q.dimensions) == 0 && !slices.ContainsFunc(q.decisions, notByLabel):
		return margins("'' AS counted_by, '' AS member", "dimension = '"+f.only[0]+"' AND name = {"+f.only[0]+":String} AND "+kinds)
	}
	cells := strings.Replace(rows, "exhausted, ",
		"CAST(kind = 'reservation.denied' AND code IN ('insufficient_quota', 'concurrent_limit_exceeded') AND reason != 'held_back', 'Bool') AS exhausted, ", 1)
	return members(cells+labels+" FROM bursar.hourly FINAL WHERE workspace = {workspace:String} AND (kind = '' OR "+kinds+hours+f.labels()+")", q.dimensions)
}

// notByLabel tells of a kind that bursar.margins has of everything together only.
func notByLabel(kind string) bool { return kind != kindGranted && kind != kindDenied }

// members repeats rows of usage for each dimension.
func members(rows string, dimensions []string) string {
	if len(dimensions) == 0 {
		return "SELECT *, '' AS counted_by, '' AS member FROM (" + rows + ")"
	}
	pairs := "('', '')"
	for _, d := range dimensions {
		pairs += ", ('" + d + "', CAST(" + d + ", 'String'))"
	}
	return "SELECT *, d.1 AS counted_by, d.2 AS member FROM (" + rows + ") ARRAY JOIN if(kind = 'usage.recorded', [" + pairs + "], [('', '')]) AS d"
}
