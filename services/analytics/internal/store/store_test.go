package store

import (
	"maps"
	"os"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

func newStore(t testing.TB) (*Store, driver.Conn) {
	t.Helper()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := schema.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return New(conn), conn
}

// commits makes n commits of a fleet.
func commits(t testing.TB, f *fleet.Fleet, n, commands int) []*ledger.Commit {
	t.Helper()
	made := make([]*ledger.Commit, n)
	for i := range made {
		commit, _, err := f.Next(commands)
		if err != nil {
			t.Fatal(err)
		}
		made[i] = commit
	}
	return made
}

func insert(t testing.TB, s *Store, workspace string, made ...*ledger.Commit) {
	t.Helper()
	batch := record.NewBatch()
	for _, commit := range made {
		if !batch.Fits(commit) {
			if err := s.Insert(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			batch.Reset()
		}
		batch.Add(workspace, commit)
	}
	if err := s.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	s, conn := newStore(t)
	f := fleet.New(7, time.Minute)
	made := commits(t, f, 1500, 3)
	insert(t, s, "acme", made...)
	insert(t, s, "acme", made[100:200]...)

	reader := record.NewReader()
	rows, err := conn.Query(t.Context(), "SELECT "+reader.Columns()+" FROM bursar.ledger_events FINAL ORDER BY commit, if(idx = -1, 1000000, idx)")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, commit := range made {
		record.EachRow("acme", commit, func(want *record.Row) {
			if !rows.Next() {
				t.Fatalf("commit %d, index %d is missing: %v", want.Commit, want.Index, rows.Err())
			}
			if err := reader.Scan(rows); err != nil {
				t.Fatal(err)
			}
			number, index := reader.Identity()
			if number != want.Commit || index != want.Index {
				t.Fatalf("read commit %d, index %d, want %d, %d", number, index, want.Commit, want.Index)
			}
			if column := reader.Difference(want); column != "" {
				t.Fatalf("commit %d, index %d (%s): column %s differs", number, index, want.Kind, column)
			}
			n++
		})
	}
	if rows.Next() {
		t.Error("there are rows of no commit")
	}
	t.Logf("%d rows", n)
}

func TestOneInsertIsOnePart(t *testing.T) {
	t.Parallel()
	s, conn := newStore(t)
	f := fleet.New(1, time.Millisecond)
	batch := record.NewBatch()
	for batch.Rows() < MaxRows {
		commit, _, err := f.Next(20)
		if err != nil {
			t.Fatal(err)
		}
		batch.Add("acme", commit)
	}
	if err := s.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	const parts = "SELECT count() FROM system.parts WHERE database = 'bursar' AND table = 'ledger_events' AND active AND min_block_number = max_block_number AND rows = ?"
	n, err := queryOne[uint64](t.Context(), conn, parts, batch.Rows())
	if err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Errorf("%d blocks with all %d rows, want 1: an insert must be stored whole or not at all", n, batch.Rows())
	}
}

func TestPositionsAndHeld(t *testing.T) {
	t.Parallel()
	s, conn := newStore(t)
	whole, gap, none := fleet.New(1, time.Hour), fleet.New(2, time.Minute), fleet.New(3, time.Minute)
	insert(t, s, "whole", commits(t, whole, 800, 1)...) // spans two months
	holed := commits(t, gap, 30, 2)
	insert(t, s, "gap", holed[4:12]...)
	insert(t, s, "gap", holed[10:15]...)
	insert(t, s, "gap", holed[20:]...)

	positions, err := s.Positions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Position{
		whole.Ledger().String(): {Workspace: "whole", First: 1, Last: 800},
		gap.Ledger().String():   {Workspace: "gap", First: 5, Last: 15},
	}
	if !maps.Equal(positions, want) {
		t.Errorf("positions %v, want %v", positions, want)
	}
	checkHeld(t, s, gap.Ledger().String(), 1, 30, func(n uint64) bool { return n >= 5 && n <= 15 || n > 20 })
	checkHeld(t, s, none.Ledger().String(), 1, 30, func(uint64) bool { return false })

	// An unreadable commit counts as held, and one that lost a row does not.
	unreadable := Unreadable{Workspace: "gap", LedgerID: gap.Ledger().String(), Commit: 16, Revision: 99, StoredAt: time.Now(), Reason: "torn", Raw: []byte{0, 1, 0xff}}
	for range 2 {
		if err := s.InsertUnreadable(t.Context(), []Unreadable{unreadable}); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Exec(t.Context(), "DELETE FROM bursar.ledger_events WHERE ledger_id = ? AND commit = 25 AND idx = 0", gap.Ledger().String()); err != nil {
		t.Fatal(err)
	}
	checkHeld(t, s, gap.Ledger().String(), 1, 30, func(n uint64) bool { return n >= 5 && n <= 16 || n > 20 && n != 25 })
	n, err := queryOne[uint64](t.Context(), conn, "SELECT count() FROM analyst.unreadable WHERE raw_bytes = 3")
	if err != nil || n != 1 {
		t.Errorf("%d unreadable commits (%v), want the one that was stored twice", n, err)
	}
	if err := s.Settle(t.Context()); err != nil {
		t.Error(err)
	}
}

func checkHeld(t *testing.T, s *Store, ledgerID string, first, last uint64, want func(uint64) bool) {
	t.Helper()
	held, err := s.Held(t.Context(), ledgerID, first, last)
	if err != nil {
		t.Fatal(err)
	}
	for n := first; n <= last; n++ {
		if held[n] != want(n) {
			t.Errorf("commit %d held: %v, want %v", n, held[n], want(n))
		}
	}
}

// BenchmarkInsert measures rows per second of one writer with full batches.
func BenchmarkInsert(b *testing.B) {
	s, _ := newStore(b)
	f := fleet.New(1, time.Millisecond)
	made := commits(b, f, 3000, 5)
	batch := record.NewBatch()
	rows := 0
	b.ResetTimer()
	for b.Loop() {
		batch.Reset()
		for _, commit := range made {
			batch.Add("acme", commit)
		}
		if err := s.Insert(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		rows += batch.Rows()
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(batch.Rows()), "rows/insert")
}
