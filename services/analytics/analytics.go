// Package analytics is the service that brings the ledgers into ClickHouse and answers questions about
// the past.
//
// It consumes the commits of every workspace from the ledger's stream and stores each exactly once
// (package consume), keeps the tables and the analysts' views (package schema), answers the queries
// summary, history, peaks and forecast over NATS (package query), and compares ClickHouse with a ledger for
// `bursar verify` (package compare).
//
// ClickHouse may be killed, slow, away or replaced by an empty one: the service waits, and brings it up
// to date from the stream. The callers of its queries are told meanwhile that it is unavailable.
package analytics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/compare"
	"github.com/bursarhq/bursar/services/analytics/internal/consume"
	"github.com/bursarhq/bursar/services/analytics/internal/mirror"
	"github.com/bursarhq/bursar/services/analytics/internal/query"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

const (
	dialTimeout = 5 * time.Second
	// readTimeout bounds the silence of ClickHouse within one answer.
	readTimeout = 2 * time.Minute
	// maxConnections is enough for the inserts and every query that may be under way.
	maxConnections = 12
	// drainTime is how long the parts of the service have to end together.
	drainTime = 15 * time.Second
)

// ErrClickHouse: the address of ClickHouse is not one that can be used.
var ErrClickHouse = errors.New("unusable ClickHouse address")

// Config configures the service.
type Config struct {
	// NATS is the connection that reads the ledger, Front the one that answers queries. They are two so
	// that whoever asks can never make the service write anywhere but into an inbox. The stream and the
	// consumer must exist. Required.
	NATS, Front natsconn.Config
	// ClickHouse is the address of the server, http://user:password@host:port, for a user that may write
	// the databases bursar and analyst. Required; never logged.
	ClickHouse string
	// Retention is how long ClickHouse keeps events, in whole days, at least 35; 0 is forever. Sums by the
	// hour are kept forever.
	Retention time.Duration
	// Partitions are those that the table of events is to have; no choice takes those that it has, and months for a new one.
	Partitions Partitions
	// Failpoints are for tests; nil has none.
	Failpoints *failpoint.Set
	// Telemetry takes the service's metrics and its readiness. Required.
	Telemetry *telemetry.Telemetry
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if _, err := options(c.ClickHouse); err != nil {
		errs = append(errs, err)
	}
	if err := CheckRetention(c.Retention); err != nil {
		errs = append(errs, err)
	}
	if _, err := ParsePartitions(string(c.Partitions)); err != nil {
		errs = append(errs, err)
	}
	if c.Telemetry == nil {
		errs = append(errs, errors.New("no telemetry"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("analytics service: %w", errors.Join(errs...))
	}
	return nil
}

// RetentionOf is the Retention of a number of days; 0 is forever. Validate refuses too few and too many.
func RetentionOf(days uint) time.Duration {
	return time.Duration(min(days, uint(schema.MaxRetention/day)+1)) * day
}

const day = 24 * time.Hour

// CheckRetention tells what is wrong with a Retention, for who wants to know it before anything runs.
func CheckRetention(keep time.Duration) error {
	if keep != 0 && (keep < schema.MinRetention || keep > schema.MaxRetention) {
		return fmt.Errorf("events are kept for %d to %d days, or forever (0)", schema.MinRetention/day, schema.MaxRetention/day)
	}
	return nil
}

// Partitions says of what span of time a partition of the table of events has the commits.
type Partitions = schema.Partitions

// AllPartitions returns what can be chosen.
func AllPartitions() []Partitions { return schema.AllPartitions() }

// ParsePartitions reads a choice, for who wants to know what is wrong with it before anything runs; an empty one is none.
func ParsePartitions(name string) (Partitions, error) { return schema.ParsePartitions(name) }

// options reads the address of a server. The connection is bound to no database, because the service
// makes them.
func options(dsn string) (*clickhouse.Options, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%w: want http://user:password@host:port or https://…", ErrClickHouse)
	}
	u.Path = ""
	opts, err := clickhouse.ParseDSN(u.String())
	if err != nil {
		return nil, fmt.Errorf("%w: want http://user:password@host:port or https://…", ErrClickHouse)
	}
	opts.Auth.Database = ""
	opts.DialTimeout = dialTimeout
	opts.ReadTimeout = readTimeout
	opts.MaxOpenConns = maxConnections
	opts.MaxIdleConns = maxConnections
	opts.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	return opts, nil
}

func open(dsn string) (driver.Conn, error) {
	opts, err := options(dsn)
	if err != nil {
		return nil, err
	}
	return clickhouse.Open(opts)
}

// Run serves until ctx ends, then finishes the range in hand, answers the queries under way and returns
// nil. It returns an error when it cannot start.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s := &service{cfg: cfg, log: log}
	cfg.Telemetry.Check("nats of analytics", s.standing.Ready)
	return runner.Run(ctx, log, drainTime,
		runner.Part{Name: "clickhouse", Start: s.openClickHouse, Stop: func(context.Context) error { return s.conn.Close() }},
		runner.Part{Name: "nats", Start: s.connect, Stop: s.disconnect},
		runner.Part{Name: "queries", Start: s.serve, Stop: func(ctx context.Context) error { return s.queries.Stop(ctx) }},
		runner.Part{Name: "rollups", Start: s.prepareRollups, Run: func(ctx context.Context) error { return s.rollups.Run(ctx) }},
		runner.Part{Name: "prices and suggestions", Start: s.prepareMirror, Run: func(ctx context.Context) error { return s.mirror.Run(ctx) }},
		runner.Part{Name: "consumer", Start: s.prepare, Run: func(ctx context.Context) error { return s.consumer.Run(ctx) }},
	)
}

