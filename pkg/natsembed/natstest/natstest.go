// Package natstest gives each test a NATS server of its own, in the test's process and directory.
//
// A server starts in milliseconds, listens on no port, and is gone when the test ends. It syncs every
// two minutes only, as no test cuts the power.
package natstest

import (
	"log/slog"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/freeport"
	"github.com/bursarhq/bursar/pkg/natsembed"
)

// Option changes how a test's server starts.
type Option func(*natsembed.Options)

// Listen opens a free port on loopback, for tests that need an address.
func Listen() Option { return func(o *natsembed.Options) { o.DontListen = false } }

// Port opens the given port on loopback: a server restarted on it is found again by its clients.
func Port(port int) Option {
	return func(o *natsembed.Options) { o.DontListen, o.Port = false, port }
}

// StoreDir uses a directory of the caller, so that a later server finds the same streams.
func StoreDir(dir string) Option { return func(o *natsembed.Options) { o.StoreDir = dir } }

// Users turns authorisation on.
func Users(users []*server.NkeyUser) Option { return func(o *natsembed.Options) { o.Users = users } }

// Sync sets the durability class.
func Sync(s natsembed.Sync) Option { return func(o *natsembed.Options) { o.Sync = s } }

// Log receives the server's log lines, which are otherwise discarded.
func Log(log *slog.Logger) Option { return func(o *natsembed.Options) { o.Log = log } }

// Start starts a server that is shut down when the test ends. It fails the test on any error.
func Start(t testing.TB, options ...Option) *natsembed.Server {
	t.Helper()
	o := natsembed.Options{DontListen: true, Sync: natsembed.SyncTwoMinutes}
	for _, option := range options {
		option(&o)
	}
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	srv, err := natsembed.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("start nats server: %v", err)
	}
	t.Cleanup(func() {
		if err := srv.Shutdown(); err != nil {
			t.Errorf("shut down nats server: %v", err)
		}
	})
	return srv
}

// Connect returns an in-process connection that is closed when the test ends. It fails the test on
// any error.
func Connect(t testing.TB, srv *natsembed.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", append([]nats.Option{nats.InProcessServer(srv), nats.Name(t.Name())}, options...)...)
	if err != nil {
		t.Fatalf("connect to the nats server: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// FreePort gives a port for a server that is started more than once, or needs to be told its port. See [freeport.Find].
func FreePort(t testing.TB) int {
	t.Helper()
	return FreePorts(t, 1)[0]
}

// FreePorts gives n different ones.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	ports, err := freeport.Find(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}
