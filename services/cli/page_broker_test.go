//go:build page

package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestThePageWhileTheBrokerIsAway kills the NATS server behind the broker while the page itself is served on: it says that
// the broker is away, keeps what it knew, and goes on by itself when the server is back.
func TestThePageWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	nats, dir := natsElsewhere(t)
	i := up(t, dir, "--config", pageConfig(t), "--nats-url", nats.URL, "--clickhouse-port", "0")
	b := open(t, i.ready.Page)
	b.await("that it is live", showing("#connection", "Live")+" && document.querySelector('#banner').hidden")
	reserve := func(agent string) {
		i.do(ExitOK, "reserve", "--principal", demoPrincipal, "--agent", agent, "--provider", "openai", "--model", "gpt-5.5", "--output", "100")
	}
	reserve("before")
	b.await("what happened before", showing("#reservations tbody tr", "before"))
	if said := evaluate[string](b, "document.querySelector('#announcer').textContent"); strings.Contains(said, "is back") {
		t.Errorf("a screen reader is told %q of a page that was just opened", said)
	}
	evaluate[bool](b, "window.stayed = true")

	nats.Kill()
	b.await("that the broker is away", showing("#connection", "Broker away")+" && "+showing("#banner", "does not answer since"))
	b.await("what it knew", showing("#reservations tbody tr", "before"))
	b.isAccessible("while the broker is away")

	nats.Start()
	b.await("that it is live again", showing("#connection", "Live")+" && document.querySelector('#banner').hidden")
	b.await("that a screen reader is told", "document.querySelector('#announcer').textContent.includes('is back')")
	reserve("after")
	b.await("what happens after", showing("#reservations tbody tr", "after")+" && "+showing("#feed li", "granted"))
	if !evaluate[bool](b, "window.stayed === true") {
		t.Error("the page was loaded anew")
	}
	if status := i.stop(); status != ExitOK { // before the server, whose end comes first otherwise
		t.Errorf("up ended with %d", status)
	}
}

// How often TestThePageLatency measures and how far apart, and what half of the reservations must have been seen after:
// far above what it takes, so that only a page that waits for its next look by time fails.
const (
	latencyRounds = 40
	latencyPace   = 730 * time.Millisecond
	latencyBound  = time.Second
)

// watchRows notes when a reservation is first painted, by the clock of the machine.
const watchRows = `(() => {
	window.seen = {};
	const look = () => {
		for (const row of document.querySelectorAll("[data-reservation]")) {
			const id = row.dataset.reservation;
			if (!(id in window.seen)) { window.seen[id] = 0; requestAnimationFrame(() => { window.seen[id] = Date.now(); }); }
		}
	};
	new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
	return true;
})()`

// TestThePageLatency measures how long it takes until a reservation is seen on the page, from the moment the agent asks
// and from the moment it has its answer. Agents come in a rhythm that is not the page's own.
func TestThePageLatency(t *testing.T) { //nolint:paralleltest // it measures
	i := up(t, t.TempDir(), "--sync", "always")
	b := open(t, i.ready.Page)
	b.await("that it is live", showing("#connection", "Live"))
	evaluate[bool](b, watchRows)
	agent := i.agent("agent")
	var fromAsking, fromAnswer []time.Duration
	pace := time.NewTicker(latencyPace)
	defer pace.Stop()
	for range latencyRounds {
		asked := time.Now()
		granted, err := agent.Reserve(t.Context(), wire.ReserveRequest{Provider: "claude", Model: "claude-haiku-4-5", Tokens: wire.Tokens{Output: 100}})
		if err != nil {
			t.Fatal(err)
		}
		answered := time.Now()
		at := fmt.Sprintf("window.seen[%q]", granted.ReservationID)
		b.await("the reservation", "("+at+" ?? 0) > 0")
		seen := time.UnixMilli(evaluate[int64](b, at))
		fromAsking, fromAnswer = append(fromAsking, seen.Sub(asked)), append(fromAnswer, seen.Sub(answered))
		if _, err := agent.Release(t.Context(), wire.ReleaseRequest{ReservationID: granted.ReservationID}); err != nil {
			t.Fatal(err)
		}
		<-pace.C
	}
	t.Logf("from asking to seen:     %s", spread(fromAsking))
	t.Logf("from the answer to seen: %s", spread(fromAnswer))
	if p50 := fromAnswer[len(fromAnswer)/2]; p50 > latencyBound {
		t.Errorf("half of the reservations are seen later than %s after the answer", p50)
	}
}

// spread sorts times and tells how they are spread.
func spread(times []time.Duration) string {
	slices.Sort(times)
	at := func(percent int) time.Duration { return times[(len(times)-1)*percent/100].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %s, p95 %s, at most %s, of %d", at(50), at(95), at(100), len(times))
}

// agent connects as an agent of the demo principal.
func (i *instance) agent(name string) *client.Agent {
	i.t.Helper()
	id := natsauth.Agent(natsauth.DefaultWorkspace, demoPrincipal)
	c, err := client.New(i.connect(id), client.Options{Workspace: id.Workspace, Principal: id.Principal})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = c.Close() }) // the connection goes with the server
	return c.Agent(name)
}
