package schema

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
)

// Rows are cut here as ClickHouse cuts them: a table of each kind is given every hour of some years, and has to put together
// exactly what is together here.
func TestPartitionsAreThoseOfClickHouse(t *testing.T) {
	t.Parallel()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	const first, hours = "2023-12-25 00:00:00", 3 * 366 * 24 // with a leap day, and years that end within a week
	begin, err := time.Parse(time.DateTime, first)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(AllPartitions(), "") {
		key := p.key()
		if p == "" {
			key = ByDay.key()
		}
		var keys []string
		row := conn.QueryRow(t.Context(), "SELECT groupArray(k) FROM (SELECT toString("+key+") AS k FROM (SELECT toDateTime64('"+first+
			"', 3, 'UTC') + toIntervalHour(number) - toIntervalMillisecond(number % 2) AS committed_at FROM numbers(?)) ORDER BY committed_at)", hours)
		if err := row.Scan(&keys); err != nil {
			t.Fatal(err)
		}
		of := map[int64]string{}
		seen := map[string]int64{}
		for i, key := range keys {
			at := begin.Add(time.Duration(i)*time.Hour - time.Duration(i%2)*time.Millisecond)
			n := p.Of(at)
			if was, ok := of[n]; ok && was != key {
				t.Fatalf("by %q, %s is in %s, and others of %d in %s", p, at, key, n, was)
			}
			if was, ok := seen[key]; ok && was != n {
				t.Fatalf("by %q, %s of %s is %d here, and others are %d", p, at, key, n, was)
			}
			of[n], seen[key] = key, n
		}
		if len(keys) != hours || len(of) < 36 {
			t.Errorf("by %q: %d hours in %d partitions", p, len(keys), len(of))
		}
	}
}

func TestParsePartitions(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "month", "week", "day"} {
		if p, err := ParsePartitions(name); err != nil || string(p) != name {
			t.Errorf("%q is %q, %v", name, p, err)
		}
	}
	for _, name := range []string{"none", "months", "Day", "year", "toDate(committed_at)"} {
		if _, err := ParsePartitions(name); err == nil {
			t.Errorf("%q is a choice", name)
		}
	}
}

// What a table has is read from the table, whoever made it.
func TestPartitionsOf(t *testing.T) {
	t.Parallel()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	made := one[string](t, conn, "SELECT create_table_query FROM system.tables WHERE database = 'bursar' AND name = 'ledger_events'")
	for _, tc := range []struct {
		table string
		want  Partitions
		err   error
	}{
		{"", ByMonth, nil},
		{"ENGINE = ReplacingMergeTree ORDER BY (workspace, ledger_id, commit, idx)", Unpartitioned, nil},
		{"ENGINE = ReplacingMergeTree PARTITION BY tuple() ORDER BY (workspace, ledger_id, commit, idx)", Unpartitioned, nil},
		{"ENGINE = ReplacingMergeTree PARTITION BY toMonday(committed_at) ORDER BY (workspace, ledger_id, commit, idx)", ByWeek, nil},
		{"ENGINE = ReplacingMergeTree PARTITION BY toDate(committed_at) ORDER BY (workspace, ledger_id, commit, idx)", ByDay, nil},
		{"ENGINE = ReplacingMergeTree PARTITION BY workspace ORDER BY (workspace, ledger_id, commit, idx)", "", ErrPartitionKey},
		{"ENGINE = ReplacingMergeTree PARTITION BY toHour(committed_at) ORDER BY (workspace, ledger_id, commit, idx)", "", ErrPartitionKey},
	} {
		if tc.table != "" {
			for _, statement := range []string{"DROP TABLE bursar.ledger_events SYNC", "CREATE TABLE bursar.ledger_events (workspace String, ledger_id String, commit UInt64, idx Int32, committed_at DateTime64(3, 'UTC')) " + tc.table} {
				if err := conn.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got, err := PartitionsOf(t.Context(), conn); got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: %q, %v; want %q, %v\n%s", tc.table, got, err, tc.want, tc.err, made)
		}
	}
}

// The definition of a Distributed table names the one below it.
func TestTableBelow(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile(clusterFile)
	if err != nil {
		t.Fatal(err)
	}
	_, definition, _ := strings.Cut(string(file), "AS bursar.ledger_events_local\nENGINE = ")
	if found := below.FindStringSubmatch(definition); len(found) != 3 || found[1] != Database || found[2] != "ledger_events_local" {
		t.Errorf("below it is %q", found)
	}
	if got, err := (table{engine: distributed}).partitions(); got != "" || err != nil {
		t.Errorf("of a table that is on other servers only: %q, %v", got, err)
	}
}
