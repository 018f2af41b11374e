package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/services/analytics/internal/dashboards"
	"github.com/bursarhq/bursar/services/analytics/internal/examples"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

const (
	// HotLimit is the time within which 95 of 100 answers of a hot question must be there.
	HotLimit = 200 * time.Millisecond
	// maxTime bounds the asking of one question; a slow one is asked less often, but at least minAsked times.
	maxTime  = 20 * time.Second
	minAsked = 3
	// askedOf is the workspace that questions are about, or the last one where there are not so many.
	askedOf = 7
)

// errNothing says that a question is about no usage: then its time says nothing.
var errNothing = errors.New("nothing was used")

// ErrSlow is returned when a hot question took longer than HotLimit.
var ErrSlow = errors.New("a hot question is too slow")

// Options says what to measure.
type Options struct {
	Shape Shape
	// Asked is how often a question is asked; Only are the questions with this in their names, all if it is empty.
	Asked int
	Only  string
	// Examples are the documented queries, Panels those of the dashboards.
	Examples []examples.Example
	Panels   []dashboards.Query
	// Out takes the tables.
	Out io.Writer
}

// Bench measures on one ClickHouse, whose tables it fills. It is not safe for concurrent use.
type Bench struct {
	// conn writes; analyst asks what analysts ask, with the limits they have.
	conn, analyst driver.Conn
	log           *slog.Logger
	// workspace is the one that is asked about, commits the number of commits of each.
	workspace string
	commits   uint64
	// partitions are those of the table of events.
	partitions schema.Partitions
}

// New returns a Bench of an empty ClickHouse.
func New(conn, analyst driver.Conn, log *slog.Logger) *Bench {
	return &Bench{conn: conn, analyst: analyst, log: log}
}

// Run fills ClickHouse, unless it is filled already, and measures. The error is ErrSlow if that is all that is wrong.
func (b *Bench) Run(ctx context.Context, o Options) error {
	b.workspace = workspaceOf(min(askedOf, o.Shape.Workspaces-1))
	if err := b.prepare(ctx, o.Shape.Partitions); err != nil {
		return err
	}
	filled, err := one[uint64](ctx, b.conn, "SELECT count() FROM bursar.ledger_events")
	if err != nil {
		return err
	}
	if filled == 0 {
		err = b.make(ctx, o)
	} else {
		err = b.sum(ctx, o.Shape) // there may be sums of a kind that there was not
	}
	if err != nil {
		return err
	}
	return b.askAll(ctx, o)
}

// prepare makes the tables. One that is filled keeps its partitions unless others are asked for.
func (b *Bench) prepare(ctx context.Context, partitions schema.Partitions) error {
	s := store.New(b.conn)
	s.Partitions, s.Log = partitions, b.log
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	var err error
	b.partitions, err = s.Partition(ctx)
	return err
}

// make fills the tables and checks what is in them.
func (b *Bench) make(ctx context.Context, o Options) error {
	if err := b.ingest(ctx, o); err != nil {
		return err
	}
	if err := b.size(ctx, o, "ledger_events", "by the path of the service"); err != nil {
		return err
	}
	if err := b.timed(ctx, o, "copies", func() error { return b.fill(ctx, o.Shape) }); err != nil {
		return err
	}
	if err := b.size(ctx, o, "ledger_events", "with the copies"); err != nil {
		return err
	}
	if err := b.timed(ctx, o, "sums", func() error { return b.sum(ctx, o.Shape) }); err != nil {
		return err
	}
	for _, table := range []string{"hourly", "margins", "charges", "waits", "limit_log"} {
		if err := b.size(ctx, o, table, "sums and copies of sums"); err != nil {
			return err
		}
	}
	return b.compareCopies(ctx, o)
}

// timed tells how long something takes, and how much of ClickHouse's processors.
func (b *Bench) timed(ctx context.Context, o Options, what string, do func() error) error {
	before, err := b.spent(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := do(); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := b.spent(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Out, "%s: made in %s, in which ClickHouse took %s of processors\n", what, took.Round(time.Second), (after.processor - before.processor).Round(time.Second))
	return err
}

// size tells how many rows a table has, and what they cost.
func (b *Bench) size(ctx context.Context, o Options, table, made string) error {
	var rows, bytes, parts uint64
	row := b.conn.QueryRow(ctx, "SELECT sum(rows), sum(bytes_on_disk), count() FROM system.parts WHERE database = 'bursar' AND active AND table = ?", table)
	if err := row.Scan(&rows, &bytes, &parts); err != nil {
		return fmt.Errorf("looking how large %s is: %w", table, err)
	}
	usage, err := one[uint64](ctx, b.conn, "SELECT count() FROM bursar.ledger_events WHERE kind = 'usage.recorded'")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Out, "%s, %s: %d rows in %d parts, %d MiB, %.1f bytes a row; %d usage rows, %.1f bytes of this table each\n",
		table, made, rows, parts, bytes>>20, float64(bytes)/float64(max(1, rows)), usage, float64(bytes)/float64(max(1, usage)))
	return err
}

