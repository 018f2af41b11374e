package wire

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
)

// What every event says of itself.
const (
	EventSpecVersion = "1.0" // of CloudEvents
	EventContentType = "application/json"
	// EventTypePrefix comes before the kind of an event in its CloudEvents type.
	EventTypePrefix = "io.bursar.quota.v1."
	// SchemaRoot is where the schemas are found; dataschema is SchemaRoot + event.<kind>.schema.json.
	SchemaRoot        = "https://bursarhq.github.io/schemas/v1/"
	eventSourcePrefix = "/workspaces/"
)

// KindSuggestionMade is the kind of the events that the suggestion service publishes; they belong to no commit.
const KindSuggestionMade = "suggestion.made"

// MaxEventBytes is the largest event that is read.
const MaxEventBytes = 1 << 20

// Event is a CloudEvent 1.0 in the JSON format. It is delivered at least once and known by its ID; events of one
// workspace come in the order of Commit and Index, but for those that a failure of the relay held up.
type Event struct {
	SpecVersion string `json:"specversion"`
	// ID is <ledger id>.<commit>.<index>: the same event has the same id, however often it is published.
	ID              string `json:"id"`
	Source          string `json:"source"` // /workspaces/<workspace>, percent-encoded
	Type            string `json:"type"`   // EventTypePrefix and the kind
	Subject         string `json:"subject,omitzero"`
	Time            Time   `json:"time"`
	DataContentType string `json:"datacontenttype"`
	DataSchema      string `json:"dataschema"`
	// LedgerID, Commit and Index place the event in the ledger. Commit is a decimal number as text, because an integer
	// attribute of a CloudEvent has 32 bits.
	LedgerID string          `json:"ledgerid,omitzero"`
	Commit   string          `json:"commit,omitzero"`
	Index    int32           `json:"index"`
	Data     json.RawMessage `json:"data"`
}

// Place says where an event stands.
type Place struct {
	Workspace string
	LedgerID  string
	Commit    uint64
	Index     int
	At        quota.Instant // of the commit; for events that carry no time of their own
}

// NewEvent makes the CloudEvent of a ledger event. It fails for an event kind that has no public form.
func NewEvent(at Place, e quota.Event) (Event, error) {
	data := publicData(e)
	if data == nil {
		return Event{}, fmt.Errorf("event %T has no public form", e)
	}
	encoded, err := encodeData(data)
	if err != nil {
		return Event{}, fmt.Errorf("encode event %s: %w", e.Kind(), err)
	}
	about := aboutOf(e)
	if about.at == 0 {
		about.at = at.At
	}
	event := blankEvent(at.Workspace, e.Kind(), about.subject, about.at, encoded)
	event.ID = at.LedgerID + "." + strconv.FormatUint(at.Commit, 10) + "." + strconv.Itoa(at.Index)
	event.LedgerID, event.Commit, event.Index = at.LedgerID, strconv.FormatUint(at.Commit, 10), int32(at.Index)
	return event, nil
}

// encodeData writes the data of an event: by its list of fields where there are many such events.
func encodeData(data any) ([]byte, error) {
	if frequent, ok := data.(interface{ Append([]byte) []byte }); ok {
		return frequent.Append(make([]byte, 0, usualDataBytes)), nil
	}
	return json.Marshal(data)
}

// usualDataBytes is enough for the data of nearly every event.
const usualDataBytes = 1024

// NewForeignEvent makes the CloudEvent of something that is not in the ledger, such as a suggestion. id must be the same
// whenever the same thing is published again.
func NewForeignEvent(workspace, kind, id, subject string, at quota.Instant, data any) (Event, error) {
	encoded, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("encode event %s: %w", kind, err)
	}
	event := blankEvent(workspace, kind, subject, at, encoded)
	event.ID = id
	return event, nil
}

