// Package service is the main function that the binaries of the services share: flags, log, telemetry,
// failpoints, credentials, signals and exit status are the same for all of them.
//
//	func main() { os.Exit(service.Main(spec, os.Args[1:], os.Stderr, os.Getenv)) }
//
// Every flag can be given in the environment too; the flag wins. A service has a seed for each of its
// roles on NATS (see pkg/natsauth) in one folder, and never in an argument.
//
// Guarantees: the first SIGINT or SIGTERM drains and the exit status is 0, the second ends at once;
// the status is 1 for a failure, as of a job that a signal ended before it was done, and 2 for wrong usage; /readyz is served from the start and says no
// until the service says yes.
package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/pkg/telemetry"
)

// Exit statuses.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2
)

// The environment variables of the common flags.
const (
	envServer  = "BURSAR_SERVER"
	envContext = "BURSAR_CONTEXT"
	envKeys    = "BURSAR_KEYS"
	envMetrics = "BURSAR_METRICS"

	defaultServer  = "nats://127.0.0.1:4222"
	defaultMetrics = "127.0.0.1:0"
	seedSuffix     = ".nk"
)

// Spec describes a service.
type Spec struct {
	// Name is the service's, such as allocator; the binary is bursar-<name>.
	Name string
	// Version of the build.
	Version string
	// Summary is what the help says first: one sentence.
	Summary string
	// Flags adds flags of its own; it may be nil. env gives the default for a flag from a variable, or
	// otherwise when that is not set.
	Flags func(set *flag.FlagSet, env func(variable, otherwise string) string)
	// Run serves until ctx ends, then drains and returns nil.
	Run func(ctx context.Context, env *Env) error
	// Job marks a program whose Run returns nil when its work is done.
	Job bool
}

// Env is what a service is run with.
type Env struct {
	Log        *slog.Logger
	Telemetry  *telemetry.Telemetry
	OTel       *telemetry.OTel
	Failpoints *failpoint.Set // nil unless BURSAR_FAILPOINTS is set

	spec  Spec
	flags flags
}

// Connection says how to connect as one of the service's roles. It waits for a server that is not
// there yet.
func (e *Env) Connection(role natsauth.Role) (natsconn.Config, error) {
	return e.Principal(natsauth.Service(role))
}

// Principal is Connection for a service that has a principal's rights: its seed lies among the others by the name of
// the principal's role, such as viewer.nk.
func (e *Env) Principal(id natsauth.Identity) (natsconn.Config, error) {
	inbox, err := id.InboxPrefix()
	if err != nil {
		return natsconn.Config{}, err
	}
	cfg := natsconn.Config{
		Name: "bursar-" + string(id.Role), URL: e.flags.server, Context: e.flags.context, InboxPrefix: inbox, Wait: true, Log: e.Log,
	}
	if e.flags.keys != "" {
		cfg.NkeySeedFile = filepath.Join(e.flags.keys, string(id.Role)+seedSuffix)
	}
	return cfg, nil
}

// flags is what the command line and the environment say.
type flags struct {
	server, context, keys, metrics, logLevel string
}

// Main runs a service and returns the exit status of the process. args are without the program's name;
// help, faults and the log go to out.
func Main(spec Spec, args []string, out io.Writer, getenv func(string) string) int {
	env, err := prepare(spec, args, out, getenv)
	if errors.Is(err, flag.ErrHelp) {
		return ExitOK
	}
	if err != nil {
		fmt.Fprintf(out, "bursar-%s: %v\n", spec.Name, err)
		return ExitUsage
	}
	ctx, stop := runner.WithSignals(context.Background(), env.Log)
	defer stop()
	done := false
	err = runner.Run(ctx, env.Log, runner.DrainTime, env.telemetryPart(getenv), runner.Part{
		Name: spec.Name,
		Run: func(ctx context.Context) error {
			err := spec.Run(ctx, env)
			done = err == nil && ctx.Err() == nil
			return err
		},
		Completes: spec.Job,
	})
	if spec.Job && !done && err == nil {
		err = fmt.Errorf("%s: %w before it was done", spec.Name, runner.ErrSignal)
	}
	return runner.ExitCode(env.Log, advised(err))
}

// advised says what an operator can do about what is missing at the first start.
func advised(err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("%w; does the server know the key in the folder of -keys? bursar-nkeys makes keys and nats.conf together", err)
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
		return fmt.Errorf("%w; bursar-provision makes it", err)
	default:
		return err
	}
}

// prepare reads flags and environment. Its errors are faults of usage.
func prepare(spec Spec, args []string, out io.Writer, getenv func(string) string) (*Env, error) {
	env := &Env{spec: spec}
	if err := env.parse(args, out, getenv); err != nil {
		return nil, err
	}
	log, logErr := telemetry.LoggerFromEnv(out, env.flags.logLevel, getenv)
	points, pointsErr := failpoint.FromEnv(getenv)
	if err := errors.Join(logErr, pointsErr); err != nil {
		return nil, err
	}
	env.Log, env.Failpoints = log, points
	env.Telemetry = telemetry.New(spec.Name, spec.Version, log)
	if points != nil {
		log.Warn("failpoints are armed: this process will fail on purpose", "points", points.String())
	}
	return env, nil
}

func (e *Env) parse(args []string, out io.Writer, getenv func(string) string) error {
	env := func(variable, otherwise string) string {
		if value := getenv(variable); value != "" {
			return value
		}
		return otherwise
	}
	f := &e.flags
	set := flag.NewFlagSet("bursar-"+e.spec.Name, flag.ContinueOnError)
	set.SetOutput(out)
	set.Usage = func() {
		fmt.Fprintf(out, "%s\n\nFlags:\n", e.spec.Summary)
		set.PrintDefaults()
	}
	set.StringVar(&f.server, "server", getenv(envServer), "NATS `URL`, or several with commas; default "+defaultServer+" ($"+envServer+")")
	set.StringVar(&f.context, "context", getenv(envContext), "`NAME` or file of a NATS context ($"+envContext+")")
	set.StringVar(&f.keys, "keys", getenv(envKeys), "`FOLDER` with a seed for each role, <role>.nk ($"+envKeys+")")
	set.StringVar(&f.metrics, "metrics", env(envMetrics, defaultMetrics), "`ADDRESS` of /metrics, /healthz and /readyz ($"+envMetrics+")")
	set.StringVar(&f.logLevel, "log-level", "", "`LEVEL` debug, info, warn or error ($"+telemetry.LogLevelVar+")")
	if e.spec.Flags != nil {
		e.spec.Flags(set, env)
	}
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if f.server == "" && f.context == "" {
		f.server = defaultServer
	}
	return nil
}

// telemetryPart serves metrics and health, and sends traces and metrics where the environment asks
// for it.
func (e *Env) telemetryPart(getenv func(string) string) runner.Part {
	var server *telemetry.Server
	return runner.Part{
		Name: "telemetry",
		Start: func(ctx context.Context) (err error) {
			if e.OTel, err = telemetry.StartOTel(ctx, e.Telemetry, "bursar-"+e.spec.Name, e.spec.Version, getenv); err != nil {
				return err
			}
			if server, err = e.Telemetry.Listen(ctx, e.flags.metrics); err != nil {
				return errors.Join(err, e.OTel.Shutdown(ctx))
			}
			e.Log.Info("metrics and health are served", "url", server.URL())
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
		Stop: func(ctx context.Context) error { return errors.Join(server.Close(ctx), e.OTel.Shutdown(ctx)) },
	}
}
