package allocator

import (
	"context"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// TestTheRelayMayBeElsewhere lets an allocator without relay decide, and sees the events once another one
// relays.
func TestTheRelayMayBeElsewhere(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	cfg := serviceConfig(t, s, nil)
	cfg.RelayElsewhere, cfg.Relay = true, natsconn.Config{}
	start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := s.Client("ann").Agent("a1").Reserve(ctx, reserveRequest(1000)); err != nil {
		t.Fatal(err)
	}
	events, err := s.JetStream(natsauth.RoleProvisioning).Stream(ctx, wire.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	count := func() uint64 {
		info, err := events.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Msgs
	}
	if n := count(); n != 0 {
		t.Errorf("%d events without a relay", n)
	}
	start(t, serviceConfig(t, s, nil))
	for count() == 0 {
		select {
		case <-ctx.Done():
			t.Fatal("the other process relays nothing")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
