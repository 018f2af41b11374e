package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// prefetch is how many messages a Subscriber holds ready. It is small, because what one subscriber
// holds, another one that shares the consumer waits for.
const prefetch = 16

// Subscriber hands out messages one at a time and acknowledges each after its handler did. Several
// subscribers may share a consumer.
//
// Messages come in the order of the stream while one subscriber reads and none is redelivered;
// otherwise the order is not guaranteed. While a handler works the server is told so, and a refused
// message is handed out again until it is acknowledged: giving up is the router's poison queue's part.
type Subscriber struct{ subs *subscriptions }

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// NewSubscriber returns a subscriber, or an error when the configuration lacks something.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	subs, err := newSubscriptions(cfg)
	if err != nil {
		return nil, err
	}
	return &Subscriber{subs: subs}, nil
}

// SubscribeInitialize makes sure that the consumer of a topic exists, so that it receives what is
// published from now on. Errors: [ErrConsumer] and those of the server.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	return s.subs.initialize(context.Background(), topic)
}

// Subscribe returns a channel with the messages of a topic. It is closed when ctx ends or the
// subscriber is closed. Errors: [ErrClosed], [ErrConsumer] and those of the server.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return s.subs.subscribe(ctx, topic, readSingles)
}

// Close ends all subscriptions: it gives the handlers the close grace to finish, hands what they did
// not acknowledge back to the server, and returns when their channels are closed.
func (s *Subscriber) Close() error { return s.subs.close() }

func readSingles(ctx context.Context, cons jetstream.Consumer, out outlet) error {
	it, err := cons.Messages(jetstream.PullMaxMessages(prefetch), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	defer handBack(it)
	beat := cons.CachedInfo().Config.AckWait / heartbeatsInAck
	for {
		msg, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("next message: %w", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("message without delivery metadata: %w", err)
		}
		if !out.deliver(ctx, singleParcel(msg, newRecord(msg, meta), out.origin, beat)) {
			_ = msg.Nak() // a hurry-up only: unsaid, the message comes again after the ack wait
			return ctx.Err()
		}
		if err := msg.Ack(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
}

func singleParcel(msg jetstream.Msg, rec Record, from origin, beat time.Duration) parcel {
	return parcel{
		make: func(ctx context.Context, refusals uint64) *message.Message {
			again := rec
			again.Deliveries += refusals
			out := decode(again, from)
			out.SetContext(withTrace(ctx, rec))
			return out
		},
		working: func() { _ = msg.InProgress() }, // lost, it costs a redelivery at most
		beat:    beat,
	}
}

// handBack returns what was fetched but not handed out to the server, which otherwise would wait for
// it until the ack wait is over.
func handBack(it jetstream.MessagesContext) {
	it.Drain()
	for {
		msg, err := it.Next(jetstream.NextMaxWait(time.Second))
		switch {
		case err == nil:
			_ = msg.Nak() // a hurry-up only, as above
		case errors.Is(err, nats.ErrTimeout):
			it.Stop()
			return
		default:
			return
		}
	}
}
