package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// sampled is how many commits of each workspace the identifiers and bodies are compared of.
const sampled = 30_000

var (
	//go:embed compare.sql
	compareAll string
	//go:embed sample.sql
	compareSample string
)

// errCopies says that what was multiplied is not like what came by the path of the service.
var errCopies = errors.New("a copy is not like the workspace that it is of")

// content is what a workspace has of everything, and whether its sums are those of its events.
type content struct {
	rows, usage, agents uint64
	tokens, cost        int64
	agree               bool
}

// sample is what the first commits of a workspace have: distinct identifiers, bodies that tell of the same as the columns, and
// the bytes of all bodies.
type sample struct {
	reservations, calls, told, bytes uint64
}

// compareCopies checks that every workspace has what the first one has, but for who worked and identifiers, that sums are
// those of the events, and that no two workspaces share an identifier.
func (b *Bench) compareCopies(ctx context.Context, o Options) error {
	summed := b.commits - min(b.commits/100, unsummed)
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_execution_time": int(statementTimeout.Seconds())}),
		clickhouse.WithParameters(clickhouse.Parameters{"summed": strconv.FormatUint(summed, 10), "sampled": strconv.Itoa(sampled)}))
	rows, err := b.conn.Query(ctx, compareAll)
	if err != nil {
		return err
	}
	var first content
	n := uint64(0)
	for ; rows.Next(); n++ {
		var name string
		var c content
		if err := rows.Scan(&name, &c.rows, &c.usage, &c.agents, &c.tokens, &c.cost, &c.agree); err != nil {
			return errors.Join(err, rows.Close())
		}
		if n == 0 {
			first = c
		}
		if c != first || !c.agree {
			return errors.Join(fmt.Errorf("%w: %s has %+v, and %+v are of it", errCopies, name, c, first), rows.Close())
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if n != o.Shape.Workspaces {
		return fmt.Errorf("%w: there are %d of %d workspaces", errCopies, n, o.Shape.Workspaces)
	}
	if err := b.compareSamples(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Out, "every workspace: %d rows, %d usage rows, %d tokens, %d micro-USD, %d agents; the sums of each are those of its events, no two share an identifier\n",
		first.rows, first.usage, first.tokens, first.cost, first.agents)
	return err
}

// compareSamples compares identifiers and bodies.
func (b *Bench) compareSamples(ctx context.Context) error {
	rows, err := b.conn.Query(ctx, compareSample)
	if err != nil {
		return err
	}
	var first, together sample
	var all string
	for n := 0; rows.Next(); n++ {
		var s sample
		if err := rows.Scan(&all, &s.reservations, &s.calls, &s.told, &s.bytes); err != nil {
			return errors.Join(err, rows.Close())
		}
		switch {
		case all == "": // the last row: of all workspaces
			if s.reservations != together.reservations || s.calls != together.calls {
				return errors.Join(fmt.Errorf("%w: workspaces have %+v, all of them %+v", errCopies, together, s), rows.Close())
			}
			continue
		case n == 0:
			first = s
		case s.reservations != first.reservations || s.calls != first.calls || s.told != first.told || s.bytes < first.bytes || s.bytes > first.bytes*102/100:
			return errors.Join(fmt.Errorf("%w: %s has %+v in its first commits, and %+v are of it", errCopies, all, s, first), rows.Close())
		}
		together.reservations, together.calls = together.reservations+s.reservations, together.calls+s.calls
	}
	return errors.Join(rows.Err(), rows.Close())
}
