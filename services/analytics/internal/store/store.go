// Package store writes ledger events into ClickHouse, and tells which are there.
//
// What it guarantees, with the insert loop of package consume on top: every commit is in
// bursar.ledger_events exactly once. A batch goes in by one INSERT of one block into one partition,
// which ClickHouse stores whole or not at all. When the outcome of an INSERT is not known, the next
// caller must settle it first (Settle): it waits until no INSERT of ours runs any more, and only then
// can Ledgers say which commits are there.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

const (
	// insertTimeout bounds one INSERT of at most MaxRows rows. It is far above what one takes (below
	// 1 s), so that a server that is merely slow is not asked twice.
	insertTimeout = 60 * time.Second
	// queryTimeout bounds the small questions.
	queryTimeout = 30 * time.Second
	// scanTimeout bounds the question what is stored of all ledgers.
	scanTimeout = 2 * time.Minute
	// settlePoll is how often a running INSERT is asked after. It must be absent twice in a row: one that
	// was sent just before may not have begun.
	settlePoll  = 100 * time.Millisecond
	settleQuiet = 2

	// MaxRows is the most rows of one INSERT: far below the million at which ClickHouse would cut it
	// into two blocks.
	MaxRows = 50_000
)

// Store is the connection to ClickHouse. It is safe for concurrent use.
type Store struct {
	conn driver.Conn
	// Retention is how long events are kept after their commit, in whole days; 0 is forever. Set it before Prepare.
	Retention time.Duration
	// Partitions are those that the table of events is to have; no choice takes those that it has. Set it before Partition.
	Partitions schema.Partitions
	// Log is told what becomes of partitions.
	Log *slog.Logger

	// keepsPartitions says that the table cannot be brought to Partitions.
	keepsPartitions atomic.Bool
}

// New returns a store on a connection of the writer.
func New(conn driver.Conn) *Store { return &Store{conn: conn, Log: slog.New(slog.DiscardHandler)} }

// Prepare brings the databases to the schema of this binary. It costs little when they are there.
func (s *Store) Prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	if err := schema.Migrate(ctx, s.conn); err != nil {
		return err
	}
	return schema.Retain(ctx, s.conn, s.Retention)
}

// Partition brings the table of events to Partitions, if they say anything, and returns those that it has then: what is
// inserted has to be cut by them. Nothing may be inserted meanwhile, so call it after Settle. A table that has rows is made
// anew; where ClickHouse refuses, the table stays as it is, which is logged, and not tried again. Errors:
// schema.ErrPartitionKey, for a table into which nothing may be inserted.
func (s *Store) Partition(ctx context.Context) (schema.Partitions, error) {
	if err := schema.DropCopies(ctx, s.conn); err != nil {
		return "", err
	}
	has, err := schema.PartitionsOf(ctx, s.conn)
	if err != nil && !errors.Is(err, schema.ErrPartitionKey) {
		return "", err
	}
	if s.Partitions == "" || has == s.Partitions || s.keepsPartitions.Load() {
		return has, err
	}
	failed := schema.Repartition(ctx, s.conn, s.Partitions, s.Log)
	exception := (*clickhouse.Exception)(nil)
	switch {
	case failed == nil:
		return s.Partitions, nil
	case errors.Is(failed, schema.ErrRepartition), errors.As(failed, &exception):
		s.keepsPartitions.Store(true)
		s.Log.Error("the table of events keeps the partitions that it has: see docs/analytics.md for how to change them", "partitions_by", has, "wanted", s.Partitions, "error", failed)
		return has, errors.Join(err, schema.DropCopies(ctx, s.conn))
	default: // ClickHouse is away, or the time is over
		return "", failed
	}
}

// Insert stores a batch, whose Partitions must be those of the table. After an error it is not known whether the batch is stored.
func (s *Store) Insert(ctx context.Context, b *record.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	prepared, err := s.conn.PrepareBatch(insertContext(ctx), b.Statement())
	if err != nil {
		return fmt.Errorf("preparing an insert of events: %w", err)
	}
	if err := b.WriteTo(prepared); err != nil {
		return errors.Join(fmt.Errorf("filling an insert of events: %w", err), prepared.Abort())
	}
	if err := prepared.Send(); err != nil {
		return fmt.Errorf("inserting %d rows of events: %w", b.Rows(), err)
	}
	return nil
}

// insertContext states the settings that the guarantee rests on, whatever the server's profile says.
func insertContext(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert":          0,
		"insert_deduplicate":    0,
		"max_insert_block_size": 1_048_576,
		// Rows of two partitions would be stored by two steps. Where the table is not what it was when the rows were cut,
		// ClickHouse refuses all of them.
		"max_partitions_per_insert_block": 1, "throw_on_max_partitions_per_insert_block": 1,
		// A block holds no row twice, so there is nothing to collapse in it.
		"optimize_on_insert": 0,
	}))
}

