package compare

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

// archived is how many commits of each workspace an archive begins with, over one month and a half or two.
const archived = 125

// retention is one that nothing has reached.
const retention = 9999 * 24 * time.Hour

// archive is a ClickHouse with the ledgers of two workspaces over some months, in a table of events with certain partitions.
type archive struct {
	t       *testing.T
	server  *chembed.Server
	conn    driver.Conn
	fleets  map[string]*fleet.Fleet
	commits map[string][]*ledger.Commit
}

func newArchive(t *testing.T, partitions schema.Partitions) *archive {
	t.Helper()
	server := chtest.Start(t)
	a := &archive{
		t: t, server: server, conn: chtest.Open(t, server, chembed.UserWriter), commits: map[string][]*ledger.Commit{},
		fleets: map[string]*fleet.Fleet{"acme": fleet.New(3, 8*time.Hour), "beta": fleet.New(4, 12*time.Hour)},
	}
	a.partition(partitions)
	a.grow(archived)
	return a
}

// partition brings the table to partitions as the service does at its start, and returns what was logged.
func (a *archive) partition(to schema.Partitions) string {
	a.t.Helper()
	var log bytes.Buffer
	s := store.New(a.conn)
	s.Retention, s.Partitions, s.Log = retention, to, slog.New(slog.NewTextHandler(&log, nil))
	var has schema.Partitions
	chtest.Read(a.t, func(ctx context.Context) (err error) {
		if err = s.Prepare(ctx); err == nil {
			has, err = s.Partition(ctx)
		}
		return err
	})
	if has != to {
		a.t.Fatalf("the table has partitions by %q; want %q\n%s", has, to, log.String())
	}
	if left := a.one("SELECT count() FROM system.tables WHERE database = 'bursar' AND name LIKE 'repartition%'"); left != 0 {
		a.t.Errorf("%d copies are left", left)
	}
	return log.String()
}

// grow stores n more commits of each workspace.
func (a *archive) grow(n int) {
	a.t.Helper()
	s, batch := store.New(a.conn), record.NewBatch()
	var err error
	if batch.Partitions, err = schema.PartitionsOf(a.t.Context(), a.conn); err != nil {
		a.t.Fatal(err)
	}
	flush := func() {
		if err := s.Insert(a.t.Context(), batch); err != nil {
			a.t.Fatal(err)
		}
		batch.Reset()
	}
	for workspace, f := range a.fleets {
		for range n {
			commit, _, err := f.Next(3)
			if err != nil {
				a.t.Fatal(err)
			}
			if !batch.Fits(commit) {
				flush()
			}
			batch.Add(workspace, commit)
			a.commits[workspace] = append(a.commits[workspace], commit)
		}
		flush()
	}
}

// verify compares every row and every total with the ledgers, as `bursar verify` does.
func (a *archive) verify() {
	a.t.Helper()
	for workspace, commits := range a.commits {
		var result Result
		chtest.Read(a.t, func(ctx context.Context) (err error) {
			c := New(a.conn, workspace)
			for _, commit := range commits {
				if err := c.Add(ctx, commit); err != nil {
					return err
				}
			}
			result, err = c.Finish(ctx, quota.Totals{}, a.fleets[workspace].Totals())
			return err
		})
		if !result.OK() || result.Events == 0 {
			a.t.Errorf("%s: %+v", workspace, result)
		}
	}
}

func (a *archive) one(query string) (n uint64) {
	a.t.Helper()
	chtest.Read(a.t, func(ctx context.Context) error { return a.conn.QueryRow(ctx, query).Scan(&n) })
	return n
}

func (a *archive) exec(statement string) {
	a.t.Helper()
	if err := a.conn.Exec(a.t.Context(), statement); err != nil {
		a.t.Fatalf("%s: %v", statement, err)
	}
}

// wantPartitions wants so many as the commits are of.
func (a *archive) wantPartitions(by schema.Partitions) {
	a.t.Helper()
	want := map[int64]bool{}
	for _, commits := range a.commits {
		for _, commit := range commits {
			want[by.Of(commit.At.Time())] = true
		}
	}
	const parts = "SELECT uniqExact(partition) FROM system.parts WHERE database = 'bursar' AND table = 'ledger_events' AND active"
	if got := a.one(parts); got != uint64(len(want)) || got < 3 {
		a.t.Errorf("%d partitions by %s, want %d", got, by, len(want))
	}
}

