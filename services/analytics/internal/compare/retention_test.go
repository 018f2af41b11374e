package compare

import (
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

// Events that are older than they are kept go, the rows of their commits stay, and what is left is still compared.
func TestRetention(t *testing.T) {
	t.Parallel()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	s := store.New(conn)
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Half a year of commits, ending about now; the fleet's time begins in the autumn of 2026.
	f, batch := fleet.New(4, 12*time.Hour), record.NewBatch()
	var commits []*ledger.Commit
	flush := func() {
		if err := s.Insert(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		batch.Reset()
	}
	var started time.Time
	for range 400 {
		commit, _, err := f.Next(3)
		if err != nil {
			t.Fatal(err)
		}
		if started.IsZero() {
			started = commit.At.Time()
		}
		if !batch.Fits(commit) {
			flush()
		}
		batch.Add("acme", commit)
		commits = append(commits, commit)
	}
	flush()
	// So that a third of them have expired, whenever the test runs.
	keep := time.Since(started.Add(70 * 24 * time.Hour)).Truncate(24 * time.Hour)
	if keep < 24*time.Hour {
		keep = 24 * time.Hour
	}
	s.Retention = keep
	for range 2 {
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := schema.Retention(t.Context(), conn); err != nil || got != keep {
		t.Fatalf("kept for %v, %v; want %v", got, err, keep)
	}
	if err := conn.Exec(t.Context(), "ALTER TABLE bursar.ledger_events MATERIALIZE TTL SETTINGS mutations_sync = 2"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(t.Context(), "OPTIMIZE TABLE bursar.ledger_events FINAL"); err != nil {
		t.Fatal(err)
	}
	expired := uint64(0)
	horizon := quota.InstantOf(time.Now().Add(-keep))
	for _, c := range commits {
		if c.At < horizon {
			expired++
		}
	}
	var old, markers uint64
	row := conn.QueryRow(t.Context(), "SELECT countIf(idx != -1 AND committed_at < now64(3, 'UTC') - toIntervalSecond({keep:UInt64})), countIf(idx = -1) FROM bursar.ledger_events FINAL",
		driver.NamedValue{Name: "keep", Value: uint64(keep.Seconds())})
	if err := row.Scan(&old, &markers); err != nil {
		t.Fatal(err)
	}
	if old != 0 || markers != uint64(len(commits)) || expired == 0 || expired == uint64(len(commits)) {
		t.Errorf("%d old events and %d of %d commits are left, %d have expired", old, markers, len(commits), expired)
	}
	ledgers, err := s.Ledgers(t.Context())
	if runs := ledgers[f.Ledger().String()].Runs; err != nil || len(runs) != 1 || runs[0] != (store.Run{First: 1, Last: 400}) {
		t.Errorf("stored: %+v, %v; want all commits", runs, err)
	}
	c := New(conn, "acme")
	for _, commit := range commits {
		if err := c.Add(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	result, err := c.Finish(t.Context(), quota.Totals{}, commits[len(commits)-1].Totals)
	if err != nil || !result.OK() || result.Expired != expired || result.Events == 0 {
		t.Errorf("compared: %+v, %v; want %d expired", result, err, expired)
	}
	s.Retention = 0
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := schema.Retention(t.Context(), conn); err != nil || got != 0 {
		t.Errorf("kept for %v, %v; want forever", got, err)
	}
}
