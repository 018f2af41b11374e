package schema

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
)

var update = flag.Bool("update", false, "write deployments/clickhouse/cluster/bursar.sql anew")

const clusterFile = "../../../../deployments/clickhouse/cluster/bursar.sql"

// The file for clusters is what the tables of a migrated server make it, and the engine can read every statement of it.
func TestClusterFile(t *testing.T) {
	t.Parallel()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	statements, err := Cluster(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := "-- The tables of Bursar on a ClickHouse cluster: see docs/analytics.md. Made from the schema by\n" +
		"-- go test ./services/analytics/internal/schema -run TestClusterFile -update\n" +
		"-- Partitions of events are months. For weeks or days put toMonday(committed_at) or toDate(committed_at) in the place of\n" +
		"-- toYYYYMM(committed_at) before you run it.\n\n" + strings.Join(statements, ";\n\n") + ";\n"
	if *update {
		if err := os.MkdirAll(strings.TrimSuffix(clusterFile, "/bursar.sql"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(clusterFile, []byte(want), 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(clusterFile)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the schema makes it (%v): run with -update", clusterFile, err)
	}
	tables := one[uint64](t, conn, "SELECT count() FROM system.tables WHERE database = 'bursar'")
	if n := uint64(len(statements)); n != 3+2*tables {
		t.Errorf("%d statements for %d tables", n, tables)
	}
	for _, statement := range split(string(got)) {
		if strings.HasPrefix(statement, "INSERT") { // what follows VALUES is data, which formatQuery does not take
			continue
		}
		var formatted string
		chtest.Read(t, func(ctx context.Context) error {
			return conn.QueryRow(ctx, "SELECT formatQuery(?)", statement).Scan(&formatted)
		})
	}
	// docs/analytics.md says that it is there once.
	if keys := strings.Count(strings.Join(statements, ""), ByMonth.key()); keys != 1 {
		t.Errorf("%s is there %d times", ByMonth.key(), keys)
	}
	if replicated := strings.Count(string(got), "ENGINE = Replicated"); uint64(replicated) != tables {
		t.Errorf("%d replicated tables of %d", replicated, tables)
	}
}
