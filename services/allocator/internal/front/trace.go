package front

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/telemetry"
)

// trace begins the span of a request: in the trace that its headers carry, or a new one. It spans decoding, deciding,
// the commit and the reply.
func (f *Front) trace(r *request, m micro.Request) {
	if f.opt.Tracer == nil {
		return
	}
	ctx := telemetry.ExtractNATS(context.Background(), nats.Header(m.Headers()))
	//nolint:spancheck // traced ends it, with the answer
	_, r.span = f.opt.Tracer.Start(ctx, "quota "+r.verb, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("messaging.system", "nats"),
		attribute.String("bursar.workspace", f.opt.Workspace),
		attribute.String("bursar.principal", r.actor.Principal),
		attribute.String("bursar.agent", r.actor.Agent),
	))
}

// traced ends the span with the code of the answer; a refusal is an answer, not a fault.
func (r *request) traced(code quota.Code) {
	if r.span == nil {
		return
	}
	if code != quota.CodeOK {
		r.span.SetAttributes(attribute.String("bursar.code", string(code)))
	}
	r.span.End()
}
