package service

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsauth"
)

// childVar makes the re-executed test binary a service that is ready until it is told to end, or a job of that kind.
const childVar = "SERVICE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		spec := ready()
		spec.Job = os.Getenv(childVar) == "job"
		os.Exit(Main(spec, os.Args[1:], os.Stderr, os.Getenv))
	}
	os.Exit(m.Run())
}

func ready() Spec {
	spec := testSpec()
	spec.Run = func(ctx context.Context, env *Env) error {
		env.Telemetry.Gate("serving").Open()
		<-ctx.Done()
		return nil
	}
	return spec
}

func testSpec() Spec {
	return Spec{Name: "tester", Version: "v1", Summary: "Serve tests.", Run: func(context.Context, *Env) error { return nil }}
}

func TestAProcessServesHealthAndDrainsOnSIGTERM(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-log-level", "debug")
	cmd.Env = append(os.Environ(), childVar+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	expectReady(t, urlOf(t, lines))
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v, want status 0", err)
	}
}

// urlOf reads log lines up to the one that tells where health is served.
func urlOf(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		var record struct{ URL string }
		if json.Unmarshal(lines.Bytes(), &record) == nil && record.URL != "" {
			return record.URL
		}
	}
	t.Fatalf("no line with a URL (%v)", lines.Err())
	return ""
}

// expectReady asks until the service, which starts beside its health pages, is ready.
func expectReady(t *testing.T, url string) {
	t.Helper()
	for t.Context().Err() == nil {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatal("never ready")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		args   []string
		env    map[string]string
		status int
		want   string
	}{
		{"help", []string{"-help"}, nil, ExitOK, "Serve tests."},
		{"help names the variables", []string{"-help"}, nil, ExitOK, "$BURSAR_SERVER"},
		{"help has the service's flags", []string{"-help"}, nil, ExitOK, "-colour"},
		{"unknown flag", []string{"-serve"}, nil, ExitUsage, "not defined"},
		{"argument", []string{"now"}, nil, ExitUsage, `unexpected argument "now"`},
		{"log level", []string{"-log-level", "loud"}, nil, ExitUsage, "loud"},
		{"failpoint", nil, map[string]string{"BURSAR_FAILPOINTS": "nowhere=kill"}, ExitUsage, "nowhere"},
		{"address of health", []string{"-metrics", "256.0.0.1:1"}, nil, ExitFailure, "256.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := testSpec()
			spec.Flags = func(set *flag.FlagSet, env func(string, string) string) {
				set.String("colour", env("COLOUR", "red"), "a colour")
			}
			var out strings.Builder
			status := Main(spec, tt.args, &out, func(key string) string { return tt.env[key] })
			if status != tt.status || !strings.Contains(out.String(), tt.want) {
				t.Errorf("status %d, want %d; output lacks %q:\n%s", status, tt.status, tt.want, out.String())
			}
		})
	}
}

func TestFlagsWinOverTheEnvironment(t *testing.T) {
	t.Parallel()
	getenv := func(key string) string {
		return map[string]string{envServer: "nats://from-env:1", envKeys: "keys", "COLOUR": "blue"}[key]
	}
	var colour string
	spec := testSpec()
	spec.Flags = func(set *flag.FlagSet, env func(string, string) string) {
		set.StringVar(&colour, "colour", env("COLOUR", "red"), "a colour")
	}
	env, err := prepare(spec, []string{"-server", "nats://from-flag:1"}, os.Stderr, getenv)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := env.Connection(natsauth.RoleRelay)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.URL != "nats://from-flag:1" || cfg.NkeySeedFile != filepath.Join("keys", "relay.nk") || cfg.InboxPrefix == "" || colour != "blue" {
		t.Errorf("connection %+v, colour %s", cfg, colour)
	}
}

func TestWithoutServerAndContextItIsTheLocalOne(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, context, want string
	}{
		{"neither", "", defaultServer},
		{"a context brings its own", "prod", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env, err := prepare(testSpec(), []string{"-context", tt.context}, os.Stderr, func(string) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := env.Connection(natsauth.RoleAnalytics)
			if err != nil || cfg.URL != tt.want || cfg.Context != tt.context || cfg.NkeySeedFile != "" {
				t.Errorf("connection %+v, %v", cfg, err)
			}
		})
	}
}

func TestAJobIsDoneWhereAServiceWouldHaveFailed(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	for _, tt := range []struct {
		job  bool
		want int
	}{{true, ExitOK}, {false, ExitFailure}} {
		spec.Job = tt.job
		if status := Main(spec, nil, io.Discard, func(string) string { return "" }); status != tt.want {
			t.Errorf("job %v: status %d, want %d", tt.job, status, tt.want)
		}
	}
}

// A timer that ran a job has to learn that it was not done.
func TestAJobThatASignalEndsHasFailed(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=job")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	expectReady(t, urlOf(t, lines))
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines.Scan() {
		said += lines.Text()
	}
	exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
	if !ok || exit.ExitCode() != ExitFailure || !strings.Contains(said, "before it was done") {
		t.Errorf("exit: %v, want status %d and why in the log: %s", exit, ExitFailure, said)
	}
}

func TestWhatIsMissingAtFirstIsExplained(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nats.ErrAuthorization, "-keys"},
		{jetstream.ErrStreamNotFound, "bursar-provision makes it"},
		{jetstream.ErrBucketNotFound, "bursar-provision makes it"},
	} {
		spec := testSpec()
		spec.Run = func(context.Context, *Env) error { return tt.err }
		var out strings.Builder
		if status := Main(spec, nil, &out, func(string) string { return "" }); status != ExitFailure || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%v: status %d, want %d and %q in %s", tt.err, status, ExitFailure, tt.want, out.String())
		}
	}
}

func TestAServiceThatFailsGivesStatusOne(t *testing.T) {
	t.Parallel()
	spec := testSpec()
	spec.Run = func(context.Context, *Env) error { return errors.New("no quota left to hand out") }
	var out strings.Builder
	if status := Main(spec, nil, &out, func(string) string { return "" }); status != ExitFailure {
		t.Errorf("status %d, want %d", status, ExitFailure)
	}
	if !strings.Contains(out.String(), "no quota left to hand out") {
		t.Errorf("the log lacks the fault: %s", out.String())
	}
}
