package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/services/analytics/internal/dashboards"
	"github.com/bursarhq/bursar/services/analytics/internal/examples"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
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
	// Asked is how often a question is asked.
	Asked int
	// IngestRows is how many rows go in by the path of the service.
	IngestRows int
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
	// workspace is the one that is asked about.
	workspace string
}

// New returns a Bench of an empty ClickHouse.
func New(conn, analyst driver.Conn, log *slog.Logger) *Bench {
	return &Bench{conn: conn, analyst: analyst, log: log}
}

// Run fills ClickHouse and measures. The error is ErrSlow if that is all that is wrong.
func (b *Bench) Run(ctx context.Context, o Options) error {
	b.workspace = "w" + strconv.FormatUint(min(askedOf, o.Shape.Workspaces-1), 10)
	if err := b.migrate(ctx); err != nil {
		return err
	}
	if err := b.ingest(ctx, o); err != nil {
		return err
	}
	began := time.Now()
	if err := b.fill(ctx, o.Shape); err != nil {
		return err
	}
	if err := b.size(ctx, o, "ledger_events", "made by INSERT SELECT", time.Since(began)); err != nil {
		return err
	}
	began = time.Now()
	if err := b.sum(ctx, o.Shape); err != nil {
		return err
	}
	if err := b.size(ctx, o, "hourly", "summed", time.Since(began)); err != nil {
		return err
	}
	return b.askAll(ctx, o)
}

func (b *Bench) migrate(ctx context.Context) error { return schema.Migrate(ctx, b.conn) }

// size tells how many rows a table has, and what they cost.
func (b *Bench) size(ctx context.Context, o Options, table, made string, took time.Duration) error {
	var rows, bytes, parts uint64
	row := b.conn.QueryRow(ctx, "SELECT sum(rows), sum(bytes_on_disk), count() FROM system.parts WHERE database = 'bursar' AND active AND table = ?", table)
	if err := row.Scan(&rows, &bytes, &parts); err != nil {
		return fmt.Errorf("looking how large %s is: %w", table, err)
	}
	usage, err := one[uint64](ctx, b.conn, "SELECT count() FROM bursar.ledger_events WHERE kind = 'usage.recorded'")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Out, "%s: %d rows in %d parts, %s in %s (%.0f rows/s), %d MiB, %.1f bytes a row; %d usage rows, %.1f bytes of this table each\n",
		table, rows, parts, made, took.Round(time.Second), float64(rows)/took.Seconds(), bytes>>20, float64(bytes)/float64(max(1, rows)), usage, float64(bytes)/float64(max(1, usage)))
	return err
}

// sum sums every ledger but the last commits of each, as it is when a service runs.
func (b *Bench) sum(ctx context.Context, s Shape) error {
	progress := rollup.NewProgress()
	builder, err := rollup.New(b.conn, progress, prometheus.NewRegistry(), b.log)
	if err != nil {
		return err
	}
	for w := range s.Workspaces {
		id, err := one[string](ctx, b.conn, "SELECT hex(sipHash128('ledger', toUInt64("+strconv.FormatUint(w, 10)+")))")
		if err != nil {
			return err
		}
		commits := s.commits()
		progress.Stored(rollup.Ledger{Workspace: "w" + strconv.FormatUint(w, 10), ID: id}, commits-min(commits/100, unsummed))
	}
	return builder.Round(ctx)
}

// unsummed is how many commits of each ledger at most are left to be read as they are; a hundredth where there are few.
const unsummed = 100

// figure is what a question took.
type figure struct {
	name     string
	hot      bool
	asked    int
	p50, p95 time.Duration
	// processor is the time of ClickHouse's processors for one answer, rows what it read.
	processor time.Duration
	rows      uint64
}

// askAll asks every question and prints what it took.
func (b *Bench) askAll(ctx context.Context, o Options) error {
	var figures []figure
	slow := false
	add := func(name string, hot bool, ask func(context.Context) error) error {
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
	processor, rows, err := b.spent(ctx)
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
	processorAfter, rowsAfter, err := b.spent(ctx)
	slices.Sort(took)
	n := len(took)
	return figure{
		asked: n, p50: took[n/2], p95: took[min(n-1, n*95/100)],
		processor: (processorAfter - processor) / time.Duration(n), rows: (rowsAfter - rows) / uint64(n),
	}, err
}

func (b *Bench) spent(ctx context.Context) (processor time.Duration, rows uint64, err error) {
	var microseconds uint64
	row := b.conn.QueryRow(ctx, "SELECT sumIf(value, event = 'OSCPUVirtualTimeMicroseconds'), sumIf(value, event = 'SelectedRows') FROM system.events")
	if err := row.Scan(&microseconds, &rows); err != nil {
		return 0, 0, fmt.Errorf("looking what ClickHouse spent: %w", err)
	}
	return time.Duration(microseconds) * time.Microsecond, rows, nil
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
	_, _ = fmt.Fprintln(w, "QUESTION\tHOT\tASKED\tP50\tP95\tPROCESSOR\tROWS READ")
	for _, f := range figures {
		hot := ""
		if f.hot {
			hot = "hot"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d ms\t%d ms\t%d ms\t%d\n", f.name, hot, f.asked, f.p50.Milliseconds(), f.p95.Milliseconds(), f.processor.Milliseconds(), f.rows)
	}
	return w.Flush()
}
