package telemetry

import (
	"context"
	"slices"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
)

// Trace context travels as W3C Trace Context in the message headers `traceparent` and `tracestate`
// (https://www.w3.org/TR/trace-context/). Baggage does not travel: it would let a stranger put text
// into our traces.

// InjectNATS writes the trace of ctx into header, which must not be nil. Without a trace it writes
// nothing.
func InjectNATS(ctx context.Context, header nats.Header) {
	propagation.TraceContext{}.Inject(ctx, natsCarrier(header))
}

// ExtractNATS returns ctx with the trace that header carries, or ctx itself when there is none or it
// is malformed.
func ExtractNATS(ctx context.Context, header nats.Header) context.Context {
	return propagation.TraceContext{}.Extract(ctx, natsCarrier(header))
}

// InjectMetadata is [InjectNATS] for the metadata of a Watermill message.
func InjectMetadata(ctx context.Context, metadata message.Metadata) {
	propagation.TraceContext{}.Inject(ctx, metadataCarrier(metadata))
}

// ExtractMetadata is [ExtractNATS] for the metadata of a Watermill message.
func ExtractMetadata(ctx context.Context, metadata message.Metadata) context.Context {
	return propagation.TraceContext{}.Extract(ctx, metadataCarrier(metadata))
}

// natsCarrier reads without regard to case: NATS keeps the case of header names, and other clients
// send `Traceparent`.
type natsCarrier nats.Header

func (c natsCarrier) Get(key string) string {
	if values := c[key]; len(values) > 0 {
		return values[0]
	}
	for name, values := range c {
		if strings.EqualFold(name, key) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

func (c natsCarrier) Set(key, value string) { c[key] = []string{value} }

func (c natsCarrier) Keys() []string { return sortedKeys(c) }

type metadataCarrier message.Metadata

func (c metadataCarrier) Get(key string) string {
	if value := c[key]; value != "" {
		return value
	}
	for name, value := range c {
		if strings.EqualFold(name, key) {
			return value
		}
	}
	return ""
}

func (c metadataCarrier) Set(key, value string) { c[key] = value }

func (c metadataCarrier) Keys() []string { return sortedKeys(c) }

func sortedKeys[M ~map[string]V, V any](m M) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
