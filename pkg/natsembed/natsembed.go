// Package natsembed runs a NATS server with JetStream inside the process: for `bursar up`, and one
// per test.
//
// It guarantees that the server listens on loopback unless told otherwise, opens no websocket, MQTT,
// leaf or gateway listener, installs no signal handlers, and that two servers of this machine never
// share a store directory. With [SyncAlways], the default, an acknowledged write survives a power cut.
//
// Callers must tolerate that a store left by a crash takes longer to open than a clean one, and that
// with any other [Sync] class a power cut loses what was acknowledged since the last sync.
package natsembed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Limits of the server. deployments/nats.conf states the same ones.
const (
	// MaxPayloadBytes is the largest message. A commit of the ledger is at most half of it.
	MaxPayloadBytes = 1 << 20
	// MaxSubscriptions is how many subscriptions one connection may have.
	MaxSubscriptions = 4096
	// MaxConnections is how many clients may be connected at once.
	MaxConnections = 16384
	// MaxControlLineBytes is the longest protocol line, hence the longest subject with its reply.
	MaxControlLineBytes = 4096

	readyTimeout = 30 * time.Second // the longest a big store may take to open
	loopback     = "127.0.0.1"
	unbounded    = int64(server.JetStreamMaxStoreDefault) // 1 TiB
	dirMode      = 0o700
)

// ErrStoreInUse: another server, of this process or another one, uses the store directory.
var ErrStoreInUse = errors.New("store directory is in use by another server")

// ErrStore: a stream could not be written, because the disk is full or broken. The server stores nothing more in it until it
// is started again, whatever becomes of the disk.
var ErrStore = errors.New("the NATS server can not write its streams any more")

// ErrPortInUse: something else listens on the port.
var ErrPortInUse = errors.New("the port is in use")

// Options configure a server.
type Options struct {
	// StoreDir holds the streams. It is created with mode 0700; one server at a time may use it.
	StoreDir string
	// Name of the server; empty lets the server choose one.
	Name string
	// Host to listen on; empty means 127.0.0.1.
	Host string
	// Port to listen on; 0 means any free one.
	Port int
	// DontListen opens no port at all: only [Server.InProcessConn] reaches the server.
	DontListen bool
	// Sync is the durability class; empty means [SyncAlways].
	Sync Sync
	// MaxStoreBytes bounds all streams together; 0 leaves it to the bounds of each. The server by itself would take three
	// quarters of what is free on the disk at its start, and then refuse streams that may grow larger, kept ones included.
	MaxStoreBytes int64
	// Users are who may connect and what each may do. Empty turns authorisation off, which only a
	// server that does not listen should do.
	Users []*server.NkeyUser
	// Log receives what the server says; nil discards it.
	Log *slog.Logger
}

// Validate reports every fault of the options at once.
func (o Options) Validate() error {
	var errs []error
	if o.StoreDir == "" {
		errs = append(errs, errors.New("store directory is empty: name the directory that holds the streams"))
	}
	if o.Port < 0 || o.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d is not within 0..65535", o.Port))
	}
	if o.MaxStoreBytes < 0 {
		errs = append(errs, fmt.Errorf("max store bytes %d is negative", o.MaxStoreBytes))
	}
	if _, err := ParseSync(string(o.Sync)); o.Sync != "" && err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Server is a running NATS server.
type Server struct {
	ns   *server.Server
	lock *dirLock
	opts *server.Options // as started, for reloads
}

// Start starts a server and returns when it accepts connections, or with an error when it does not
// within ctx or 30 s. A directory used by another server is [ErrStoreInUse], a port [ErrPortInUse].
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("nats server options: %w", err)
	}
	if err := os.MkdirAll(o.StoreDir, dirMode); err != nil {
		return nil, fmt.Errorf("create store directory: %w", err)
	}
	lock, err := lockDir(o.StoreDir)
	if err != nil {
		return nil, err
	}
	opts := serverOptions(o)
	ns, err := server.NewServer(opts.Clone())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create nats server: %w", err), lock.release())
	}
	logger := newLogger(o.Log)
	ns.SetLoggerV2(logger, false, false, false)
	s := &Server{ns: ns, lock: lock, opts: opts}
	go ns.Start()
	if err := s.waitReady(ctx, logger); err != nil {
		return nil, errors.Join(err, s.Shutdown())
	}
	return s, nil
}

func serverOptions(o Options) *server.Options {
	sync := o.Sync
	if sync == "" {
		sync = SyncAlways
	}
	opts := &server.Options{
		ServerName:             o.Name,
		Host:                   o.Host,
		Port:                   o.Port,
		DontListen:             o.DontListen,
		NoSigs:                 true,
		Nkeys:                  o.Users,
		MaxPayload:             MaxPayloadBytes,
		MaxSubs:                MaxSubscriptions,
		MaxConn:                MaxConnections,
		MaxControlLine:         MaxControlLineBytes,
		JetStream:              true,
		StoreDir:               o.StoreDir,
		JetStreamMaxStore:      cmp.Or(o.MaxStoreBytes, unbounded),
		SyncAlways:             sync == SyncAlways,
		SyncInterval:           sync.interval(),
		DisableJetStreamBanner: true,
	}
	if opts.Host == "" {
		opts.Host = loopback
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return opts
}

// waitReady polls readiness, since a server that failed to start says so in its log only.
func (s *Server) waitReady(ctx context.Context, logger *slogLogger) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	const step = 25 * time.Millisecond
	for !s.ns.ReadyForConnections(step) {
		if fatal := logger.fatal(); strings.Contains(fatal, syscall.EADDRINUSE.Error()) {
			return fmt.Errorf("start nats server: %w: %s", ErrPortInUse, fatal)
		} else if fatal != "" {
			return fmt.Errorf("start nats server: %s", fatal)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("nats server is not ready: %w", ctx.Err())
		}
	}
	if !s.ns.JetStreamEnabled() {
		return errors.New("start nats server: JetStream did not start; see the server's log")
	}
	return nil
}

// URL returns the address clients connect to, nats://host:port; it is empty with DontListen.
func (s *Server) URL() string {
	if s.opts.DontListen {
		return ""
	}
	return s.ns.ClientURL()
}

// Writes returns [ErrStore], with the reason, once a stream could not be written, and nil before that.
func (s *Server) Writes() error {
	for _, fault := range s.ns.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if fault.Type == server.HealthzErrorStream && strings.Contains(fault.Error, "write error") {
			return fmt.Errorf("%w: %s", ErrStore, fault.Error)
		}
	}
	return nil
}

// InProcessConn returns a connection that needs no port. It makes *Server usable with
// nats.InProcessServer; it is up to 1.8 times as fast as loopback with few clients. A user that the
// server refuses may see a closed pipe instead of an authorisation error.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// SetUsers replaces who may connect and what they may do, at once. Connections of users that are gone
// or whose permissions changed are closed by the server and must connect again; the others stay.
func (s *Server) SetUsers(users []*server.NkeyUser) error {
	if len(users) == 0 {
		return errors.New("no users: refusing to turn authorisation off in a running server")
	}
	next := s.opts.Clone()
	next.Nkeys = users
	if err := s.ns.ReloadOptions(next.Clone()); err != nil {
		return fmt.Errorf("reload users: %w", err)
	}
	s.opts = next
	return nil
}

// Shutdown stops the server: it closes the clients, writes what is pending to disk and gives the
// store directory free. Shutting down twice is harmless.
func (s *Server) Shutdown() error {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	return s.lock.release()
}

var _ nats.InProcessConnProvider = (*Server)(nil)
