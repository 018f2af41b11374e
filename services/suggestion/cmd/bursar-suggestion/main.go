// Command bursar-suggestion follows the ledger and publishes advice. `bursar up` runs the same service in its process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion"
)

// version is set by the linker.
var version = "unknown"

const (
	serviceName = "suggestion"
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stderr, os.Getenv)) }

// flags is what the command line and the environment say.
type flags struct {
	server, context, nkey, metrics, logLevel string
}

func parse(args []string, out io.Writer, getenv func(string) string) (flags, error) {
	var f flags
	set := flag.NewFlagSet("bursar-suggestion", flag.ContinueOnError)
	set.SetOutput(out)
	set.Usage = func() {
		fmt.Fprint(out, "Follow the ledger of every workspace and publish advice as suggestion.made events.\n\nFlags:\n")
		set.PrintDefaults()
	}
	set.StringVar(&f.server, "server", getenv("BURSAR_SERVER"), "NATS `URL` ($BURSAR_SERVER)")
	set.StringVar(&f.context, "context", getenv("BURSAR_CONTEXT"), "`NAME` or file of a NATS context ($BURSAR_CONTEXT)")
	set.StringVar(&f.nkey, "nkey", getenv("BURSAR_NKEY"), "`FILE` with the nkey seed ($BURSAR_NKEY)")
	set.StringVar(&f.metrics, "metrics", orElse(getenv("BURSAR_METRICS"), "127.0.0.1:0"),
		"`ADDRESS` of /metrics, /healthz and /readyz ($BURSAR_METRICS)")
	set.StringVar(&f.logLevel, "log-level", "", "`LEVEL` debug, info, warn or error ($"+telemetry.LogLevelVar+")")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return f, nil
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func run(args []string, out io.Writer, getenv func(string) string) int {
	f, err := parse(args, out, getenv)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(out, "bursar-suggestion:", err)
		return exitUsage
	}
	log, err := telemetry.LoggerFromEnv(out, f.logLevel, getenv)
	if err != nil {
		fmt.Fprintln(out, "bursar-suggestion:", err)
		return exitUsage
	}
	inbox, err := wire.ServiceInboxPrefix(serviceName)
	if err != nil {
		return runner.ExitCode(log, err)
	}
	ctx, stop := runner.WithSignals(context.Background(), log)
	defer stop()
	watched := telemetry.New(serviceName, version, log)
	return runner.ExitCode(log, runner.Run(ctx, log, runner.DrainTime,
		telemetryPart(watched, f.metrics, log, getenv),
		runner.Part{Name: serviceName, Run: func(ctx context.Context) error {
			return suggestion.Run(ctx, suggestion.Config{
				Telemetry: watched,
				NATS: natsconn.Config{
					Name: "bursar-suggestion", URL: f.server, Context: f.context, NkeySeedFile: f.nkey, InboxPrefix: inbox, Wait: true, Log: log,
				},
			}, log)
		}},
	))
}

// telemetryPart serves metrics and health, and sends traces and metrics where the environment asks for it.
func telemetryPart(t *telemetry.Telemetry, address string, log *slog.Logger, getenv func(string) string) runner.Part {
	var (
		server *telemetry.Server
		otel   *telemetry.OTel
	)
	return runner.Part{
		Name: "telemetry",
		Start: func(ctx context.Context) (err error) {
			if otel, err = telemetry.StartOTel(ctx, t, "bursar-"+serviceName, version, getenv); err != nil {
				return err
			}
			if server, err = t.Listen(ctx, address); err != nil {
				return errors.Join(err, otel.Shutdown(ctx))
			}
			log.Info("metrics are served", "url", server.URL())
			return nil
		},
		Run: func(ctx context.Context) error {
			served := make(chan error, 1)
			go func() { served <- server.Serve() }()
			select {
			case err := <-served:
				return err
			case <-ctx.Done():
				return nil
			}
		},
		Stop: func(ctx context.Context) error { return errors.Join(server.Close(ctx), otel.Shutdown(ctx)) },
	}
}