// From every kind to every other: all rows, the retention, what somebody has changed and the views that hang on the table stay.
func TestRepartition(t *testing.T) {
	t.Parallel()
	a := newArchive(t, schema.ByMonth)
	a.wantPartitions(schema.ByMonth)
	for _, statement := range []string{
		"ALTER TABLE bursar.ledger_events ADD COLUMN note String DEFAULT 'none' COMMENT 'By the operator', MODIFY SETTING old_parts_lifetime = 77",
		"CREATE TABLE bursar.own (workspace String, events UInt64) ENGINE = MergeTree ORDER BY workspace",
		"CREATE MATERIALIZED VIEW bursar.own_view TO bursar.own AS SELECT workspace, toUInt64(count()) AS events FROM bursar.ledger_events GROUP BY workspace",
	} {
		a.exec(statement)
	}
	const own = "SELECT toUInt64(sum(events)) FROM bursar.own"
	for _, to := range []schema.Partitions{schema.ByDay, schema.ByMonth, schema.ByWeek} {
		if log := a.partition(to); !strings.Contains(log, "anew") {
			t.Errorf("to %s: not told: %s", to, log)
		}
		a.wantPartitions(to)
		a.verify()
		before, seen := a.one("SELECT count() FROM bursar.ledger_events"), a.one(own)
		a.grow(20)
		a.verify()
		if stored, told := a.one("SELECT count() FROM bursar.ledger_events")-before, a.one(own)-seen; told != stored {
			t.Errorf("to %s: a materialized view saw %d of the %d rows that came after", to, told, stored)
		}
	}
	if seen := a.one(own); seen >= a.one("SELECT count() FROM bursar.ledger_events WHERE commit <= "+strconv.Itoa(archived)) {
		t.Errorf("a materialized view saw %d rows, and so what was copied", seen)
	}
	const kept = "SELECT count() FROM system.tables WHERE database = 'bursar' AND name = 'ledger_events' AND engine_full LIKE '%toIntervalDay(9999)%old_parts_lifetime = 77%' AND NOT engine_full LIKE '%fsync%'"
	if a.one(kept) != 1 || a.one("SELECT countIf(note != 'none') FROM bursar.ledger_events") != 0 {
		t.Error("what was changed of the table is lost")
	}
	if log := a.partition(schema.ByWeek); log != "" {
		t.Errorf("done again: %s", log)
	}
}

// ClickHouse is killed at several moments of it, or the service ends: the table is whole each time, old or new.
func TestRepartitionThatIsInterrupted(t *testing.T) {
	t.Parallel()
	a := newArchive(t, schema.ByMonth)
	has, next := schema.ByMonth, schema.ByWeek
	for _, moment := range []string{"count() > 0", "ifNull(sum(total_rows), 0) > 0", "ifNull(sum(total_rows), 0) >= (SELECT count() FROM bursar.ledger_events)"} {
		for _, kill := range []bool{true, false} {
			ctx, cancel := context.WithCancel(t.Context())
			s := store.New(a.conn)
			s.Partitions = next
			done := make(chan error, 1)
			go func() { _, err := s.Partition(ctx); done <- err }()
			a.until(moment, done)
			if kill {
				if err := a.server.Kill(); err != nil {
					t.Error(err)
				}
			}
			cancel()
			t.Logf("%s, killed: %v: %v", moment, kill, <-done)
			for again := time.NewTicker(10 * time.Millisecond); a.conn.Ping(t.Context()) != nil; {
				<-again.C // it is being started again
			}
			a.verify()
			a.partition(next)
			a.verify()
			a.wantPartitions(next)
			has, next = next, has
		}
	}
	// What was killed between the exchange and the end is removed, and what was removed is not needed.
	for _, statement := range []string{
		"CREATE TABLE bursar.repartition_left AS bursar.ledger_events", "INSERT INTO bursar.repartition_left SELECT * FROM bursar.ledger_events LIMIT 1000",
		"CREATE TABLE bursar.repartition_empty AS bursar.ledger_events",
	} {
		a.exec(statement)
	}
	a.partition(has)
	a.verify()
}

// until returns when something is so of the copy that is being made, or when it is over.
func (a *archive) until(moment string, done chan error) {
	a.t.Helper()
	for {
		select {
		case err := <-done:
			a.t.Logf("over before %s: %v", moment, err)
			done <- nil
			return
		default:
			if a.one("SELECT toUInt64("+moment+") FROM system.tables WHERE database = 'bursar' AND name LIKE 'repartition%'") == 1 {
				return
			}
		}
	}
}

