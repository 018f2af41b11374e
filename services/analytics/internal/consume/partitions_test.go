package consume

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

const partitionsOfEvents = "SELECT uniqExact(partition) FROM system.parts WHERE database = 'bursar' AND table = 'ledger_events' AND active"

// Somebody changes the partitions while the service runs: rows that were cut by the old ones are refused, and cut again.
func TestPartitionsAreChangedBeneathTheService(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start("")
	f := fleet.New(1, 20*time.Hour) // two commits are of two days
	b.send("acme", f, 40, 2)
	b.await()
	for _, statement := range []string{
		"CREATE TABLE bursar.by_day AS bursar.ledger_events ENGINE = ReplacingMergeTree PARTITION BY toDate(committed_at) ORDER BY (workspace, ledger_id, commit, idx)",
		"INSERT INTO bursar.by_day SELECT * FROM bursar.ledger_events",
		"EXCHANGE TABLES bursar.by_day AND bursar.ledger_events", "DROP TABLE bursar.by_day SYNC",
	} {
		if err := b.conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	b.send("acme", f, 40, 2)
	b.await()
	b.check()
	if n := testutil.ToFloat64(b.metrics.Failures); n == 0 {
		t.Error("rows of two days were taken at once")
	}
	if n := b.count(partitionsOfEvents); n < 60 {
		t.Errorf("%d partitions of 80 commits that are 20 hours apart", n)
	}
}

// The service brings the table to other partitions at its start while commits wait, and goes on.
func TestPartitionsAreChangedAtTheStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := fleet.New(1, 20*time.Hour)
	for _, c := range []struct {
		by       schema.Partitions
		at, most uint64
	}{{schema.ByDay, 16, 20}, {"", 33, 40}, {schema.ByWeek, 7, 9}, {schema.ByMonth, 3, 4}} {
		storage := store.New(b.conn)
		storage.Partitions = c.by
		b.send("acme", f, 10, 2)
		b.startWith(storage, "")
		b.send("acme", f, 10, 2)
		b.await()
		b.check()
		b.stop()
		if n := b.count(partitionsOfEvents); n < c.at || n > c.most {
			t.Errorf("by %q: %d partitions of %d days, want %d to %d", c.by, n, b.total()*20/24, c.at, c.most)
		}
	}
}
