package query

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

// envRows is how many rows BenchmarkAnswers asks over.
const (
	envRows     = "BURSAR_BENCH_ROWS"
	defaultRows = 200_000

	// The rows belong to many workspaces and lie in parts that no merge has joined: what FINAL dislikes.
	benchWorkspaces = 20
	benchParts      = 10
	// benchDays is the time that the rows are spread over, within one month.
	benchDays = 28
)

// BenchmarkAnswers measures answers over interleaved workspaces in unmerged parts, and after a merge.
// BURSAR_BENCH_ROWS=10000000 gives the figures of docs/decisions.
func BenchmarkAnswers(b *testing.B) {
	rows := defaultRows
	if text := os.Getenv(envRows); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		rows = n
	}
	conn := chtest.Open(b, chtest.Start(b), chembed.UserWriter)
	if err := schema.Migrate(b.Context(), conn); err != nil {
		b.Fatal(err)
	}
	exec(b, conn, "SYSTEM STOP MERGES bursar.ledger_events")
	for part := range benchParts {
		exec(b, conn, fillStatement(rows, part))
	}
	b.Run("unmerged", func(b *testing.B) { benchAnswers(b, conn) })
	exec(b, conn, "SYSTEM START MERGES bursar.ledger_events")
	exec(b, conn, "OPTIMIZE TABLE bursar.ledger_events FINAL")
	b.Run("merged", func(b *testing.B) { benchAnswers(b, conn) })
}

func benchAnswers(b *testing.B, conn driver.Conn) {
	r := NewReader(conn)
	now := time.Date(2026, 9, 1+benchDays, 0, 0, 0, 0, time.UTC)
	for _, timeframe := range []string{"24h", "7d", "4w"} {
		scope := wire.Scope{Timeframe: timeframe}
		measure(b, conn, "summary/"+timeframe, func() {
			reply, err := r.Summary(b.Context(), "w7", &wire.SummaryRequest{Scope: scope}, now)
			if err != nil || reply.Totals.TotalTokens == 0 {
				b.Fatalf("%+v, %v", reply, err)
			}
		})
	}
	for name, statement := range map[string]string{
		"usage by team of all":       "SELECT * FROM analyst.usage_by_team FORMAT Null",
		"usage by team of one":       "SELECT * FROM analyst.usage_by_team WHERE workspace = 'w7' FORMAT Null",
		"usage of one, one day":      "SELECT sum(total_tokens) FROM analyst.usage WHERE workspace = 'w7' AND occurred_at >= '2026-09-28 00:00:00' FORMAT Null",
		"reservations of one":        "SELECT team, avg(used_ratio) FROM analyst.reservations WHERE workspace = 'w7' GROUP BY team FORMAT Null",
		"peaks of one":               "SELECT * FROM analyst.peak_periods WHERE workspace = 'w7' AND rank <= 10 FORMAT Null",
		"denials by hour (none are)": "SELECT * FROM analyst.denials_by_hour FORMAT Null",
	} {
		measure(b, conn, name, func() { exec(b, conn, statement) })
	}
}

// measure reports, beside the time, what does not depend on what else the machine does: the processor
// time of ClickHouse and the rows it read.
func measure(b *testing.B, conn driver.Conn, name string, ask func()) {
	b.Run(name, func(b *testing.B) {
		ask() // the first one reads from disk
		cpu, rows := spending(b, conn)
		for b.Loop() {
			ask()
		}
		cpuAfter, rowsAfter := spending(b, conn)
		b.ReportMetric(float64(cpuAfter-cpu)/1000/float64(b.N), "cpu-ms/op")
		b.ReportMetric(float64(rowsAfter-rows)/float64(b.N), "rows/op")
	})
}

func spending(b *testing.B, conn driver.Conn) (cpuMicroseconds, rows uint64) {
	b.Helper()
	row := conn.QueryRow(b.Context(), `SELECT sumIf(value, event = 'OSCPUVirtualTimeMicroseconds'), sumIf(value, event = 'SelectedRows') FROM system.events`)
	if err := row.Scan(&cpuMicroseconds, &rows); err != nil {
		b.Fatal(err)
	}
	return cpuMicroseconds, rows
}

// fillStatement makes every tenth commit of every workspace: the commits of one part lie between those
// of the others.
func fillStatement(rows, part int) string {
	return fmt.Sprintf(`INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at, occurred_at, reservation,
		agent, team, provider, account, model, task_type, input_tokens, cache_read_tokens, output_tokens, requests, cost_micro_usd, granted_tokens, outcome)
	SELECT concat('w', toString(n %% %[2]d)), concat('ledger-', toString(n %% %[2]d)), intDiv(n, %[2]d) AS c, 0,
		toDateTime64('2026-09-01 00:00:00', 3, 'UTC') + toIntervalMillisecond(toInt64(n / %[1]d * %[4]d * 86400000)) AS t,
		['usage.recorded', 'reservation.granted', 'usage.recorded', 'reservation.closed'][c %% 4 + 1], t, t, toString(intDiv(c, 4)),
		concat('agent-', toString(cityHash64(n) %% 200)), concat('team-', toString(n %% 7)), ['claude', 'openai'][n %% 2 + 1],
		concat('account-', toString(n %% 5)), concat('model-', toString(n %% 6)), concat('task-', toString(n %% 5)),
		cityHash64(n, 1) %% 10000, cityHash64(n, 2) %% 100000, cityHash64(n, 3) %% 1000, 1, cityHash64(n, 4) %% 100000, 20000, 'settled'
	FROM (SELECT number AS n FROM numbers(%[1]d))
	WHERE intDiv(n, %[2]d) %% %[3]d = %[5]d`, rows, benchWorkspaces, benchParts, benchDays, part)
}

func exec(b testing.TB, conn driver.Conn, statement string) {
	b.Helper()
	if err := conn.Exec(b.Context(), statement); err != nil {
		b.Fatalf("%s: %v", statement, err)
	}
}
