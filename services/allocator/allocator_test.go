package allocator

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// testConfig has one API account with little quota.
const testConfig = `
version: 1
teams: [core]
accounts:
  - id: api-1
    provider: openai
    kind: api
    limits:
      - name: day
        unit: tokens
        capacity: 100000
        window: {kind: calendar, period: day}
principals:
  - {name: ann, team: core}
`

// serviceConfig is the allocator at a site.
func serviceConfig(t testing.TB, s *site.Site, points *failpoint.Set) Config {
	t.Helper()
	cfg := serviceConfigOf(t, s, testConfig)
	cfg.Points = points
	return cfg
}

// serviceConfigOf is the allocator at a site with a configuration of its ledger.
func serviceConfigOf(t testing.TB, s *site.Site, document string) Config {
	t.Helper()
	parsed, err := config.Parse("test", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Workspaces: []string{site.Workspace}, Initial: &parsed.Quota,
		Front: s.Service(natsauth.RoleAllocatorFront), Store: s.Service(natsauth.RoleAllocatorStore), Relay: s.Service(natsauth.RoleRelay),
		Telemetry: telemetry.New("allocator", "0.0.0", slog.New(slog.DiscardHandler)),
	}
}

// start runs an allocator until the test ends, or until the function returned is called.
func start(t testing.TB, cfg Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, slog.New(slog.NewTextHandler(t.Output(), nil))) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the allocator ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func tokens(n int64) wire.Tokens { return wire.Tokens{Output: n} }

func reserveRequest(n int64) wire.ReserveRequest {
	return wire.ReserveRequest{Provider: "openai", Model: "gpt-5", Tokens: tokens(n)}
}

func TestTheWholeLine(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	stop := start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	agent := s.Client("ann").Agent("a1")
	r, err := agent.Reserve(ctx, reserveRequest(60_000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Reserve(ctx, reserveRequest(60_000)); !errors.Is(err, wire.ErrInsufficientQuota) {
		t.Fatalf("a second one does not fit: %v", err)
	}
	if _, err := agent.Report(ctx, wire.ReportRequest{ReservationID: r.ReservationID, Usage: []wire.UsageItem{{CallID: "c1", Tokens: tokens(1000)}}}); err != nil {
		t.Fatal(err)
	}
	settled, err := agent.Settle(ctx, wire.SettleRequest{ReservationID: r.ReservationID, Usage: []wire.UsageItem{{CallID: "c2", Tokens: tokens(500)}}})
	if err != nil {
		t.Fatal(err)
	}
	if settled.Used.Tokens.Output != 1500 || settled.Returned.Tokens.Output != 58_500 {
		t.Fatalf("settled: %+v", settled)
	}
	stop()

	start(t, serviceConfig(t, s, nil))
	operator := s.Operator()
	report, err := operator.Verify(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK || report.Reservations != 1 || report.Totals.UsedTokens != 1500 || report.Epoch != 2 {
		t.Fatalf("verify: %+v", report)
	}
	accounts, err := operator.Accounts(ctx, wire.AccountsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if l := accounts.Accounts[0].Limits[0]; l.Used != 1500 || l.Held != 0 {
		t.Fatalf("limit: %+v", l)
	}
}

// A closed reservation that the state has forgotten is still found in the log.
func TestForgottenReservationsAreReadFromTheLog(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann", "bob"})
	cfg := serviceConfig(t, s, nil)
	cfg.Initial.Policy.ClosedKept = 1
	start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	agent := s.Client("ann").Agent("a1")
	var ids []string
	for range 5 {
		r, err := agent.Reserve(ctx, reserveRequest(100))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := agent.Settle(ctx, wire.SettleRequest{ReservationID: r.ReservationID, Usage: []wire.UsageItem{{Tokens: tokens(30)}}}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ReservationID)
	}
	for _, id := range ids {
		status, err := agent.Status(ctx, wire.StatusRequest{ReservationID: id})
		if err != nil {
			t.Fatal(err)
		}
		if r := status.Reservations[0]; r.ReservationID != id || r.Outcome != "settled" || r.Used.Tokens.Output != 30 {
			t.Fatalf("found %+v", r)
		}
	}
	for name, other := range map[string]struct {
		by string
		id string
	}{
		"somebody else's":    {"bob", ids[0]},
		"one that never was": {"ann", "0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10"},
		"no id of ours":      {"ann", "r1"},
	} {
		if _, err := s.Client(other.by).Agent("a1").Status(ctx, wire.StatusRequest{ReservationID: other.id}); !errors.Is(err, wire.ErrAllocationNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
