// Package allocator is the service that owns the reservations: it grants, records, returns and refuses quota, one ledger
// per workspace, and publishes what happened.
//
// Three hops lead from here to the rule that decides: package front reads a request, package engine runs the commit
// protocol (pkg/writer), and pkg/quota decides. Beside them, package lease says which process tries to lead, package store
// is the log on JetStream, and package relay publishes the public events.
//
// Any number of processes may run; for each workspace one serves and the others stand by. Nothing acknowledged is lost
// or doubled when a process dies, is paused, or is cut off; what clients must tolerate is that nobody answers for up to
// two seconds after a death, and as long as JetStream itself takes to elect a leader.
package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/services/allocator/internal/lease"
	"github.com/bursarhq/bursar/services/allocator/internal/metrics"
	"github.com/bursarhq/bursar/services/allocator/internal/relay"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

// drainTimeout bounds the end: what is decided is committed and answered within it.
const drainTimeout = 8 * time.Second

// frontDrainTimeout bounds the sending of the last replies.
const frontDrainTimeout = 2 * time.Second

// relayTask is what the lease of the relay is over.
const relayTask = "relay"

// Config configures the service.
type Config struct {
	// Name of this process in the record of epochs; empty means the host's name. A random part is added.
	Name string
	// Version of the program, semantic, as `nats micro ls` shows it; empty means 0.0.0.
	Version string
	// Workspaces to serve. Required.
	Workspaces []string
	// Front is the connection that serves agents and may publish only to their inboxes; Store is the one that may write
	// the ledger and serves nobody; Relay publishes the events. They are separate on purpose: with one connection an agent
	// could have the allocator write wherever it names as its reply subject. Required; streams and buckets must exist.
	Front, Store, Relay natsconn.Config
	// Initial is the configuration of a ledger that has none; nil leaves such a ledger refusing everything.
	Initial *quota.Config
	// Enforce applies Initial also to a ledger that has another configuration.
	Enforce bool
	// RelayElsewhere leaves the public events to other processes, for instance on another machine. They wait in the
	// ledger, which is not trimmed meanwhile, until one relays. Relay may be empty then.
	RelayElsewhere bool
	// Getenv reads the admin keys of accounts that name an active source of limits; nil means the process's own environment.
	Getenv func(string) string
	// LimitsURL is where such a source is asked; empty means the provider's own address. It is no part of the workspace's
	// configuration: whoever may change that could have the key sent anywhere.
	LimitsURL string
	// Points are failpoints; nil in production.
	Points *failpoint.Set
	// Tracer records a span of each request; nil where traces are off.
	Tracer trace.Tracer
	// Telemetry takes the service's metrics and its readiness. Required.
	Telemetry *telemetry.Telemetry
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Workspaces) == 0 {
		errs = append(errs, errors.New("no workspace to serve"))
	}
	if c.Telemetry == nil {
		errs = append(errs, errors.New("no telemetry"))
	}
	if c.Enforce && c.Initial == nil {
		errs = append(errs, errors.New("no configuration to enforce"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("allocator service: %w", errors.Join(errs...))
	}
	return nil
}

// Run serves until ctx ends, then drains: what is decided is committed and answered, the rest is told unavailable, and
// the leases are given up so that another process takes over at once. It returns an error when it cannot start.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer s.close()
	var running sync.WaitGroup
	for _, name := range cfg.Workspaces {
		w, err := s.workspace(ctx, name)
		if err != nil && ctx.Err() != nil {
			break // ended before it began
		}
		if err != nil {
			return err
		}
		running.Go(func() { w.run(ctx) })
	}
	if !cfg.RelayElsewhere {
		var l *lease.Lease
		err := natsconn.Await(ctx, log, "the relay's lease", func(ctx context.Context) (err error) {
			l, err = lease.Open(ctx, s.storeJS, lease.Service(relayTask), s.name, log)
			return err
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err != nil {
			running.Wait()
			return nil
		}
		running.Go(func() { s.relay(ctx, l) })
	}
	running.Wait()
	return nil
}

// service holds what all workspaces share.
type service struct {
	cfg     Config
	log     *slog.Logger
	name    string
	front   *nats.Conn
	storeJS jetstream.JetStream
	relayJS jetstream.JetStream
	conns   []*nats.Conn
	metrics *metrics.Metrics
	relayed *relay.Metrics
	prices  *pricing
	// standing tells readiness of the connections.
	standing natsconn.Standing
}

func open(ctx context.Context, cfg Config, log *slog.Logger) (_ *service, err error) {
	s := &service{cfg: cfg, log: log, metrics: metrics.New(cfg.Telemetry.Registerer()), relayed: relay.NewMetrics(cfg.Telemetry.Registerer())}
	cfg.Telemetry.Check("nats of allocator", s.standing.Ready)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.name, err = processName(cfg.Name); err != nil {
		return nil, err
	}
	if _, off := cfg.Tracer.(noop.Tracer); off {
		s.cfg.Tracer = nil // a span that records nothing still costs something on every request
	}
	if s.cfg.Getenv == nil {
		s.cfg.Getenv = os.Getenv
	}
	if s.cfg.Version == "" {
		s.cfg.Version = "0.0.0"
	}
	catalogue, err := price.Default()
	if err != nil {
		return nil, err
	}
	s.prices = &pricing{catalogue: catalogue, log: log}
	if s.front, err = s.connect(ctx, cfg.Front); err != nil {
		return nil, fmt.Errorf("front connection: %w", err)
	}
	if s.storeJS, err = s.jetstream(ctx, cfg.Store); err != nil {
		return nil, fmt.Errorf("store connection: %w", err)
	}
	if cfg.RelayElsewhere {
		return s, nil
	}
	if s.relayJS, err = s.jetstream(ctx, cfg.Relay); err != nil {
		return nil, fmt.Errorf("relay connection: %w", err)
	}
	return s, nil
}

// processName makes a name that no other process has, nor this one after a restart.
func processName(name string) (string, error) {
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("name this process: %w", err)
		}
		name = host
	}
	return name + "-" + uuid.NewString()[:8], nil
}

