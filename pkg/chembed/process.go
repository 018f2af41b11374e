package chembed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// stderrTail is how many bytes of the engine's last words are kept for the error of its death.
const stderrTail = 4096

// ErrEnded is returned by Start when the engine ended by itself; what it said stands behind it.
var ErrEnded = errors.New("it ended")

// errInUse: the directory is locked by another engine.
var errInUse = errors.New("another process uses the data directory")

// child is one run of the engine's process.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *tail
	// dead is closed when the process has ended; err is its exit error, set before that.
	dead chan struct{}
	err  error
}

// launch starts the process that hosts the engine.
func (s *Server) launch() (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the running binary: %w", err)
	}
	spec, err := json.Marshal(s.spec)
	if err != nil {
		return nil, err
	}
	c := &child{stderr: &tail{}, dead: make(chan struct{})}
	c.cmd = exec.Command(self)
	c.cmd.Args = []string{"bursar-clickhouse"}
	c.cmd.Dir = s.spec.Dir
	c.cmd.Env = append(os.Environ(),
		envChild+"="+string(spec),
		envGate+"="+s.gate,
		envWriterPassword+"="+s.passwords[UserWriter],
		envAnalystPassword+"="+s.passwords[UserAnalyst],
	)
	c.cmd.Stderr = c.stderr
	c.cmd.Stdout = c.stderr
	detach(c.cmd)
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.dead)
	}()
	return c, nil
}

// awaitReady returns the port that the child listens on, once it answers there.
func (c *child) awaitReady(ctx context.Context, readyPath string) (int, error) {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for it to be ready: %w", ctx.Err())
		case <-c.dead:
			return 0, c.deathError()
		case <-ticker.C:
		}
		port, ok := readPort(readyPath)
		if ok && ping(ctx, port) == nil {
			return port, nil
		}
	}
}

// readPort reads the ready file; ok is false while it is not there or not whole.
func readPort(path string) (port int, ok bool) {
	raw, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(raw), "\n") {
		return 0, false
	}
	port, err = strconv.Atoi(strings.TrimSpace(string(raw)))
	return port, err == nil && port > 0
}

// close asks the child to end by closing its standard input, and kills it if it does not.
func (c *child) close() error {
	closeErr := c.stdin.Close()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-c.dead:
		return nil
	case <-timer.C:
		killErr := c.cmd.Process.Kill()
		<-c.dead
		return errors.Join(fmt.Errorf("it did not end within %s and was killed", stopTimeout), closeErr, killErr)
	}
}

// deathError says how the child ended. Call it after dead is closed.
func (c *child) deathError() error {
	how := ErrEnded
	if c.err != nil {
		how = fmt.Errorf("%w with %w", ErrEnded, c.err)
	}
	words := c.stderr.String()
	if strings.Contains(words, "Cannot lock file") {
		return fmt.Errorf("%w: %w: %s", how, errInUse, words)
	}
	return fmt.Errorf("%w: %s", how, words)
}

// tail is an io.Writer that keeps the last stderrTail bytes.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - stderrTail; extra > 0 {
		t.buf = append([]byte(nil), t.buf[extra:]...)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
