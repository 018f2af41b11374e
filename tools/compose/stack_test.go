//go:build compose

package compose

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
)

const (
	root = "../.."
	// startLimit is how long something may take to come up on a machine that does other things, and stopLimit what
	// Docker gives a container that says nothing of it.
	startLimit = 60 * time.Second
	stopLimit  = 10 * time.Second
	pollEvery  = 20 * time.Millisecond

	writerPassword, analystPassword = "writer-of-the-test", "analyst-of-the-test"
)

// stack is the project, and what of it runs.
type stack struct {
	t       *testing.T
	dir     string // the checkout as somebody has it who followed the first lines of docker-compose.yml
	project *types.Project
	host    string         // an address of this machine by which its processes reach one another
	ports   map[string]int // by "service:port in the container"
	running map[string]*process
	order   []string // in which they were started
}

// process is what stands for a container.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// newStack copies what the project is made of, makes its keys as the file says, and reads it as Docker does.
func newStack(t *testing.T, env ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), host: address(t), ports: map[string]int{}, running: map[string]*process{}}
	s.copyTree(filepath.Join(root, "deployments"), filepath.Join(s.dir, "deployments"))
	s.copyFile(filepath.Join(root, "docker-compose.yml"), filepath.Join(s.dir, "docker-compose.yml"))
	s.run(0, nil, "bursar-nkeys", "-dir", filepath.Join(s.dir, "deployments"))
	options, err := cli.NewProjectOptions([]string{filepath.Join(s.dir, "docker-compose.yml")}, cli.WithResolvedPaths(true), cli.WithProfiles([]string{"*"}),
		cli.WithEnv(append(env, fmt.Sprintf("BURSAR_USER=%d:%d", os.Getuid(), os.Getgid()),
			"BURSAR_CLICKHOUSE_WRITER_PASSWORD="+writerPassword, "BURSAR_CLICKHOUSE_ANALYST_PASSWORD="+analystPassword)))
	if err != nil {
		t.Fatal(err)
	}
	if s.project, err = options.LoadProject(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.killAll)
	return s
}

// address is one by which the processes reach one another: not loopback where there is another one, so that a service
// which listens on the loopback of its container is found out.
func address(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

// port is what a port of a service's container is on this machine.
func (s *stack) port(service string, inside int) int {
	s.t.Helper()
	key := service + ":" + strconv.Itoa(inside)
	if s.ports[key] == 0 {
		s.ports[key] = natstest.FreePort(s.t)
	}
	return s.ports[key]
}

// up starts a service behind those that it depends on, as soon as they are what it wants them to be.
func (s *stack) up(name string) {
	s.t.Helper()
	if s.running[name] != nil || slices.Contains(s.order, name) {
		return
	}
	service, err := s.project.GetService(name)
	if err != nil {
		s.t.Fatal(err)
	}
	for other, dependency := range service.DependsOn {
		s.up(other)
		s.awaitDependency(other, dependency.Condition)
	}
	s.order = append(s.order, name)
	if strings.HasPrefix(service.Image, "clickhouse/clickhouse-server:") {
		s.startClickHouse(&service)
		return
	}
	s.start(name)
}

func (s *stack) awaitDependency(name, condition string) {
	s.t.Helper()
	switch condition {
	case types.ServiceConditionHealthy:
		s.awaitHealthy(name)
	case types.ServiceConditionCompletedSuccessfully:
		p := s.running[name]
		s.await(name+" to end", func() bool { return p.ended() })
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			s.t.Fatalf("%s ended with %d:\n%s", name, code, p.said())
		}
	default:
		s.t.Fatalf("a dependency on %s by %q is not understood", name, condition)
	}
}

// awaitHealthy asks what the health check of a service asks, until it says yes.
func (s *stack) awaitHealthy(name string) {
	s.t.Helper()
	check := s.project.Services[name].HealthCheck
	if check == nil || check.Test[0] != "CMD" || check.Test[1] != "wget" {
		s.t.Fatalf("the health check of %s is none that is understood: %+v", name, check)
	}
	url := s.addresses(name, check.Test[len(check.Test)-1])
	s.await(name+" to be healthy at "+url, func() bool { return s.get(url, "").status == http.StatusOK })
}