func (s *service) connect(ctx context.Context, cfg natsconn.Config) (*nats.Conn, error) {
	nc, err := natsconn.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.conns = append(s.conns, nc)
	s.standing.Add(nc)
	return nc, nil
}

func (s *service) jetstream(ctx context.Context, cfg natsconn.Config) (jetstream.JetStream, error) {
	nc, err := s.connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return store.NewJetStream(nc)
}

// close ends the connections: the front answers what has reached it first, and sends what is buffered.
func (s *service) close() {
	if s.front != nil {
		closed := s.front.StatusChanged(nats.CLOSED)
		if err := s.front.Drain(); err == nil {
			select {
			case <-closed:
			case <-time.After(frontDrainTimeout):
			}
		}
	}
	for _, nc := range s.conns {
		nc.Close()
	}
}

// relay publishes events while this process holds the relay's lease.
func (s *service) relay(ctx context.Context, l *lease.Lease) {
	var stop context.CancelFunc
	var running sync.WaitGroup
	end := func() {
		if stop != nil {
			stop()
			running.Wait()
			stop = nil
		}
	}
	l.Run(ctx, lease.Events{
		Acquired: func() {
			relaying, cancel := context.WithCancel(ctx)
			stop = cancel
			running.Go(func() { s.keepRelaying(relaying) })
		},
		Lost: end,
	})
	end() // the next one may begin while the range in hand is finished: they repeat each other's work, and lose nothing
}

// keepRelaying runs the relay again after a failure: events wait in the ledger meanwhile.
func (s *service) keepRelaying(ctx context.Context) {
	for ctx.Err() == nil {
		err := relay.Run(ctx, relay.Options{JetStream: s.relayJS, Metrics: s.relayed, Points: s.cfg.Points, Log: s.log.With("part", "relay")})
		if err != nil && ctx.Err() == nil {
			s.log.Error("the relay ended and is started again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// pricing gives the catalogue with the price overrides of a configuration. It is safe for concurrent use.
type pricing struct {
	catalogue *price.Catalogue
	log       *slog.Logger

	mu      sync.Mutex
	applied []quota.PriceOverride
	last    quota.Prices
}

// of gives the prices that a configuration asks for. Overrides were validated before they were applied; should they be
// wrong all the same, the catalogue's own prices hold and the log says so.
func (p *pricing) of(c *quota.Config) quota.Prices {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && samePrices(p.applied, c.Prices) {
		return p.last
	}
	p.applied, p.last = c.Prices, p.catalogue
	if len(c.Prices) == 0 {
		return p.last
	}
	overridden, err := p.catalogue.WithOverrides(c.Prices)
	if err != nil {
		p.log.Error("price overrides are not usable; the catalogue's prices hold", "config", c.Version, "error", err)
		return p.last
	}
	p.last = overridden
	return p.last
}
