package compare

import (
	"os"
	"reflect"
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

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

// books is a ledger and a ClickHouse that holds it.
type books struct {
	conn    driver.Conn
	store   *store.Store
	commits []*ledger.Commit
	totals  quota.Totals
}

func newBooks(t *testing.T) *books {
	t.Helper()
	b := &books{conn: chtest.Open(t, chtest.Start(t), chembed.UserWriter)}
	if err := schema.Migrate(t.Context(), b.conn); err != nil {
		t.Fatal(err)
	}
	b.store = store.New(b.conn)
	f := fleet.New(7, 40*time.Second)
	batch := record.NewBatch()
	for i := range 3000 {
		commit, _, err := f.Next(i % 5)
		if err != nil {
			t.Fatal(err)
		}
		if !batch.Fits(commit) {
			b.insert(t, batch)
		}
		batch.Add("acme", commit)
		b.commits = append(b.commits, commit)
	}
	b.insert(t, batch)
	b.totals = f.Totals()
	return b
}

func (b *books) insert(t *testing.T, batch *record.Batch) {
	t.Helper()
	if err := b.store.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	batch.Reset()
}

func (b *books) exec(t *testing.T, statement string) {
	t.Helper()
	if err := b.conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// compare compares the commits from number first on.
func (b *books) compare(t *testing.T, first uint64) Result {
	t.Helper()
	c := New(b.conn, "acme")
	for _, commit := range b.commits[first-1:] {
		if err := c.Add(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	var before quota.Totals
	if first > 1 {
		before = b.commits[first-2].Totals
	}
	result, err := c.Finish(t.Context(), before, b.totals)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (b *books) events() (n uint64) {
	for _, commit := range b.commits {
		n += uint64(len(commit.Events))
	}
	return n
}

func TestEqualBooks(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	if got, want := b.compare(t, 1), (Result{Events: b.events(), SumsEqual: true}); !reflect.DeepEqual(got, want) || !got.OK() {
		t.Errorf("the whole ledger: %+v, want %+v", got, want)
	}
	if got := b.compare(t, 1700); !got.OK() || got.Events == 0 {
		t.Errorf("a ledger that was trimmed to commit 1700: %+v", got)
	}
	last := b.commits[len(b.commits)-1]
	if err := New(b.conn, "acme").Await(t.Context(), last.Ledger, last.Number); err != nil {
		t.Error(err)
	}
	empty, err := New(b.conn, "nobody").Finish(t.Context(), quota.Totals{}, quota.Totals{})
	if err != nil || !empty.OK() {
		t.Errorf("a ledger without commits: %+v, %v", empty, err)
	}
}

func TestEveryTotalIsCovered(t *testing.T) {
	t.Parallel()
	if got, want := len(named(quota.Totals{})), reflect.TypeFor[quota.Totals]().NumField(); got != want {
		t.Errorf("%d totals are compared, the ledger has %d", got, want)
	}
	totals := newBooks(t).totals
	for _, total := range named(totals) {
		if total.value == 0 {
			t.Errorf("the test data have no %s", total.name)
		}
	}
}

// TestNegativeControls damages one row at a time and wants each damage found.
func TestNegativeControls(t *testing.T) {
	t.Parallel()
	const (
		id        = "(SELECT any(ledger_id) FROM bursar.ledger_events)"
		usage     = "(SELECT (commit, idx) FROM bursar.ledger_events WHERE kind = 'usage.recorded' AND input_tokens > 0 AND cost_micro_usd > 0 ORDER BY commit, idx LIMIT 1 OFFSET 100)"
		copyOfRow = "INSERT INTO bursar.ledger_events SELECT * EXCEPT inserted_at, now64(3) FROM bursar.ledger_events WHERE (commit, idx) = " + usage
	)
	for name, c := range map[string]struct {
		damage []string
		want   func(Result) bool
		words  string
	}{
		"a deleted event": {
			[]string{"DELETE FROM bursar.ledger_events WHERE (commit, idx) = " + usage},
			func(r Result) bool { return r.Missing == 1 && !r.SumsEqual }, "is missing",
		},
		"a deleted commit": {
			[]string{"DELETE FROM bursar.ledger_events WHERE commit = 1000"},
			func(r Result) bool { return r.Missing > 0 }, "commit 1000, event -1 (commit) is missing",
		},
		"a doubled event": {
			// A merge would heal it.
			[]string{"SYSTEM STOP MERGES bursar.ledger_events", copyOfRow},
			func(r Result) bool { return r.Duplicates == 1 && r.Altered == 0 && r.SumsEqual }, "is there again",
		},
		"an altered number": {
			[]string{"ALTER TABLE bursar.ledger_events UPDATE input_tokens = input_tokens + 1 WHERE (commit, idx) = " + usage + " SETTINGS mutations_sync = 1"},
			func(r Result) bool { return r.Altered == 1 && !r.SumsEqual }, "has another input_tokens",
		},
		"an altered name": {
			[]string{"ALTER TABLE bursar.ledger_events UPDATE team = 'others' WHERE (commit, idx) = " + usage + " SETTINGS mutations_sync = 1"},
			func(r Result) bool { return r.Altered == 1 && r.SumsEqual }, "has another team",
		},
		"an altered limit": {
			[]string{"ALTER TABLE bursar.ledger_events UPDATE `limits.amount` = arrayMap(x -> x + 1, `limits.amount`) WHERE (commit, idx) = " + usage + " SETTINGS mutations_sync = 1"},
			func(r Result) bool { return r.Altered == 1 && r.SumsEqual }, "has another limits.amount",
		},
		"an event too many": {
			[]string{"INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, idx, kind) SELECT 'acme', " + id + ", 500, 700, 'usage.recorded'"},
			func(r Result) bool { return r.Unexpected == 1 }, "commit 500 has an event 700",
		},
		"an unreadable commit": {
			[]string{"INSERT INTO bursar.ledger_unreadable (workspace, raw) SELECT 'acme', 'x'"},
			func(r Result) bool { return r.Unreadable == 1 && r.SumsEqual }, "could not be read",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBooks(t)
			for _, statement := range c.damage {
				b.exec(t, statement)
			}
			got := b.compare(t, 1)
			if got.OK() || !c.want(got) || !strings.Contains(strings.Join(got.Differences, "\n"), c.words) {
				t.Errorf("found %+v", got)
			}
		})
	}
}
