package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/services/cli/internal/otlp"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// otlpCommand records the usage in the telemetry of coding agents.
type otlpCommand struct {
	*app
	http, grpc     string
	claude, openai string
}

// receivingEvent is the line that otlp writes when it takes telemetry.
type receivingEvent struct {
	Event string `json:"event"`
	HTTP  string `json:"http"`
	GRPC  string `json:"grpc"`
}

func (a *app) otlp() *cobra.Command {
	c := &otlpCommand{app: a}
	cmd := &cobra.Command{
		Use:   "otlp",
		Short: "Take the telemetry of coding agents and record its usage",
		Long: "Listen for OpenTelemetry (OTLP) on this machine and record each provider call in it as usage of an account:\n" +
			"api_request events of Claude Code, sse_event of Codex. A call of Claude Code that a transcript or the agent itself\n" +
			"tells too counts once; those of Codex have no ids: take them here or by bursar import, not both. Agents that\n" +
			"reserve can name their reservation with\n" +
			"OTEL_RESOURCE_ATTRIBUTES=allocation.id=ID,agent.id=AGENT. Nothing but this machine can connect.",
		Example: "  bursar otlp --claude-account claude-max\n  bursar otlp --claude-account claude-max --openai-account openai-api",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.http, "http", "127.0.0.1:4318", "`ADDRESS` for OTLP over HTTP; port 0 is any free one")
	flags.StringVar(&c.grpc, "grpc", "127.0.0.1:4317", "`ADDRESS` for OTLP over gRPC; port 0 is any free one")
	flags.StringVar(&c.claude, "claude-account", "", "`ID` of the account that pays for Claude Code")
	flags.StringVar(&c.openai, "openai-account", "", "`ID` of the account that pays for Codex")
	return cmd
}

func (c *otlpCommand) run(ctx context.Context) error {
	if c.claude == "" && c.openai == "" {
		return usagef("say which account pays: --claude-account, --openai-account, or both")
	}
	ctx, stop := runner.WithSignals(ctx, c.log)
	defer stop()
	overHTTP, err := listenHere(ctx, "--http", c.http)
	if err != nil {
		return err
	}
	overGRPC, err := listenHere(ctx, "--grpc", c.grpc)
	if err != nil {
		return errors.Join(err, overHTTP.Close())
	}
	return c.asAgent(context.WithoutCancel(ctx), func(_ context.Context, b *remote) error {
		if err := c.checkAccounts(ctx, b); err != nil {
			return errors.Join(err, overHTTP.Close(), overGRPC.Close())
		}
		agents := agentsOf(b)
		r := &otlp.Receiver{Accounts: map[string]string{"claude": c.claude, "openai": c.openai}, Agent: agents, Log: c.log}
		if err := c.tell(overHTTP, overGRPC); err != nil {
			return errors.Join(err, overHTTP.Close(), overGRPC.Close())
		}
		err := r.Serve(ctx, overHTTP, overGRPC)
		tally := r.Tally()
		return errors.Join(err, c.show(&tally, func() { c.showTally(&tally) }))
	})
}

// checkAccounts refuses accounts that nothing could be recorded for: exporters do not show what they are answered.
func (c *otlpCommand) checkAccounts(ctx context.Context, b *remote) error {
	for _, account := range []string{c.claude, c.openai} {
		if account == "" {
			continue
		}
		if err := mayCharge(ctx, b.Agent(defaultAgent), account); err != nil {
			return err
		}
	}
	return nil
}

// listenHere listens on this machine only: the protocol has no credentials.
func listenHere(ctx context.Context, flag, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usagef("%s %q is not HOST:PORT: %v", flag, address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, usagef("%s %q is not on this machine: the protocol has no credentials, listen on 127.0.0.1 or [::1]", flag, address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for telemetry: %w; name another port with %s, 0 is any free one", err, flag)
	}
	return listener, nil
}

// agentsOf gives one client per agent, as long as the connection lives.
func agentsOf(b *remote) func(name string) otlp.Reporter {
	var mu sync.Mutex
	known := map[string]otlp.Reporter{}
	return func(name string) otlp.Reporter {
		mu.Lock()
		defer mu.Unlock()
		if known[name] == nil {
			known[name] = b.Agent(name)
		}
		return known[name]
	}
}

func (c *otlpCommand) tell(overHTTP, overGRPC net.Listener) error {
	event := receivingEvent{"ready", "http://" + overHTTP.Addr().String(), "http://" + overGRPC.Addr().String()}
	return c.show(&event, func() {
		s := c.screen
		s.Printf("Telemetry is taken on %s (HTTP)\nand %s (gRPC).\n", event.HTTP, event.GRPC)
		s.Printf("\nFor Claude Code:\n  export CLAUDE_CODE_ENABLE_TELEMETRY=1 OTEL_LOGS_EXPORTER=otlp\n"+
			"  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n  export OTEL_EXPORTER_OTLP_ENDPOINT=%s\n", event.HTTP)
		s.Printf("\nFor Codex, in its config.toml:\n  [otel]\n  exporter = { otlp-http = { endpoint = \"%s/v1/logs\",\n    protocol = \"binary\" } }\n", event.HTTP)
		s.Printf("\nCtrl-C ends it.\n\n")
	})
}

func (c *otlpCommand) showTally(t *otlp.Tally) {
	c.screen.Printf("%s with %s tokens", counted(int64(t.Calls), "call"), screen.Count(t.Tokens))
	if t.Measured > 0 {
		c.screen.Printf("; metrics told of %s", screen.Count(t.Measured))
	}
	c.screen.Printf("\n")
	if t.NoAccount > 0 {
		c.screen.Note(screen.Caution, counted(int64(t.NoAccount), "call")+" had no account to pay: name it with --claude-account or --openai-account")
	}
	if t.Refused > 0 {
		c.screen.Note(screen.Caution, counted(int64(t.Refused), "call")+" "+plural(int64(t.Refused), "was", "were")+" refused and left out; the log says why")
	}
	if t.Unreadable > 0 {
		c.screen.Note(screen.Caution, counted(int64(t.Unreadable), "event")+" could not be read")
	}
}
