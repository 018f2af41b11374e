package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics"
)

const (
	lagWorkspace = "lag"
	lagClients   = 64
	// lagPoll is how often ClickHouse is asked what it holds: the resolution of the lag.
	lagPoll = 20 * time.Millisecond
	// catchUpTimeout bounds the wait for the last commit after the load.
	catchUpTimeout = 2 * time.Minute
)

// Lag is how long after its acknowledgement a commit can be read in ClickHouse, while 64 clients
// reserve and release.
type Lag struct {
	Clients   int     `json:"clients"`
	PerSecond float64 `json:"per_second"` // decisions meanwhile
	Commits   int     `json:"commits"`
	P50MS     float64 `json:"p50_ms"`
	P99MS     float64 `json:"p99_ms"`
	MaxMS     float64 `json:"max_ms"`
}

// MeasureLag runs a broker of the page-cache class, ClickHouse and analytics under load for the time of
// Repetitions measurements. Lag is measured from outside: a reader of the ledger's stream notes when
// each commit came, and ClickHouse is asked again and again for the highest commit that it holds.
func MeasureLag(ctx context.Context, o Options) (lag *Lag, err error) {
	o, done, err := o.prepare()
	if err != nil {
		return nil, err
	}
	run := &run{options: o}
	defer func() { err = errors.Join(err, run.close(), done()) }()
	b, err := startBroker(ctx, filepath.Join(o.Dir, "lag"), natsembed.SyncSecond, []string{lagWorkspace}, o.Log)
	if err != nil {
		return nil, err
	}
	run.closers = append(run.closers, b.server.Shutdown)
	conn, err := run.startAnalytics(ctx, b)
	if err != nil {
		return nil, err
	}
	allocator, err := b.startAllocator(ctx, true)
	if err != nil {
		return nil, fmt.Errorf("start the allocator: %w", err)
	}
	run.closers = append(run.closers, allocator.stop)
	watch, err := watchCommits(ctx, b)
	if err != nil {
		return nil, err
	}
	defer watch.stop()
	return run.lag(ctx, b, conn, watch)
}

// startAnalytics starts ClickHouse and the service that fills it, and returns a connection to ask it.
func (r *run) startAnalytics(ctx context.Context, b *broker) (driver.Conn, error) {
	server, err := chembed.Start(ctx, chembed.Options{Dir: filepath.Join(r.options.Dir, "clickhouse"), Log: r.options.Log})
	if err != nil {
		return nil, fmt.Errorf("start ClickHouse: %w", err)
	}
	r.closers = append(r.closers, func() error { return server.Stop(context.Background()) })
	cfg := analytics.Config{ClickHouse: server.DSN(chembed.UserWriter), Telemetry: telemetry.New("analytics", "bench", r.options.Log)}
	if cfg.NATS, err = b.connection(natsauth.Service(natsauth.RoleAnalytics)); err != nil {
		return nil, err
	}
	if cfg.Front, err = b.connection(natsauth.Service(natsauth.RoleAnalyticsFront)); err != nil {
		return nil, err
	}
	service, err := startService(ctx, cfg.Telemetry, func(ctx context.Context) error { return analytics.Run(ctx, cfg, r.options.Log) })
	if err != nil {
		return nil, fmt.Errorf("start analytics: %w", err)
	}
	r.closers = append(r.closers, service.stop)
	options, err := clickhouse.ParseDSN(cfg.ClickHouse)
	if err != nil {
		return nil, fmt.Errorf("read the address of ClickHouse: %w", err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("connect to ClickHouse: %w", err)
	}
	r.closers = append(r.closers, conn.Close)
	return conn, nil
}

// lag loads the broker and follows ClickHouse until it holds the last commit.
func (r *run) lag(ctx context.Context, b *broker, conn driver.Conn, watch *commitWatch) (*Lag, error) {
	session, err := connectBursar(ctx, b, lagWorkspace, r.options.Connections, lagClients)
	if err != nil {
		return nil, err
	}
	var loaded sample
	var loadErr error
	over := make(chan struct{})
	go func() {
		defer close(over)
		l := load{clients: lagClients, warmUp: r.options.WarmUp, duration: time.Duration(r.options.Repetitions) * r.options.Duration}
		loaded, loadErr = l.run(ctx, session)
		loadErr = errors.Join(loadErr, session.close())
	}()
	lags, err := followClickHouse(ctx, conn, watch, over)
	<-over
	if err := errors.Join(loadErr, err); err != nil {
		return nil, err
	}
	slices.Sort(lags)
	return &Lag{
		Clients: lagClients, PerSecond: loaded.perSecond, Commits: len(lags),
		P50MS: milliseconds(percentile(lags, 50)), P99MS: milliseconds(percentile(lags, 99)), MaxMS: milliseconds(percentile(lags, 100)),
	}, nil
}

// followClickHouse asks for the highest commit and takes the lag of each that became readable, until the
// load is over and nothing is outstanding.
func followClickHouse(ctx context.Context, conn driver.Conn, watch *commitWatch, over <-chan struct{}) ([]time.Duration, error) {
	var lags []time.Duration
	ticker := time.NewTicker(lagPoll)
	defer ticker.Stop()
	var deadline <-chan time.Time
	for {
		var highest uint64
		row := conn.QueryRow(ctx, "SELECT max(commit) FROM bursar.ledger_events WHERE workspace = $1 AND idx = -1", lagWorkspace)
		if err := row.Scan(&highest); err != nil {
			return nil, fmt.Errorf("ask ClickHouse for its highest commit: %w", err)
		}
		var left int
		if lags, left = watch.take(lags, highest, time.Now()); left == 0 && deadline != nil {
			return lags, nil
		}
		select {
		case <-over:
			over, deadline = nil, time.After(catchUpTimeout)
		case <-deadline:
			return nil, fmt.Errorf("%d commits are not in ClickHouse %s after the load", left, catchUpTimeout)
		case <-ctx.Done():
			return nil, fmt.Errorf("benchmark interrupted: %w", ctx.Err())
		case <-ticker.C:
		}
	}
}

// commitWatch notes when each commit of the ledger came.
type commitWatch struct {
	stop func()

	mu   sync.Mutex
	came []arrival
}

type arrival struct {
	number uint64
	at     time.Time
}

func watchCommits(ctx context.Context, b *broker) (*commitWatch, error) {
	nc, err := b.connect(ctx, natsauth.Service(natsauth.RoleReader))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	consumer, err := js.OrderedConsumer(ctx, wire.BucketStream(wire.BucketLedger), jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy})
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	watch := &commitWatch{}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		at := time.Now()
		if commit, err := ledger.Decode(m.Data()); err == nil {
			watch.note(arrival{commit.Number, at})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	watch.stop = func() { consuming.Stop(); nc.Close() }
	return watch, nil
}

func (w *commitWatch) note(a arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.came = append(w.came, a)
}

// take moves the lags of all commits up to highest from what came to lags, and says how many are left.
func (w *commitWatch) take(lags []time.Duration, highest uint64, now time.Time) ([]time.Duration, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.came) && w.came[n].number <= highest {
		lags = append(lags, now.Sub(w.came[n].at))
		n++
	}
	w.came = w.came[n:]
	return lags, len(w.came)
}