// figure is what a question took.
type figure struct {
	name     string
	hot      bool
	asked    int
	p50, p95 time.Duration
	// spent is what one answer cost ClickHouse.
	spent cost
}

// cost is what an answer cost: the time of processors in ClickHouse and in the service, and what was read in how many queries.
type cost struct {
	processor, service   time.Duration
	rows, bytes, queries uint64
}

// askAll asks every question and prints what it took.
func (b *Bench) askAll(ctx context.Context, o Options) error {
	var figures []figure
	slow := false
	add := func(name string, hot bool, ask func(context.Context) error) error {
		if !strings.Contains(name, o.Only) {
			return nil
		}
		f, err := b.measure(ctx, o.Asked, ask)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.name, f.hot = name, hot
		slow = slow || hot && f.p95 > HotLimit
		figures = append(figures, f)
		b.log.Info("asked", "question", name, "p50_ms", f.p50.Milliseconds(), "p95_ms", f.p95.Milliseconds())
		return nil
	}
	if err := b.askOverNATS(add); err != nil {
		return err
	}
	if err := b.askPanels(o.Panels, add); err != nil {
		return err
	}
	for _, e := range o.Examples {
		statement := e.In(Ends, b.workspace)
		if err := add(e.Question, e.Hot, func(ctx context.Context) error { return drain(ctx, b.analyst, statement) }); err != nil {
			return err
		}
	}
	if err := printFigures(o.Out, figures); err != nil {
		return err
	}
	if slow {
		return fmt.Errorf("%w: more than %s in 5 of 100 answers", ErrSlow, HotLimit)
	}
	return nil
}

// measure asks a question several times, once more beforehand so that what it reads is in memory.
func (b *Bench) measure(ctx context.Context, asked int, ask func(context.Context) error) (figure, error) {
	if err := ask(ctx); err != nil {
		return figure{}, err
	}
	before, err := b.spent(ctx)
	if err != nil {
		return figure{}, err
	}
	var took []time.Duration
	for began := time.Now(); len(took) < asked && (len(took) < minAsked || time.Since(began) < maxTime); {
		start := time.Now()
		if err := ask(ctx); err != nil {
			return figure{}, err
		}
		took = append(took, time.Since(start))
	}
	after, err := b.spent(ctx)
	slices.Sort(took)
	n := uint64(len(took))
	return figure{
		asked: len(took), p50: took[n/2], p95: took[min(n-1, n*95/100)],
		spent: cost{
			processor: (after.processor - before.processor) / time.Duration(n), service: (after.service - before.service) / time.Duration(n), rows: (after.rows - before.rows) / n,
			bytes: (after.bytes - before.bytes) / n, queries: (after.queries - before.queries - 1) / n, // one looks what was spent
		},
	}, err
}

func (b *Bench) spent(ctx context.Context) (cost, error) {
	var c cost
	var microseconds uint64
	row := b.conn.QueryRow(ctx, `SELECT sumIf(value, event = 'OSCPUVirtualTimeMicroseconds'), sumIf(value, event = 'SelectedRows'),
		sumIf(value, event = 'SelectedBytes'), sumIf(value, event = 'SelectQuery') FROM system.events`)
	if err := row.Scan(&microseconds, &c.rows, &c.bytes, &c.queries); err != nil {
		return c, fmt.Errorf("looking what ClickHouse spent: %w", err)
	}
	c.processor, c.service = time.Duration(microseconds)*time.Microsecond, ownProcessor()
	return c, nil
}

// drain asks and reads the whole answer.
func drain(ctx context.Context, conn driver.Conn, statement string) error {
	rows, err := conn.Query(ctx, statement)
	if err != nil {
		return err
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || n > 0 {
		return err
	}
	return errNothing
}

func printFigures(out io.Writer, figures []figure) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "QUESTION\tHOT\tASKED\tP50\tP95\tCLICKHOUSE\tSERVICE\tQUERIES\tROWS READ\tKIB READ")
	for _, f := range figures {
		hot := ""
		if f.hot {
			hot = "hot"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d ms\t%d ms\t%d ms\t%d ms\t%d\t%d\t%d\n", f.name, hot, f.asked, f.p50.Milliseconds(), f.p95.Milliseconds(),
			f.spent.processor.Milliseconds(), f.spent.service.Milliseconds(), f.spent.queries, f.spent.rows, f.spent.bytes>>10)
	}
	return w.Flush()
}
