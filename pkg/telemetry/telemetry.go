// Package telemetry lets a service be watched: metrics, health, readiness, traces and logs, set up
// the same way everywhere.
//
// A service makes one [Telemetry], registers its metrics with [Telemetry.Registerer] and its
// readiness with [Telemetry.Gate] or [Telemetry.Check], and serves it with [Telemetry.Listen]:
//
//	/metrics  Prometheus text, from a registry of its own (never the global one)
//	/healthz  200 while the process can answer at all
//	/readyz   200 when every check passes, else 503; the body names each check and its fault
//
// Traces and metrics are sent by OpenTelemetry only when the standard OTEL_EXPORTER_OTLP_*
// variables name an endpoint ([StartOTel]); otherwise nothing is recorded and nothing is dialled.
// The metrics sent are the ones of /metrics, so that each is written once in the code.
//
// Guarantees: no package variable or OpenTelemetry global is set, so several services can live in
// one process; a service is ready only after its gates were opened, and never while one is closed.
// Callers must tolerate that a check runs on every request of /readyz, and keep it cheap.
//
// Labels must have few values: a workspace, a limit or an error code, and never an agent or a
// reservation.
package telemetry

import (
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Telemetry is what one service shows of itself. It is safe for concurrent use.
type Telemetry struct {
	log      *slog.Logger
	registry *prometheus.Registry

	mu     sync.Mutex
	checks []check
}

// New returns the telemetry of a service called name, at the given version, with the metrics of the
// Go runtime and the process registered and no readiness checks yet.
func New(name, version string, log *slog.Logger) *Telemetry {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "bursar_build_info",
		Help:        "Always 1; the labels say which service and version this is.",
		ConstLabels: prometheus.Labels{"service": name, "version": version},
	})
	info.Set(1)
	registry.MustRegister(info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Telemetry{log: log, registry: registry}
}

// Registerer takes the metrics of the service.
func (t *Telemetry) Registerer() prometheus.Registerer { return t.registry }

// Gatherer gives the metrics of the service, as /metrics shows them.
func (t *Telemetry) Gatherer() prometheus.Gatherer { return t.registry }
