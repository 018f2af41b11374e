package relay

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// BenchmarkRelay measures what one event costs from the ledger stream into the event stream, the server's share included.
func BenchmarkRelay(b *testing.B) {
	const each = 64 // events of a commit
	s := site.Start(b, nil, natstest.Listen(), natstest.Sync(natsembed.SyncSecond))
	store := s.JetStream(natsauth.RoleAllocatorStore)
	number := uint64(0)
	fill := func(events int) {
		for ; events > 0; events -= each {
			number++
			commit := &ledger.Commit{Ledger: ledger.ID{1}, Epoch: 1, Number: number, ID: ledger.ID{2}, At: 1_700_000_000_000}
			for i := range min(each, events) {
				commit.Events = append(commit.Events, &quota.ReservationGranted{
					At: 1_700_000_000_000, Reservation: fmt.Sprintf("019aa7b2-1111-7222-8333-%012d", i), Config: 1,
					Labels: quota.Labels{Principal: "ann", Agent: fmt.Sprintf("agent-%d", i), Team: "core", Provider: "claude", Account: "api-1",
						Model: "claude-sonnet-4-5", TaskType: "code_review", Complexity: "medium", Priority: quota.PriorityNormal},
					Amount: quota.Amount{Tokens: quota.Tokens{Input: 6000, Output: 2000}, Requests: 1}, Expires: 1_700_014_400_000, Deadline: 1_700_014_400_000,
					Holds: []quota.LimitAmount{{Limit: "api-1/day", Amount: 8000}, {Limit: "api-1/parallel", Amount: 1}}, CostHeld: 48_000,
				})
			}
			data, err := ledger.Encode(commit)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := store.Publish(b.Context(), wire.KeySubject(wire.BucketLedger, "default"), data); err != nil {
				b.Fatal(err)
			}
		}
	}
	fill(b.N)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	js := s.JetStream(natsauth.RoleRelay)
	var before syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		done <- Run(ctx, Options{JetStream: js, Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler)})
	}()
	for {
		c, err := js.Consumer(b.Context(), wire.StreamLedger, wire.ConsumerRelay)
		if err != nil {
			b.Fatal(err)
		}
		if info := c.CachedInfo(); info.NumPending == 0 && info.NumAckPending == 0 {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	b.StopTimer()
	var after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	b.ReportMetric(float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano())/float64(b.N), "cpu-ns/op")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
