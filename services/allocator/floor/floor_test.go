package floor

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

const bytesEach = 80

// start runs a floor until the test ends, and returns when it answers.
func start(t *testing.T, s *site.Site, each int) {
	t.Helper()
	cfg := Config{
		Workspaces: []string{site.Workspace}, BytesEach: each, Front: s.Service(natsauth.RoleAllocatorFront), Store: s.Service(natsauth.RoleAllocatorStore),
		Telemetry: telemetry.New("floor", "test", slog.New(slog.DiscardHandler)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the floor ended with %v", err)
		}
	})
	for cfg.Telemetry.Ready(t.Context()) != nil {
		select {
		case err := <-ended:
			t.Fatalf("the floor ended at start: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stored is how many revisions the ledger's stream has, and how long the last one is.
func stored(t *testing.T, s *site.Site) (revisions uint64, last int) {
	t.Helper()
	stream, err := s.JetStream(natsauth.RoleAllocatorStore).Stream(t.Context(), wire.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return 0, 0
	}
	m, err := stream.GetMsg(t.Context(), state.LastSeq)
	if err != nil {
		t.Fatal(err)
	}
	return state.Msgs, len(m.Data)
}

func reserve(t *testing.T, a *client.Agent) wire.ReservationReply {
	t.Helper()
	reply, err := a.Reserve(t.Context(), wire.ReserveRequest{
		Account: "any", Model: "claude-opus-4-5", TaskType: "code_review", Tokens: wire.Tokens{Input: 700, Output: 300},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *reply
}

// Each request is answered as a ledger would answer it, once it is in the stream.
func TestEachIsStoredAndAnswered(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, s, bytesEach)
	agent := s.Client("ann").Agent("a1")
	granted := reserve(t, agent)
	if granted.ReservationID == "" || granted.Granted.Tokens != (wire.Tokens{Input: 700, Output: 300}) {
		t.Errorf("granted %+v, want what was asked for", granted)
	}
	if revisions, last := stored(t, s); revisions != 1 || last != bytesEach {
		t.Errorf("%d revisions, the last of %d bytes, want one of %d", revisions, last, bytesEach)
	}
	released, err := agent.Release(t.Context(), wire.ReleaseRequest{ReservationID: granted.ReservationID})
	if err != nil {
		t.Fatal(err)
	}
	if released.ReservationID != granted.ReservationID || released.Outcome != string(quota.OutcomeReleased) {
		t.Errorf("released %+v, want the reservation", released)
	}
	if revisions, _ := stored(t, s); revisions != 2 {
		t.Errorf("%d revisions after two requests", revisions)
	}
}

func TestNothingIsStoredWhereNothingIsAskedFor(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, s, 0)
	reserve(t, s.Client("ann").Agent("a1"))
	if revisions, _ := stored(t, s); revisions != 0 {
		t.Errorf("%d revisions, want none", revisions)
	}
}

func TestAFloorRefusesWhatItCannotMeasure(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, s, 0)
	if _, err := s.Client("ann").Agent("a1").Settle(t.Context(), wire.SettleRequest{ReservationID: "0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10"}); err == nil {
		t.Error("a settle was answered as if a ledger were there")
	}
	if err := Run(t.Context(), Config{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a floor without workspaces began")
	}
}
