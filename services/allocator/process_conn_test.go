package allocator

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

var (
	ann  = natsauth.Agent(site.Workspace, "ann")
	root = natsauth.Operator(site.Workspace, "root")
)

// connect connects as an identity until the test ends.
func (p *plant) connect(id natsauth.Identity) *nats.Conn {
	p.t.Helper()
	cfg, err := p.keys.Connection(id, natsconn.Config{URL: p.url, Wait: true})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), waitLimit)
	defer cancel()
	nc, err := natsconn.Connect(ctx, cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(nc.Close)
	return nc
}

// verify has the serving allocator fold the log again and fails the test on any violation.
func (p *plant) verify() *wire.VerifyReply {
	p.t.Helper()
	// An answer is lost with the process that was to give it: then it is asked for again.
	const attempts = 4
	operator := p.client(root, client.Options{})
	var report *wire.VerifyReply
	for attempt := 1; report == nil; attempt++ {
		ctx, cancel := context.WithTimeout(p.t.Context(), waitLimit/attempts)
		var err error
		report, err = operator.Verify(ctx)
		cancel()
		if err != nil && attempt == attempts {
			p.t.Fatal(err)
		}
		if err != nil {
			p.t.Logf("attempt %d of %d: %v", attempt, attempts, err)
		}
	}
	if !report.OK {
		p.t.Fatalf("verify: %v", report.Violations)
	}
	return report
}

// served waits until somebody serves.
func (p *plant) served() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), waitLimit)
	defer cancel()
	if _, err := p.client(root, client.Options{Timeout: 300 * time.Millisecond, Patience: waitLimit}).GetConfig(ctx); err != nil {
		p.t.Fatalf("nobody serves: %v", err)
	}
}

func TestAProcessServes(t *testing.T) {
	t.Parallel()
	p := newPlant(t, testConfig)
	a := p.startAllocator("")
	p.served()
	if _, err := p.client(ann, client.Options{}).Agent("a1").Reserve(t.Context(), reserveRequest(10)); err != nil {
		t.Fatal(err)
	}
	if r := p.verify(); r.Reservations != 1 {
		t.Fatalf("verify: %+v", r)
	}
	a.signal(terminate)
	if status := a.ended(waitLimit); status != 0 {
		t.Fatalf("a drained process ends with 0, not %d", status)
	}
}
