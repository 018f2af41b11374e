package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	childStartTimeout = 20 * time.Second
	childStopTimeout  = 20 * time.Second
	childPollInterval = 50 * time.Millisecond
	maxChildOutput    = 4 << 10 // bytes quoted in an error
)

// errNotInstalled is the reason for the absence of a system whose program is not there.
var errNotInstalled = errors.New("not installed")

// child is a foreign server that runs as long as the benchmark.
type child struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

// startChild starts a server and waits until ready, called again and again, returns nil.
func startChild(ctx context.Context, cmd *exec.Cmd, ready func(context.Context) error) (*child, error) {
	c := &child{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &c.output, &c.output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		defer close(c.ended)
		_ = cmd.Wait() // a server that ends early shows in ready and in its output
	}()
	ctx, cancel := context.WithTimeout(ctx, childStartTimeout)
	defer cancel()
	for {
		fault := ready(ctx)
		if fault == nil {
			return c, nil
		}
		select {
		case <-c.ended:
			return nil, fmt.Errorf("%s ended at start: %s", cmd.Path, c.lastOutput())
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s is not ready: %w", cmd.Path, fault), c.stop())
		case <-time.After(childPollInterval):
		}
	}
}

// stop asks the server to end and, when it does not in time, kills it.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.cmd.Path, err)
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(childStopTimeout):
	}
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", c.cmd.Path, err)
	}
	<-c.ended
	return fmt.Errorf("%s did not stop within %s and was killed", c.cmd.Path, childStopTimeout)
}

// lastOutput must be called only after the child has ended.
func (c *child) lastOutput() []byte {
	out := bytes.TrimSpace(c.output.Bytes())
	return out[max(0, len(out)-maxChildOutput):]
}
