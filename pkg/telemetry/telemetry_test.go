package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestPages(t *testing.T) {
	t.Parallel()
	tel := newTelemetry()
	commits := prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_test_commits_total", Help: "Commits."})
	tel.Registerer().MustRegister(commits)
	commits.Add(3)
	base := serve(t, tel)

	status, body := get(t, base+"/metrics")
	for _, want := range []string{"bursar_test_commits_total 3", `bursar_build_info{service="allocator",version="v1"} 1`, "go_goroutines"} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/metrics (%d) lacks %q", status, want)
		}
	}
	if status, body := get(t, base+"/healthz"); status != http.StatusOK || body != "{\"status\":\"ok\"}\n" {
		t.Errorf("/healthz = %d %s", status, body)
	}
	if status, _ := get(t, base+"/nothing"); status != http.StatusNotFound {
		t.Errorf("/nothing = %d, want 404", status)
	}
}

func TestReadyOnlyWhenEveryCheckPasses(t *testing.T) {
	t.Parallel()
	tel := newTelemetry()
	base := serve(t, tel)
	expectReady(t, base, tel, false, map[string]string{})

	lead := tel.Gate("lead")
	var store error
	tel.Check("store", func(context.Context) error { return store })
	expectReady(t, base, tel, false, map[string]string{"lead": "not yet", "store": "ok"})

	lead.Open()
	expectReady(t, base, tel, true, map[string]string{"lead": "ok", "store": "ok"})

	store = errors.New("disconnected")
	expectReady(t, base, tel, false, map[string]string{"lead": "ok", "store": "disconnected"})

	store = nil
	lead.Close(errors.New("draining"))
	expectReady(t, base, tel, false, map[string]string{"lead": "draining", "store": "ok"})
}

func expectReady(t *testing.T, base string, tel *Telemetry, want bool, checks map[string]string) {
	t.Helper()
	status, text := get(t, base+"/readyz")
	var body readiness
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("body %q: %v", text, err)
	}
	wantStatus := http.StatusServiceUnavailable
	if want {
		wantStatus = http.StatusOK
	}
	if status != wantStatus || body.Ready != want {
		t.Errorf("/readyz = %d, ready %v; want %d, %v", status, body.Ready, wantStatus, want)
	}
	if err := tel.Ready(t.Context()); (err == nil) != want {
		t.Errorf("Ready = %v, want ready %v", err, want)
	}
	if len(body.Checks) != len(checks) {
		t.Errorf("checks %v, want %v", body.Checks, checks)
	}
	for name, fault := range checks {
		if body.Checks[name] != fault {
			t.Errorf("check %s = %q, want %q", name, body.Checks[name], fault)
		}
	}
}

func TestTwoServicesInOneProcess(t *testing.T) {
	t.Parallel()
	for range 2 {
		base := serve(t, newTelemetry())
		if status, _ := get(t, base+"/metrics"); status != http.StatusOK {
			t.Errorf("/metrics = %d", status)
		}
	}
}

func TestListenSaysWhichAddressIsTaken(t *testing.T) {
	t.Parallel()
	base := serve(t, newTelemetry())
	addr := strings.TrimPrefix(base, "http://")
	_, err := newTelemetry().Listen(t.Context(), addr)
	if err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("Listen on a taken address = %v, want an error that names it", err)
	}
}

func TestCloseWithoutServeFreesTheAddress(t *testing.T) {
	t.Parallel()
	server, err := newTelemetry().Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := newTelemetry().Listen(t.Context(), strings.TrimPrefix(server.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func newTelemetry() *Telemetry {
	return New("allocator", "v1", slog.New(slog.DiscardHandler))
}

// serve runs the HTTP server of tel for the length of the test and returns its address.
func serve(t *testing.T, tel *Telemetry) string {
	t.Helper()
	server, err := tel.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return server.URL()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