func blankEvent(workspace, kind, subject string, at quota.Instant, data []byte) Event {
	return Event{
		SpecVersion: EventSpecVersion, Source: eventSourcePrefix + url.PathEscape(workspace), Type: EventTypePrefix + kind, Subject: subject,
		Time: TimeOf(at), DataContentType: EventContentType, DataSchema: SchemaRoot + "event." + kind + ".schema.json", Data: data,
	}
}

// Kind is the kind of the event, without the prefix of its type.
func (e *Event) Kind() string { return strings.TrimPrefix(e.Type, EventTypePrefix) }

// Workspace is the workspace that the source names; empty if it names none.
func (e *Event) Workspace() string {
	rest, ok := strings.CutPrefix(e.Source, eventSourcePrefix)
	workspace, err := url.PathUnescape(rest)
	if !ok || err != nil {
		return ""
	}
	return workspace
}

// CommitNumber is the number of the commit; 0 for an event that is not of the ledger.
func (e *Event) CommitNumber() uint64 {
	n, err := strconv.ParseUint(e.Commit, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// DecodeEvent reads an event. Attributes that are not known are ignored, as CloudEvents demands of readers; a type that
// is not known is not an error. The error says what is missing.
func DecodeEvent(body []byte) (Event, error) {
	var e Event
	if len(body) > MaxEventBytes {
		return Event{}, fmt.Errorf("read event: %d bytes, at most %d are read", len(body), MaxEventBytes)
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("read event: %w", err)
	}
	switch {
	case e.SpecVersion != EventSpecVersion:
		return Event{}, fmt.Errorf("read event: specversion is %q, not %q", e.SpecVersion, EventSpecVersion)
	case e.ID == "" || e.Source == "" || e.Type == "":
		return Event{}, fmt.Errorf("read event: id, source and type must not be empty")
	case e.Time == 0:
		return Event{}, fmt.Errorf("read event: time is missing")
	case e.DataContentType != EventContentType:
		return Event{}, fmt.Errorf("read event %s: data is %q, not %q", e.ID, e.DataContentType, EventContentType)
	}
	return e, nil
}

// Into decodes the data into a pointer to the …Data struct of the event's kind.
func (e *Event) Into(data any) error {
	if err := json.Unmarshal(e.Data, data); err != nil {
		return fmt.Errorf("read data of event %s (%s): %w", e.ID, e.Type, err)
	}
	return nil
}

// EventRoute tells whose subject an event goes to: the principal and agent it concerns, empty where it concerns nobody
// in particular.
func EventRoute(e quota.Event) (principal, agent string) {
	actor := aboutOf(e).actor
	return actor.Principal, actor.Agent
}

// Append appends the event's JSON; it is what encoding/json writes, without reading Data again.
func (e *Event) Append(b []byte) []byte { return eventObject.append(b, e) }

var eventObject = object[Event]{
	must(text("specversion", maxReplyTextBytes, func(e *Event) *string { return &e.SpecVersion })),
	must(text("id", maxReplyTextBytes, func(e *Event) *string { return &e.ID })),
	must(text("source", maxReplyTextBytes, func(e *Event) *string { return &e.Source })),
	must(text("type", maxReplyTextBytes, func(e *Event) *string { return &e.Type })),
	text("subject", maxReplyTextBytes, func(e *Event) *string { return &e.Subject }),
	must(instant("time", func(e *Event) *Time { return &e.Time })),
	must(text("datacontenttype", maxReplyTextBytes, func(e *Event) *string { return &e.DataContentType })),
	must(text("dataschema", maxReplyTextBytes, func(e *Event) *string { return &e.DataSchema })),
	text("ledgerid", maxReplyTextBytes, func(e *Event) *string { return &e.LedgerID }),
	text("commit", maxReplyTextBytes, func(e *Event) *string { return &e.Commit }),
	{name: "index", required: true, write: func(b []byte, e *Event) []byte { return strconv.AppendInt(b, int64(e.Index), 10) }},
	{name: "data", required: true, write: func(b []byte, e *Event) []byte { return append(b, e.Data...) }},
}
