// Command bursar-bench-analytics measures ClickHouse at scale, on an embedded server of its own that it removes afterwards:
// ingest, bytes a row, and the time of every documented query and every question over NATS. See docs/analytics.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/bench"
	"github.com/bursarhq/bursar/services/analytics/internal/dashboards"
	"github.com/bursarhq/bursar/services/analytics/internal/examples"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

const (
	readTimeout = 2 * time.Hour
	stopTimeout = time.Minute
)

func main() {
	chembed.MaybeRunChild()
	os.Exit(run(os.Args[1:]))
}

type flags struct {
	rows, workspaces, parts uint64
	asked                   int
	dir, page, dashboards   string
	only, partitions        string
	codecs, scattered, keep bool
}

func run(args []string) int {
	var f flags
	set := flag.NewFlagSet("bursar-bench-analytics", flag.ContinueOnError)
	set.Uint64Var(&f.rows, "rows", 100_000_000, "about how many usage `ROWS` to ask over; each million takes some 220 MB of disk, a third more while it is made")
	set.Uint64Var(&f.workspaces, "workspaces", 20, "how many workspaces they belong to")
	set.Uint64Var(&f.parts, "parts", 10, "in how many unmerged parts they lie")
	set.IntVar(&f.asked, "asked", 40, "how often each question is asked")
	set.StringVar(&f.only, "only", "", "ask only the questions with this `TEXT` in their names")
	set.StringVar(&f.dir, "dir", "", "`DIR` in which the server's data lies meanwhile; empty: the system's folder for temporary files")
	set.StringVar(&f.page, "queries", "docs/analytics.md", "`FILE` with the documented queries")
	set.StringVar(&f.dashboards, "dashboards", "deployments/grafana/dashboards", "`DIR` with the dashboards")
	set.BoolVar(&f.scattered, "scattered", false, "give each part commits between those of each other, instead of those of a time as the service leaves them")
	set.StringVar(&f.partitions, "event-partitions", "", "`SPAN` of a partition of events: month, week or day; of data in DIR that has others they are changed")
	set.BoolVar(&f.keep, "keep", false, "keep the data in DIR, and ask of what is there already")
	set.BoolVar(&f.codecs, "codecs", false, "measure codecs and types of the table of events instead")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "bursar-bench-analytics:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, f flags) (err error) {
	page, err := os.ReadFile(f.page)
	if err != nil {
		return err
	}
	documented, err := examples.Read(string(page))
	if err != nil {
		return fmt.Errorf("%s: %w", f.page, err)
	}
	panels, err := dashboards.Read(f.dashboards)
	if err != nil {
		return err
	}
	partitions, err := schema.ParsePartitions(f.partitions)
	if err != nil {
		return fmt.Errorf("-event-partitions: %w", err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	dir := f.dir
	if !f.keep {
		if dir, err = os.MkdirTemp(f.dir, "bursar-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	server, err := chembed.Start(ctx, chembed.Options{Dir: dir, Log: log})
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, server.Stop(stopping))
	}()
	writer, err := open(server.DSN(chembed.UserWriter))
	if err != nil {
		return err
	}
	analyst, err := open(server.DSN(chembed.UserAnalyst))
	if err != nil {
		return err
	}
	options := bench.Options{
		Shape: bench.Shape{UsageRows: f.rows, Workspaces: f.workspaces, Parts: f.parts, Partitions: partitions, Scattered: f.scattered}, Asked: f.asked, Only: f.only,
		Examples: documented, Panels: panels, Out: os.Stdout,
	}
	b := bench.New(writer, analyst, log)
	if f.codecs {
		return b.Codecs(ctx, options)
	}
	return b.Run(ctx, options)
}

// open connects, bound to no database, and waits long for answers.
func open(dsn string) (driver.Conn, error) {
	opts, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	opts.Auth.Database = ""
	opts.ReadTimeout = readTimeout
	opts.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	return clickhouse.Open(opts)
}
