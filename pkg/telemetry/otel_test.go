package telemetry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP receiver that keeps what it was sent.
type collector struct {
	mu      sync.Mutex
	metrics []string
	spans   []string
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // a span lost on the way fails the test that waits for it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/traces":
		var request tracepb.ExportTraceServiceRequest
		if proto.Unmarshal(body, &request) == nil {
			for _, resource := range request.GetResourceSpans() {
				for _, scope := range resource.GetScopeSpans() {
					for _, span := range scope.GetSpans() {
						c.spans = append(c.spans, span.GetName())
					}
				}
			}
		}
	case "/v1/metrics":
		var request metricpb.ExportMetricsServiceRequest
		if proto.Unmarshal(body, &request) == nil {
			for _, resource := range request.GetResourceMetrics() {
				for _, scope := range resource.GetScopeMetrics() {
					for _, metric := range scope.GetMetrics() {
						c.metrics = append(c.metrics, metric.GetName())
					}
				}
			}
		}
	}
}

// The exporters read the process environment, so this test cannot run beside others.
func TestOTelSendsTracesAndMetricsWhereItIsTold(t *testing.T) {
	received := &collector{}
	server := httptest.NewServer(received)
	defer server.Close()
	t.Setenv(envEndpoint, server.URL)

	tel := newTelemetry()
	tel.Registerer().MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_test_total", Help: "Test."}))
	otel, err := StartOTel(t.Context(), tel, "allocator", "v1", os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("test").Start(t.Context(), "reserve")
	span.End()
	if err := otel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(received.spans, " "); got != "reserve" {
		t.Errorf("spans %q, want reserve", got)
	}
	if got := strings.Join(received.metrics, " "); !strings.Contains(got, "bursar_test_total") {
		t.Errorf("metrics %q lack the one of the registry", got)
	}
}

func TestOTelIsOffUnlessAsked(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:4318"
	tests := []struct {
		name            string
		env             map[string]string
		traces, metrics bool
	}{
		{"nothing set", nil, false, false},
		{"endpoint", map[string]string{envEndpoint: url}, true, true},
		{"traces only", map[string]string{envTracesEndpoint: url}, true, false},
		{"metrics only", map[string]string{envMetricsEndpoint: url}, false, true},
		{"traces switched off", map[string]string{envEndpoint: url, envTracesExporter: "none"}, false, true},
		{"all switched off", map[string]string{envEndpoint: url, envDisabled: "true"}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			traces, metrics := wanted(func(key string) string { return tt.env[key] })
			if traces != tt.traces || metrics != tt.metrics {
				t.Errorf("traces %v, metrics %v; want %v, %v", traces, metrics, tt.traces, tt.metrics)
			}
		})
	}
}

func TestOTelOffRecordsNothing(t *testing.T) {
	t.Parallel()
	otel, err := StartOTel(t.Context(), newTelemetry(), "allocator", "v1", func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("test").Start(t.Context(), "reserve")
	if span.IsRecording() {
		t.Error("a span is recorded without an endpoint")
	}
	if err := otel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOTelRefusesAProtocolItDoesNotSpeak(t *testing.T) {
	t.Parallel()
	env := map[string]string{envEndpoint: "http://127.0.0.1:4317", envProtocol: "grpc"}
	_, err := StartOTel(t.Context(), newTelemetry(), "allocator", "v1", func(key string) string { return env[key] })
	if err == nil || !strings.Contains(err.Error(), "http/protobuf") {
		t.Errorf("error %v, want one that names http/protobuf", err)
	}
}
