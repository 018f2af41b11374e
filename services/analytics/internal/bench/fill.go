package bench

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

const (
	// fillMemory is what a statement of the fill may take: more than the service has, since what it stores is larger.
	fillMemory = 6 << 30
	// copiesAtOnce is how many workspaces are copied at a time: an INSERT takes one processor.
	copiesAtOnce = 2
	// statementTimeout bounds one statement of the fill.
	statementTimeout = 2 * time.Hour
)

//go:embed copy.sql
var copyOf string

// Shape says what to fill ClickHouse with.
type Shape struct {
	// UsageRows is about how many usage rows there are; beside them are grants, closes, refusals and commits.
	UsageRows uint64
	// Workspaces lie between each other, in Parts that are not merged.
	Workspaces, Parts uint64
	// Partitions are those of the table of events; no choice is months. A part lies within one, so that where partitions are
	// shorter than a part's time there are more parts.
	Partitions schema.Partitions
	// Scattered says that every part has commits between those of each other, of each workspace. Otherwise each has those of
	// a time, as they are after the service has stored one batch after the other.
	Scattered bool
}

// workspaceOf is the name of a workspace; the first one comes by the path of the service.
func workspaceOf(n uint64) string { return "w" + strconv.FormatUint(n, 10) }

// ledgerOf is the id of the ledger of a copy.
func ledgerOf(workspace string) string {
	sum := sha256.Sum256([]byte(workspace))
	return hex.EncodeToString(sum[:16])
}

// fill multiplies the one workspace that is in the table of events: it is moved away, and comes back beside its copies in
// parts that are not merged.
func (b *Bench) fill(ctx context.Context, s Shape) error {
	if err := b.source(ctx, s); err != nil {
		return err
	}
	// A part is merged while the next one is made.
	var merging errgroup.Group
	for part := range s.Parts {
		began, stage := time.Now(), "bench_stage_"+strconv.FormatUint(part, 10)
		if err := b.stage(ctx, s, part, stage); err != nil {
			return err
		}
		if err := merging.Wait(); err != nil {
			return err
		}
		merging.Go(func() error {
			for _, statement := range []string{
				"ALTER TABLE bursar." + stage + " MODIFY COLUMN data CODEC(ZSTD(1))",
				"OPTIMIZE TABLE bursar." + stage + " FINAL",
				"ALTER TABLE bursar.ledger_events ATTACH PARTITION ALL FROM bursar." + stage,
				"DROP TABLE bursar." + stage + " SYNC",
			} {
				if err := b.exec(ctx, statement, nil); err != nil {
					return err
				}
			}
			return nil
		})
		b.log.Info("filled", "part", part+1, "of", s.Parts, "took", time.Since(began).Round(time.Second))
	}
	if err := merging.Wait(); err != nil {
		return err
	}
	return b.exec(ctx, "DROP TABLE bursar.bench_source SYNC", nil)
}

// source moves the workspace into a table whose partitions are the parts to be.
func (b *Bench) source(ctx context.Context, s Shape) error {
	commits, err := one[uint64](ctx, b.conn, "SELECT max(commit) FROM bursar.ledger_events")
	if err != nil {
		return err
	}
	part := fmt.Sprintf("intDiv((commit - 1) * %d, %d)", s.Parts, commits)
	if s.Scattered {
		part = fmt.Sprintf("commit %% %d", s.Parts)
	}
	for _, statement := range []string{
		"CREATE TABLE bursar.bench_source AS bursar.ledger_events ENGINE = MergeTree PARTITION BY " + part + " ORDER BY (" + identity + ")",
		"INSERT INTO bursar.bench_source SELECT * FROM bursar.ledger_events",
		"TRUNCATE TABLE bursar.ledger_events",
		// No merge is small enough: that holds when ClickHouse is started again, too.
		"ALTER TABLE bursar.ledger_events MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1",
	} {
		if err := b.exec(ctx, statement, nil); err != nil {
			return err
		}
	}
	return nil
}

// stage makes what one part is to have of every workspace.
func (b *Bench) stage(ctx context.Context, s Shape, part uint64, stage string) error {
	id := strconv.FormatUint(part, 10)
	for _, statement := range []string{
		"CREATE TABLE bursar." + stage + " AS bursar.ledger_events",
		// What is merged at once is not worth the time of the table's codec.
		"ALTER TABLE bursar." + stage + " MODIFY COLUMN data CODEC(LZ4)",
		"INSERT INTO bursar." + stage + " SELECT * FROM bursar.bench_source WHERE _partition_id = '" + id + "'",
	} {
		if err := b.exec(ctx, statement, nil); err != nil {
			return err
		}
	}
	var copies errgroup.Group
	copies.SetLimit(copiesAtOnce)
	for w := uint64(1); w < s.Workspaces; w++ {
		copies.Go(func() error {
			parameters := clickhouse.Parameters{"stage": stage, "workspace": workspaceOf(w), "ledger": ledgerOf(workspaceOf(w)), "part": id}
			return b.exec(ctx, copyOf, parameters)
		})
	}
	return copies.Wait()
}

func (b *Bench) exec(ctx context.Context, statement string, parameters clickhouse.Parameters) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(parameters), clickhouse.WithSettings(clickhouse.Settings{
		"max_execution_time": int(statementTimeout.Seconds()), "optimize_throw_if_noop": 1, "max_memory_usage": fillMemory,
		// No row is there twice, and what is stored is merged at once.
		"optimize_on_insert": 0,
	}))
	if err := b.conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%.60s: %w", statement, err)
	}
	return nil
}

// one asks for one value.
func one[T any](ctx context.Context, conn driver.Conn, query string) (T, error) {
	var value T
	if err := conn.QueryRow(ctx, query).Scan(&value); err != nil {
		return value, fmt.Errorf("%.60s: %w", query, err)
	}
	return value, nil
}
