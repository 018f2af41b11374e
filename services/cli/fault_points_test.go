//go:build fault

package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/wire"
)

// faultConfig has room for every load here.
const faultConfig = `
version: 1
teams: [core]
accounts:
  - id: api-1
    provider: openai
    kind: api
    limits:
      - {name: day, unit: tokens, capacity: 1_000_000_000_000, window: {kind: calendar, period: day}}
principals:
  - {name: ann, team: core}
  - {name: operator, admin: true}
`

// killedAt says at which hit of each failpoint the process dies: in the middle of the load where it can. Every failpoint
// that the code knows needs a line.
var killedAt = map[failpoint.Name]int{
	failpoint.BeforePublish:         40,
	failpoint.AfterPublish:          40,
	failpoint.AfterAck:              40,
	failpoint.BeforeReply:           40,
	failpoint.MidKeyframe:           1, // after some thousand commits
	failpoint.AfterEpochClaim:       1, // at the start, and nobody is served before
	failpoint.RelayAfterPublish:     3, // ranges of commits, as are the following
	failpoint.AnalyticsBeforeInsert: 3,
	failpoint.AnalyticsAfterInsert:  3,
	failpoint.AnalyticsBeforeAck:    3,
}

// TestKilledAtEveryFailpoint has everything die at each failpoint in turn, NATS and ClickHouse included, while agents are
// at work. Each start meets what the crash before left. After each, the books are right, and what agents were told is in
// them once.
//
//nolint:tparallel // each meets what the one before left
func TestKilledAtEveryFailpoint(t *testing.T) {
	t.Parallel()
	if known := failpoint.Names(); len(killedAt) != len(known) {
		t.Fatalf("killedAt has %d failpoints, the code knows %d: %v", len(killedAt), len(known), known)
	}
	site := newFaultSite(t)
	for _, point := range failpoint.Names() {
		if !t.Run(string(point), func(t *testing.T) { site.dieAt(t, point) }) {
			break // the books stay wrong
		}
	}
}

// faultSite is a data directory that many processes use, one after the other, and agents that outlive them.
type faultSite struct {
	dir, config string
	port        int
	agents      *client.Client
	told        told
}

