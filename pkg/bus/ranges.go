package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
)

// RangeConfig bounds the ranges of a [RangeSubscriber]. Zero values mean the defaults.
type RangeConfig struct {
	// MaxMessages is the most messages of a range; at most 10,000, 1,024 by default.
	MaxMessages int
	// MaxBytes is the most payload of a range, in bytes; 8 MiB by default. One message that is larger
	// makes a range of its own. About as much again is held ready.
	MaxBytes int
	// Linger is how long a range waits for more after its first message; 50 ms by default.
	Linger time.Duration
}

// Bounds and defaults of ranges.
const (
	MaxRangeMessages     = 10_000
	DefaultRangeMessages = 1024
	DefaultRangeBytes    = 8 << 20
	DefaultLinger        = 50 * time.Millisecond

	// minPrefetchBytes is what must be held ready at least: a message larger than that would never
	// be delivered. It is twice the largest payload of our servers.
	minPrefetchBytes = 2 << 20
)

func (c RangeConfig) validate() error {
	var errs []error
	if c.MaxMessages < 0 || c.MaxMessages > MaxRangeMessages {
		errs = append(errs, fmt.Errorf("max messages %d is not within 0..%d", c.MaxMessages, MaxRangeMessages))
	}
	if c.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("max bytes %d is negative", c.MaxBytes))
	}
	if c.Linger < 0 {
		errs = append(errs, fmt.Errorf("linger %s is negative", c.Linger))
	}
	return errors.Join(errs...)
}

func (c RangeConfig) withDefaults() RangeConfig {
	if c.MaxMessages == 0 {
		c.MaxMessages = DefaultRangeMessages
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultRangeBytes
	}
	if c.Linger == 0 {
		c.Linger = DefaultLinger
	}
	return c
}

// Range is a run of messages that follow one another in a consumer's view of its stream: in order,
// none missing.
type Range struct {
	Messages []Record
}

// First and Last are the stream positions of the range's ends.
func (r Range) First() uint64 { return r.Messages[0].Sequence }

// Last is the stream position of the last message.
func (r Range) Last() uint64 { return r.Messages[len(r.Messages)-1].Sequence }

// Bytes is the sum of the payloads.
func (r Range) Bytes() int {
	total := 0
	for _, m := range r.Messages {
		total += len(m.Data)
	}
	return total
}

type rangeKey struct{}

// RangeOf returns the range that a message of a [RangeSubscriber] stands for. It travels in the
// message's context, so it survives Watermill's middleware, and false means the message is no range.
func RangeOf(msg *message.Message) (Range, bool) {
	r, ok := msg.Context().Value(rangeKey{}).(Range)
	return r, ok
}

// RangeSubscriber hands out messages that each stand for a [Range], one at a time, and acknowledges a
// range as a whole after its handler did.
//
// # Why no gap can pass
//
// The server numbers what it delivers to a consumer 1, 2, 3 …, and a reader accepts a message only if
// its number follows the last one's. Before it reads, it resets the consumer to its acknowledgement
// floor, which starts the numbering again at the first message not acknowledged: what an earlier reader
// held comes again at once, in order, without waiting for an ack wait to run out. When a number does
// not follow, messages went elsewhere, to a second reader or down with a connection; then the reader
// hands out what it has, pauses, and begins with the reset again.
//
// Hence each range begins right after the one before it, also across crashes, and only what was not
// acknowledged is repeated. Acknowledgements name each message, never "everything up to": one that
// arrives late, from a process that was paused while another took over, says something true about
// messages that were worked on, and nothing about others.
//
// Two readers of one consumer disturb and repeat each other's work, and lose nothing. Run one.
type RangeSubscriber struct {
	subs  *subscriptions
	bound RangeConfig
}

var (
	_ message.Subscriber           = (*RangeSubscriber)(nil)
	_ message.SubscribeInitializer = (*RangeSubscriber)(nil)
)

// NewRangeSubscriber returns a subscriber, or an error that names every fault of the configuration.
func NewRangeSubscriber(cfg SubscriberConfig, bound RangeConfig) (*RangeSubscriber, error) {
	subs, err := newSubscriptions(cfg)
	if err := errors.Join(err, bound.validate()); err != nil {
		return nil, err
	}
	return &RangeSubscriber{subs: subs, bound: bound.withDefaults()}, nil
}

// SubscribeInitialize makes sure that the consumer of a topic exists. Errors: [ErrConsumer] and those
// of the server.
func (s *RangeSubscriber) SubscribeInitialize(topic string) error {
	return s.subs.initialize(context.Background(), topic)
}

