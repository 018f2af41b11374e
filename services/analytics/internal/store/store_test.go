package store

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
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

// A column that a migration adds and nothing writes would be filled from its default, and stay so unseen.
func TestEveryColumnIsWritten(t *testing.T) {
	t.Parallel()
	_, conn := newStore(t)
	rows, err := conn.Query(t.Context(), "SELECT name FROM system.columns WHERE database = 'bursar' AND table = 'ledger_events'")
	if err != nil {
		t.Fatal(err)
	}
	statement := record.NewBatch().Statement()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		const filledByClickHouse = "inserted_at"
		if name != filledByClickHouse && !strings.Contains(statement, "`"+name+"`") {
			t.Errorf("nothing writes the column %s: add it to a list in record/columns.go, and fill it in record/project.go", name)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOneInsertIsOnePart(t *testing.T) {
	t.Parallel()
	s, conn := newStore(t)
	made := commits(t, fleet.New(1, time.Millisecond), 300, 20)
	batch := record.NewBatch()
	for number := uint64(1); batch.Rows() < MaxRows; number++ {
		commit := *made[number%uint64(len(made))]
		commit.Number = number
		batch.Add("acme", &commit)
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

// Rows of two partitions would be two parts, of which ClickHouse might store one: it has to refuse both.
func TestAnInsertOfTwoPartitionsIsRefused(t *testing.T) {
	t.Parallel()
	s, conn := newStore(t)
	batch := record.NewBatch()
	for _, commit := range commits(t, fleet.New(1, 90*time.Minute), 3, 2) { // over the end of a month
		batch.Add("acme", commit)
	}
	if err := s.Insert(t.Context(), batch); err == nil {
		t.Error("rows of two months went in at once")
	}
	if n, err := queryOne[uint64](t.Context(), conn, "SELECT count() FROM bursar.ledger_events"); err != nil || n != 0 {
		t.Errorf("%d rows are stored, %v", n, err)
	}
}

func TestLedgers(t *testing.T) {
	t.Parallel()
	s, conn := newStore(t)
	whole, gaps := fleet.New(1, time.Hour), fleet.New(2, time.Minute)
	insert(t, s, "whole", commits(t, whole, 800, 1)...) // spans two months
	made := commits(t, gaps, 30, 2)
	insert(t, s, "gaps", made[4:12]...)
	insert(t, s, "gaps", made[10:15]...)
	insert(t, s, "gaps", made[20:]...)
	checkRuns(t, s, map[string][]Run{
		whole.Ledger().String(): {{1, 800}},
		gaps.Ledger().String():  {{5, 15}, {21, 30}},
	})

	// A commit that cannot be read counts, once, when it is kept under its number.
	unreadable := Unreadable{Workspace: "gaps", LedgerID: gaps.Ledger().String(), Commit: 16, Revision: 99, StoredAt: time.Now(), Reason: "torn", Raw: []byte{0, 1, 0xff}}
	numberless := unreadable
	numberless.Commit = 0
	for range 2 {
		if err := s.InsertUnreadable(t.Context(), []Unreadable{unreadable, numberless}); err != nil {
			t.Fatal(err)
		}
	}
	checkRuns(t, s, map[string][]Run{
		whole.Ledger().String(): {{1, 800}},
		gaps.Ledger().String():  {{5, 16}, {21, 30}},
	})
	n, err := queryOne[uint64](t.Context(), conn, "SELECT count() FROM analyst.unreadable WHERE raw_bytes = 3")
	if err != nil || n != 2 {
		t.Errorf("%d unreadable commits (%v), want the two that were stored twice", n, err)
	}
	if err := s.Settle(t.Context()); err != nil {
		t.Error(err)
	}
}

func checkRuns(t *testing.T, s *Store, want map[string][]Run) {
	t.Helper()
	ledgers, err := s.Ledgers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]Run{}
	for id, l := range ledgers {
		got[id] = l.Runs
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("stored are %v, want %v", got, want)
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
