// Package bus carries Watermill messages over NATS JetStream.
//
// It has one [Publisher] and two subscribers:
//
//   - [Subscriber] hands out one message at a time and acknowledges each. Several may share a durable
//     consumer and split its messages.
//   - [RangeSubscriber] hands out one Watermill message that stands for a contiguous range of stream
//     messages and acknowledges the range at once. It is for readers to whom order and completeness
//     matter, such as those of the ledger.
//
// [Service] is a whole service that does nothing but follow streams.
//
// Both subscribers are at least once: what was not acknowledged is handed out again, after a crash, a lost
// connection or a negative acknowledgement. They never close the connection they were given, they
// survive a server that goes away and comes back, and no header of a stranger can crash them or pass
// for a field that the package itself adds.
//
// Callers must tolerate repeats, and must not acknowledge a message before its effect is durable.
package bus

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Metadata keys that the subscribers add to what they hand out. No header of a message can set them.
const (
	// KeyStream is the stream a message was read from.
	KeyStream = metadataPrefix + "stream"
	// KeyConsumer is the durable consumer it was read through.
	KeyConsumer = metadataPrefix + "consumer"
	// KeySubject is the subject it was published to.
	KeySubject = metadataPrefix + "subject"
	// KeySequence is its position in the stream, decimal; of a range, that of the last message.
	KeySequence = metadataPrefix + "sequence"
	// KeyDeliveries is how often it has been handed out, decimal, this time included.
	KeyDeliveries = metadataPrefix + "deliveries"
	// KeyTime is when the server stored it, RFC 3339 with nanoseconds.
	KeyTime = metadataPrefix + "time"
	// KeyFirst is the position of a range's first message, KeyCount the number of its messages.
	KeyFirst = metadataPrefix + "first"
	KeyCount = metadataPrefix + "count"

	metadataPrefix = "bus_"
)

// Timing shared by the subscribers.
const (
	// DefaultNackDelay is the pause before a refused message is handed out again.
	DefaultNackDelay = time.Second
	// DefaultCloseGrace is how long a closing subscriber lets the handler in hand finish.
	DefaultCloseGrace = 5 * time.Second
	// DefaultAckWait is the ack wait of [Durable] consumers.
	DefaultAckWait = 30 * time.Second

	remoteTimeout   = 10 * time.Second       // one call to the server
	cancelGrace     = time.Second            // for a handler to see that its context has ended
	retryFloor      = 100 * time.Millisecond // between tries to reach the server …
	retryCeiling    = 5 * time.Second        // … doubling up to this
	pullExpiry      = 10 * time.Second
	pullHeartbeat   = 2500 * time.Millisecond
	heartbeatsInAck = 3 // how many times within an ack wait we say that we are still working
)

// Errors.
var (
	// ErrClosed: the publisher or subscriber has been closed.
	ErrClosed = errors.New("bus is closed")
	// ErrConsumer: the durable consumer is not configured as the subscriber needs it.
	ErrConsumer = errors.New("unsuitable consumer")
	// ErrMetadata: metadata that cannot travel as message headers.
	ErrMetadata = errors.New("invalid metadata")
)

// Source says where the messages of a topic come from.
type Source struct {
	// Stream and Consumer name the stream and the durable consumer on it. Required.
	Stream, Consumer string
	// Create, when set, makes the consumer if it does not exist. Services leave it nil: their
	// credentials may not create consumers, provisioning does (package provision).
	Create *jetstream.ConsumerConfig
}

func (s Source) validate() error {
	if s.Stream == "" || s.Consumer == "" {
		return fmt.Errorf("source needs a stream and a consumer, has %q and %q", s.Stream, s.Consumer)
	}
	return nil
}

// Start is where a new consumer begins. It has no effect on one that exists.
type Start func(*jetstream.ConsumerConfig)

// StartAll begins with the oldest message of the stream.
func StartAll() Start {
	return func(c *jetstream.ConsumerConfig) { c.DeliverPolicy = jetstream.DeliverAllPolicy }
}

// StartSequence begins with the message at the given position, or the next one there is.
func StartSequence(sequence uint64) Start {
	return func(c *jetstream.ConsumerConfig) {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, sequence
	}
}

// StartTime begins with the first message stored at or after t.
func StartTime(t time.Time) Start {
	return func(c *jetstream.ConsumerConfig) {
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &t
	}
}

// StartNew begins with what is stored after the consumer was made.
func StartNew() Start {
	return func(c *jetstream.ConsumerConfig) { c.DeliverPolicy = jetstream.DeliverNewPolicy }
}

// maxAckPending lets a range reader hold a full range and what it fetched ahead.
const maxAckPending = 20_000

// Durable returns the configuration of a durable consumer as both subscribers need it.
func Durable(name, filter string, start Start) jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Name:          name,
		Durable:       name,
		FilterSubject: filter,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       DefaultAckWait,
		MaxDeliver:    -1,
		MaxAckPending: maxAckPending,
		ReplayPolicy:  jetstream.ReplayInstantPolicy,
	}
	start(&cfg)
	return cfg
}