// Settle returns when no INSERT into the tables of events runs any more, so that what Ledgers
// says is final. The user of the connection must be the one that inserts.
func (s *Store) Settle(ctx context.Context) error {
	const running = `SELECT count() FROM system.processes
		WHERE query_kind = 'Insert' AND query LIKE 'INSERT INTO bursar.ledger\_%'`
	ticker := time.NewTicker(settlePoll)
	defer ticker.Stop()
	for quiet := 0; ; {
		n, err := queryOne[uint64](ctx, s.conn, running)
		if err != nil {
			return fmt.Errorf("looking for inserts that still run: %w", err)
		}
		if quiet++; n > 0 {
			quiet = 0
		}
		if quiet == settleQuiet {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// Run is a run of commits that are stored, without a gap between them.
type Run struct{ First, Last uint64 }

// Ledger says what is stored of a ledger.
type Ledger struct {
	Workspace string
	// Runs are in order; between two of them commits are missing.
	Runs []Run
}

// held are the commits that are stored. A commit counts as stored when its marker is, since the two are
// stored together; one that cannot be read counts when it is kept.
const held = `(
		SELECT workspace, ledger_id, commit FROM bursar.ledger_events WHERE idx = -1
		UNION ALL
		SELECT workspace, ledger_id, commit FROM bursar.ledger_unreadable WHERE ledger_id != '' AND commit != 0
	)`

// Ledgers returns what is stored, by ledger id.
func (s *Store) Ledgers(ctx context.Context) (map[string]Ledger, error) {
	// Nearly always there is one run: then counting finds it, in less memory than looking for gaps.
	const query = `SELECT ledger_id, any(workspace), min(commit), max(commit), groupBitmap(commit) FROM ` + held + ` GROUP BY ledger_id`
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	rows, err := s.conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("looking how far the ledgers are stored: %w", err)
	}
	ledgers := map[string]Ledger{}
	var broken []string
	for rows.Next() {
		var id, workspace string
		var run Run
		var commits uint64
		if err := rows.Scan(&id, &workspace, &run.First, &run.Last, &commits); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		ledgers[id] = Ledger{Workspace: workspace, Runs: []Run{run}}
		if run.Last-run.First+1 != commits {
			broken = append(broken, id)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, id := range broken {
		runs, err := s.runs(ctx, id)
		if err != nil {
			return nil, err
		}
		ledgers[id] = Ledger{Workspace: ledgers[id].Workspace, Runs: runs}
	}
	return ledgers, nil
}

// CommitID returns the id of a commit that is stored; it is empty if the commit is not, or is kept raw.
func (s *Store) CommitID(ctx context.Context, workspace, ledgerID string, commit uint64) (string, error) {
	// Of a commit that is stored twice for a while both rows say the same.
	const query = `SELECT max(commit_id) FROM bursar.ledger_events WHERE workspace = ? AND ledger_id = ? AND commit = ? AND idx = -1`
	id, err := queryOne[string](ctx, s.conn, query, workspace, ledgerID, commit)
	if err != nil {
		return "", fmt.Errorf("looking which commit %d of ledger %s is stored: %w", commit, ledgerID, err)
	}
	return id, nil
}

// runs returns the runs of a ledger that has gaps, in order.
func (s *Store) runs(ctx context.Context, ledgerID string) ([]Run, error) {
	const query = `SELECT min(commit) AS first, max(commit)
	FROM
	(
		SELECT commit, toInt64(commit) - row_number() OVER (ORDER BY commit) AS run
		FROM (SELECT DISTINCT commit FROM ` + held + ` WHERE ledger_id = ?)
	)
	GROUP BY run
	ORDER BY first`
	rows, err := s.conn.Query(ctx, query, ledgerID)
	if err != nil {
		return nil, fmt.Errorf("looking for gaps in ledger %s: %w", ledgerID, err)
	}
	var runs []Run
	for rows.Next() {
		var run Run
		if err := rows.Scan(&run.First, &run.Last); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		runs = append(runs, run)
	}
	return runs, errors.Join(rows.Err(), rows.Close())
}

// Unreadable is a commit that cannot be read.
type Unreadable struct {
	Workspace string
	// LedgerID and Commit are what its neighbours tell; empty and 0 if there are none.
	LedgerID string
	Commit   uint64
	// Revision is its place in the stream.
	Revision uint64
	StoredAt time.Time
	Reason   string
	Raw      []byte
}

// InsertUnreadable stores commits that cannot be read. A repeat is stored once.
func (s *Store) InsertUnreadable(ctx context.Context, all []Unreadable) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	const statement = "INSERT INTO bursar.ledger_unreadable (workspace, ledger_id, commit, revision, stored_at, reason, raw)"
	prepared, err := s.conn.PrepareBatch(insertContext(ctx), statement)
	if err != nil {
		return fmt.Errorf("preparing an insert of unreadable commits: %w", err)
	}
	for _, u := range all {
		if err := prepared.Append(u.Workspace, u.LedgerID, u.Commit, u.Revision, u.StoredAt, u.Reason, string(u.Raw)); err != nil {
			return errors.Join(fmt.Errorf("filling an insert of unreadable commits: %w", err), prepared.Abort())
		}
	}
	if err := prepared.Send(); err != nil {
		return fmt.Errorf("inserting %d unreadable commits: %w", len(all), err)
	}
	return nil
}

// queryOne asks for one value.
func queryOne[T any](ctx context.Context, conn driver.Conn, query string, args ...any) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var value T
	err := conn.QueryRow(ctx, query, args...).Scan(&value)
	return value, err
}
