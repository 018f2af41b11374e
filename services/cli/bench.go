package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// benchCommand measures a running Bursar from the outside.
type benchCommand struct {
	*app
	clients  int
	duration time.Duration
	provider string
	account  string
	model    string
}

// benchDocument is the JSON of bench.
type benchDocument struct {
	Clients   int              `json:"clients"`
	DurationS float64          `json:"duration_s"`
	Cycles    int64            `json:"cycles"` // a reserve that was granted and its release
	Decisions int64            `json:"decisions"`
	PerSecond float64          `json:"decisions_per_second"`
	ReserveMS benchLatency     `json:"reserve_ms"`
	ReleaseMS benchLatency     `json:"release_ms"`
	Denied    map[string]int64 `json:"denied"` // by error code
}

// benchLatency is how long one kind of request took, in milliseconds.
type benchLatency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Bounds of a measurement.
const (
	maxBenchClients  = 4096
	maxBenchDuration = 10 * time.Minute
)

func (a *app) bench() *cobra.Command {
	c := &benchCommand{app: a}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure reserves per second and their latency",
		Long: "Let clients reserve one token and release it again, over and over, on one shared connection. Everything is\n" +
			"decided and recorded as in earnest. `make bench` compares with other systems.",
		Example: "  bursar bench\n  bursar bench --clients 256 --duration 30s --json",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.IntVar(&c.clients, "clients", 64, "`N` clients at once")
	flags.DurationVar(&c.duration, "duration", 10*time.Second, "how long to measure")
	flags.StringVar(&c.provider, "provider", "claude", "`NAME` of the provider to reserve at")
	flags.StringVar(&c.account, "account", "", "`ID` of the account to reserve on and no other")
	flags.StringVar(&c.model, "model", "claude-haiku-4-5", "`NAME` of the model")
	return cmd
}

func (c *benchCommand) run(ctx context.Context) error {
	if c.clients < 1 || c.clients > maxBenchClients || c.duration < time.Second || c.duration > maxBenchDuration {
		return usagef("--clients must be within 1..%d and --duration within 1s..%s", maxBenchClients, maxBenchDuration)
	}
	return c.asAgent(ctx, func(ctx context.Context, b *remote) error {
		doc, err := c.measure(ctx, b)
		if err != nil {
			return err
		}
		return c.show(doc, func() {
			c.screen.Printf("%s decisions per second with %d clients\n", c.screen.Paint(screen.Strong, screen.Count(int64(doc.PerSecond))), doc.Clients)
			c.line("reserve", latencyText(doc.ReserveMS))
			c.line("release", latencyText(doc.ReleaseMS))
			for _, code := range sortedKeys(doc.Denied) {
				c.line("denied", screen.Count(doc.Denied[code])+" "+screen.Clean(code))
			}
		})
	})
}

func latencyText(l benchLatency) string {
	return fmt.Sprintf("%.1f ms median, %.1f ms p90, %.1f ms p99, %.1f ms at most", l.P50, l.P90, l.P99, l.Max)
}

// benchTally is what one client saw.
type benchTally struct {
	reserve, release []time.Duration
	denied           map[string]int64
}

func (c *benchCommand) measure(ctx context.Context, b *remote) (*benchDocument, error) {
	tallies := make([]benchTally, c.clients)
	failures := make([]error, c.clients)
	start := time.Now()
	var workers sync.WaitGroup
	for i := range c.clients {
		workers.Go(func() {
			agent := b.Agent(fmt.Sprintf("bench-%04d", i))
			tallies[i], failures[i] = c.cycle(ctx, agent, start.Add(c.duration))
		})
	}
	workers.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return c.sum(tallies, time.Since(start)), nil
}

// cycle reserves and releases until the time is over.
func (c *benchCommand) cycle(ctx context.Context, agent *client.Agent, end time.Time) (benchTally, error) {
	tally := benchTally{denied: map[string]int64{}}
	for time.Now().Before(end) && ctx.Err() == nil {
		begin := time.Now()
		reply, err := agent.Reserve(ctx, wire.ReserveRequest{
			Provider: c.provider, Account: c.account, Model: c.model, TaskType: "bench", Tokens: wire.Tokens{Output: 1},
		})
		tally.reserve = append(tally.reserve, time.Since(begin))
		if refusal, ok := errors.AsType[*wire.Error](err); ok {
			tally.denied[string(refusal.Code)]++
			continue
		}
		if err != nil {
			return tally, fmt.Errorf("reserve: %w", err)
		}
		begin = time.Now()
		if _, err := agent.Release(ctx, wire.ReleaseRequest{ReservationID: reply.ReservationID, Reason: "bench"}); err != nil {
			return tally, fmt.Errorf("release: %w", err)
		}
		tally.release = append(tally.release, time.Since(begin))
	}
	return tally, ctx.Err()
}

func (c *benchCommand) sum(tallies []benchTally, took time.Duration) *benchDocument {
	doc := &benchDocument{Clients: c.clients, DurationS: took.Seconds(), Denied: map[string]int64{}}
	var reserve, release []time.Duration
	for i := range tallies {
		reserve = append(reserve, tallies[i].reserve...)
		release = append(release, tallies[i].release...)
		for code, n := range tallies[i].denied {
			doc.Denied[code] += n
		}
	}
	doc.Cycles, doc.Decisions = int64(len(release)), int64(len(reserve)+len(release))
	doc.PerSecond = float64(doc.Decisions) / took.Seconds()
	doc.ReserveMS, doc.ReleaseMS = benchLatencyOf(reserve), benchLatencyOf(release)
	return doc
}

func benchLatencyOf(took []time.Duration) benchLatency {
	if len(took) == 0 {
		return benchLatency{}
	}
	slices.Sort(took)
	at := func(part float64) float64 {
		const microsPerMilli = 1000
		return float64(took[int(part*float64(len(took)-1))].Microseconds()) / microsPerMilli
	}
	return benchLatency{P50: at(0.50), P90: at(0.90), P99: at(0.99), Max: at(1)}
}
