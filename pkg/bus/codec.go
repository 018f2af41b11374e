package bus

import (
	"context"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/telemetry"
)

// reservedHeader is how the headers begin that the server itself acts on. They never come from, nor
// go into, metadata: a copied Nats-Rollup would purge a stream.
const reservedHeader = "Nats-"

// encode makes the NATS message of a Watermill message: the UUID becomes the message id that the
// stream removes duplicates by, the metadata become headers, the trace of the message's context
// travels along.
func encode(subject string, msg *message.Message) (*nats.Msg, error) {
	out := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: msg.Payload}
	for key, value := range msg.Metadata {
		if strings.HasPrefix(key, metadataPrefix) {
			continue // describes where the message came from, not where it goes
		}
		if err := checkHeader(key, value); err != nil {
			return nil, err
		}
		out.Header[key] = []string{value}
	}
	if msg.UUID != "" {
		if err := checkHeader(jetstream.MsgIDHeader, msg.UUID, reservedHeader); err != nil {
			return nil, fmt.Errorf("message UUID: %w", err)
		}
		out.Header.Set(jetstream.MsgIDHeader, msg.UUID)
	}
	telemetry.InjectNATS(msg.Context(), out.Header)
	return out, nil
}

func checkHeader(key, value string, allowed ...string) error {
	switch {
	case key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }):
		return fmt.Errorf("%w: %q is no header name", ErrMetadata, key)
	case strings.ContainsAny(value, "\r\n"):
		return fmt.Errorf("%w: the value of %q contains a line break", ErrMetadata, key)
	case textproto.TrimString(value) != value:
		return fmt.Errorf("%w: the value of %q begins or ends with a space, which headers do not keep", ErrMetadata, key)
	case len(allowed) == 0 && reserved(key):
		return fmt.Errorf("%w: %q is a header that the server acts on", ErrMetadata, key)
	}
	return nil
}

func reserved(key string) bool {
	return len(key) >= len(reservedHeader) && strings.EqualFold(key[:len(reservedHeader)], reservedHeader)
}

// decode makes the Watermill message of a stream message. It accepts any header: of a repeated one
// it takes the first value, and those that the server acts on or that pose as ours it leaves out.
func decode(rec Record, origin origin) *message.Message {
	out := message.NewMessage(recordUUID(rec, origin), rec.Data)
	for key, values := range rec.Header {
		if len(values) == 0 || reserved(key) || strings.HasPrefix(key, metadataPrefix) {
			continue
		}
		out.Metadata[key] = values[0]
	}
	out.Metadata[KeyStream] = origin.stream
	out.Metadata[KeyConsumer] = origin.consumer
	out.Metadata[KeySubject] = rec.Subject
	out.Metadata[KeySequence] = strconv.FormatUint(rec.Sequence, 10)
	out.Metadata[KeyDeliveries] = strconv.FormatUint(rec.Deliveries, 10)
	out.Metadata[KeyTime] = rec.Time.UTC().Format(time.RFC3339Nano)
	return out
}

// recordUUID is the publisher's message id, or the message's place in the stream.
func recordUUID(rec Record, origin origin) string {
	if id := rec.Header.Get(jetstream.MsgIDHeader); id != "" {
		return id
	}
	return origin.stream + ":" + strconv.FormatUint(rec.Sequence, 10)
}

// withTrace returns ctx with the trace that the message carries.
func withTrace(ctx context.Context, rec Record) context.Context {
	return telemetry.ExtractNATS(ctx, rec.Header)
}

// origin is what all messages of a subscription have in common.
type origin struct{ stream, consumer string }

// Record is one message of a stream.
type Record struct {
	// Subject it was published to.
	Subject string
	// Data is its payload. It must not be changed.
	Data []byte
	// Header holds its headers, repeated ones included; nil when it has none.
	Header nats.Header
	// Sequence is its position in the stream.
	Sequence uint64
	// Deliveries is how often the server has delivered it, this time included.
	Deliveries uint64
	// Time is when the server stored it.
	Time time.Time
	// Pending is how many messages the server had for the consumer after this one when it delivered it.
	Pending uint64
}

func newRecord(msg jetstream.Msg, meta *jetstream.MsgMetadata) Record {
	return Record{
		Subject:    msg.Subject(),
		Data:       msg.Data(),
		Header:     msg.Headers(),
		Sequence:   meta.Sequence.Stream,
		Deliveries: meta.NumDelivered,
		Time:       meta.Timestamp,
		Pending:    meta.NumPending,
	}
}
