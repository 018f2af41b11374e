package allocator

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

const benchConfig = `
version: 1
teams: [core]
accounts:
  - id: api-1
    provider: openai
    kind: api
    limits:
      - {name: day, unit: tokens, capacity: 1000000000000, window: {kind: calendar, period: day}}
      - {name: month, unit: micro_usd, capacity: 1000000000000, window: {kind: calendar, period: month}}
      - {name: parallel, unit: requests, capacity: 100000, window: {kind: concurrent}}
principals:
  - {name: ann, team: core}
`

// benchConns is how many connections the clients share.
const benchConns = 4

// BenchmarkEcho and BenchmarkReserve measure the same round trips through the same server: a bare reply, and a durable
// reserve or release with everything that belongs to it. The ratio of the two is what the ledger costs.
func BenchmarkEcho(b *testing.B) {
	s := benchSite(b)
	responder := s.Conn(natsauth.Service(natsauth.RoleAllocatorFront))
	answer := make([]byte, 350)
	subject, err := wire.AgentSubject(site.Workspace, "ann", "echo", wire.VerbStatus)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := responder.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond(answer) }); err != nil {
		b.Fatal(err)
	}
	if err := responder.Flush(); err != nil {
		b.Fatal(err)
	}
	conns := benchClients(b, s)
	body := make([]byte, 300)
	benchEach(b, func(client int) error {
		_, err := conns[client%benchConns].RequestWithContext(b.Context(), subject, body)
		return err
	})
}

func BenchmarkReserve(b *testing.B) { benchReserve(b, false) }

// BenchmarkReserveRelayElsewhere leaves the public events to another process.
func BenchmarkReserveRelayElsewhere(b *testing.B) { benchReserve(b, true) }

func benchReserve(b *testing.B, relayElsewhere bool) {
	s := benchSite(b)
	cfg := serviceConfigOf(b, s, benchConfig)
	cfg.RelayElsewhere = relayElsewhere
	runQuietly(b, cfg)
	if _, err := s.Operator().GetConfig(b.Context()); err != nil {
		b.Fatal(err)
	}
	conns := benchClients(b, s)
	benchEach(b, func(client int) error { return benchTask(b.Context(), conns[client%benchConns], client) })
}

// benchTask is one round trip; every second one releases what the first reserved.
func benchTask(ctx context.Context, nc *nats.Conn, client int) error {
	agent := fmt.Sprintf("a%d", client)
	ask := func(r wire.Mutation, reply any) error {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		wire.SetRequestID(r, id.String())
		subject, err := wire.AgentSubject(site.Workspace, "ann", agent, r.Verb())
		if err != nil {
			return err
		}
		answer, err := nc.RequestWithContext(ctx, subject, r.Append(nil))
		if err != nil {
			return err
		}
		_, err = wire.DecodeReply(answer.Data, reply)
		return err
	}
	reserve := reserveRequest(1000)
	var granted, released wire.ReservationReply
	if err := ask(&reserve, &granted); err != nil {
		return err
	}
	return ask(&wire.ReleaseRequest{ReservationID: granted.ReservationID}, &released)
}

func benchSite(b *testing.B) *site.Site {
	b.Helper()
	return site.Start(b, []string{"ann"}, natstest.Listen(), natstest.Sync(natsembed.SyncSecond))
}

func benchClients(b *testing.B, s *site.Site) (conns []*nats.Conn) {
	b.Helper()
	for range benchConns {
		conns = append(conns, s.Conn(natsauth.Agent(site.Workspace, "ann")))
	}
	return conns
}

// benchEach runs a round of each of many clients at once, for b.N rounds in all.
func benchEach(b *testing.B, round func(client int) error) {
	for _, clients := range []int{1, 16, 64, 256, 1024} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			var running sync.WaitGroup
			for client := range clients {
				running.Go(func() {
					for n := client; n < b.N; n += clients {
						if err := round(client); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			running.Wait()
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is what this process has used of the processors: clients, server and allocator. Where other programs run beside
// it, it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func runQuietly(b *testing.B, cfg Config) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("the allocator ended with %v", err)
		}
	})
}
