package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
)

// TestContexts uses a system by NATS contexts, of an operator, an agent and the reader, and nothing else.
func TestContexts(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	elsewhere := t.TempDir() // no system keeps its endpoints there
	with := func(context string, args ...string) result {
		t.Helper()
		return bursar(t, map[string]string{datadir.EnvDir: elsewhere, envContext: context, "COLUMNS": "80"}, args...)
	}
	operator := i.context(natsauth.Operator(natsauth.DefaultWorkspace, natsauth.DefaultOperator))
	agent := i.context(natsauth.Agent(natsauth.DefaultWorkspace, demoPrincipal))
	reader := i.context(natsauth.Service(natsauth.RoleReader))

	got := with(agent, "reserve", "--provider", "claude", "--model", "claude-haiku-4-5", "--output", "500", "--json")
	granted := document[wire.ReservationReply](t, got.stdout)
	if got.status != ExitOK || granted.ReservationID == "" {
		t.Fatalf("reserve by the context of an agent: %+v", got)
	}
	got = with(operator, "list", "--json")
	open := document[wire.ReservationsReply](t, got.stdout)
	if got.status != ExitOK || len(open.Reservations) != 1 || open.Reservations[0].Principal != demoPrincipal {
		t.Errorf("list by the context of an operator: %+v, want the reservation of %s", got, demoPrincipal)
	}
	if got := with(operator, "revoke", granted.ReservationID); got.status != ExitOK {
		t.Errorf("revoke: %+v", got)
	}
	if got := with(reader, "watch", "--since", "1h", "--type", "reservation.granted", "--count", "1"); got.status != ExitOK || !strings.Contains(got.stdout, "500 on") {
		t.Errorf("watch by the context of the reader: %+v", got)
	}
	if got := with("no-such-context", "status"); got.status != ExitUsage || !strings.Contains(got.stderr, "no-such-context") {
		t.Errorf("a context that there is not: %+v", got)
	}

	// An operator may not read streams. To be told so takes no waiting, and what needs none is shown.
	for _, args := range [][]string{{"watch", "--count", "1"}, {"suggest"}, {"suggest", "dismiss", "id"}, {"explain", granted.ReservationID}} {
		if got := with(operator, args...); got.status != ExitFailure || !strings.Contains(got.stderr, "--reader-nkey") || !strings.Contains(got.stderr, "ermissions violation") {
			t.Errorf("bursar %s by the context of an operator: %+v", strings.Join(args, " "), got)
		}
	}
	if got := with(operator, "history"); got.status != ExitOK || !strings.Contains(got.stderr, "suggestions are left out") {
		t.Errorf("history by the context of an operator: %+v", got)
	}
	seed, err := natsauth.SeedFile(datadir.Dir(i.dir).Keys(), natsauth.Service(natsauth.RoleReader))
	if err != nil {
		t.Fatal(err)
	}
	if got := with(operator, "explain", granted.ReservationID, "--reader-nkey", seed); got.status != ExitOK || !strings.Contains(got.stdout, "revoked") {
		t.Errorf("explain with the reader's seed besides: %+v", got)
	}
}

// context writes a NATS context with the credentials of somebody, as `nats context save` does, and gives its file.
func (i *instance) context(id natsauth.Identity) string {
	i.t.Helper()
	seed, err := natsauth.SeedFile(datadir.Dir(i.dir).Keys(), id)
	if err != nil {
		i.t.Fatal(err)
	}
	prefix, err := id.InboxPrefix()
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{"url": i.ready.NATS, "nkey": seed, "inbox_prefix": prefix})
	if err != nil {
		i.t.Fatal(err)
	}
	file := filepath.Join(i.t.TempDir(), "context.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		i.t.Fatal(err)
	}
	return file
}
