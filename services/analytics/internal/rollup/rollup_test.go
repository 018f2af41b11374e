package rollup

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

// testBlock is a block so small that a test has many.
const testBlock = 100

// bench is a ClickHouse with two fleets.
type bench struct {
	t        *testing.T
	conn     driver.Conn
	fleets   map[string]*fleet.Fleet
	stored   map[string]uint64
	progress *Progress
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		t: t, conn: chtest.Open(t, chtest.Start(t), chembed.UserWriter), progress: NewProgress(), stored: map[string]uint64{},
		fleets: map[string]*fleet.Fleet{"acme": fleet.New(1, time.Minute), "other": fleet.New(2, 3*time.Minute)},
	}
	if err := schema.Migrate(t.Context(), b.conn); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) builder() *Builder {
	b.t.Helper()
	builder, err := New(b.conn, b.progress, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	builder.blockCommits = testBlock
	return builder
}

// grow stores n more commits of every fleet and tells of them.
func (b *bench) grow(n int) {
	b.t.Helper()
	s, batch := store.New(b.conn), record.NewBatch()
	flush := func() {
		// What was stored before the answer was cut off is stored twice then, and found once.
		chtest.Read(b.t, func(ctx context.Context) error { return s.Insert(ctx, batch) })
		batch.Reset()
	}
	for workspace, f := range b.fleets {
		for range n {
			commit, _, err := f.Next(2)
			if err != nil {
				b.t.Fatal(err)
			}
			if !batch.Fits(commit) {
				flush()
			}
			batch.Add(workspace, commit)
		}
		flush()
		b.stored[workspace] += uint64(n)
		b.progress.Stored(Ledger{workspace, f.Ledger().String()}, b.stored[workspace])
	}
}

func (b *bench) count(query string) (n uint64) {
	b.t.Helper()
	chtest.Read(b.t, func(ctx context.Context) error { return b.conn.QueryRow(ctx, query).Scan(&n) })
	return n
}

// check wants every sum that analysts see to be that of the events, by every label.
func (b *bench) check() {
	b.t.Helper()
	const (
		usageLabels  = "workspace, %s AS hour, provider, account, team, principal, agent, model, task_type, project"
		usageEvents  = "SELECT " + usageLabels + ", toInt64(count()), sum(input_tokens), sum(output_tokens), sum(total_tokens), sum(requests), sum(cost_micro_usd), sumIf(total_tokens, unpriced), sum(overrun_tokens) FROM analyst.usage GROUP BY ALL"
		usageSums    = "SELECT " + usageLabels + ", toInt64(sum(usage_events)), sum(input_tokens), sum(output_tokens), sum(total_tokens), sum(requests), sum(cost_micro_usd), sum(unpriced_tokens), sum(overrun_tokens) FROM analyst.usage_hourly GROUP BY ALL"
		denialEvents = "SELECT workspace, toStartOfHour(denied_at), team, agent, code, limit_id, CAST(reason, 'String'), exhausted, toInt64(count()), sum(asked_tokens) FROM analyst.denials GROUP BY ALL"
		denialSums   = "SELECT workspace, hour, team, agent, code, limit_id, CAST(reason, 'String'), exhausted, toInt64(sum(decisions)), sum(tokens) FROM analyst.decisions_hourly WHERE decision = 'denied' GROUP BY ALL"
		closeEvents  = "SELECT workspace, toStartOfHour(assumeNotNull(closed_at)), team, agent, CAST(outcome, 'String'), toInt64(count()), sum(granted_tokens - shrunk_tokens), sum(returned_tokens - shrunk_tokens) FROM analyst.reservations WHERE outcome != 'live' GROUP BY ALL"
		closeSums    = "SELECT workspace, hour, team, agent, decision, toInt64(sum(decisions)), sum(granted_tokens), sum(returned_tokens) FROM analyst.decisions_hourly WHERE decision IN ('settled', 'released', 'expired', 'revoked', 'preempted') GROUP BY ALL"
		waitEvents   = "SELECT workspace, toStartOfHour(ended_at), team, concat('queue_', outcome), limit_id, toInt64(count()), sum(waited_ms), sum(wanted_tokens) FROM analyst.waits GROUP BY ALL"
		chargeEvents = "SELECT workspace, limit_id, toStartOfFifteenMinutes(occurred_at), window_start, toInt64(count()), sum(amount), min(occurred_at), max(occurred_at), arraySort(groupUniqArray(concat(principal, '/', agent))) FROM analyst.limit_charges GROUP BY ALL"
		chargeSums   = "SELECT workspace, limit_id, quarter, window_start, toInt64(sum(charges)), sum(amount), min(first_used_at), max(last_used_at), arraySort(groupUniqArrayArray(agents)) FROM analyst.limit_use GROUP BY ALL"
		spreadEvents = "SELECT workspace, toStartOfHour(ended_at), CAST(priority, 'String'), CAST(outcome, 'String'), toInt64(count()), sum(waited_ms), round(quantileTDigest(0.5)(waited_ms)), round(quantileTDigest(0.99)(waited_ms)) FROM analyst.waits GROUP BY ALL"
		spreadSums   = "SELECT workspace, hour, CAST(priority, 'String'), CAST(outcome, 'String'), toInt64(sum(waits)), sum(waited_ms), round(quantileTDigestMerge(0.5)(spread)), round(quantileTDigestMerge(0.99)(spread)) FROM analyst.waits_hourly GROUP BY ALL"
		logEvents    = "SELECT workspace, CAST(kind, 'String'), limit_id, committed_at, ledger_id, commit, idx, at, window_start, window_end, limit_used, limit_capacity, threshold_percent, effective, data FROM bursar.ledger_events FINAL WHERE kind IN ('config.applied', 'window.opened', 'window.rolled', 'limit.warning', 'observation.recorded')"
		logSums      = "SELECT workspace, CAST(kind, 'String'), limit_id, committed_at, ledger_id, commit, idx, at, window_start, window_end, limit_used, limit_capacity, threshold_percent, effective, data FROM bursar.limit_log FINAL WHERE kind != ''"
		waitSums     = "SELECT workspace, hour, team, decision, limit_id, toInt64(sum(decisions)), sum(waited_ms), sum(tokens) FROM analyst.decisions_hourly WHERE startsWith(decision, 'queue_') GROUP BY ALL"
		marginSums   = "toInt64(sum(events)), sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), sum(output_tokens), sum(requests), sum(cost_micro_usd), sum(unpriced_tokens), sum(overrun_tokens), sum(returned_tokens)"
		// By hour and every label, events summed once more from hourly: outcomes and reasons tell of closes and denials only.
		marginEvents = "SELECT workspace, d.1, CAST(kind, 'String'), hour, d.2, CAST(outcome, 'String') AS ended, kind = 'reservation.denied' AND code IN ('insufficient_quota', 'concurrent_limit_exceeded') AND reason != 'held_back' AS lack, " + marginSums +
			" FROM bursar.hourly FINAL ARRAY JOIN if(kind IN ('usage.recorded', 'reservation.granted', 'reservation.denied'), [('', ''), ('provider', CAST(provider, 'String')), ('account', CAST(account, 'String')), ('team', CAST(team, 'String')), ('agent', CAST(agent, 'String')), ('task_type', CAST(task_type, 'String')), ('model', CAST(model, 'String'))], [('', '')]) AS d" +
			" WHERE kind NOT IN ('', 'reservation.queued') GROUP BY ALL"
		margins = "SELECT workspace, CAST(dimension, 'String'), CAST(kind, 'String'), hour, CAST(name, 'String'), CAST(outcome, 'String'), exhausted, " + marginSums + " FROM bursar.margins FINAL WHERE kind != '' GROUP BY ALL"
	)
	for name, pair := range map[string][2]string{
		"margins": {marginEvents, margins},
		"usage":   {fmt.Sprintf(usageEvents, "toStartOfHour(occurred_at)"), fmt.Sprintf(usageSums, "hour")},
		"denials": {denialEvents, denialSums},
		"closes":  {closeEvents, closeSums},
		"waits":   {waitEvents, waitSums},
		"charges": {chargeEvents, chargeSums},
		"spread":  {spreadEvents, spreadSums},
		"limits":  {logEvents, logSums},
	} {
		events, sums := b.count("SELECT count() FROM ("+pair[0]+")"), b.count("SELECT count() FROM ("+pair[1]+")")
		both := b.count("SELECT count() FROM (" + pair[0] + " INTERSECT " + pair[1] + ")")
		if events != sums || both != events || events == 0 {
			b.t.Errorf("%s: %d rows by the events, %d by the sums, %d of them equal", name, events, sums, both)
		}
	}
}

func TestSumsAreThoseOfTheEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	builder := b.builder()
	chtest.Read(t, builder.Round) // which may be called again, as Run does
	for _, n := range []int{1, testBlock - 2, 1, 1, testBlock/2 + 3*testBlock, 700} {
		b.grow(n)
		for range 2 {
			chtest.Read(t, builder.Round) // which may be called again, as Run does
		}
		for workspace, stored := range b.stored {
			if got := b.count("SELECT through_commit FROM analyst.summed WHERE workspace = '" + workspace + "'"); got != stored {
				t.Errorf("workspace %s is summed through %d, want %d", workspace, got, stored)
			}
		}
	}
	b.check()
}

