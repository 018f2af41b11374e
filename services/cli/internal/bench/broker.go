package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/allocator"
)

//go:embed bench.yaml
var benchYAML []byte

const (
	benchPrincipal = "bench"
	benchAccount   = "bench"

	readyTimeout = 2 * time.Minute // a ledger with 100,000 reservations is read in far less
	readyPoll    = 5 * time.Millisecond
	drainTimeout = 30 * time.Second
	relayTimeout = 2 * time.Minute
	relayPoll    = 20 * time.Millisecond

	storeBytes = 4 << 30 // of the ledger and of the events each: nothing is dropped during a benchmark
)

// broker is a NATS server with the permission table of Bursar in force, and an echo user beside it.
type broker struct {
	server     *natsembed.Server
	keys       *natsauth.Keys
	workspaces []string
	echo       nkeys.KeyPair
	log        *slog.Logger
}

// startBroker starts and provisions a server under dir with a durability class.
func startBroker(ctx context.Context, dir string, sync natsembed.Sync, workspaces []string, log *slog.Logger) (*broker, error) {
	b := &broker{workspaces: workspaces, log: log}
	var ids []natsauth.Identity
	for _, workspace := range workspaces {
		ids = append(ids, natsauth.Agent(workspace, benchPrincipal))
	}
	var err error
	if b.keys, err = natsauth.LoadOrCreate(filepath.Join(dir, "keys"), ids...); err != nil {
		return nil, err
	}
	users, err := b.keys.Users()
	if err != nil {
		return nil, err
	}
	echo, err := b.echoUser()
	if err != nil {
		return nil, err
	}
	b.server, err = natsembed.Start(ctx, natsembed.Options{
		StoreDir: filepath.Join(dir, "nats"), Sync: sync, Users: append(users, echo), Log: log,
	})
	if err != nil {
		return nil, err
	}
	if err := b.provision(ctx); err != nil {
		return nil, errors.Join(err, b.server.Shutdown())
	}
	return b, nil
}

// echoUser may use the echo only, so that the server checks the echo's subjects as it checks ours.
func (b *broker) echoUser() (*natsserver.NkeyUser, error) {
	var err error
	if b.echo, err = nkeys.CreateUser(); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	public, err := b.echo.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	subjects := &natsserver.SubjectPermission{Allow: []string{echoSubject, nats.InboxPrefix + ">"}}
	return &natsserver.NkeyUser{Nkey: public, Permissions: &natsserver.Permissions{Publish: subjects, Subscribe: subjects}}, nil
}

func (b *broker) provision(ctx context.Context) error {
	nc, err := b.connect(ctx, natsauth.Service(natsauth.RoleProvisioning))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	sizes := provision.Defaults()
	sizes.LedgerMaxBytes, sizes.EventsMaxBytes = storeBytes, storeBytes
	return provision.Ensure(ctx, js, sizes, b.log)
}

// connect opens a connection with the rights of an identity.
func (b *broker) connect(ctx context.Context, id natsauth.Identity) (*nats.Conn, error) {
	cfg, err := b.connection(id)
	if err != nil {
		return nil, err
	}
	return natsconn.Connect(ctx, cfg)
}

func (b *broker) connection(id natsauth.Identity) (natsconn.Config, error) {
	return b.keys.Connection(id, natsconn.Config{URL: b.server.URL(), Log: b.log})
}

// awaitRelay returns when every commit is relayed.
func (b *broker) awaitRelay(ctx context.Context) (err error) {
	nc, err := b.connect(ctx, natsauth.Service(natsauth.RoleProvisioning))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	consumer, err := js.Consumer(ctx, wire.BucketStream(wire.BucketLedger), wire.ConsumerRelay)
	if err != nil {
		return fmt.Errorf("look at the relay: %w", err)
	}
	for {
		info, err := consumer.Info(ctx)
		if err != nil {
			return fmt.Errorf("look at the relay: %w", err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
		wait(ctx, relayPoll)
	}
}

// connectEcho opens a connection as the echo user.
func (b *broker) connectEcho() (*nats.Conn, error) {
	public, err := b.echo.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	nc, err := nats.Connect(b.server.URL(), nats.Name("bench echo"), nats.Nkey(public, b.echo.Sign))
	if err != nil {
		return nil, fmt.Errorf("connect as the echo: %w", err)
	}
	return nc, nil
}

// running is a service of ours under way.
type running struct {
	telemetry *telemetry.Telemetry
	cancel    context.CancelFunc
	ended     chan error
}

// startAllocator starts the allocator of all workspaces, with or without its relay, and returns when it
// serves.
func (b *broker) startAllocator(ctx context.Context, relay bool) (*running, error) {
	parsed, err := config.Parse("bench.yaml", benchYAML)
	if err != nil {
		return nil, err
	}
	cfg := allocator.Config{
		Name: "bench", Workspaces: b.workspaces, Initial: &parsed.Quota, RelayElsewhere: !relay,
		Telemetry: telemetry.New("allocator", "bench", b.log),
	}
	for _, at := range []struct {
		role natsauth.Role
		cfg  *natsconn.Config
	}{
		{natsauth.RoleAllocatorFront, &cfg.Front}, {natsauth.RoleAllocatorStore, &cfg.Store}, {natsauth.RoleRelay, &cfg.Relay},
	} {
		if *at.cfg, err = b.connection(natsauth.Service(at.role)); err != nil {
			return nil, err
		}
	}
	return startService(ctx, cfg.Telemetry, func(ctx context.Context) error { return allocator.Run(ctx, cfg, b.log) })
}

// startService runs a service beside the benchmark and returns when it says that it is ready.
func startService(ctx context.Context, t *telemetry.Telemetry, run func(context.Context) error) (*running, error) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{telemetry: t, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- run(serving) }()
	ctx, stop := context.WithTimeout(ctx, readyTimeout)
	defer stop()
	for {
		fault := t.Ready(ctx)
		if fault == nil {
			return r, nil
		}
		select {
		case err := <-r.ended:
			cancel()
			return nil, fmt.Errorf("the service ended at start: %w", err)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("the service is not ready: %w", fault), r.stop())
		case <-time.After(readyPoll):
		}
	}
}

// stop drains the service.
func (r *running) stop() error {
	r.cancel()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(drainTimeout):
		return fmt.Errorf("the service did not drain within %s", drainTimeout)
	}
}
