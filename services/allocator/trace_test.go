package allocator

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/bursarhq/bursar/services/internal/site"
)

// A request's span continues the trace of the client that sent it.
func TestTracesGoOn(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorder))
	s := site.Start(t, []string{"ann"})
	cfg := serviceConfig(t, s, nil)
	cfg.Tracer = provider.Tracer("test")
	start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ctx, parent := provider.Tracer("client").Start(ctx, "task")
	if _, err := s.Client("ann").Agent("a1").Reserve(ctx, reserveRequest(10)); err != nil {
		t.Fatal(err)
	}
	parent.End()
	for _, span := range recorder.Ended() {
		if span.Name() == "quota reserve" && span.SpanContext().TraceID() == parent.SpanContext().TraceID() {
			return
		}
	}
	t.Errorf("no span of the request in the client's trace: %v", recorder.Ended())
}
