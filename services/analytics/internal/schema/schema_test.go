package schema

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
)

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	server := chtest.Start(t)
	writer := chtest.Open(t, server, chembed.UserWriter)
	for range 2 {
		if err := Migrate(t.Context(), writer); err != nil {
			t.Fatal(err)
		}
	}
	all, err := steps()
	if err != nil {
		t.Fatal(err)
	}
	if got := one[uint64](t, writer, "SELECT count() FROM bursar.schema_migrations"); got != uint64(len(all)) {
		t.Errorf("%d steps noted after two runs, want each of the %d once", got, len(all))
	}
	analyst := chtest.Open(t, server, chembed.UserAnalyst)
	checkViewsAreEmptyAndDocumented(t, writer, analyst)

	const edit = "INSERT INTO bursar.schema_migrations (name, checksum) SELECT 'migrations/0001_ledger_events.sql', 'other'"
	if err := writer.Exec(t.Context(), edit); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(t.Context(), writer); !errors.Is(err, ErrEdited) {
		t.Errorf("with an edited migration: %v, want ErrEdited", err)
	}
}

// A build that is older than the tables leaves them alone; views of a newer one are no matter.
func TestMigrateOfAnOlderBuild(t *testing.T) {
	t.Parallel()
	writer := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := Migrate(t.Context(), writer); err != nil {
		t.Fatal(err)
	}
	for _, newer := range []struct {
		name string
		want error
	}{{"views/9999_later.sql", nil}, {"migrations/9999_later.sql", ErrNewer}} {
		err := writer.Exec(t.Context(), "INSERT INTO bursar.schema_migrations (name, checksum) SELECT {name:String}, 'other'",
			driver.NamedValue{Name: "name", Value: newer.name})
		if err != nil {
			t.Fatal(err)
		}
		before := one[uint64](t, writer, "SELECT count() FROM bursar.schema_migrations")
		if err := Migrate(t.Context(), writer); !errors.Is(err, newer.want) {
			t.Errorf("with %s: %v, want %v", newer.name, err, newer.want)
		}
		if after := one[uint64](t, writer, "SELECT count() FROM bursar.schema_migrations"); after != before {
			t.Errorf("with %s: %d steps were applied", newer.name, after-before)
		}
	}
}

// checkViewsAreEmptyAndDocumented reads every view as an analyst before there is any data.
func checkViewsAreEmptyAndDocumented(t *testing.T, writer, analyst driver.Conn) {
	t.Helper()
	rows, err := writer.Query(t.Context(), "SELECT name, comment FROM system.tables WHERE database = 'analyst' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for rows.Next() {
		var name, comment string
		if err := rows.Scan(&name, &comment); err != nil {
			t.Fatal(err)
		}
		names[name] = comment
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	const want = 28
	if len(names) != want {
		t.Errorf("%d views, want %d", len(names), want)
	}
	for name, comment := range names {
		if comment == "" {
			t.Errorf("view %s has no comment", name)
		}
		if got := one[uint64](t, analyst, "SELECT count() FROM analyst."+name); got != 0 {
			t.Errorf("view %s has %d rows before there is any event", name, got)
		}
		if err := analyst.Exec(t.Context(), "SELECT * FROM analyst."+name); err != nil {
			t.Errorf("reading all columns of %s: %v", name, err)
		}
	}
}

func one[T any](t *testing.T, conn driver.Conn, query string) T {
	t.Helper()
	var value T
	chtest.Read(t, func(ctx context.Context) error { return conn.QueryRow(ctx, query).Scan(&value) })
	return value
}

func TestSplit(t *testing.T) {
	t.Parallel()
	got := split("SELECT 'a;b';\n\nSELECT 2 -- x; y\n  ;  \r\nSELECT 3\n")
	want := []string{"SELECT 'a;b'", "SELECT 2 -- x; y", "SELECT 3"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("split into %q, want %q", got, want)
	}
}

// Rows of before the columns were there have what they tell in their data.
func TestColumnsOfOlderRows(t *testing.T) {
	t.Parallel()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"ALTER TABLE bursar.ledger_events DROP COLUMN files, DROP COLUMN estimated_tokens, DROP COLUMN unit",
		`INSERT INTO bursar.ledger_events (workspace, ledger_id, commit, kind, data) VALUES ('acme', 'l', 1, 'reservation.denied', '{"labels":{"files":7,"estimated_tokens":41},"unit":"tokens"}'),
			('acme', 'l', 2, 'usage.recorded', '{"unit":"tokens"}'), ('acme', 'l', 3, 'commit', '')`,
		"ALTER TABLE bursar.schema_migrations DELETE WHERE name IN ('migrations/0006_files_estimates.sql', 'migrations/0011_unit_codecs.sql') SETTINGS mutations_sync = 1",
	} {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, conn, "SELECT toString(arraySort(groupArray((commit, files, estimated_tokens, unit)))) FROM bursar.ledger_events"); got != "[(1,7,41,'tokens'),(2,0,0,''),(3,0,0,'')]" {
		t.Errorf("older rows tell %s", got)
	}
}
