package chembed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// UserWriter may do anything in the databases of Bursar.
	UserWriter = "bursar_writer"
	// UserAnalyst may read them, within limits of time, memory and number.
	UserAnalyst = "bursar_analyst"

	// Database is the default database of the DSN of UserWriter.
	Database = "bursar"
	// AnalystDatabase is the default database of the DSN of UserAnalyst.
	AnalystDatabase = "analyst"
)

const (
	loopback = "127.0.0.1"

	// startTimeout bounds one start of the child. It takes 0.1 to 0.4 s on an idle machine.
	startTimeout = 60 * time.Second
	// readyPoll is how often a starting child is asked whether it is ready.
	readyPoll = 10 * time.Millisecond
	// stopTimeout is how long a child has to end after its standard input was closed, before it is
	// killed. It takes 1 to 2 s, and up to 6 s under overload.
	stopTimeout = 15 * time.Second
	// minBackoff and maxBackoff bound the pause before a dead child is started again; the pause
	// doubles with each failure and starts anew once a child has lived for steadyAfter.
	minBackoff  = 50 * time.Millisecond
	maxBackoff  = 5 * time.Second
	steadyAfter = 30 * time.Second
)

// ErrStopped is returned by operations on a Server after Stop.
var ErrStopped = errors.New("the embedded ClickHouse is stopped")

// Options says what to start.
type Options struct {
	// Dir is the data directory. It is created, and belongs to one Server at a time.
	Dir string
	// Port is where the server listens on 127.0.0.1; 0 is any free port.
	Port int
	// Library is the path of the engine's shared library; empty means FindLibrary.
	Library string
	// Log receives starts, deaths and restarts. Nil discards them.
	Log *slog.Logger
}

// Server is a running embedded ClickHouse. Its methods are safe for concurrent use.
type Server struct {
	log       *slog.Logger
	spec      childSpec
	passwords map[string]string
	gate      string
	proxy     *http.Server
	address   string

	// port is the child's own port while it is ready, else 0.
	port     atomic.Int64
	restarts atomic.Int64

	mu    sync.Mutex
	child *child

	// stop ends the supervisor; stopped is closed when it has ended and the child is gone.
	stop    context.CancelFunc
	stopped chan struct{}
}

// Start starts the engine and returns when it answers. ctx bounds the start only; the server lives
// until Stop. Errors: ErrNoLibrary if the engine is not installed; otherwise what the engine said,
// for instance that another process uses the directory: one that goes on doing so for 15 s, since the
// engine of a process that was killed needs a moment to end.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s, err := prepare(opts)
	if err != nil {
		return nil, fmt.Errorf("preparing the embedded ClickHouse: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(opts.Port)))
	if err != nil {
		return nil, fmt.Errorf("listening for ClickHouse: %w", err)
	}
	s.address = listener.Addr().String()
	first, err := s.startFirst(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the embedded ClickHouse: %w", err), listener.Close())
	}
	supervisor, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.supervise(supervisor, first)
	s.proxy = newProxy(s)
	go func() {
		if err := s.proxy.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serving ClickHouse", "error", err)
		}
	}()
	return s, nil
}

// prepare finds the engine and writes everything it reads.
func prepare(opts Options) (*Server, error) {
	library := opts.Library
	if library == "" {
		found, err := FindLibrary()
		if err != nil {
			return nil, err
		}
		library = found
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	passwords, err := writeFiles(dir)
	if err != nil {
		return nil, err
	}
	gate, err := randomSecret()
	if err != nil {
		return nil, err
	}
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		log:       log,
		spec:      childSpec{Library: library, Dir: dir},
		passwords: passwords,
		gate:      gate,
		stopped:   make(chan struct{}),
	}, nil
}

// URL returns the address of the server, without credentials. It never changes.
func (s *Server) URL() string { return "http://" + s.address }

// DSN returns what clickhouse-go's ParseDSN takes to connect as user, one of UserWriter and
// UserAnalyst. It holds the password: do not log it.
func (s *Server) DSN(user string) string {
	database := Database
	if user == UserAnalyst {
		database = AnalystDatabase
	}
	u := url.URL{Scheme: "http", User: url.UserPassword(user, s.passwords[user]), Host: s.address, Path: "/" + database}
	return u.String()
}

