package bench

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const (
	// days is the time that the rows are spread over, from begins on, within one month and so one partition.
	days   = 28
	begins = "2026-09-01"
	// usageOfSix is how many usage rows six commits of the generator have.
	usageOfSix = 40
	// fillBlock is how many commits are made at a time, and fillMemory what a statement of the fill may take: more than the
	// service has, since the blocks are larger than its own.
	fillBlock  = 8192
	fillMemory = 6 << 30
	// statementTimeout bounds one statement of the fill.
	statementTimeout = 2 * time.Hour
)

// Ends is the end of the time that the rows are spread over, as ClickHouse reads it.
const Ends = "2026-09-29 00:00:00"

var (
	//go:embed generate.sql
	generate string
	//go:embed limits.sql
	limits string
)

// Shape says what to fill ClickHouse with.
type Shape struct {
	// UsageRows is about how many usage rows there are; beside them are grants, closes, refusals and commits.
	UsageRows uint64
	// Workspaces lie between each other, in Parts that are not merged. Every part has commits between those of each other.
	Workspaces, Parts uint64
	// Bodies says that rows have the event as it is published, JSON: most of what they take, and what no question reads.
	Bodies bool
}

// parameters are those of the statements that make rows of a part.
func (s Shape) parameters(part uint64) clickhouse.Parameters {
	bodies := "0"
	if s.Bodies {
		bodies = "1"
	}
	return clickhouse.Parameters{
		"workspaces": strconv.FormatUint(s.Workspaces, 10), "parts": strconv.FormatUint(s.Parts, 10), "part": strconv.FormatUint(part, 10),
		"commits": strconv.FormatUint(s.commits(), 10), "days": strconv.Itoa(days), "bodies": bodies,
	}
}

// commits is the number of commits of each workspace: a multiple of six and of the parts.
func (s Shape) commits() uint64 {
	unit := 6 * s.Parts
	return max(1, s.UsageRows*6/usageOfSix/s.Workspaces/unit) * unit
}

// fill makes the rows, each part by itself, and moves it into the table of events.
func (b *Bench) fill(ctx context.Context, s Shape) error {
	for _, statement := range []string{"SYSTEM STOP MERGES bursar.ledger_events", "DROP TABLE IF EXISTS bursar.bench_stage SYNC"} {
		if err := b.exec(ctx, statement, nil); err != nil {
			return err
		}
	}
	for part := range s.Parts {
		began := time.Now()
		parameters := s.parameters(part)
		for _, statement := range []string{
			"CREATE TABLE bursar.bench_stage AS bursar.ledger_events",
			generate, limits,
			"OPTIMIZE TABLE bursar.bench_stage FINAL",
			"ALTER TABLE bursar.ledger_events ATTACH PARTITION 202609 FROM bursar.bench_stage",
			"DROP TABLE bursar.bench_stage SYNC",
		} {
			if err := b.exec(ctx, statement, parameters); err != nil {
				return err
			}
		}
		b.log.Info("filled", "part", part+1, "of", s.Parts, "took", time.Since(began).Round(time.Second))
	}
	return nil
}

func (b *Bench) exec(ctx context.Context, statement string, parameters clickhouse.Parameters) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(parameters), clickhouse.WithSettings(clickhouse.Settings{
		"max_execution_time": int(statementTimeout.Seconds()),
		// The rows of one workspace are in the order of the sort key already, so that blocks may be large.
		"max_insert_threads": 1, "optimize_throw_if_noop": 1, "max_block_size": fillBlock, "max_memory_usage": fillMemory,
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
