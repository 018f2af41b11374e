// Package natsproc runs nats-server in processes of their own, from configuration files, for tests that kill or pause a
// server or start it with the files of a real installation.
//
// The process is the test binary itself: the package's TestMain calls [MaybeRun] first. It does what the program
// nats-server does with -c, and ends with the test.
package natsproc

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
)

// envFile names the configuration file to a process that is to be a server.
const envFile = "BURSAR_TEST_NATS_CONF"

// startLimit is how long a server may take to listen, on a machine that runs other tests.
const startLimit = 30 * time.Second

// MaybeRun makes this process a server, if it was started as one, and ends it when the server ends.
func MaybeRun() {
	file := os.Getenv(envFile)
	if file == "" {
		return
	}
	if err := run(file); err != nil {
		fmt.Fprintln(os.Stderr, "nats-server:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(file string) error {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return err
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	ns.ConfigureLogger()
	if err := server.Run(ns); err != nil {
		return err
	}
	ns.WaitForShutdown()
	return nil
}

// Server is a server process.
type Server struct {
	// URL is where clients connect, and Name the server's name in its cluster.
	URL, Name string

	t    testing.TB
	file string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
}

// Node says how a server of a test differs from the installation's nats.conf.
type Node struct {
	Name                   string
	ClientPort, RoutePort  int
	RoutePorts             []int // of all servers of the cluster; empty for a server on its own
	StoreDir, SyncInterval string
}

// WriteNode writes name.conf beside the nats.conf that [natsauth.WriteDeployment] made in dir, as docs/nats.md shows it
// for the servers of a cluster, and returns its path.
func WriteNode(t testing.TB, dir string, n Node) string {
	t.Helper()
	conf := fmt.Sprintf("include nats.conf\nserver_name: %s\nport: %d\nhttp: 127.0.0.1:0\njetstream { store_dir: %q, sync_interval: %s }\n",
		n.Name, n.ClientPort, n.StoreDir, n.SyncInterval)
	if len(n.RoutePorts) > 0 {
		conf += fmt.Sprintf("cluster {\n  name: bursar\n  listen: 127.0.0.1:%d\n  routes: [\n", n.RoutePort)
		for _, port := range n.RoutePorts {
			conf += fmt.Sprintf("    nats://127.0.0.1:%d\n", port)
		}
		conf += "  ]\n}\n"
	}
	file := filepath.Join(dir, n.Name+".conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// New describes the server of a file that [WriteNode] wrote; [Server.Start] starts it.
func New(t testing.TB, file string, n Node) *Server {
	t.Helper()
	return &Server{URL: "nats://127.0.0.1:" + strconv.Itoa(n.ClientPort), Name: n.Name, t: t, file: file}
}

// Start starts the process and returns when it accepts connections. It may be called again after [Server.Kill].
func (s *Server) Start() {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.done = exec.Command(exe), make(chan struct{})
	s.cmd.Env = append(os.Environ(), envFile+"="+s.file)
	// What a server says is of interest when it does not start; three servers say too much to be read otherwise.
	log, err := os.OpenFile(s.file+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stderr, s.cmd.Stdout = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, done := s.cmd, s.done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	s.t.Cleanup(func() { kill(cmd, done) })
	s.awaitListening()
}

func (s *Server) awaitListening() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startLimit)
	defer cancel()
	address := s.URL[len("nats://"):]
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close() // it was opened to be seen
			return
		}
		select {
		case <-s.done:
			s.t.Fatalf("%s ended at its start:\n%s", s.Name, s.said())
		case <-ctx.Done():
			s.t.Fatalf("%s does not listen: %v\n%s", s.Name, err, s.said())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *Server) said() string {
	text, err := os.ReadFile(s.file + ".log")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Kill is kill -9. It returns when the process is gone; killing it twice is harmless.
func (s *Server) Kill() { kill(s.cmd, s.done) }

func kill(cmd *exec.Cmd, done <-chan struct{}) {
	_ = cmd.Process.Signal(syscall.SIGCONT) // it may be gone
	_ = cmd.Process.Kill()
	<-done
}

// Pause stops the process as it stands, and Resume lets it go on: to the others it is cut off, and itself it notices
// nothing.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a [Server.Pause].
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// StartDeployment makes keys and nats.conf for the identities in dir, as bursar-nkeys does, and starts one server on
// them. The keys are in dir/secrets.
func StartDeployment(t testing.TB, dir string, ids []natsauth.Identity) (*Server, *natsauth.Keys) {
	t.Helper()
	keys, err := natsauth.WriteDeployment(dir, ids)
	if err != nil {
		t.Fatal(err)
	}
	n := Node{Name: "single", ClientPort: natstest.FreePort(t), StoreDir: filepath.Join(dir, "store"), SyncInterval: "2m"}
	s := New(t, WriteNode(t, dir, n), n)
	s.Start()
	return s, keys
}

// URLs gives the addresses of servers as one URL for clients.
func URLs(servers []*Server) string {
	urls := ""
	for i, s := range servers {
		if i > 0 {
			urls += ","
		}
		urls += s.URL
	}
	return urls
}