// start starts the process of a service, a second time too.
func (s *stack) start(name string) {
	s.t.Helper()
	service := s.project.Services[name]
	dir := filepath.Join(s.dir, "containers", name)
	if _, err := os.Stat(dir); err != nil {
		s.mount(&service, dir)
	}
	program, args := s.command(&service)
	for i := range args {
		args[i] = s.inside(name, dir, args[i])
	}
	cmd := exec.CommandContext(s.t.Context(), binary(program), args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin"}
	for key, value := range service.Environment {
		if value != nil {
			cmd.Env = append(cmd.Env, key+"="+s.inside(name, dir, *value))
		}
	}
	p := &process{cmd: cmd, log: filepath.Join(s.dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = cmd.Wait() // the state of the process tells how it ended
		close(p.done)
	}()
	s.running[name] = p
}

// mount makes what the container of a service sees: its files, volumes and secrets, and nothing else.
func (s *stack) mount(service *types.ServiceConfig, dir string) {
	s.t.Helper()
	s.mkdir(dir)
	for _, v := range service.Volumes {
		target := filepath.Join(dir, v.Target)
		if v.Type == types.VolumeTypeVolume {
			s.mkdir(target)
			continue
		}
		s.copyTree(v.Source, target)
	}
	for _, secret := range service.Secrets {
		name := secret.Target
		if name == "" {
			name = secret.Source
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join("/run/secrets", name)
		}
		s.copyTree(s.project.Secrets[secret.Source].File, filepath.Join(dir, name))
	}
}

// command is what a container runs: what its image says, then what the file says.
func (s *stack) command(service *types.ServiceConfig) (program string, args []string) {
	s.t.Helper()
	switch {
	case len(service.Entrypoint) > 0:
		s.t.Fatalf("%s has an entrypoint of its own, which is not understood", service.Name)
	case strings.HasPrefix(service.Image, "nats:"):
		s.moveStore(filepath.Join(s.dir, "containers", service.Name))
		ports := []string{"-p", strconv.Itoa(s.port(service.Name, 4222)), "-m", strconv.Itoa(s.port(service.Name, 8222))}
		return "nats-server", append(slices.Clone(service.Command), ports...)
	case service.Build != nil:
		return s.entrypoint(service.Build), slices.Clone(service.Command)
	}
	s.t.Fatalf("the image of %s is none that is understood: %s", service.Name, service.Image)
	return "", nil
}

// moveStore has the configuration of NATS name the volume where it is on this machine.
func (s *stack) moveStore(dir string) {
	s.t.Helper()
	file := filepath.Join(dir, "etc", "bursar", "container.conf")
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	volume := filepath.Join(dir, "data")
	moved := strings.Replace(string(text), "store_dir: /data,", fmt.Sprintf("store_dir: %q,", volume), 1)
	if _, err := os.Stat(volume); err != nil || moved == string(text) {
		s.t.Fatalf("%s does not store in its volume at /data (%v):\n%s", file, err, text)
	}
	if err := os.WriteFile(file, []byte(moved), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

var entrypoints = regexp.MustCompile(`(?m)^FROM \S+ AS (\S+)\nCOPY --from=build /out/(\S+) /usr/local/bin/\nENTRYPOINT \["(\S+)"\]$`)

// entrypoint is the program that the image of a target of the Dockerfile runs, and holds.
func (s *stack) entrypoint(build *types.BuildConfig) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(build.Context, build.Dockerfile))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, stage := range entrypoints.FindAllStringSubmatch(string(text), -1) {
		if stage[1] == build.Target && stage[2] == stage[3] {
			return stage[3]
		}
	}
	s.t.Fatalf("%s has no stage %s that runs what it holds", build.Dockerfile, build.Target)
	return ""
}

// inside turns an argument or a variable of a container into one for this machine.
func (s *stack) inside(service, dir, value string) string {
	if _, err := os.Stat(filepath.Join(dir, value)); err == nil && filepath.IsAbs(value) {
		return filepath.Join(dir, value)
	}
	return s.addresses(service, value)
}

var hostAndPort = regexp.MustCompile(`([a-z0-9.-]+):(\d+)`)

// addresses turns each host and port: a service by its name, and the container itself.
func (s *stack) addresses(service, value string) string {
	return hostAndPort.ReplaceAllStringFunc(value, func(found string) string {
		parts := hostAndPort.FindStringSubmatch(found)
		inside, err := strconv.Atoi(parts[2])
		if err != nil {
			return found
		}
		host := s.host
		switch _, named := s.project.Services[parts[1]]; {
		case parts[1] == "0.0.0.0", parts[1] == "127.0.0.1":
			return fmt.Sprintf("%s:%d", parts[1], s.port(service, inside))
		case !named:
			return found
		case parts[1] == "clickhouse":
			host = "127.0.0.1" // the embedded engine listens nowhere else
		}
		return fmt.Sprintf("%s:%d", host, s.port(parts[1], inside))
	})
}

// startClickHouse starts the engine with the passwords of the project. Its configuration files are those of
// deployments/clickhouse, which a test of its package compares.
func (s *stack) startClickHouse(service *types.ServiceConfig) {
	s.t.Helper()
	dir := s.t.TempDir()
	for user, variable := range map[string]string{chembed.UserWriter: "BURSAR_CLICKHOUSE_WRITER_PASSWORD", chembed.UserAnalyst: "BURSAR_CLICKHOUSE_ANALYST_PASSWORD"} {
		if err := os.WriteFile(filepath.Join(dir, user+".password"), []byte(*service.Environment[variable]), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	server, err := chembed.Start(s.t.Context(), chembed.Options{Dir: dir, Port: s.port(service.Name, 8123)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			s.t.Error(err)
		}
	})
}

// down stops a service as Docker does, and gives its exit status.
func (s *stack) down(name string) int {
	s.t.Helper()
	p := s.running[name]
	grace := stopLimit
	if given := s.project.Services[name].StopGracePeriod; given != nil {
		grace = time.Duration(*given)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("stop %s: %v\n%s", name, err, p.said())
	}
	select {
	case <-p.done:
	case <-time.After(grace):
		s.t.Errorf("%s is killed, since it has not ended within %s", name, grace)
		p.kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

func (s *stack) killAll() {
	for name, p := range s.running {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s", name, p.said())
		}
	}
}

// await waits until something holds.
func (s *stack) await(what string, holds func() bool) {
	s.t.Helper()
	limit := time.After(startLimit)
	for !holds() {
		select {
		case <-limit:
			s.t.Fatalf("waited %s in vain for %s", startLimit, what)
		case <-time.After(pollEvery):
		}
	}
}

// answer is what an HTTP request got; status 0 is none.
type answer struct {
	status int
	body   string
}

func (s *stack) get(url, token string) answer {
	ctx, cancel := context.WithTimeout(s.t.Context(), startLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultTransport.RoundTrip(request) // follows no redirect
	if err != nil {
		return answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}
	}
	return answer{response.StatusCode, string(body)}
}

// run runs a program to its end and gives what it wrote.
func (s *stack) run(status int, env []string, program string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(program), args...)
	cmd.Dir, cmd.Env = s.dir, append([]string{"PATH=/usr/bin:/bin"}, env...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		s.t.Fatalf("%s %s: %v, want status %d\n%s%s", program, strings.Join(args, " "), err, status, out, problems.String())
	}
	return string(out)
}

// binary is where `make test-compose` has built a program.
func binary(program string) string {
	path, err := filepath.Abs(filepath.Join(root, "bin", program))
	if err != nil {
		return program
	}
	return path
}

func (s *stack) mkdir(dir string) {
	s.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
}

// copyTree copies a file, or a folder without the secrets of the checkout.
func (s *stack) copyTree(from, to string) {
	s.t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		s.t.Fatal(err)
	}
	if !info.IsDir() {
		s.copyFile(from, to)
		return
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "secrets" {
			s.copyTree(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		}
	}
}

func (s *stack) copyFile(from, to string) {
	s.t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mkdir(filepath.Dir(to))
	if err := os.WriteFile(to, text, info.Mode().Perm()); err != nil {
		s.t.Fatal(err)
	}
}
