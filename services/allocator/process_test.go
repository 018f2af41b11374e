package allocator

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natsproc"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/services/internal/site"
)

// A test that kills processes runs itself again as one: the variables say as which.
const (
	roleVar   = "BURSAR_TEST_ROLE" // allocator or nats
	keysVar   = "BURSAR_TEST_KEYS"
	urlVar    = "BURSAR_TEST_URL"
	storeVar  = "BURSAR_TEST_STORE"
	configVar = "BURSAR_TEST_CONFIG"
	// metricsVar is where an allocator serves its metrics; nowhere when it is empty.
	metricsVar = "BURSAR_TEST_METRICS"
)

// waitLimit is how long a condition may take to hold: long, since a busy machine is no failure.
const waitLimit = 2 * time.Minute

// terminate is what a supervisor sends first.
const terminate = syscall.SIGTERM

func TestMain(m *testing.M) {
	natsproc.MaybeRun()
	switch os.Getenv(roleVar) {
	case "allocator":
		os.Exit(childAllocator())
	case "nats":
		os.Exit(childNATS())
	}
	os.Exit(m.Run())
}

func childLog() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

func childAllocator() int {
	log := childLog()
	ctx, stop := runner.WithSignals(context.Background(), log)
	defer stop()
	return runner.ExitCode(log, func() error {
		points, err := failpoint.FromEnv(os.Getenv)
		if err != nil {
			return err
		}
		parsed, err := config.Parse("test", []byte(os.Getenv(configVar)))
		if err != nil {
			return err
		}
		keys, err := natsauth.LoadOrCreate(os.Getenv(keysVar))
		if err != nil {
			return err
		}
		cfg := Config{
			Workspaces: []string{site.Workspace}, Initial: &parsed.Quota, Points: points, Telemetry: telemetry.New("allocator", "0.0.0", log),
		}
		if address := os.Getenv(metricsVar); address != "" {
			metrics, err := cfg.Telemetry.Listen(ctx, address)
			if err != nil {
				return err
			}
			go func() { _ = metrics.Serve() }() // until the process ends
		}
		for role, conn := range map[natsauth.Role]*natsconn.Config{
			natsauth.RoleAllocatorFront: &cfg.Front, natsauth.RoleAllocatorStore: &cfg.Store, natsauth.RoleRelay: &cfg.Relay,
		} {
			if *conn, err = keys.Connection(natsauth.Service(role), natsconn.Config{URL: os.Getenv(urlVar), Wait: true}); err != nil {
				return err
			}
		}
		return Run(ctx, cfg, log)
	}())
}

func childNATS() int {
	log := childLog()
	ctx, stop := runner.WithSignals(context.Background(), log)
	defer stop()
	return runner.ExitCode(log, func() error {
		keys, err := natsauth.LoadOrCreate(os.Getenv(keysVar))
		if err != nil {
			return err
		}
		users, err := keys.Users()
		if err != nil {
			return err
		}
		port, err := strconv.Atoi(os.Getenv(urlVar))
		if err != nil {
			return err
		}
		srv, err := natsembed.Start(ctx, natsembed.Options{StoreDir: os.Getenv(storeVar), Port: port, Users: users, Sync: natsembed.SyncTwoMinutes})
		if err != nil {
			return err
		}
		<-ctx.Done()
		return srv.Shutdown()
	}())
}

// plant is a NATS server and allocators, each a process of its own.
type plant struct {
	t      *testing.T
	keys   *natsauth.Keys
	keyDir string
	dir    string
	url    string
	port   int // of the one server that startNATS starts
	config string
	nats   *process
	reader jetstream.Stream // of the ledger, once somebody asked
}

// process is a running child.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func newPlant(t *testing.T, configuration string) *plant {
	t.Helper()
	p := &plant{t: t, dir: t.TempDir(), config: configuration, port: natstest.FreePort(t)}
	p.keyDir, p.url = filepath.Join(p.dir, "keys"), "nats://127.0.0.1:"+strconv.Itoa(p.port)
	var err error
	if p.keys, err = natsauth.LoadOrCreate(p.keyDir, natsauth.Operator(site.Workspace, "root"), natsauth.Agent(site.Workspace, "ann")); err != nil {
		t.Fatal(err)
	}
	p.startNATS()
	js, err := jetstream.New(p.connect(natsauth.Service(natsauth.RoleProvisioning)))
	if err != nil {
		t.Fatal(err)
	}
	sizes := provision.Defaults()
	sizes.LedgerMaxBytes, sizes.KeyframesMaxBytes, sizes.EventsMaxBytes = 256<<20, 256<<20, 256<<20
	if err := provision.Ensure(t.Context(), js, sizes, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *plant) startNATS() {
	p.t.Helper()
	p.nats = p.start(roleVar+"=nats", urlVar+"="+strconv.Itoa(p.port), storeVar+"="+filepath.Join(p.dir, "jetstream"))
}

// startAllocator starts one more allocator, with failpoints where they are given.
func (p *plant) startAllocator(failpoints string, env ...string) *process {
	p.t.Helper()
	return p.start(append(env, roleVar+"=allocator", urlVar+"="+p.url, configVar+"="+p.config, failpoint.EnvVar+"="+failpoints)...)
}

func (p *plant) start(env ...string) *process {
	p.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	c := &process{t: p.t, cmd: exec.Command(exe), done: make(chan struct{})}
	c.cmd.Env = append(append(os.Environ(), keysVar+"="+p.keyDir), env...)
	c.cmd.Stderr = p.t.Output()
	if err := c.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.done)
	}()
	p.t.Cleanup(c.kill)
	return c
}

// kill is kill -9; it returns when the process is gone.
func (c *process) kill() {
	_ = c.cmd.Process.Signal(syscall.SIGCONT)
	_ = c.cmd.Process.Kill()
	<-c.done
}

// signal sends a signal and does not wait.
func (c *process) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// ended waits for the process to end by itself and gives its exit status; -1 when a signal ended it.
func (c *process) ended(within time.Duration) int {
	c.t.Helper()
	select {
	case <-c.done:
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		c.t.Fatalf("process %d still runs after %s", c.cmd.Process.Pid, within)
		return 0
	}
}

func (p *plant) client(id natsauth.Identity, o client.Options) *client.Client {
	p.t.Helper()
	o.Workspace, o.Principal = site.Workspace, id.Principal
	c, err := client.New(p.connect(id), o)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}
