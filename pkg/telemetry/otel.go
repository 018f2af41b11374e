package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	prombridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// The standard variables that decide what is sent. The exporters read the rest of them (headers,
// certificates, timeouts, sampling) themselves.
const (
	envEndpoint        = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint  = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envMetricsEndpoint = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
	envProtocol        = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesExporter  = "OTEL_TRACES_EXPORTER"
	envMetricsExporter = "OTEL_METRICS_EXPORTER"
	envDisabled        = "OTEL_SDK_DISABLED"

	protocolHTTP = "http/protobuf"
	exporterNone = "none"
)

// OTel is the OpenTelemetry side of one service.
type OTel struct {
	tracers  trace.TracerProvider
	shutdown []func(context.Context) error
}

// StartOTel sets up what the environment asks for: traces when OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, metrics when the first or
// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT is; nothing when OTEL_SDK_DISABLED is true. The metrics sent
// are the ones of t. It does not wait for the collector to be reachable.
//
// It returns an error for a protocol other than http/protobuf and for settings that an exporter
// refuses.
func StartOTel(ctx context.Context, t *Telemetry, service, version string, getenv func(string) string) (*OTel, error) {
	o := &OTel{tracers: noop.NewTracerProvider()}
	traces, metrics := wanted(getenv)
	if !traces && !metrics {
		return o, nil
	}
	if protocol := getenv(envProtocol); protocol != "" && protocol != protocolHTTP {
		return nil, fmt.Errorf("%s is %q: only %q is supported", envProtocol, protocol, protocolHTTP)
	}
	res, err := describe(ctx, service, version)
	if err != nil {
		return nil, err
	}
	if traces {
		err = o.startTraces(ctx, res)
	}
	if metrics && err == nil {
		err = o.startMetrics(ctx, res, t)
	}
	if err != nil {
		return nil, errors.Join(err, o.Shutdown(ctx))
	}
	t.log.Info("OpenTelemetry is on", slog.Bool("traces", traces), slog.Bool("metrics", metrics))
	return o, nil
}

// Tracer gives a tracer; it records nothing unless traces are on. name is the import path of the
// package that uses it.
func (o *OTel) Tracer(name string) trace.Tracer { return o.tracers.Tracer(name) }

// Shutdown sends what is still held back and ends the exporters, within ctx.
func (o *OTel) Shutdown(ctx context.Context) error {
	var faults []error
	for _, end := range o.shutdown {
		faults = append(faults, end(ctx))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("end OpenTelemetry: %w", err)
	}
	return nil
}

func wanted(getenv func(string) string) (traces, metrics bool) {
	if strings.EqualFold(getenv(envDisabled), "true") {
		return false, false
	}
	both := getenv(envEndpoint) != ""
	traces = (both || getenv(envTracesEndpoint) != "") && getenv(envTracesExporter) != exporterNone
	metrics = (both || getenv(envMetricsEndpoint) != "") && getenv(envMetricsExporter) != exporterNone
	return traces, metrics
}

// describe gives the resource that all signals carry. OTEL_RESOURCE_ATTRIBUTES and
// OTEL_SERVICE_NAME come last and win.
func describe(ctx context.Context, service, version string) (*resource.Resource, error) {
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithProcessPID(),
		resource.WithAttributes(
			attribute.String("service.name", service),
			attribute.String("service.namespace", "bursar"),
			attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this process to OpenTelemetry: %w", err)
	}
	return res, nil
}

func (o *OTel) startTraces(ctx context.Context, res *resource.Resource) error {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return fmt.Errorf("make the OTLP trace exporter: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	o.tracers = provider
	o.shutdown = append(o.shutdown, provider.Shutdown)
	return nil
}

func (o *OTel) startMetrics(ctx context.Context, res *resource.Resource, t *Telemetry) error {
	exporter, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return fmt.Errorf("make the OTLP metric exporter: %w", err)
	}
	reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithTimeout(writeTimeout),
		sdkmetric.WithProducer(prombridge.NewMetricProducer(prombridge.WithGatherer(t.registry))))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(res))
	o.shutdown = append(o.shutdown, provider.Shutdown)
	return nil
}

// ShutdownTime is how long a service gives [OTel.Shutdown] to send the last spans.
const ShutdownTime = 5 * time.Second