// Subscribe returns a channel of ranges (see [RangeOf]). It is closed when ctx ends or the subscriber
// is closed. Errors: [ErrClosed], [ErrConsumer] and those of the server.
func (s *RangeSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return s.subs.subscribe(ctx, topic, s.readRanges)
}

// Close ends all subscriptions: it gives the handlers the close grace to finish, and returns when
// their channels are closed.
func (s *RangeSubscriber) Close() error { return s.subs.close() }

func (s *RangeSubscriber) readRanges(ctx context.Context, cons jetstream.Consumer, out outlet) error {
	it, err := cons.Messages(
		jetstream.PullMaxBytes(max(s.bound.MaxBytes, minPrefetchBytes)),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	defer it.Stop() // the next reader resets the consumer, so there is nothing to hand back
	if err := s.reset(ctx, out.origin); err != nil {
		return err
	}
	src := &sequencer{it: it} // its first pull comes after the reset, so it sees no older delivery
	beat := cons.CachedInfo().Config.AckWait / heartbeatsInAck
	for {
		msgs, err := s.collect(ctx, src)
		if err != nil {
			return err
		}
		if !out.deliver(ctx, rangeParcel(msgs, out.origin, beat)) {
			return ctx.Err()
		}
		if err := confirm(ctx, msgs); err != nil {
			return err
		}
	}
}

func (s *RangeSubscriber) reset(ctx context.Context, of origin) error {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	if _, err := s.subs.cfg.JetStream.ResetConsumer(ctx, of.stream, of.consumer); err != nil {
		return fmt.Errorf("reset consumer %s to its floor: %w", of.consumer, err)
	}
	return nil
}

// collect gathers a range: at least one message, then more until a bound or the linger is reached.
func (s *RangeSubscriber) collect(ctx context.Context, src *sequencer) ([]sequenced, error) {
	first, err := src.next(ctx)
	if err != nil {
		return nil, err
	}
	msgs, bytes := []sequenced{first}, len(first.rec.Data)
	linger, cancel := context.WithTimeout(ctx, s.bound.Linger)
	defer cancel()
	for len(msgs) < s.bound.MaxMessages {
		next, err := src.next(linger)
		switch {
		case err == nil:
		case errors.Is(err, errGap) || linger.Err() != nil && ctx.Err() == nil:
			return msgs, nil
		default:
			return nil, err
		}
		if bytes += len(next.rec.Data); bytes > s.bound.MaxBytes {
			src.unread(next)
			return msgs, nil
		}
		msgs = append(msgs, next)
	}
	return msgs, nil
}

// confirm acknowledges a range and waits until the server has noted it: acknowledgements of one
// connection are taken in order, so the answer to the last one stands for all. It is tried once. On
// failure the reader starts over and, from the floor, repeats what the server did not note.
func confirm(ctx context.Context, msgs []sequenced) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), remoteTimeout)
	defer cancel()
	last := len(msgs) - 1
	for _, m := range msgs[:last] {
		if err := m.msg.Ack(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
	if err := msgs[last].msg.DoubleAck(ctx); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

func rangeParcel(msgs []sequenced, from origin, beat time.Duration) parcel {
	r := Range{Messages: make([]Record, len(msgs))}
	for i, m := range msgs {
		r.Messages[i] = m.rec
	}
	return parcel{
		make: func(ctx context.Context, refusals uint64) *message.Message {
			out := message.NewMessage(fmt.Sprintf("%s:%d-%d", from.stream, r.First(), r.Last()), nil)
			out.Metadata[KeyStream] = from.stream
			out.Metadata[KeyConsumer] = from.consumer
			out.Metadata[KeyFirst] = strconv.FormatUint(r.First(), 10)
			out.Metadata[KeySequence] = strconv.FormatUint(r.Last(), 10)
			out.Metadata[KeyCount] = strconv.Itoa(len(r.Messages))
			out.Metadata[KeyDeliveries] = strconv.FormatUint(r.Messages[0].Deliveries+refusals, 10)
			out.Metadata[KeyTime] = r.Messages[len(r.Messages)-1].Time.UTC().Format(time.RFC3339Nano)
			out.SetContext(context.WithValue(ctx, rangeKey{}, r))
			return out
		},
		working: func() {
			for _, m := range msgs {
				_ = m.msg.InProgress() // lost, it costs a redelivery at most
			}
		},
		beat: beat,
	}
}
