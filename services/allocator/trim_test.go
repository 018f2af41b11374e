package allocator

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// acknowledge reads everything a consumer has and acknowledges it, as its service would.
func acknowledge(t *testing.T, s *site.Site, role natsauth.Role, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	consumer, err := s.JetStream(role).Consumer(ctx, wire.StreamLedger, name)
	if err != nil {
		t.Fatal(err)
	}
	for info := consumer.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0; {
		batch, err := consumer.Fetch(100, jetstream.FetchMaxWait(200*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		for msg := range batch.Messages() {
			if err := msg.DoubleAck(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if info, err = consumer.Info(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	stop := start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	agent, operator := s.Client("ann").Agent("a1"), s.Operator()
	work := func(tasks int) {
		t.Helper()
		for range tasks {
			r, err := agent.Reserve(ctx, reserveRequest(10))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := agent.Settle(ctx, wire.SettleRequest{ReservationID: r.ReservationID, Usage: []wire.UsageItem{{Tokens: tokens(7)}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	verify := func() *wire.VerifyReply {
		t.Helper()
		r, err := operator.Verify(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK {
			t.Fatalf("verify: %v", r.Violations)
		}
		return r
	}
	trim := func(age time.Duration) error {
		t.Helper()
		return Trim(ctx, TrimConfig{
			NATS: s.Service(natsauth.RoleMaintenance), Workspaces: []string{site.Workspace}, Now: time.Now().Add(age),
		}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	}
	work(20)
	if err := trim(40 * 24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if r := verify(); r.FirstCommit != 1 {
		t.Fatalf("commits that a consumer has not acknowledged were trimmed: the log begins at %d", r.FirstCommit)
	}
	acknowledge(t, s, natsauth.RoleAnalytics, wire.ConsumerAnalytics)
	acknowledge(t, s, natsauth.RoleSuggestion, wire.ConsumerSuggestion)
	stop() // the relay has acknowledged by now, and lets go of its consumer
	acknowledge(t, s, natsauth.RoleRelay, wire.ConsumerRelay)
	if err := trim(29 * 24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := trim(40 * 24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := trim(40 * 24 * time.Hour); err != nil {
		t.Fatalf("a second time: %v", err)
	}

	stop = start(t, serviceConfig(t, s, nil))
	work(1)
	r := verify()
	if r.FirstCommit < 30 || r.Totals.UsedTokens != 21*7 || r.Reservations != 1 {
		t.Fatalf("after trimming: %+v", r)
	}
	stop()
	if err := Trim(ctx, TrimConfig{
		NATS: s.Service(natsauth.RoleMaintenance), Workspaces: []string{site.Workspace}, Retention: time.Hour,
	}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "remembered") {
		t.Fatalf("a retention shorter than the memory of request ids: %v", err)
	}
}
