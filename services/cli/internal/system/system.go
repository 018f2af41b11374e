// Package system is a whole Bursar in one process: NATS with authorisation, the streams, ClickHouse, and every service,
// started in the order in which they need one another and released in reverse.
//
// It guarantees that the directory belongs to one running system, that [Ready] is told only when every service serves,
// that endpoints.json is there exactly while it is so, and that a service which ends takes all down: half a system would
// look like a whole one. Callers must tolerate that a kill leaves endpoints.json behind; the directory's lock tells.
//
// The rules of who may do what are those of pkg/natsauth, the same as of a distributed installation: each service
// connects with credentials of its own, though all of them live in this process.
package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/services/analytics"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/notification"
	"github.com/bursarhq/bursar/services/page"
)

// serviceName is what telemetry calls the process.
const serviceName = "bursar"

// readyPoll is how often a starting system is asked whether everything serves.
const readyPoll = 20 * time.Millisecond

// Config says what to start.
type Config struct {
	Dir       datadir.Dir
	Workspace string
	Version   string
	// ConfigFile is applied when the system starts, if it says something else than what holds; empty applies the
	// built-in configuration to a ledger that has none.
	ConfigFile string
	// NotifyFile says which webhooks are told of what; empty tells nobody.
	NotifyFile string
	// Ports of 127.0.0.1; 0 is any free one.
	NATSPort, ClickHousePort, MetricsPort int
	Sync                                  natsembed.Sync
	// NATSURL and ClickHouseURL name servers that run already; empty starts one. ClickHouseURL carries user and password
	// as clickhouse-go's ParseDSN takes them.
	NATSURL, ClickHouseURL string
	// KeepEventsDays is for how many days ClickHouse keeps events; 0 is forever.
	KeepEventsDays uint
	// EventPartitions says by what the table of events is partitioned; empty takes what is there, and months for a new one.
	EventPartitions string
	// PageListen is the host and port of the page, or PageOff; where it is empty, page.DefaultAddress or, if that is taken, any
	// free port. PageLogin demands a login on loopback too.
	PageListen string
	PageLogin  bool
	Getenv     func(string) string
	// Ready is told once, when everything serves.
	Ready func(datadir.Endpoints) error
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	for _, port := range []struct {
		flag   string
		number int
	}{{"--nats-port", c.NATSPort}, {"--clickhouse-port", c.ClickHousePort}, {"--metrics-port", c.MetricsPort}} {
		if port.number < 0 || port.number > 65535 {
			errs = append(errs, fmt.Errorf("%s %d is not within 0..65535", port.flag, port.number))
		}
	}
	if err := analytics.CheckRetention(analytics.RetentionOf(c.KeepEventsDays)); err != nil {
		errs = append(errs, fmt.Errorf("--keep-events-days %d: %w", c.KeepEventsDays, err))
	}
	if _, err := analytics.ParsePartitions(c.EventPartitions); err != nil {
		errs = append(errs, fmt.Errorf("--event-partitions: %w", err))
	}
	if err := c.checkPage(); err != nil {
		errs = append(errs, err)
	}
	if _, err := natsembed.ParseSync(string(c.Sync)); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Run starts the system, serves until ctx ends, and drains. The error says which part failed.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	document, err := cfg.document()
	if err != nil {
		return err
	}
	told, err := cfg.told()
	if err != nil {
		return err
	}
	s := &system{cfg: cfg, document: document, endpointsTold: told, log: log, started: time.Now(), telemetry: telemetry.New(serviceName, cfg.Version, log)}
	return runner.Run(ctx, log, runner.DrainTime, s.parts()...)
}

// document reads and checks the configuration before anything is started.
func (c *Config) document() (*configuration, error) {
	d := &configuration{text: config.DefaultYAML()}
	var err error
	if c.ConfigFile == "" {
		d.parsed, err = config.Default()
		return d, err
	}
	if d.text, err = readFile(c.ConfigFile); err != nil {
		return nil, err
	}
	d.named = true
	d.parsed, err = config.Parse(c.ConfigFile, d.text)
	return d, err
}

// told reads and checks who is told before anything is started.
func (c *Config) told() ([]notification.Endpoint, error) {
	if c.NotifyFile == "" {
		return nil, nil
	}
	text, err := readFile(c.NotifyFile)
	if err != nil {
		return nil, err
	}
	return notification.ParseEndpoints(c.NotifyFile, text, c.Getenv)
}