// A builder that was killed, or whose INSERT has an outcome that nobody knows, sums again what was summed.
func TestSumsSurviveRepeats(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, sums := range tables() {
		if err := b.conn.Exec(t.Context(), "SYSTEM STOP MERGES "+sums.name); err != nil {
			t.Fatal(err)
		}
	}
	b.grow(350)
	for range 2 {
		forgetful := b.builder()
		forgetful.known = true
		forgetful.built = map[string]map[Ledger]uint64{}
		for _, sums := range tables() {
			forgetful.built[sums.name] = map[Ledger]uint64{}
		}
		chtest.Read(t, forgetful.Round) // which may be called again, as Run does
		b.grow(250)
	}
	chtest.Read(t, b.builder().Round) // which may be called again, as Run does
	for _, sums := range tables() {
		if rows, distinct := b.count("SELECT count() FROM "+sums.name), b.count("SELECT count() FROM "+sums.name+" FINAL"); rows <= distinct {
			t.Errorf("%s: %d rows, %d of them distinct: nothing was summed again", sums.name, rows, distinct)
		}
	}
	b.check()
}

// Sums and the mark that tells of them must be stored together: one INSERT is one part, however many threads read.
func TestOneRoundIsOnePart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	delete(b.fleets, "other")
	for _, sums := range tables() {
		if err := b.conn.Exec(t.Context(), "SYSTEM STOP MERGES "+sums.name); err != nil {
			t.Fatal(err)
		}
	}
	b.grow(3000)
	chtest.Read(t, b.builder().Round) // which may be called again, as Run does
	for _, sums := range tables() {
		parts := b.count("SELECT uniqExact(_part) FROM " + sums.name)
		if rows := b.count("SELECT count() FROM " + sums.name); parts != 1 || rows < 50 {
			t.Errorf("%s: %d rows in %d parts, want one part", sums.name, rows, parts)
		}
	}
}

func TestRestartReadsHowFarItIsSummed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	builder := b.builder()
	b.grow(50)
	chtest.Read(t, builder.Round) // which may be called again, as Run does
	for _, sums := range tables() {
		if err := b.conn.Exec(t.Context(), "TRUNCATE TABLE "+sums.name); err != nil {
			t.Fatal(err)
		}
	}
	b.progress.Restart() // as the writer does when it resumes
	b.grow(50)
	chtest.Read(t, builder.Round) // which may be called again, as Run does
	b.check()
}