func newFaultSite(t *testing.T) *faultSite {
	t.Helper()
	s := &faultSite{dir: t.TempDir(), port: natstest.FreePort(t), told: told{settled: map[string]int64{}}}
	s.config = filepath.Join(s.dir, "bursar.yaml")
	if err := os.WriteFile(s.config, []byte(faultConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	p := s.begin(t).serving()
	ann := natsauth.Agent(natsauth.DefaultWorkspace, "ann")
	nc := p.connect(ann)
	t.Cleanup(nc.Close)
	var err error
	if s.agents, err = client.New(nc, client.Options{Workspace: ann.Workspace, Principal: ann.Principal, Patience: startLimit}); err != nil {
		t.Fatal(err)
	}
	p.end()
	return s
}

func (s *faultSite) begin(t *testing.T, env ...string) *process {
	t.Helper()
	return begin(t, s.dir, env, "--nats-port", strconv.Itoa(s.port), "--config", s.config, "--sync", "2m")
}

func (s *faultSite) dieAt(t *testing.T, point failpoint.Name) {
	times, listed := killedAt[point]
	if !listed {
		t.Fatal("killedAt has no line for it")
	}
	doomed := s.begin(t, fmt.Sprintf("%s=%s=%d*kill", failpoint.EnvVar, point, times))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working sync.WaitGroup
	for i := range 8 {
		working.Go(func() { s.told.work(ctx, s.agents.Agent("a"+strconv.Itoa(i))) })
	}
	doomed.diesItself()
	p := s.begin(t).serving()
	before := s.told.count()
	await(t, "the agents go on", func() bool { return s.told.count() >= before+100 })
	stop()
	working.Wait()
	s.checkBooks(t, p)
	p.end()
}

// checkBooks wants the books to be right, and to hold what agents were told and nothing else: the same reservations,
// each with what it used.
func (s *faultSite) checkBooks(t *testing.T, p *process) {
	t.Helper()
	doc := ask[verifyDocument](p.instance, "verify", "--wait", "60s")
	if !doc.OK || doc.ClickHouse.Missing != 0 || doc.ClickHouse.Duplicates != 0 || !doc.ClickHouse.SumsEqual {
		t.Fatalf("verify: %+v", doc)
	}
	if len(s.told.problems) > 0 {
		t.Fatalf("%d requests failed, the first: %s", len(s.told.problems), s.told.problems[0])
	}
	if doc.Reservations != int64(len(s.told.settled)) {
		t.Fatalf("the ledger granted %d reservations, agents were told of %d", doc.Reservations, len(s.told.settled))
	}
	rows, err := p.clickhouse().Query(t.Context(), "SELECT reservation, used_tokens FROM analyst.reservations WHERE outcome = 'settled'")
	if err != nil {
		t.Fatal(err)
	}
	booked := map[string]int64{}
	for rows.Next() {
		var id string
		var used int64
		if err := rows.Scan(&id, &used); err != nil {
			t.Fatal(err)
		}
		booked[id] = used
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(booked, s.told.settled) {
		t.Fatalf("ClickHouse has %d reservations that were settled, agents were told of %d, and they are not the same", len(booked), len(s.told.settled))
	}
	p.awaitPublicEvents(doc.ClickHouse.Events)
	t.Logf("%d reservations, %d commits", doc.Reservations, doc.Commits)
}

// awaitPublicEvents waits until the relay has published as many events as there are. Advice is in the same stream.
func (p *process) awaitPublicEvents(want uint64) {
	p.t.Helper()
	nc := p.connect(natsauth.Service(natsauth.RoleReader))
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		p.t.Fatal(err)
	}
	await(p.t, fmt.Sprintf("%d public events", want), func() bool {
		stream, err := js.Stream(p.t.Context(), wire.StreamEvents)
		if err != nil {
			p.t.Fatal(err)
		}
		info, err := stream.Info(p.t.Context(), jetstream.WithSubjectFilter(wire.SubjectRoot+".*.*.event.*.*.suggestion.>"))
		if err != nil {
			p.t.Fatal(err)
		}
		got := info.State.Msgs
		for _, advice := range info.State.Subjects {
			got -= advice
		}
		if got > want {
			p.t.Fatalf("%d public events of %d: %v", got, want, info.State.Subjects)
		}
		return got == want
	})
}

// told is what agents were told.
type told struct {
	mu       sync.Mutex
	settled  map[string]int64 // by reservation, the tokens used
	problems []string
}

func (y *told) count() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.settled)
}

// work has an agent reserve, report and settle until ctx ends; what it has begun it brings to its end.
func (y *told) work(ctx context.Context, a *client.Agent) {
	for n := int64(1); ctx.Err() == nil; n++ {
		id, used, err := task(context.WithoutCancel(ctx), a, 1+n%50)
		y.mu.Lock()
		switch _, known := y.settled[id]; {
		case err != nil:
			y.problems = append(y.problems, err.Error())
		case known:
			y.problems = append(y.problems, "reservation "+id+" was granted twice")
		default:
			y.settled[id] = used
		}
		y.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func task(ctx context.Context, a *client.Agent, n int64) (id string, used int64, err error) {
	output := func(tokens int64) []wire.UsageItem {
		return []wire.UsageItem{{Tokens: wire.Tokens{Output: tokens}}} // without an id of a call, a repeat would count
	}
	granted, err := a.Reserve(ctx, wire.ReserveRequest{Account: "api-1", Model: "gpt-5", Tokens: wire.Tokens{Output: 100}})
	if err != nil {
		return "", 0, fmt.Errorf("reserve: %w", err)
	}
	if _, err := a.Report(ctx, wire.ReportRequest{ReservationID: granted.ReservationID, Usage: output(n)}); err != nil {
		return "", 0, fmt.Errorf("report: %w", err)
	}
	reply, err := a.Settle(ctx, wire.SettleRequest{ReservationID: granted.ReservationID, Usage: output(30)})
	if err != nil {
		return "", 0, fmt.Errorf("settle: %w", err)
	}
	return granted.ReservationID, reply.Used.Tokens.Output, nil
}