// service is what Run builds up.
type service struct {
	cfg Config
	log *slog.Logger

	conn     driver.Conn
	ledger   *nats.Conn
	front    *nats.Conn
	queries  *query.Service
	consumer *consume.Consumer
	progress *rollup.Progress
	rollups  *rollup.Builder
	mirror   *mirror.Mirror
	// standing tells readiness of the connections.
	standing natsconn.Standing
}

func (s *service) openClickHouse(context.Context) (err error) {
	if s.conn, err = open(s.cfg.ClickHouse); err != nil {
		return err
	}
	s.cfg.Telemetry.Check("queries of clickhouse", s.conn.Ping)
	return nil
}

func (s *service) connect(ctx context.Context) (err error) {
	if s.ledger, err = natsconn.Connect(ctx, s.cfg.NATS); err != nil {
		return err
	}
	if s.front, err = natsconn.Connect(ctx, s.cfg.Front); err != nil {
		s.ledger.Close()
		return err
	}
	s.standing.Add(s.ledger)
	s.standing.Add(s.front)
	return nil
}

func (s *service) disconnect(context.Context) error {
	s.front.Close()
	s.ledger.Close()
	return nil
}

func (s *service) serve(context.Context) (err error) {
	s.queries, err = query.Serve(s.front, query.NewReader(s.conn), s.cfg.Telemetry.Registerer(), s.log)
	return err
}

func (s *service) prepareRollups(context.Context) (err error) {
	s.progress = rollup.NewProgress()
	s.rollups, err = rollup.New(s.conn, s.progress, s.cfg.Telemetry.Registerer(), s.log)
	return err
}

func (s *service) prepareMirror(ctx context.Context) error {
	js, err := jetstream.New(s.ledger)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	bucket, err := js.KeyValue(ctx, wire.BucketSuggestions)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", wire.BucketSuggestions, err)
	}
	s.mirror = mirror.New(s.conn, bucket, s.progress, s.log)
	return nil
}

func (s *service) prepare(context.Context) error {
	js, err := jetstream.New(s.ledger)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	metrics, err := consume.NewMetrics(s.cfg.Telemetry.Registerer())
	if err != nil {
		return err
	}
	gate := s.cfg.Telemetry.Gate("clickhouse")
	events := store.New(s.conn)
	events.Retention, events.Partitions, events.Log = s.cfg.Retention, s.cfg.Partitions, s.log
	writer := consume.NewWriter(events, s.cfg.Failpoints, metrics, s.log)
	writer.Progress = s.progress
	s.consumer = &consume.Consumer{
		JetStream: js, Stream: wire.StreamLedger, Name: wire.ConsumerAnalytics, Metrics: metrics, Log: s.log,
		Writer: writer,
		Ready: func(err error) {
			if err == nil {
				gate.Open()
			} else {
				gate.Close(err)
			}
		},
	}
	return nil
}

// Comparison is what a comparison of ClickHouse with a ledger found.
type Comparison = compare.Result

// Comparer compares ClickHouse with a ledger whose commits it is given; see OpenComparer.
type Comparer struct {
	*compare.Comparer
	conn driver.Conn
}

// OpenComparer connects to ClickHouse, at an address as in Config, to compare the ledger of a workspace:
// Await its last commit, Add each commit in order, then Finish with the folded totals before the first
// and after the last of them. A user that may only read suffices. Errors: ErrClickHouse.
func OpenComparer(dsn, workspace string) (*Comparer, error) {
	conn, err := open(dsn)
	if err != nil {
		return nil, err
	}
	return &Comparer{Comparer: compare.New(conn, workspace), conn: conn}, nil
}

// Close gives the connection back.
func (c *Comparer) Close() error { return c.conn.Close() }
