package allocator

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsauth/attacktest"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
)

// The suite of attacks against the allocator itself, on a server that runs by the generated
// configuration file.

func TestAttacks(t *testing.T) {
	t.Parallel()
	attacktest.Run(t, serveAttacked)
}

func TestAttacksOnWhatBelongsToOthers(t *testing.T) {
	t.Parallel()
	attacktest.Ownership(t, serveAttacked, reserveRequest(1000))
}

func serveAttacked(t testing.TB, system attacktest.System) {
	t.Helper()
	var principals strings.Builder
	for _, name := range attacktest.Principals() {
		fmt.Fprintf(&principals, "  - {name: %s, team: core}\n", name)
	}
	parsed, err := config.Parse("test", []byte(strings.Replace(testConfig, "  - {name: ann, team: core}\n", principals.String(), 1)))
	if err != nil {
		t.Fatal(err)
	}

	start(t, Config{
		Workspaces: []string{system.Workspace}, Initial: &parsed.Quota,
		Front:     system.Connection(t, natsauth.Service(natsauth.RoleAllocatorFront)),
		Store:     system.Connection(t, natsauth.Service(natsauth.RoleAllocatorStore)),
		Relay:     system.Connection(t, natsauth.Service(natsauth.RoleRelay)),
		Telemetry: telemetry.New("allocator", "0.0.0", slog.New(slog.DiscardHandler)),
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	nc := system.Connect(t, natsauth.Agent(system.Workspace, attacktest.Principals()[0]))
	c, err := client.New(nc, client.Options{Workspace: system.Workspace, Principal: attacktest.Principals()[0]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Agent("probe").Status(ctx, wire.StatusRequest{}); err != nil {
		t.Fatalf("the allocator does not serve: %v", err)
	}
}
