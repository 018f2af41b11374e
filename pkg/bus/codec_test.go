package bus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	msg := message.NewMessage("id-1", []byte("payload"))
	msg.Metadata["team"] = "core"
	msg.Metadata[KeySequence] = "7"
	msg.SetContext(trace.ContextWithRemoteSpanContext(t.Context(), span()))
	got, err := encode("subject", msg)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "subject" || string(got.Data) != "payload" || got.Header.Get("Nats-Msg-Id") != "id-1" || got.Header.Get("team") != "core" {
		t.Errorf("encoded as %+v", got)
	}
	if _, ok := got.Header[KeySequence]; ok {
		t.Error("where a message came from was published with it")
	}
	rec := Record{Header: got.Header}
	if back := trace.SpanContextFromContext(withTrace(context.Background(), rec)); back.TraceID() != span().TraceID() {
		t.Errorf("trace %v did not travel", back)
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*message.Message){
		"rollup header":    func(m *message.Message) { m.Metadata["Nats-Rollup"] = "all" },
		"any case":         func(m *message.Message) { m.Metadata["nats-expected-stream"] = "x" },
		"colon in name":    func(m *message.Message) { m.Metadata["a:b"] = "x" },
		"space in name":    func(m *message.Message) { m.Metadata["a b"] = "x" },
		"empty name":       func(m *message.Message) { m.Metadata[""] = "x" },
		"injected header":  func(m *message.Message) { m.Metadata["a"] = "x\r\nNats-Rollup: all" },
		"space at the end": func(m *message.Message) { m.Metadata["a"] = "x " },
		"injected uuid":    func(m *message.Message) { m.UUID = "x\r\nNats-Rollup: all" },
	} {
		msg := message.NewMessage("id", nil)
		change(msg)
		if _, err := encode("subject", msg); !errors.Is(err, ErrMetadata) {
			t.Errorf("%s: %v, want ErrMetadata", name, err)
		}
	}
}

func TestDecodeTrustsNoHeader(t *testing.T) {
	t.Parallel()
	stored := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	got := decode(Record{
		Subject: "s", Sequence: 9, Deliveries: 2, Time: stored,
		Header: nats.Header{
			"team": {"core", "second"}, "nothing": {}, "Nats-Rollup": {"all"},
			KeySequence: {"1"}, "bus_other": {"forged"}, "x": nil,
		},
	}, origin{"S", "c"})
	want := map[string]string{
		"team": "core", KeyStream: "S", KeyConsumer: "c", KeySubject: "s",
		KeySequence: "9", KeyDeliveries: "2", KeyTime: "2026-01-02T03:04:05.000000006Z",
	}
	if len(got.Metadata) != len(want) {
		t.Errorf("metadata %v", got.Metadata)
	}
	for key, value := range want {
		if got.Metadata[key] != value {
			t.Errorf("%s = %q, want %q", key, got.Metadata[key], value)
		}
	}
	if got.UUID != "S:9" {
		t.Errorf("a message without an id has UUID %q", got.UUID)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("team", "core", "core", []byte("payload"))
	f.Add("Nats-Msg-Id", "", "\r\n", []byte(nil))
	f.Add(KeySequence, "1", "2", []byte{0})
	f.Fuzz(func(t *testing.T, key, first, second string, data []byte) {
		rec := Record{Subject: "s", Data: data, Sequence: 3, Deliveries: 1, Header: nats.Header{key: {first, second}}}
		got := decode(rec, origin{"S", "c"})
		if got.Metadata[KeySequence] != "3" || got.UUID == "" || string(got.Payload) != string(data) {
			t.Fatalf("decoded as %+v", got)
		}
		for k := range got.Metadata {
			if reserved(k) || len(got.Metadata) > 7 || strings.HasPrefix(key, metadataPrefix) && len(got.Metadata) > 6 {
				t.Fatalf("header %q came through", k)
			}
		}
		// What was decoded can be published again, or is refused with an error.
		if _, err := encode("other", got); err != nil && !errors.Is(err, ErrMetadata) {
			t.Fatal(err)
		}
	})
}

func span() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
}