// system is what the parts share. Each field is set by the part that starts it and read by later ones.
type system struct {
	cfg      Config
	document *configuration
	// endpointsTold are the webhooks; none starts no notification service.
	endpointsTold []notification.Endpoint
	log           *slog.Logger
	started       time.Time
	telemetry     *telemetry.Telemetry

	release    func() error
	page       net.Listener // nil where it is off
	pageToken  page.Token   // empty where no login is demanded
	metrics    *telemetry.Server
	otel       *telemetry.OTel
	keys       *natsauth.Keys
	nats       *natsembed.Server // nil when another server is used
	natsURL    string
	clickhouse *chembed.Server // nil when another server is used
	dsn        string
	endpoints  datadir.Endpoints
}

// parts lists everything in the order of the start.
func (s *system) parts() []runner.Part {
	parts := []runner.Part{
		s.directory(),
		s.watching(),
		s.natsServer(),
		s.provisioning(),
		s.showing(),
		s.clickhouseServer(),
		s.analytics(),
		s.suggestion(),
		s.allocator(),
		s.admitting(),
		s.trimming(),
	}
	if len(s.endpointsTold) > 0 {
		parts = append(parts, s.notification())
	}
	return append(parts, s.announcing())
}

// directory takes the data directory.
func (s *system) directory() runner.Part {
	return runner.Part{
		Name: "data directory",
		Start: func(context.Context) (err error) {
			if s.release, err = s.cfg.Dir.Lock(); err != nil {
				return err
			}
			return s.cfg.Dir.RemoveEndpoints() // of a system that was killed
		},
		Stop: func(context.Context) error { return s.release() },
	}
}

// watching serves metrics, health and readiness.
func (s *system) watching() runner.Part {
	return runner.Part{
		Name: "telemetry",
		Start: func(ctx context.Context) (err error) {
			if s.otel, err = telemetry.StartOTel(ctx, s.telemetry, serviceName, s.cfg.Version, s.cfg.Getenv); err != nil {
				return err
			}
			s.metrics, err = s.telemetry.Listen(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.cfg.MetricsPort)))
			if err != nil {
				return errors.Join(portHint(err, "metrics", s.cfg.MetricsPort), s.otel.Shutdown(ctx))
			}
			s.endpoints.Metrics = s.metrics.URL()
			return nil
		},
		Run: func(ctx context.Context) error {
			served := make(chan error, 1)
			go func() { served <- s.metrics.Serve() }()
			select {
			case err := <-served:
				return err
			case <-ctx.Done():
				return nil
			}
		},
		Stop: func(ctx context.Context) error { return errors.Join(s.metrics.Close(ctx), s.otel.Shutdown(ctx)) },
	}
}

// connection says how one of our services connects: inside the process where the server is, with its own credentials.
func (s *system) connection(id natsauth.Identity) (natsconn.Config, error) {
	cfg := natsconn.Config{URL: s.natsURL, Log: s.log, Wait: true}
	if s.nats != nil {
		cfg.InProcess = s.nats
	}
	return s.keys.Connection(id, cfg)
}

// announcing waits until everything is ready and tells so.
func (s *system) announcing() runner.Part {
	return runner.Part{
		Name: "announcement",
		Run: func(ctx context.Context) error {
			if err := s.awaitReady(ctx); err != nil {
				return nil //nolint:nilerr // it ends before it was ready; what ended it has the reason
			}
			if s.cfg.ConfigFile != "" {
				if file, err := filepath.Abs(s.cfg.ConfigFile); err == nil { // otherwise nobody can be told where it is
					s.endpoints.Config = file
				}
			}
			s.endpoints.PID, s.endpoints.Started, s.endpoints.Version = pid(), s.started.UTC(), s.cfg.Version
			if err := s.cfg.Dir.WriteEndpoints(&s.endpoints); err != nil {
				return err
			}
			s.log.Info("ready", "took_ms", time.Since(s.started).Milliseconds())
			if err := s.cfg.Ready(s.endpoints); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		},
		Stop: func(context.Context) error { return s.cfg.Dir.RemoveEndpoints() },
	}
}

// awaitReady polls readiness, which each service tells for itself.
func (s *system) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	var told time.Time
	for {
		err := s.telemetry.Ready(ctx)
		if err == nil {
			return nil
		}
		if told.IsZero() {
			told = time.Now()
		}
		if time.Since(told) > 5*time.Second {
			s.log.Info("not ready yet", "missing", err)
			told = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
