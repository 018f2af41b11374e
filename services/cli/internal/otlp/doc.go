// Package otlp takes the telemetry that coding agents send (OpenTelemetry protocol, over HTTP and gRPC) and records the
// provider calls in it as usage.
//
// The feed are log events: api_request of Claude Code, sse_event of Codex. Metrics repeat the same spending in other words;
// they are added up beside it and never recorded, so that the two can be compared ([Receiver.Tally]).
//
// It guarantees that a request is answered well only when the usage in it is in the ledger: an exporter that is refused
// sends it again, and a call that is recorded twice counts once, by the provider's request id. An event that tells no call,
// or cannot be read, is skipped and counted. Callers must tolerate that the events' names and attributes are those of other
// programs and change with their versions.
package otlp
