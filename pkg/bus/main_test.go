package bus_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
)

// The test binary doubles as a NATS server that can be killed: it serves when these are set.
const (
	envServeDir  = "BUS_TEST_SERVE_DIR"
	envServePort = "BUS_TEST_SERVE_PORT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envServeDir); dir != "" {
		os.Exit(serve(dir, os.Getenv(envServePort)))
	}
	os.Exit(m.Run())
}

func serve(dir, port string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := strconv.Atoi(port)
	if err == nil {
		var srv *natsembed.Server
		srv, err = natsembed.Start(ctx, natsembed.Options{StoreDir: dir, Port: n, Sync: natsembed.SyncTwoMinutes})
		if err == nil {
			<-ctx.Done()
			err = srv.Shutdown()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// killable is a NATS server in a process of its own, which a test may kill -9 and start again on the
// same port and store.
type killable struct {
	t    testing.TB
	dir  string
	port int

	mu  sync.Mutex
	cmd *exec.Cmd
}

func startKillable(t testing.TB) *killable {
	t.Helper()
	k := &killable{t: t, dir: t.TempDir(), port: natstest.FreePort(t)}
	t.Cleanup(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.kill()
	})
	k.restart()
	return k
}

// restart kills the server if it runs, starts it again and returns when it accepts connections.
func (k *killable) restart() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kill()
	k.cmd = exec.Command(os.Args[0])
	k.cmd.Env = append(os.Environ(), envServeDir+"="+k.dir, envServePort+"="+strconv.Itoa(k.port))
	k.cmd.Stderr = os.Stderr
	if err := k.cmd.Start(); err != nil {
		k.t.Errorf("start the server: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nc, err := natsconn.Connect(ctx, natsconn.Config{Name: "probe", URL: k.url(), Wait: true})
	if err != nil {
		k.t.Errorf("the server did not come up: %v", err)
		return
	}
	nc.Close()
}

func (k *killable) kill() {
	if k.cmd == nil {
		return
	}
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
	k.cmd = nil
}

func (k *killable) url() string { return "nats://127.0.0.1:" + strconv.Itoa(k.port) }

func (k *killable) jetStream() jetstream.JetStream {
	k.t.Helper()
	nc, err := natsconn.Connect(k.t.Context(), natsconn.Config{Name: "test", URL: k.url()})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(nc.Close)
	return newJetStream(k.t, nc)
}

func newJetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// inProcess returns JetStream of a server of the test's own.
func inProcess(t testing.TB) jetstream.JetStream {
	t.Helper()
	return newJetStream(t, natstest.Connect(t, natstest.Start(t)))
}

// ensureStream makes a stream named and filled after a topic, unless it exists.
func ensureStream(js jetstream.JetStream, name string, subjects ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: subjects, Storage: jetstream.FileStorage})
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("create stream %s: %w", name, err)
	}
	return nil
}
