package query

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

// BenchmarkForecast measures forecasts of one of 20 workspaces with eight weeks of usage, in parts that no merge has joined.
// BURSAR_BENCH_ROWS=10000000 gives the figures of docs/forecasts.md.
func BenchmarkForecast(b *testing.B) {
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
	now := time.Date(2026, 9, 27, 12, 0, 0, 0, time.UTC)
	exec(b, conn, `INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at, data)
		SELECT 'w7', 'ledger-7', 0, 0, toDateTime64('2026-08-01 00:00:00', 3, 'UTC') AS t, 'config.applied', t, `+benchConfig)
	for part := range benchParts {
		exec(b, conn, usageStatement(rows, part, now))
	}
	r := NewReader(conn)
	for name, request := range map[string]wire.ForecastRequest{"all limits": {}, "one limit": {LimitID: "a/week"}, "back-test of one": {LimitID: "a/session", Backtest: true}} {
		measure(b, conn, name, func() {
			reply, err := r.Forecast(b.Context(), "w7", &request, now)
			if err != nil || len(reply.Limits) == 0 || reply.Limits[0].NextWeek == nil {
				b.Fatalf("%+v, %v", reply, err)
			}
		})
	}
}

// benchConfig has three limits, as SQL.
const benchConfig = `'{"config":{"limits":[
	{"limit_id":"a/session","account":"a","unit":"tokens","window":{"kind":"session","duration_ms":18000000},"capacity":10000000},
	{"limit_id":"a/week","account":"a","unit":"tokens","window":{"kind":"calendar","period":"week"},"capacity":1000000000},
	{"limit_id":"core/month","team":"core","unit":"tokens","window":{"kind":"calendar","period":"month"},"capacity":1000000000}]},
	"opened":[{"limit_id":"a/week","starts_at":"2026-09-21T00:00:00.000Z","ends_at":"2026-09-28T00:00:00.000Z"}]}'`

// usageStatement makes every tenth usage of every workspace, spread over eight weeks, each charged to three limits.
func usageStatement(rows, part int, now time.Time) string {
	return fmt.Sprintf(`INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at, occurred_at, agent, account, model,
		input_tokens, output_tokens, requests, cost_micro_usd, limits.id, limits.window, limits.amount, limits.within)
	SELECT concat('w', toString(n %% %[2]d)), concat('ledger-', toString(n %% %[2]d)), intDiv(n, %[2]d) + 1, 0,
		fromUnixTimestamp64Milli(%[4]d - toInt64((1 - n / %[1]d) * 56 * 86400000)) AS t, 'usage.recorded', t, t,
		concat('agent-', toString(cityHash64(n) %% 200)), 'a', 'm', 1000, 500, 1, 100,
		['a/session', 'a/week', 'core/month'], [toStartOfInterval(t, INTERVAL 5 hour), toDateTime64(toStartOfWeek(t, 1), 3, 'UTC'), toDateTime64(toStartOfMonth(t), 3, 'UTC')],
		[1500, 1500, 1500], [0, 0, 0]
	FROM (SELECT number AS n FROM numbers(%[1]d))
	WHERE intDiv(n, %[2]d) %% %[3]d = %[5]d`, rows, benchWorkspaces, benchParts, now.UnixMilli(), part)
}
