package telemetry

import (
	"context"
	"net/http"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + traceID + "-b7ad6b7169203331-01"
)

func contextWithTrace(t *testing.T) context.Context {
	t.Helper()
	ctx := ExtractNATS(t.Context(), nats.Header{"traceparent": {traceparent}})
	if got := trace.SpanContextFromContext(ctx).TraceID().String(); got != traceID {
		t.Fatalf("trace id %s, want %s", got, traceID)
	}
	return ctx
}

func TestTraceTravelsInNATSHeaders(t *testing.T) {
	t.Parallel()
	header := nats.Header{}
	InjectNATS(contextWithTrace(t), header)
	if got := header.Get("traceparent"); got != traceparent {
		t.Errorf("traceparent %q, want %q", got, traceparent)
	}
}

func TestTraceTravelsInMetadata(t *testing.T) {
	t.Parallel()
	metadata := message.Metadata{}
	InjectMetadata(contextWithTrace(t), metadata)
	ctx := ExtractMetadata(t.Context(), metadata)
	if got := trace.SpanContextFromContext(ctx).TraceID().String(); got != traceID {
		t.Errorf("trace id %s, want %s", got, traceID)
	}
}

// Another client may use OpenTelemetry's own HTTP carrier, which writes `Traceparent`.
func TestTraceOfAnotherClientIsRead(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	propagation.TraceContext{}.Inject(contextWithTrace(t), propagation.HeaderCarrier(header))
	ctx := ExtractNATS(t.Context(), nats.Header(header))
	if !trace.SpanContextFromContext(ctx).IsValid() {
		t.Errorf("no trace in %v", header)
	}
	metadata := message.Metadata{"Traceparent": traceparent}
	if !trace.SpanContextFromContext(ExtractMetadata(t.Context(), metadata)).IsValid() {
		t.Errorf("no trace in %v", metadata)
	}
}

func TestWithoutATraceNothingIsWritten(t *testing.T) {
	t.Parallel()
	header := nats.Header{}
	InjectNATS(t.Context(), header)
	if len(header) != 0 {
		t.Errorf("headers %v, want none", header)
	}
	for _, bad := range []string{"", "00-zz", "00-" + traceID} {
		ctx := ExtractNATS(t.Context(), nats.Header{"traceparent": {bad}})
		if trace.SpanContextFromContext(ctx).IsValid() {
			t.Errorf("a trace came out of %q", bad)
		}
	}
	if trace.SpanContextFromContext(ExtractNATS(t.Context(), nil)).IsValid() {
		t.Error("a trace came out of no headers")
	}
}