// A table with duplicates, without partitions, or cut by a key of somebody's own becomes one with those that are wanted.
func TestRepartitionOfATableOfSomebodysOwn(t *testing.T) {
	t.Parallel()
	a := newArchive(t, schema.ByDay)
	for _, key := range []string{"tuple()", "workspace"} {
		for _, statement := range []string{
			"CREATE TABLE bursar.other AS bursar.ledger_events ENGINE = ReplacingMergeTree PARTITION BY " + key + " ORDER BY (workspace, ledger_id, commit, idx)",
			"INSERT INTO bursar.other SELECT * FROM bursar.ledger_events",
			"INSERT INTO bursar.other SELECT * FROM bursar.ledger_events WHERE commit < 100",
			"EXCHANGE TABLES bursar.other AND bursar.ledger_events", "DROP TABLE bursar.other SYNC",
		} {
			a.exec(statement)
		}
		has, err := store.New(a.conn).Partition(t.Context())
		if key == "tuple()" && (has != schema.Unpartitioned || err != nil) || key == "workspace" && !errors.Is(err, schema.ErrPartitionKey) {
			t.Errorf("%q: %q, %v", key, has, err)
		}
		a.partition(schema.ByDay)
		a.wantPartitions(schema.ByDay)
		a.exec("OPTIMIZE TABLE bursar.ledger_events FINAL") // what was there twice is there once
		a.verify()
	}
}

// What the documentation says to do by hand does it.
func TestRepartitionByHand(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/analytics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<<'SQL'\n")
	statements, _, found := strings.Cut(rest, "SQL\n")
	if !found {
		t.Fatal("docs/analytics.md says nothing of how to do it by hand")
	}
	a := newArchive(t, schema.ByMonth)
	for statement := range strings.SplitSeq(strings.TrimSpace(statements), ";") {
		if statement != "" {
			a.exec(statement)
		}
	}
	a.partition(schema.ByWeek)
	a.wantPartitions(schema.ByWeek)
	a.exec("DROP TABLE bursar.events_new")
	a.grow(30)
	a.verify()
	if kept, err := schema.Retention(t.Context(), a.conn); err != nil || kept != retention {
		t.Errorf("events are kept for %v, %v", kept, err)
	}
}

// What cannot be changed stays as it is, is told once, and goes on.
func TestRepartitionThatIsRefused(t *testing.T) {
	t.Parallel()
	a := newArchive(t, schema.ByMonth)
	for _, statement := range []string{
		"CREATE TABLE bursar.other AS bursar.ledger_events ENGINE = ReplacingMergeTree(epoch) PARTITION BY toYYYYMM(committed_at) ORDER BY (workspace, ledger_id, commit, idx)",
		"INSERT INTO bursar.other SELECT * FROM bursar.ledger_events", "EXCHANGE TABLES bursar.other AND bursar.ledger_events", "DROP TABLE bursar.other SYNC",
	} {
		a.exec(statement)
	}
	var log bytes.Buffer
	s := store.New(a.conn)
	s.Partitions, s.Log = schema.ByDay, slog.New(slog.NewTextHandler(&log, nil))
	for range 2 {
		if has, err := s.Partition(t.Context()); err != nil || has != schema.ByMonth {
			t.Errorf("partitions by %q, %v; want months", has, err)
		}
	}
	if told := strings.Count(log.String(), "keeps the partitions that it has"); told != 1 || !strings.Contains(log.String(), "docs/analytics.md") {
		t.Errorf("told %d times: %s", told, log.String())
	}
	a.grow(30)
	a.verify()
}

// A row that is not copied, here because it is of before there were days, is found before the copy takes the table's place.
func TestACopyThatLacksARowIsNotTaken(t *testing.T) {
	t.Parallel()
	a := newArchive(t, schema.ByMonth)
	a.exec("INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, committed_at) SELECT 'old', 'l', 1, -1, toDateTime64('1901-02-03 00:00:00', 3, 'UTC')")
	var log bytes.Buffer
	s := store.New(a.conn)
	s.Partitions, s.Log = schema.ByDay, slog.New(slog.NewTextHandler(&log, nil))
	if has, err := s.Partition(t.Context()); err != nil || has != schema.ByMonth {
		t.Errorf("partitions by %q, %v; want months", has, err)
	}
	if !strings.Contains(log.String(), "it has 1 rows, and a copy that was just made 0") {
		t.Errorf("told: %s", log.String())
	}
	if a.one("SELECT count() FROM bursar.ledger_events WHERE workspace = 'old'") != 1 || a.one("SELECT count() FROM system.tables WHERE database = 'bursar' AND name LIKE 'repartition%'") != 0 {
		t.Error("the row is lost, or the copy is left")
	}
	a.verify()
}