// PasswordFile returns the path of the file that holds the password of user.
func (s *Server) PasswordFile(user string) string { return passwordFile(s.spec.Dir, user) }

// Restarts returns how often the child has been started again.
func (s *Server) Restarts() int64 { return s.restarts.Load() }

// Kill ends the child with SIGKILL, as a crash would; the Server starts it again. It is for tests
// and rehearsals.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		return errors.New("killing the embedded ClickHouse: it is not running")
	}
	return s.child.cmd.Process.Kill()
}

// Stop closes the port, ends the child and returns when it is gone. When ctx ends first, the child
// is killed. It is safe to call it more than once.
func (s *Server) Stop(ctx context.Context) error {
	// 1. Let the requests under way end, so that nobody sees a broken answer.
	proxyErr := s.proxy.Shutdown(ctx)
	// 2. End the supervisor, which ends the child.
	s.stop()
	select {
	case <-s.stopped:
		return proxyErr
	case <-ctx.Done():
		killErr := s.Kill()
		<-s.stopped
		return errors.Join(fmt.Errorf("stopping the embedded ClickHouse: %w", ctx.Err()), killErr)
	}
}

// supervise waits for the child to die and starts it again, until ctx ends; then it stops the child.
func (s *Server) supervise(ctx context.Context, c *child) {
	defer close(s.stopped)
	backoff := minBackoff
	for {
		started := time.Now()
		select {
		case <-ctx.Done():
			s.port.Store(0)
			if err := c.close(); err != nil {
				s.log.Warn("the embedded ClickHouse did not stop well", "error", err)
			}
			return
		case <-c.dead:
		}
		s.port.Store(0)
		s.log.Error("the embedded ClickHouse died and is started again", "error", c.deathError())
		if time.Since(started) > steadyAfter {
			backoff = minBackoff
		}
		next := s.restart(ctx, &backoff)
		if next == nil {
			return
		}
		c = next
	}
}

// restart starts a child, trying until it succeeds or ctx ends; then it returns nil.
func (s *Server) restart(ctx context.Context, backoff *time.Duration) *child {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(*backoff):
		}
		*backoff = min(2**backoff, maxBackoff)
		c, err := s.startChild(ctx)
		if err == nil {
			s.restarts.Add(1)
			return c
		}
		if ctx.Err() == nil {
			s.log.Error("starting the embedded ClickHouse again", "error", err)
		}
	}
}

// startFirst starts a child. The engine of a process that was killed ends a moment after it and holds the directory until
// then: for as long as that may take, a directory in use is tried again.
func (s *Server) startFirst(ctx context.Context) (*child, error) {
	var inUse error
	for deadline := time.Now().Add(stopTimeout); ; {
		c, err := s.startChild(ctx)
		switch {
		case errors.Is(err, errInUse):
			inUse = err
		case err != nil && inUse != nil && ctx.Err() != nil:
			return nil, inUse // which is why it took so long
		default:
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, inUse
		case <-time.After(minBackoff):
		}
		if time.Now().After(deadline) {
			return nil, inUse
		}
	}
}

// startChild starts one child and returns when it answers.
func (s *Server) startChild(ctx context.Context) (*child, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	started := time.Now()
	if err := os.Remove(filepath.Join(s.spec.Dir, readyFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	c, err := s.launch()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.child = c
	s.mu.Unlock()
	port, err := c.awaitReady(ctx, filepath.Join(s.spec.Dir, readyFile))
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	s.port.Store(int64(port))
	s.log.Info("the embedded ClickHouse is ready", "pid", c.cmd.Process.Pid, "took_ms", time.Since(started).Milliseconds())
	return c, nil
}

// ping asks a server on a port of this machine whether it is alive.
func ping(ctx context.Context, port int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/ping", loopback, port), nil)
	if err != nil {
		return err
	}
	req.Close = true // a stop waits for open connections
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1024))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ping answered %s", resp.Status)
	}
	return nil
}
