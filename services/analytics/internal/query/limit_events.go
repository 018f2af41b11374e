package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// limitEvent is what is read of an event about limits; of no kind, of how far a ledger is copied. A configuration is there as a whole, of
// no limit, and with the window of each limit that it opened.
type limitEvent struct {
	limit, kind, data string
	place
	ledger  string
	through uint64
}

// aboutLimits is the condition of the events that say which limits there are, and of their windows.
const aboutLimits = "(kind = '" + quota.KindConfigApplied + "' OR limit_id != '' AND (kind IN ('window.opened', 'window.rolled') OR kind = 'observation.recorded' AND effective))"

// limits reads the limits that can be forecast, in the order of the configuration, with their windows, and what the sums have of
// their use.
//
// Planning a query takes ClickHouse longer than reading so few rows, and a condition with alternatives twice as long. So each is as short
// as can be, and what the answers mean is worked out here.
func (r *Reader) limits(ctx context.Context, f filter, q *wire.ForecastRequest) ([]*limitUse, *charged, error) {
	// 1. What is copied, and how far: of one instant.
	events, copied, err := r.copiedEvents(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	limits, err := foldLimits(events, q)
	if err != nil {
		return nil, nil, err
	}
	// 2. The sums of these limits, what came after what is copied and probably after the sums, and whether there are more ledgers. An event that was copied meanwhile
	// is there twice, which changes nothing.
	sums := &charged{}
	var later, more []limitEvent
	var others summed
	group, grouped := errgroup.WithContext(ctx)
	group.Go(func() error { return r.readCells(grouped, f, limits, sums) })
	group.Go(func() error { return r.readHour(grouped, f, sums) })
	group.Go(func() (err error) {
		sums.guessed, err = r.guess(grouped, f, limits, copied)
		return err
	})
	group.Go(func() (err error) {
		later, err = r.laterEvents(grouped, f, copied)
		return err
	})
	group.Go(func() (err error) {
		others, err = r.otherLedgers(grouped, f, copied)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	// 3. Seldom: a ledger of which nothing is copied, and a configuration that has just been applied.
	if more, err = r.laterEvents(ctx, f, others); err != nil {
		return nil, nil, err
	}
	later = append(later, more...)
	if len(later) > 0 {
		if limits, err = foldLimits(append(events, later...), q); err != nil {
			return nil, nil, err
		}
	}
	if slices.ContainsFunc(later, func(e limitEvent) bool { return e.kind == quota.KindConfigApplied }) {
		if err := r.readCells(ctx, f, limits, sums); err != nil {
			return nil, nil, err
		}
	}
	for _, ledgers := range []summed{copied, others} {
		for id := range ledgers {
			sums.done[id] = max(sums.done[id], 0) // each is among them
		}
	}
	return limits, sums, nil
}

// guess reads what is likely needed beside the sums: mostly all that is made of the same commits goes equally far.
func (r *Reader) guess(ctx context.Context, f filter, limits []*limitUse, copied summed) (g guessed, err error) {
	if len(limits) == 0 || len(copied) == 0 {
		return g, nil
	}
	if g.tail, err = r.readTail(ctx, f, copied); err != nil {
		return g, err
	}
	g.charges, err = r.readCharges(ctx, f, probablyPartial(limits, f.to))
	return g, err
}

// laterEvents reads what came after what is copied of some ledgers.
func (r *Reader) laterEvents(ctx context.Context, f filter, copied summed) ([]limitEvent, error) {
	if len(copied) == 0 {
		return nil, nil
	}
	f = f.with(copied.parameters())
	return r.limitEvents(ctx, f, "bursar.ledger_events", "toUInt64(0)", copied.of(">")+" AND "+aboutLimits)
}

// copiedEvents reads what is copied of the events about limits, and how far that goes.
func (r *Reader) copiedEvents(ctx context.Context, f filter) ([]limitEvent, summed, error) {
	all, err := r.limitEvents(ctx, f, "bursar.limit_log FINAL", "through", "(kind = '' OR "+aboutLimits+")")
	if err != nil {
		return nil, nil, err
	}
	copied := summed{}
	return slices.DeleteFunc(all, func(e limitEvent) bool {
		if e.kind == "" {
			copied[e.ledger] = e.through
		}
		return e.kind == ""
	}), copied, nil
}

// limitEvents reads the last event of each kind about each limit, and of each kind of what observations tell, from a table.
func (r *Reader) limitEvents(ctx context.Context, f filter, table, through, which string) ([]limitEvent, error) {
	rows, err := r.conn.Query(f.eventContext(ctx), `SELECT if(opened = '', CAST(limit_id, 'String'), JSONExtractString(opened, 'limit_id')) AS id, CAST(kind, 'String'), if(opened = '', data, opened) AS body,
			toUnixTimestamp64Milli(committed_at), commit, idx,
			CAST(ledger_id, 'String'), `+through+`
		FROM `+table+`
		ARRAY JOIN if(kind = '`+quota.KindConfigApplied+`', arrayPushBack(JSONExtractArrayRaw(data, 'opened'), ''), ['']) AS opened
		WHERE workspace = {workspace:String} AND `+which+`
		ORDER BY committed_at DESC, commit DESC, idx DESC
		LIMIT 1 BY id, kind, if(kind = '', ledger_id, ''), JSONHas(body, 'learned'), JSONHas(body, 'observation', 'signal')`)
	if err != nil {
		return nil, fmt.Errorf("reading limits and windows: %w", err)
	}
	var events []limitEvent
	for rows.Next() {
		var e limitEvent
		if err := rows.Scan(&e.limit, &e.kind, &e.data, &e.at, &e.commit, &e.index, &e.ledger, &e.through); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		events = append(events, e)
	}
	return events, errors.Join(rows.Err(), rows.Close())
}

// otherLedgers returns the ledgers of a workspace that are stored and not among those that are known, of which nothing is copied. The
// sort key finds them at once.
func (r *Reader) otherLedgers(ctx context.Context, f filter, known summed) (summed, error) {
	f = f.with(clickhouse.Parameters{"known": textArray(slices.Sorted(maps.Keys(known)))})
	rows, err := r.conn.Query(f.context(ctx), "SELECT DISTINCT CAST(ledger_id, 'String') FROM bursar.ledger_events WHERE workspace = {workspace:String} AND ledger_id NOT IN {known:Array(String)}")
	if err != nil {
		return nil, fmt.Errorf("looking for ledgers: %w", err)
	}
	others := summed{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		others[id] = 0
	}
	return others, errors.Join(rows.Err(), rows.Close())
}
