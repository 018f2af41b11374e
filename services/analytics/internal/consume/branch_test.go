package consume

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

// An older ledger is brought back, and ClickHouse stays: what the ledger commits then has numbers that are taken.
func TestAnOlderLedgerThatIsBroughtBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start("")
	b.send("acme", fleet.New(1, time.Minute), 40, 2)
	b.await()
	b.stop()

	b.js = newStream(t)
	restored := fleet.New(1, time.Minute)
	for _, step := range []struct {
		what            string
		commits, events int
		want            error
	}{
		{"an older copy", 30, 2, ErrBranch},
		{"the whole of it", 10, 2, nil},
	} {
		b.send("acme", restored, step.commits, step.events)
		if err := b.reconcile(); !errors.Is(err, step.want) {
			t.Errorf("of %s it says %v, want %v", step.what, err, step.want)
		}
	}

	b.js = newStream(t)
	other := fleet.New(1, time.Minute)
	b.send("acme", other, 30, 2)
	b.send("acme", other, 30, 5) // the ledger goes on, beyond what is stored
	if err := b.reconcile(); !errors.Is(err, ErrBranch) {
		t.Errorf("of an older copy that went on it says %v", err)
	}
	if stored := b.stored(); stored != 40 {
		t.Errorf("%d commits are stored, want the 40 of before", stored)
	}
}

// reconcile compares the stream with ClickHouse once.
func (b *bench) reconcile() error {
	b.t.Helper()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		b.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c := &Consumer{
		JetStream: b.js, Stream: wire.StreamLedger, Name: wire.ConsumerAnalytics, Metrics: metrics, Log: log,
		Writer: NewWriter(store.New(b.conn), nil, metrics, log),
	}
	if err := c.Writer.Resume(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return c.reconcile(b.t.Context())
}
