package query

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/forecast"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

// builtTables returns the tables, and what sums the ledger of acme through a commit.
func builtTables(t *testing.T) (driver.Conn, func(through uint64)) {
	t.Helper()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := schema.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	progress := rollup.NewProgress()
	sums, err := rollup.New(conn, progress, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return conn, func(through uint64) {
		t.Helper()
		progress.Stored(rollup.Ledger{Workspace: "acme", ID: "ledger"}, through)
		if err := sums.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUseOfALimitThatWasConfiguredAnew takes a limit out and in again within a quarter of an hour: its window starts as it
// did, and what was charged to it before is not of it. The cells of the sums have both in one.
func TestUseOfALimitThatWasConfiguredAnew(t *testing.T) {
	t.Parallel()
	conn, sumThrough := builtTables(t)
	// A commit a minute from 10:01 on: usage of 1, 2, 4, 8, … units, and the configuration as the fifth.
	exec(t, conn, `INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at, occurred_at, limits.id, limits.window, limits.amount, limits.within)
		SELECT 'acme', 'ledger', n, 0, toDateTime64('2026-09-23 10:00:00', 3, 'UTC') + toIntervalMinute(n) AS t, 'usage.recorded', t, t,
			['it''s\\a/week'], [toDateTime64('2026-09-21 00:00:00', 3, 'UTC')], [bitShiftLeft(toInt64(1), n - 1)], [0]
		FROM (SELECT number + 1 AS n FROM numbers(9) WHERE n != 5)`)
	// Late usage of 09:20, told of before the configuration and after it: no quarter that anybody would guess.
	exec(t, conn, `INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at, occurred_at, limits.id, limits.window, limits.amount, limits.within)
		SELECT 'acme', 'ledger', n, 1, toDateTime64('2026-09-23 10:00:00', 3, 'UTC') + toIntervalMinute(n) AS t, 'usage.recorded', t, toDateTime64('2026-09-23 09:20:00', 3, 'UTC'),
			['it''s\\a/week'], [toDateTime64('2026-09-21 00:00:00', 3, 'UTC')], [n * 10000], [0]
		FROM (SELECT arrayJoin([4, 6]) AS n)`)
	exec(t, conn, `INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at, data)
		SELECT 'acme', 'ledger', 5, 0, toDateTime64('2026-09-23 10:05:00', 3, 'UTC') AS t, 'config.applied', t, '{"config":{"limits":[
			{"limit_id":"it''s\\\\a/week","unit":"tokens","window":{"kind":"calendar","period":"week"},"capacity":1000}]},
			"opened":[{"limit_id":"it''s\\\\a/week","starts_at":"2026-09-21T00:00:00.000Z","ends_at":"2026-09-28T00:00:00.000Z"}]}'`)
	exec(t, conn, `INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at)
		SELECT 'acme', 'ledger', number + 1, -1, toDateTime64('2026-09-23 10:01:00', 3, 'UTC') + toIntervalMinute(number) AS t, 'commit', t FROM numbers(9)`)
	now := time.Date(2026, 9, 23, 11, 3, 30, 0, time.UTC)
	asked := func(when string) {
		t.Helper()
		reply, err := NewReader(conn).Forecast(t.Context(), "acme", &wire.ForecastRequest{}, now)
		if err != nil || len(reply.Limits) != 1 {
			t.Fatalf("%s: %+v, %v", when, reply, err)
		}
		// Since 10:05:00: 32+64+128+256 and the late one; since 10:03:30: all but the first three and the late ones.
		if f := reply.Limits[0]; f.Used != 60_480 || f.BurnPerHour != 488 {
			t.Errorf("%s: %d used, %d in the last hour; want 60480 and 488", when, f.Used, f.BurnPerHour)
		}
		if want := wire.Time(now.Add(-54*time.Minute - 30*time.Second).UnixMilli()); reply.Through != want {
			t.Errorf("%s: complete through %v, want %v", when, reply.Through, want)
		}
	}
	asked("nothing summed")
	for _, through := range []uint64{3, 5, 7, 9} {
		sumThrough(through)
		asked(fmt.Sprint("summed through ", through))
	}
	exec(t, conn, "TRUNCATE TABLE bursar.charges")
	asked("less is summed than is copied")
	exec(t, conn, "TRUNCATE TABLE bursar.limit_log")
	asked("nothing is copied")
}

// TestAConfigurationLeavesWindowsAlone: a limit that is configured as it was counts on in the window that an earlier
// configuration opened, which no later one tells again.
func TestAConfigurationLeavesWindowsAlone(t *testing.T) {
	t.Parallel()
	conn, sumThrough := builtTables(t)
	// The configuration at 10:01, usage at 10:02, and another configuration at 10:03, which has one more limit.
	exec(t, conn, `INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at, data)
		SELECT 'acme', 'ledger', n, 0, toDateTime64('2026-09-23 10:00:00', 3, 'UTC') + toIntervalMinute(n) AS t, 'config.applied', t, concat('{"config":{"limits":[
			{"limit_id":"a/month","unit":"tokens","window":{"kind":"calendar","period":"month"},"capacity":1000}',
			if(n = 1, '', ',{"limit_id":"a/day","unit":"tokens","window":{"kind":"calendar","period":"day"},"capacity":1000}'), ']},"opened":[',
			if(n = 1, '{"limit_id":"a/month","starts_at":"2026-09-01T00:00:00.000Z","ends_at":"2026-10-01T00:00:00.000Z"}',
				'{"limit_id":"a/day","starts_at":"2026-09-23T00:00:00.000Z","ends_at":"2026-09-24T00:00:00.000Z"}'), ']}')
		FROM (SELECT arrayJoin([1, 3]) AS n)`)
	exec(t, conn, `INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at, occurred_at, limits.id, limits.window, limits.amount, limits.within)
		SELECT 'acme', 'ledger', 2, 0, toDateTime64('2026-09-23 10:02:00', 3, 'UTC') AS t, 'usage.recorded', t, t, ['a/month'], [toDateTime64('2026-09-01 00:00:00', 3, 'UTC')], [7], [0]`)
	exec(t, conn, `INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at, kind, at)
		SELECT 'acme', 'ledger', number + 1, -1, toDateTime64('2026-09-23 10:01:00', 3, 'UTC') + toIntervalMinute(number) AS t, 'commit', t FROM numbers(3)`)
	type standing struct {
		starts, resets string
		used           int64
	}
	for through := range uint64(4) {
		if through > 0 {
			sumThrough(through)
		}
		reply, err := NewReader(conn).Forecast(t.Context(), "acme", &wire.ForecastRequest{}, time.Date(2026, 9, 23, 11, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]standing{}
		for _, f := range reply.Limits {
			got[f.LimitID] = standing{f.StartsAt.String(), f.ResetsAt.String(), f.Used}
		}
		want := map[string]standing{
			"a/month": {"2026-09-01T00:00:00.000Z", "2026-10-01T00:00:00.000Z", 7},
			"a/day":   {"2026-09-23T00:00:00.000Z", "2026-09-24T00:00:00.000Z", 0},
		}
		if !maps.Equal(got, want) {
			t.Errorf("summed through %d: %+v, want %+v", through, got, want)
		}
	}
}

// TestSpread wants nothing lost, and each step its part, when quarters of the clock become steps back from now.
func TestSpread(t *testing.T) {
	t.Parallel()
	const minute = int64(time.Minute / time.Millisecond)
	step := forecast.FineStep.Milliseconds()
	now := 1_000*quarterMS + 5*minute
	for _, c := range []struct {
		name  string
		begin int64
		want  map[int64]float64
	}{
		{"the present quarter", 1_000 * quarterMS, map[int64]float64{0: 90}},
		{"the one before", 999 * quarterMS, map[int64]float64{0: 60, 1: 30}},
		{"long ago", 900 * quarterMS, map[int64]float64{99: 60, 100: 30}},
		{"the time to come", 1_001 * quarterMS, map[int64]float64{0: 90}},
	} {
		l := &limitUse{byAge: map[int64]float64{}, byHour: map[int64]int64{}}
		(&charging{now: now}).add(l, c.begin, 90)
		sum := 0.0
		for age, got := range l.byAge {
			sum += got
			if math.Abs(got-c.want[age]) > 1e-6 {
				t.Errorf("%s: %g of %d steps ago, want %g", c.name, got, age, c.want[age])
			}
		}
		if math.Abs(sum-90) > 1e-6 {
			t.Errorf("%s: %g in all, want 90", c.name, sum)
		}
	}
	if step != quarterMS {
		t.Error(fmt.Errorf("a step is %d ms, a cell %d: the sums are too coarse or too fine", step, int64(quarterMS)))
	}
}
