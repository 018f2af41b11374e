package consume

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

// slowStorage holds every insert until it is let go.
type slowStorage struct {
	entered chan struct{}
	letGo   chan struct{}
}

func (s *slowStorage) Insert(ctx context.Context, _ *record.Batch) error {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	select {
	case <-s.letGo:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slowStorage) InsertUnreadable(context.Context, []store.Unreadable) error { return nil }
func (s *slowStorage) Prepare(context.Context) error                              { return nil }
func (s *slowStorage) Settle(context.Context) error                               { return nil }
func (s *slowStorage) Partition(context.Context) (schema.Partitions, error) {
	return schema.ByMonth, nil
}
func (s *slowStorage) CommitID(context.Context, string, string, uint64) (string, error) {
	return "", nil
}
func (s *slowStorage) Ledgers(context.Context) (map[string]store.Ledger, error) {
	return map[string]store.Ledger{}, nil
}

// TestNothingIsAcknowledgedBeforeItIsStored: a gap would be found and filled later, but must not come about.
func TestNothingIsAcknowledgedBeforeItIsStored(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, js: newStream(t), stop: func() {}}
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	f := fleet.New(1, time.Minute)
	for range 5 {
		_, data, err := f.Next(3)
		if err != nil {
			t.Fatal(err)
		}
		b.publish("default", data)
	}
	log := slog.New(slog.DiscardHandler)
	storage := &slowStorage{entered: make(chan struct{}, 1), letGo: make(chan struct{})}
	c := &Consumer{
		JetStream: b.js, Stream: wire.StreamLedger, Name: wire.ConsumerAnalytics, Metrics: metrics, Log: log, Ready: func(error) {},
		Writer: NewWriter(storage, nil, metrics, log),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-storage.entered
	watch := time.NewTimer(500 * time.Millisecond) // an acknowledgement takes a millisecond
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for held := true; held; {
		select {
		case <-watch.C:
			held = false
		case <-look.C:
			if floor := b.ackFloor(); floor != 0 {
				t.Fatalf("acknowledged through %d while the insert is under way", floor)
			}
		}
	}
	close(storage.letGo)
	for b.ackFloor() != 5 {
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatal("stored, and never acknowledged")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// ackFloor is up to where the stream knows its messages as stored.
func (b *bench) ackFloor() uint64 {
	b.t.Helper()
	c, err := b.js.Consumer(b.t.Context(), wire.StreamLedger, wire.ConsumerAnalytics)
	if err != nil {
		b.t.Fatal(err)
	}
	return c.CachedInfo().AckFloor.Stream
}
