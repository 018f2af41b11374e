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

var (
	//go:embed hourly.sql
	hourly string
	//go:embed margins.sql
	margins string
	//go:embed charges.sql
	charges string
	//go:embed waits.sql
	waits string
	//go:embed limit_log.sql
	limitLog string
)

// table is a table of sums: how it is filled, and the condition of its rows that say how far a ledger is summed.
type table struct{ name, statement, mark string }

func tables() []table {
	return []table{
		{"bursar.hourly", hourly, "kind = ''"},
		{"bursar.margins", margins, "kind = ''"},
		{"bursar.charges", charges, "limit_id = ''"},
		{"bursar.waits", waits, "hour = toDateTime(0, 'UTC')"},
		{"bursar.limit_log", limitLog, "kind = ''"},
	}
}

// Builder sums what is stored. It is not safe for concurrent use.
type Builder struct {
	conn     driver.Conn
	progress *Progress
	log      *slog.Logger
	failures prometheus.Counter
	// blockCommits is BlockCommits but in tests.
	blockCommits uint64

	// built is how far each ledger is summed in each table, by its name; known says that it was read, after so many restarts.
	built    map[string]map[Ledger]uint64
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
		built := map[string]map[Ledger]uint64{}
		for _, t := range tables() {
			var err error
			if built[t.name], err = summedIn(ctx, b.conn, t); err != nil {
				return err
			}
		}
		b.built, b.known, b.restarts = built, true, restarts
	}
	for _, t := range tables() {
		for ledger, through := range stored {
			if err := b.sumThrough(ctx, t, ledger, through); err != nil {
				b.known = false // it may have been stored
				return err
			}
		}
	}
	return nil
}

// sumThrough sums a ledger in a table through a commit.
func (b *Builder) sumThrough(ctx context.Context, t table, ledger Ledger, through uint64) error {
	built := b.built[t.name]
	for built[ledger] < through {
		next := b.next(built[ledger], through)
		if err := b.sum(ctx, t, ledger, next); err != nil {
			return err
		}
		built[ledger] = next.through
	}
	return nil
}

// step is the commits of one INSERT: whole blocks, the last one up to what is stored.
type step struct{ first, through uint64 }

func (b *Builder) next(built, stored uint64) step {
	first := (built + 1) / b.blockCommits * b.blockCommits
	return step{first: first, through: min(stored, first+maxBlocks*b.blockCommits-1)}
}

// sum sums whole blocks of a ledger in a table.
func (b *Builder) sum(ctx context.Context, t table, l Ledger, s step) error {
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
	if err := b.conn.Exec(ctx, t.statement); err != nil {
		return fmt.Errorf("summing commits %d to %d of ledger %s in %s: %w", s.first, s.through, l.ID, t.name, err)
	}
	return nil
}

// summedIn returns how far each ledger is summed in a table.
func summedIn(ctx context.Context, conn driver.Conn, t table) (map[Ledger]uint64, error) {
	rows, err := conn.Query(ctx, "SELECT workspace, ledger_id, max(through) FROM "+t.name+" WHERE "+t.mark+" GROUP BY workspace, ledger_id")
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
