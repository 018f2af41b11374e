package bench

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

const (
	// codecAsked is how often each variant is asked; the fastest answer counts.
	codecAsked = 7

	identity = "workspace, ledger_id, commit, idx"
)

// variant is a way to store columns of the table of events.
type variant struct {
	name string
	// columns are those that differ, as the table's columns are named; definitions is what each gets, with %s for the name.
	columns    []string
	definition string
}

// variants returns what is compared, group by group; the first of a group is how the first migration has it.
func variants() []variant {
	counts := []string{"input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens", "requests", "cost_micro_usd"}
	times := []string{"at", "committed_at", "occurred_at"}
	names := []string{"agent", "team", "model", "task_type", "account"}
	ids := []string{"reservation", "call_id", "commit_id"}
	told := []string{"files", "estimated_tokens"}
	return []variant{
		{"files and estimates: Int64 LZ4", told, "%s Int64 CODEC(LZ4)"},
		{"files and estimates: Int64 ZSTD(1)", told, "%s Int64 CODEC(ZSTD(1))"},
		{"files and estimates: Int64 T64, ZSTD(1)", told, "%s Int64 CODEC(T64, ZSTD(1))"},
		{"files and estimates: UInt32 ZSTD(1)", told, "%s UInt32 CODEC(ZSTD(1))"},
		{"counts: Int64 LZ4", counts, "%s Int64 CODEC(LZ4)"},
		{"counts: Int64 ZSTD(1)", counts, "%s Int64 CODEC(ZSTD(1))"},
		{"counts: Int64 T64, LZ4", counts, "%s Int64 CODEC(T64, LZ4)"},
		{"counts: Int64 T64, ZSTD(1)", counts, "%s Int64 CODEC(T64, ZSTD(1))"},
		{"counts: UInt32 ZSTD(1)", counts, "%s UInt32 CODEC(ZSTD(1))"},
		{"times: DateTime64(3) LZ4", times, "%s DateTime64(3, 'UTC') CODEC(LZ4)"},
		{"times: DateTime64(3) ZSTD(1)", times, "%s DateTime64(3, 'UTC') CODEC(ZSTD(1))"},
		{"times: DateTime64(3) Delta, ZSTD(1)", times, "%s DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))"},
		{"times: DateTime64(3) DoubleDelta, ZSTD(1)", times, "%s DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))"},
		{"commit: UInt64 LZ4", []string{"commit"}, "%s UInt64 CODEC(LZ4)"},
		{"commit: UInt64 Delta, ZSTD(1)", []string{"commit"}, "%s UInt64 CODEC(Delta, ZSTD(1))"},
		{"names: LowCardinality LZ4", names, "%s LowCardinality(String) CODEC(LZ4)"},
		{"names: LowCardinality ZSTD(1)", names, "%s LowCardinality(String) CODEC(ZSTD(1))"},
		{"names: String ZSTD(1)", names, "%s String CODEC(ZSTD(1))"},
		{"ids: String LZ4", ids, "%s String CODEC(LZ4)"},
		{"ids: String ZSTD(1)", ids, "%s String CODEC(ZSTD(1))"},
		{"ids: String ZSTD(3)", ids, "%s String CODEC(ZSTD(3))"},
		{"data: String LZ4", []string{"data"}, "%s String CODEC(LZ4)"},
		{"data: String ZSTD(1)", []string{"data"}, "%s String CODEC(ZSTD(1))"},
		{"data: String ZSTD(3)", []string{"data"}, "%s String CODEC(ZSTD(3))"},
		{"data: String ZSTD(6)", []string{"data"}, "%s String CODEC(ZSTD(6))"},
	}
}

// Codecs compares ways to store the columns of the table of events: the bytes a row takes and the time to read it.
func (b *Bench) Codecs(ctx context.Context, o Options) error {
	if err := schema.Migrate(ctx, b.conn); err != nil {
		return err
	}
	o.Shape.Workspaces = 1
	if err := b.ingest(ctx, o); err != nil {
		return err
	}
	if err := b.exec(ctx, "OPTIMIZE TABLE bursar.ledger_events FINAL", nil); err != nil {
		return err
	}
	w := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "COLUMNS\tBYTES A ROW\tREAD\tWRITE")
	for _, v := range variants() {
		line, err := b.variant(ctx, v)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		_, _ = fmt.Fprintln(w, line)
		b.log.Info("measured", "variant", v.name)
	}
	return w.Flush()
}

// variant stores the columns with the identity, and tells what they take.
func (b *Bench) variant(ctx context.Context, v variant) (string, error) {
	columns, create := "", "CREATE TABLE bursar.bench_stage (workspace LowCardinality(String), ledger_id LowCardinality(String), "
	if !slices.Contains(v.columns, "commit") {
		create += "commit UInt64, "
	}
	create += "idx Int32"
	sums := ""
	for _, column := range v.columns {
		create += ", " + fmt.Sprintf(v.definition, column)
		if column != "commit" {
			columns += ", " + column
		}
		sums += ", sum(cityHash64(" + column + "))"
	}
	// In a compact part columns are not told apart.
	create += ") ENGINE = ReplacingMergeTree ORDER BY (" + identity + ") SETTINGS min_bytes_for_wide_part = 0"
	if err := b.exec(ctx, create, nil); err != nil {
		return "", err
	}
	began := time.Now()
	for _, statement := range []string{
		"INSERT INTO bursar.bench_stage (" + identity + columns + ") SELECT " + identity + columns + " FROM bursar.ledger_events",
		"OPTIMIZE TABLE bursar.bench_stage FINAL SETTINGS optimize_throw_if_noop = 0",
	} {
		if err := b.exec(ctx, statement, nil); err != nil {
			return "", err
		}
	}
	wrote := time.Since(began)
	bytes, err := one[float64](ctx, b.conn, "SELECT sum(column_data_compressed_bytes) / (SELECT count() FROM bursar.bench_stage) FROM system.parts_columns"+
		" WHERE database = 'bursar' AND table = 'bench_stage' AND active AND column IN ("+quoted(v.columns)+")")
	if err != nil {
		return "", err
	}
	fastest := time.Duration(0)
	for range codecAsked {
		began := time.Now()
		if err := drain(ctx, b.conn, "SELECT count()"+sums+" FROM bursar.bench_stage SETTINGS max_threads = 1"); err != nil {
			return "", err
		}
		if took := time.Since(began); fastest == 0 || took < fastest {
			fastest = took
		}
	}
	return fmt.Sprintf("%s\t%.2f\t%d ms\t%d ms", v.name, bytes, fastest.Milliseconds(), wrote.Milliseconds()), b.exec(ctx, "DROP TABLE bursar.bench_stage SYNC", nil)
}

func quoted(names []string) string {
	text := ""
	for i, name := range names {
		if i > 0 {
			text += ", "
		}
		text += "'" + name + "'"
	}
	return text
}
