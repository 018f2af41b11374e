package otlp

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Call is one provider call that an event tells.
type Call struct {
	Program     string // claude-code or codex
	Provider    string // claude or openai
	At          time.Time
	ID          string // the provider's request id, or what stands for it
	Session     string
	Model       string
	Tokens      quota.Tokens
	Agent       string // who works, and the reservation it is part of; empty where the event and its resource tell none
	Reservation string
}

// Attributes of the resource or the event that join a call to a reservation. A person sets them with
// OTEL_RESOURCE_ATTRIBUTES.
const (
	attrReservation = "allocation.id"
	attrAgent       = "agent.id"
)

// attributes are the attributes of one event over those of its resource.
type attributes []([]*common.KeyValue)

// text gives an attribute as text; empty for one that is not there.
func (a attributes) text(key string) string {
	for _, list := range a {
		for _, kv := range list {
			if kv.GetKey() == key {
				return textOf(kv.GetValue())
			}
		}
	}
	return ""
}

func textOf(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *common.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'f', -1, 64)
	case *common.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	}
	return ""
}

// count gives an attribute as a number of tokens: programs send them as integers, as floats, and as text. ok is false for
// one that is no such number; one that is not there is 0.
func (a attributes) count(key string) (n int64, ok bool) {
	text := a.text(key)
	if text == "" {
		return 0, true
	}
	n, err := json.Number(text).Int64()
	if err != nil {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f < 0 || f > float64(quota.MaxTokensPerClass) {
			return 0, false
		}
		n = int64(f)
	}
	return n, n >= 0 && n <= quota.MaxTokensPerClass
}

// calls lists the calls of an export, how many of its events tell none, and how many tell one that cannot be read.
func calls(request *collogs.ExportLogsServiceRequest) (found []Call, other, unreadable int) {
	for _, resource := range request.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, event := range scope.GetLogRecords() {
				a := attributes{event.GetAttributes(), resource.GetResource().GetAttributes()}
				call, isCall, ok := callOf(event, a)
				switch {
				case !isCall:
					other++
				case !ok:
					unreadable++
				default:
					found = append(found, call)
				}
			}
		}
	}
	return found, other, unreadable
}

// callOf reads one event.
func callOf(event *logsv1.LogRecord, a attributes) (call Call, isCall, ok bool) {
	name := eventName(event, a)
	switch {
	case name == "claude_code.api_request" || name == "api_request" && strings.HasPrefix(a.text("service.name"), "claude-code"):
		call, ok = claudeCall(a)
	case name == "codex.sse_event" && a.text("event.kind") == "response.completed":
		call, ok = codexCall(a, timeOf(event, a))
	default:
		return Call{}, false, false
	}
	call.At = timeOf(event, a)
	call.Model, call.Agent, call.Reservation = a.text("model"), a.text(attrAgent), a.text(attrReservation)
	return call, true, ok
}

// eventName is told by the record, by an attribute, or as the body, by the age of the program.
func eventName(event *logsv1.LogRecord, a attributes) string {
	if name := event.GetEventName(); name != "" {
		return name
	}
	if name := a.text("event.name"); name != "" {
		return name
	}
	return textOf(event.GetBody())
}

// claudeCall: input excludes what was read from the cache or written to it. For how long it was written is not told.
func claudeCall(a attributes) (c Call, ok bool) {
	c = Call{Program: "claude-code", Provider: "claude", ID: a.text("request_id"), Session: a.text("session.id")}
	ok = c.ID != ""
	for key, to := range map[string]*int64{
		"input_tokens": &c.Tokens.Input, "output_tokens": &c.Tokens.Output, "cache_read_tokens": &c.Tokens.CacheRead,
		"cache_creation_tokens": &c.Tokens.CacheWrite5m,
	} {
		n, readable := a.count(key)
		*to, ok = n, ok && readable
	}
	return c, ok
}

// codexCall: input includes what was read from the cache. There is no request id: conversation and time stand for it.
func codexCall(a attributes, at time.Time) (c Call, ok bool) {
	c = Call{Program: "codex", Provider: "openai", Session: a.text("conversation.id")}
	input, ok1 := a.count("input_token_count")
	cached, ok2 := a.count("cached_token_count")
	output, ok3 := a.count("output_token_count")
	c.Tokens = quota.Tokens{Input: input - cached, CacheRead: cached, Output: output}
	c.ID = "codex:" + c.Session + ":" + at.Format(time.RFC3339Nano)
	return c, ok1 && ok2 && ok3 && cached <= input && c.Session != "" && !at.IsZero()
}

// timeOf is when the event happened; zero where it does not tell.
func timeOf(event *logsv1.LogRecord, a attributes) time.Time {
	for _, nanos := range []uint64{event.GetTimeUnixNano(), event.GetObservedTimeUnixNano()} {
		if nanos != 0 && nanos < 1<<63 {
			return time.Unix(0, int64(nanos)).UTC()
		}
	}
	at, err := time.Parse(time.RFC3339, a.text("event.timestamp"))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
