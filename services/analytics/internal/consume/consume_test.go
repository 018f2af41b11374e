package consume

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

// bench is a ledger stream, a ClickHouse and a consumer between them.
type bench struct {
	t       *testing.T
	js      jetstream.JetStream
	server  *chembed.Server
	conn    driver.Conn
	metrics *Metrics
	// sent are the readable commits in the stream, by workspace.
	sent map[string][]*ledger.Commit
	stop func()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, js: newStream(t), sent: map[string][]*ledger.Commit{}, stop: func() {}}
	b.useServer(chtest.Start(t))
	return b
}

func (b *bench) useServer(s *chembed.Server) {
	b.server, b.conn = s, chtest.Open(b.t, s, chembed.UserWriter)
}

// newStream starts NATS with the ledger's stream and the consumer, as provisioning makes them.
func newStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	server, err := natsembed.Start(t.Context(), natsembed.Options{StoreDir: filepath.Join(t.TempDir(), "nats"), DontListen: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Shutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: wire.StreamLedger, Subjects: []string{wire.FilterLedger}, MaxMsgsPerSubject: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateConsumer(t.Context(), wire.StreamLedger, bus.Durable(wire.ConsumerAnalytics, wire.FilterLedger, bus.StartAll()))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// start runs a consumer with failpoints until stop, or the end of the test.
func (b *bench) start(points string) {
	b.t.Helper()
	b.startWith(store.New(b.conn), points)
}

func (b *bench) startWith(storage Storage, points string) {
	b.t.Helper()
	set, err := failpoint.Parse(points)
	if err != nil {
		b.t.Fatal(err)
	}
	b.metrics, err = NewMetrics(prometheus.NewRegistry())
	if err != nil {
		b.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	c := &Consumer{
		JetStream: b.js, Stream: wire.StreamLedger, Name: wire.ConsumerAnalytics, Metrics: b.metrics, Log: log, Ready: func(error) {},
		Writer: NewWriter(storage, set, b.metrics, log),
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("running the consumer: %v", err)
		}
	})
	b.t.Cleanup(b.stop)
}

// publish puts bytes into the stream under a workspace.
func (b *bench) publish(workspace string, data []byte) {
	b.t.Helper()
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.js.Publish(b.t.Context(), wire.KeySubject(wire.BucketLedger, key), data); err != nil {
		b.t.Fatal(err)
	}
}

// send publishes n commits of a fleet.
func (b *bench) send(workspace string, f *fleet.Fleet, n, commands int) {
	b.t.Helper()
	for range n {
		commit, data, err := f.Next(commands)
		if err != nil {
			b.t.Fatal(err)
		}
		b.publish(workspace, data)
		b.sent[workspace] = append(b.sent[workspace], commit)
	}
}

// await waits until ClickHouse has as many commits as were sent and the consumer acknowledged all.
func (b *bench) await() {
	b.t.Helper()
	deadline := time.After(90 * time.Second)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		stored, pending := b.stored(), b.pending()
		if pending == 0 && stored == b.total() {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			b.t.Fatalf("not caught up after 90 s: %d of %d commits stored, %d not acknowledged", stored, b.total(), pending)
		}
	}
}

func (b *bench) total() (n uint64) {
	for _, commits := range b.sent {
		n += uint64(len(commits))
	}
	return n
}

func (b *bench) pending() uint64 {
	c, err := b.js.Consumer(b.t.Context(), wire.StreamLedger, wire.ConsumerAnalytics)
	if err != nil {
		b.t.Fatal(err)
	}
	return c.CachedInfo().NumPending + uint64(c.CachedInfo().NumAckPending)
}

// stored counts the commits in ClickHouse; 0 while it is away or empty.
func (b *bench) stored() (n uint64) {
	const query = "SELECT uniqExact(ledger_id, commit) FROM bursar.ledger_events WHERE idx = -1"
	if err := b.conn.QueryRow(b.t.Context(), query).Scan(&n); err != nil {
		return 0
	}
	return n
}

// check fails the test unless ClickHouse holds every commit that was sent, once, and nothing else.
func (b *bench) check() {
	b.t.Helper()
	want := map[string]bool{}
	for workspace, commits := range b.sent {
		for _, commit := range commits {
			record.EachRow(workspace, commit, func(r *record.Row) {
				want[fmt.Sprintf("%s %s %d %d", r.Workspace, r.LedgerID, r.Commit, r.Index)] = true
			})
		}
	}
	for _, row := range b.rows() {
		identity := fmt.Sprintf("%s %s %d %d", row.Workspace, row.LedgerID, row.Commit, row.Index)
		if !want[identity] {
			b.t.Errorf("row %s is of no commit", identity)
		}
		delete(want, identity)
		if row.Copies != 1 {
			b.t.Errorf("row %s is there %d times", identity, row.Copies)
		}
	}
	for identity := range want {
		b.t.Errorf("row %s is missing", identity)
	}
}

// storedRow is how often ClickHouse holds one row of a commit.
type storedRow struct {
	Workspace string `ch:"workspace"`
	LedgerID  string `ch:"ledger_id"`
	Commit    uint64 `ch:"commit"`
	Index     int32  `ch:"idx"`
	Copies    uint64 `ch:"copies"`
}

func (b *bench) rows() (found []storedRow) {
	b.t.Helper()
	const query = "SELECT workspace, ledger_id, commit, idx, count() AS copies FROM bursar.ledger_events GROUP BY ALL"
	chtest.Read(b.t, func(ctx context.Context) error {
		found = nil
		return b.conn.Select(ctx, &found, query)
	})
	return found
}

func (b *bench) count(query string) (n uint64) {
	b.t.Helper()
	chtest.Read(b.t, func(ctx context.Context) error { return b.conn.QueryRow(ctx, query).Scan(&n) })
	return n
}

func TestEveryCommitOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start("")
	fleets := map[string]*fleet.Fleet{"acme": fleet.New(1, time.Minute), "b.corp": fleet.New(2, time.Hour), "c d": fleet.New(3, time.Second)}
	for range 10 {
		for workspace, f := range fleets {
			b.send(workspace, f, 30, 2)
			b.send(workspace, f, 1, 0)
		}
	}
	b.await()
	b.check()
	// A new process continues where the old one was.
	b.stop()
	b.start("")
	b.send("acme", fleets["acme"], 5, 3)
	b.await()
	b.check()
}

func TestInjectedFailures(t *testing.T) {
	t.Parallel()
	for _, points := range []string{
		"analytics-before-insert=2*error(no)", "analytics-after-insert=2*error(no)", "analytics-before-ack=2*error(no)",
		"analytics-before-insert=1*error(no);analytics-after-insert=3*error(no);analytics-before-ack=2*error(no)",
	} {
		t.Run(points, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.start(points)
			f := fleet.New(1, time.Minute)
			for range 5 {
				b.send("acme", f, 20, 2)
				b.await()
			}
			b.check()
		})
	}
}

func TestClickHouseKilledMidStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start("")
	f, g := fleet.New(1, time.Minute), fleet.New(2, time.Minute)
	for round := range 6 {
		b.send("acme", f, 100, 2)
		b.send("beta", g, 100, 2)
		if err := b.server.Kill(); err != nil {
			t.Logf("round %d: %v", round, err)
		}
		b.send("acme", f, 100, 2)
	}
	b.await()
	b.check()
	t.Logf("%d restarts of ClickHouse", b.server.Restarts())
}
