package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/allocator"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// TestVerifyFindsWhatIsWrong damages the books in every way that verify is there to find.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	i.do(ExitOK, "replay", "--demo", "--limit", "40")
	if doc := ask[verifyDocument](i, "verify"); !doc.OK {
		t.Fatalf("before anything was damaged: %+v", doc)
	}
	conn := i.clickhouse()
	const one = " WHERE idx = 0 AND kind = 'usage.recorded' ORDER BY commit LIMIT 1"
	execute(t, conn, "SYSTEM STOP MERGES bursar.ledger_events")
	execute(t, conn, "INSERT INTO bursar.ledger_events SELECT * FROM bursar.ledger_events"+one)
	i.finds("a doubled row", func(d *verifyDocument) bool { return d.ClickHouse.Duplicates == 1 && d.ClickHouse.Missing == 0 })

	execute(t, conn, "SYSTEM START MERGES bursar.ledger_events")
	execute(t, conn, "OPTIMIZE TABLE bursar.ledger_events FINAL")
	if doc := ask[verifyDocument](i, "verify"); !doc.OK {
		t.Fatalf("after the doubled row was merged: %+v", doc)
	}
	var commit uint64
	if err := conn.QueryRow(t.Context(), "SELECT commit FROM bursar.ledger_events FINAL"+one).Scan(&commit); err != nil {
		t.Fatal(err)
	}
	execute(t, conn, fmt.Sprintf("ALTER TABLE bursar.ledger_events UPDATE output_tokens = output_tokens + 1 WHERE commit = %d AND idx = 0 SETTINGS mutations_sync = 1", commit))
	i.finds("an altered row", func(d *verifyDocument) bool {
		return !d.ClickHouse.SumsEqual && strings.Contains(strings.Join(d.Violations, "\n"), "has another")
	})

	execute(t, conn, fmt.Sprintf("ALTER TABLE bursar.ledger_events DELETE WHERE commit = %d AND idx = 0 SETTINGS mutations_sync = 1", commit))
	i.finds("a deleted row", func(d *verifyDocument) bool { return d.ClickHouse.Missing == 1 && !d.ClickHouse.SumsEqual })

	i.corruptCommit()
	i.finds("a corrupted commit", func(d *verifyDocument) bool {
		return strings.Contains(strings.Join(d.Violations, "\n"), "cannot be read")
	})
}

// TestVerifyATrimmedLog trims everything that may go and verifies what is left.
func TestVerifyATrimmedLog(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	i.do(ExitOK, "replay", "--demo", "--limit", "40")
	whole := ask[verifyDocument](i, "verify")
	future := allocator.TrimConfig{NATS: i.connection(natsauth.Service(natsauth.RoleMaintenance)), Workspaces: []string{natsauth.DefaultWorkspace}, Now: time.Now().Add(2 * allocator.DefaultRetention)}
	await(t, "the log to be trimmed", func() bool { // as far as all who follow it have acknowledged
		if err := allocator.Trim(t.Context(), future, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		return ask[verifyDocument](i, "verify").Commits < whole.Commits
	})
	i.do(ExitOK, "replay", "--demo", "--limit", "20", "--seed", "2")
	rest := ask[verifyDocument](i, "verify")
	if !rest.OK || rest.Commits == 0 || rest.Reservations == 0 || rest.Trimmed == 0 || whole.Trimmed != 0 {
		t.Errorf("verify of what is left: %+v", rest)
	}
	if shown := i.do(ExitOK, "verify"); !strings.Contains(shown, "trimmed: nothing of them can be checked") {
		t.Errorf("verify for people: %s", shown)
	}
}

// TestVerifyTellsWhatItDidNotCompare wants commits that ClickHouse need not keep any more to be told, and nothing of
// them where there are none.
func TestVerifyTellsWhatItDidNotCompare(t *testing.T) {
	t.Parallel()
	for expired, want := range map[uint64]bool{0: false, 1: true, 1234: true} {
		var out strings.Builder
		c := &verifyCommand{app: &app{screen: screen.New(&out, func(string) string { return "" })}}
		c.showVerdict(&verifyDocument{OK: true, Commits: 2000, ClickHouse: verifyClickHouse{SumsEqual: true, Expired: expired}})
		if strings.Contains(out.String(), "older than ClickHouse keeps events") != want {
			t.Errorf("%d expired: %s", expired, out.String())
		}
		fits(t, out.String())
	}
}

// finds wants that verify fails and says why.
func (i *instance) finds(what string, right func(*verifyDocument) bool) {
	i.t.Helper()
	text := i.do(ExitFailure, "verify", "--json", "--wait", "5s")
	doc := document[verifyDocument](i.t, text)
	if doc.OK || len(doc.Violations) == 0 || !right(&doc) {
		i.t.Errorf("%s: %s", what, text)
	}
	if shown := i.do(ExitFailure, "verify", "--wait", "1s"); !strings.Contains(shown, "NOT OK") {
		i.t.Errorf("%s, for people: %s", what, shown)
	}
}

func (i *instance) clickhouse() driver.Conn {
	i.t.Helper()
	c := verifyCommand{app: &app{process: Process{Getenv: func(string) string { return "" }}, options: options{dataDir: i.dir}}}
	dsn, err := c.clickhouse()
	if err != nil {
		i.t.Fatal(err)
	}
	opts, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		i.t.Fatal(err)
	}
	conn, err := clickhouse.Open(opts)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = conn.Close() }) // only reads are left
	return conn
}

func execute(t *testing.T, conn driver.Conn, statement string) {
	t.Helper()
	if err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// corruptCommit stores the newest commit once more, with one bit of it turned.
func (i *instance) corruptCommit() {
	i.t.Helper()
	nc := i.connect(natsauth.Service(natsauth.RoleAllocatorStore))
	defer nc.Close()
	turnBit(i.t, nc)
}

// connection is how somebody of the running system connects, and connect does so.
func (i *instance) connection(id natsauth.Identity) natsconn.Config {
	i.t.Helper()
	keys, err := natsauth.LoadOrCreate(datadir.Dir(i.dir).Keys())
	if err != nil {
		i.t.Fatal(err)
	}
	cfg, err := keys.Connection(id, natsconn.Config{URL: i.ready.NATS})
	if err != nil {
		i.t.Fatal(err)
	}
	return cfg
}

func (i *instance) connect(id natsauth.Identity) *nats.Conn {
	i.t.Helper()
	nc, err := natsconn.Connect(i.t.Context(), i.connection(id))
	if err != nil {
		i.t.Fatal(err)
	}
	return nc
}

func turnBit(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	key, err := wire.LedgerKey(natsauth.DefaultWorkspace)
	if err != nil {
		t.Fatal(err)
	}
	subject := wire.KeySubject(wire.BucketLedger, key)
	stream, err := js.Stream(ctx, wire.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	newest, err := stream.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		t.Fatal(err)
	}
	newest.Data[len(newest.Data)-1] ^= 1
	if _, err := js.Publish(ctx, subject, newest.Data); err != nil {
		t.Fatal(err)
	}
}
