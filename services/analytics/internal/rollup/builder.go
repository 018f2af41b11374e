package rollup

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// BlockCommits is the number of commits of a block. The last block of a busy ledger is summed every
	// round, so it bounds what a round costs; more blocks mean more rows. The comment on the column tells
	// it too.
	BlockCommits = 8192
	// maxBlocks is how many blocks one INSERT sums at most.
	maxBlocks = 32

	// minPause is the pause between two rounds. After a long round the pause is longer, so that summing
	// takes at most a fifth of the time.
	minPause    = 3 * time.Second
	pauseFactor = 4
	// insertTimeout bounds one INSERT.
	insertTimeout = 2 * time.Minute
)

//go:embed rollup.sql
var statement string

// Builder sums what is stored. It is not safe for concurrent use.
type Builder struct {
	conn     driver.Conn
	progress *Progress
	log      *slog.Logger
	failures prometheus.Counter
	// blockCommits is BlockCommits but in tests.
	blockCommits uint64

	// built is how far each ledger is summed; known says that it was read, after so many restarts.
	built    map[Ledger]uint64
	known    bool
	restarts uint64
}

// New returns a builder that sums what progress says is stored.
func New(conn driver.Conn, progress *Progress, registerer prometheus.Registerer, log *slog.Logger) (*Builder, error) {
	b := &Builder{conn: conn, progress: progress, log: log, blockCommits: BlockCommits, failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "bursar_analytics_rollup_failures_total", Help: "Rounds of summing by the hour that ClickHouse failed; the next round repeats them.",
	})}
	return b, registerer.Register(b.failures)
}

// Run sums every few seconds until ctx ends. It returns nil.
func (b *Builder) Run(ctx context.Context) error {
	for {
		began := time.Now()
		if err := b.Round(ctx); err != nil && ctx.Err() == nil {
			b.failures.Inc()
			b.log.Warn("summing by the hour: the next round tries again", "error", err)
		}
		timer := time.NewTimer(max(minPause, pauseFactor*time.Since(began)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Round sums everything that is stored and not summed yet. After an error it may be called again.
func (b *Builder) Round(ctx context.Context) error {
	stored, restarts := b.progress.snapshot()
	if len(stored) == 0 {
		return nil // the tables may not be there yet
	}
	if !b.known || restarts != b.restarts {
		built, err := Built(ctx, b.conn)
		if err != nil {
			return err
		}
		b.built, b.known, b.restarts = built, true, restarts
	}
	for ledger, through := range stored {
		for b.built[ledger] < through {
			next := b.next(b.built[ledger], through)
			if err := b.sum(ctx, ledger, next); err != nil {
				b.known = false // it may have been stored
				return err
			}
			b.built[ledger] = next.through
		}
	}
	return nil
}

// step is the commits of one INSERT: whole blocks, the last one up to what is stored.
type step struct{ first, through uint64 }

func (b *Builder) next(built, stored uint64) step {
	first := (built + 1) / b.blockCommits * b.blockCommits
	return step{first: first, through: min(stored, first+maxBlocks*b.blockCommits-1)}
}

// sum sums whole blocks of a ledger.
func (b *Builder) sum(ctx context.Context, l Ledger, s step) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx,
		clickhouse.WithParameters(clickhouse.Parameters{
			"workspace": l.Workspace, "ledger": l.ID, "block": strconv.FormatUint(b.blockCommits, 10),
			"first": strconv.FormatUint(s.first, 10), "through": strconv.FormatUint(s.through, 10),
		}),
		clickhouse.WithSettings(clickhouse.Settings{
			"async_insert": 0, "insert_deduplicate": 0,
			// One INSERT is one block: it is stored whole or not at all.
			"max_insert_threads": 1, "min_insert_block_size_rows": 1_000_000_000, "min_insert_block_size_bytes": 0,
			// Equal identities are always in one partition.
			"do_not_merge_across_partitions_select_final": 1,
		}))
	if err := b.conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("summing commits %d to %d of ledger %s: %w", s.first, s.through, l.ID, err)
	}
	return nil
}

// Built returns how far each ledger is summed.
func Built(ctx context.Context, conn driver.Conn) (map[Ledger]uint64, error) {
	rows, err := conn.Query(ctx, "SELECT workspace, ledger_id, max(through) FROM bursar.hourly WHERE kind = '' GROUP BY workspace, ledger_id")
	if err != nil {
		return nil, fmt.Errorf("looking how far the ledgers are summed: %w", err)
	}
	built := map[Ledger]uint64{}
	for rows.Next() {
		var l Ledger
		var through uint64
		if err := rows.Scan(&l.Workspace, &l.ID, &through); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		built[l] = through
	}
	return built, errors.Join(rows.Err(), rows.Close())
}
