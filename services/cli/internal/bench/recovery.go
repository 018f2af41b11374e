package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed"
)

const (
	recoveryWorkspace = "recovery"
	// fillClients is how many agents open reservations at once while the ledger is filled.
	fillClients = 256
	maxLive     = 100_000 // the bound of a ledger
	kib         = 1024
)

// Recovery is what an allocator process needs for a number of live reservations.
type Recovery struct {
	Live int `json:"live"`
	// MemoryMB is the resident memory of the process once it serves after a restart.
	MemoryMB float64 `json:"memory_mb"`
	// CleanMS is from the start of a process to readiness after the one before drained, KilledMS after it
	// was killed, which includes waiting until its lease is known to be dead.
	CleanMS  float64 `json:"clean_ms"`
	KilledMS float64 `json:"killed_ms"`
}

// MeasureRecovery fills a ledger with each of the numbers of live reservations, in ascending order, and
// restarts an allocator process on it. program is the path of bursar-allocator.
func MeasureRecovery(ctx context.Context, o Options, program string, numbers []int) (found []Recovery, err error) {
	for i, live := range numbers {
		if live < 1 || live > maxLive || i > 0 && live <= numbers[i-1] {
			return nil, fmt.Errorf("%d live reservations: give ascending numbers of 1 to %d", live, maxLive)
		}
	}
	o, done, err := o.prepare()
	if err != nil {
		return nil, err
	}
	run := &run{options: o}
	defer func() { err = errors.Join(err, run.close(), done()) }()
	b, err := startBroker(ctx, filepath.Join(o.Dir, "recovery"), natsembed.SyncSecond, []string{recoveryWorkspace}, o.Log)
	if err != nil {
		return nil, err
	}
	run.closers = append(run.closers, b.server.Shutdown)
	r := &recovery{run: run, broker: b, program: program}
	if r.config, err = writeConfig(o.Dir); err != nil {
		return nil, err
	}
	if r.process, err = r.start(ctx); err != nil {
		return nil, err
	}
	run.closers = append(run.closers, func() error { return r.process.stop() })
	for _, live := range numbers {
		one, err := r.measure(ctx, live)
		if err != nil {
			return nil, fmt.Errorf("%d live reservations: %w", live, err)
		}
		found = append(found, one)
	}
	return found, nil
}

// recovery is one ledger and the process that serves it.
type recovery struct {
	run     *run
	broker  *broker
	program string
	config  string // path of the configuration
	live    int
	process *allocatorProcess
}

func writeConfig(dir string) (string, error) {
	path := filepath.Join(dir, "bench.yaml")
	if err := os.WriteFile(path, benchYAML, 0o600); err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	return path, nil
}

// measure fills up to live, and restarts once in good order and once after a kill.
func (r *recovery) measure(ctx context.Context, live int) (Recovery, error) {
	found := Recovery{Live: live}
	if err := r.fill(ctx, live); err != nil {
		return found, fmt.Errorf("fill: %w", err)
	}
	for _, restart := range []struct {
		end  func() error
		took *float64
	}{
		{r.process.stop, &found.CleanMS},
		{func() error { return r.process.kill() }, &found.KilledMS},
	} {
		if err := restart.end(); err != nil {
			return found, err
		}
		begin := time.Now()
		process, err := r.start(ctx)
		if err != nil {
			return found, err
		}
		*restart.took = milliseconds(time.Since(begin))
		r.process = process
	}
	var err error
	found.MemoryMB, err = r.process.residentMB()
	return found, err
}

// fill opens reservations until live are open.
func (r *recovery) fill(ctx context.Context, live int) (err error) {
	session, err := connectBursar(ctx, r.broker, recoveryWorkspace, r.run.options.Connections, fillClients)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.close()) }()
	var left atomic.Int64
	left.Store(int64(live - r.live))
	r.live = live
	faults := make([]error, fillClients)
	var group sync.WaitGroup
	for agent := range fillClients {
		group.Go(func() {
			for left.Add(-1) >= 0 && faults[agent] == nil {
				ctx, cancel := context.WithTimeout(ctx, opTimeout)
				faults[agent] = session.reserve(ctx, agent)
				cancel()
			}
		})
	}
	group.Wait()
	return errors.Join(faults...)
}

// allocatorProcess is bursar-allocator as a process of its own.
type allocatorProcess struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// start runs the program and returns when it says that it is ready.
func (r *recovery) start(ctx context.Context) (*allocatorProcess, error) {
	seed, err := r.broker.keys.SeedFile(natsauth.Service(natsauth.RoleAllocatorStore))
	if err != nil {
		return nil, err
	}
	// The process is ended by its owner, not by ctx: how it ends is what is measured.
	cmd := exec.Command(r.program, "-server", r.broker.server.URL(), "-keys", filepath.Dir(seed),
		"-workspaces", recoveryWorkspace, "-config", r.config, "-metrics", "127.0.0.1:0")
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.program, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", r.program, err)
	}
	p := &allocatorProcess{cmd: cmd, ended: make(chan struct{})}
	url := make(chan string, 1)
	go func() {
		defer close(p.ended)
		defer close(url)
		findURL(log, url)
		_ = cmd.Wait() // how it ended is known to who ended it
	}()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := p.awaitReady(ctx, url); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is not ready: %w", r.program, err), p.kill())
	}
	return p, nil
}

// findURL sends the address of the health pages, which the log tells, and reads the log to its end.
func findURL(log io.Reader, url chan<- string) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var record struct {
			URL string `json:"url"`
		}
		if json.Unmarshal(lines.Bytes(), &record) == nil && strings.HasPrefix(record.URL, "http://") {
			select {
			case url <- record.URL:
			default: // it is known already
			}
		}
	}
}

func (p *allocatorProcess) awaitReady(ctx context.Context, url <-chan string) error {
	var base string
	select {
	case base = <-url:
	case <-ctx.Done():
		return ctx.Err()
	}
	if base == "" {
		return errors.New("it ended")
	}
	for {
		if ready(ctx, base+"/readyz") {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return errors.New("it ended")
		case <-time.After(readyPoll):
		}
	}
}

func ready(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (p *allocatorProcess) stop() error { return p.end(syscall.SIGTERM) }
func (p *allocatorProcess) kill() error { return p.end(syscall.SIGKILL) }

func (p *allocatorProcess) end(how syscall.Signal) error {
	if err := p.cmd.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the allocator: %w", err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(drainTimeout):
		return fmt.Errorf("the allocator did not end within %s", drainTimeout)
	}
}

// residentMB reads the resident memory of the process; it is 0 where the system does not tell.
func (p *allocatorProcess) residentMB() (float64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the allocator's memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err != nil {
				return 0, fmt.Errorf("read the allocator's memory: %w", err)
			}
			return n / kib, nil
		}
	}
	return 0, nil
}
