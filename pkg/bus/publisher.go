package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
)

// PublisherConfig configures a [Publisher].
type PublisherConfig struct {
	// JetStream to publish with. Required. Its connection is shared and never closed.
	JetStream jetstream.JetStream
	// Subject turns a topic into a subject; nil publishes to the topic itself.
	Subject func(topic string) (string, error)
	// MessageSubject, when set, gives each message of a topic a subject of its own and replaces Subject.
	MessageSubject func(topic string, msg *message.Message) (string, error)
	// Stream, when set, is the stream that must store the messages; another one refuses them.
	Stream string
	// Timeout bounds the wait for each acknowledgement; 0 means 10 s.
	Timeout time.Duration
}

// publishWindow is how many messages one Publish keeps in flight.
const publishWindow = 256

// Publisher publishes Watermill messages to a stream. It may be used by many goroutines.
type Publisher struct {
	cfg PublisherConfig

	mu     sync.RWMutex // held for reading while publishing, for writing to close
	closed bool
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher, or an error when the configuration lacks something.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.JetStream == nil {
		return nil, errors.New("bus publisher: no JetStream to publish with")
	}
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("bus publisher: timeout %s is negative", cfg.Timeout)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = remoteTimeout
	}
	if cfg.Subject == nil {
		cfg.Subject = func(topic string) (string, error) { return topic, nil }
	}
	if cfg.MessageSubject == nil {
		cfg.MessageSubject = func(topic string, _ *message.Message) (string, error) { return cfg.Subject(topic) }
	}
	return &Publisher{cfg: cfg}, nil
}

// Publish publishes messages to a topic and returns when the stream has stored them all. The UUID of
// a message is its Nats-Msg-Id: publishing it again within the stream's duplicate window stores it
// once. The context of each message bounds its publishing.
//
// Several messages are sent without waiting for one another. On an error some of them, also later
// ones, may have been stored: publish all of them again, and do not rely on their order then.
// Errors: [ErrClosed], [ErrMetadata], and those of the server.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	window := make([]inFlight, 0, min(len(messages), publishWindow))
	for _, msg := range messages {
		if len(window) == publishWindow {
			if err := p.await(window[0]); err != nil {
				return errors.Join(err, p.awaitAll(window[1:]))
			}
			window = window[1:]
		}
		subject, err := p.cfg.MessageSubject(topic, msg)
		if err != nil {
			return errors.Join(fmt.Errorf("subject of topic %q: %w", topic, err), p.awaitAll(window))
		}
		future, err := p.send(subject, msg)
		if err != nil {
			return errors.Join(err, p.awaitAll(window))
		}
		window = append(window, inFlight{subject: subject, msg: msg, future: future})
	}
	return p.awaitAll(window)
}

type inFlight struct {
	subject string
	msg     *message.Message
	future  jetstream.PubAckFuture
}

func (p *Publisher) send(subject string, msg *message.Message) (jetstream.PubAckFuture, error) {
	out, err := encode(subject, msg)
	if err != nil {
		return nil, fmt.Errorf("publish %s to %s: %w", msg.UUID, subject, err)
	}
	var opts []jetstream.PublishOpt
	if p.cfg.Stream != "" {
		opts = append(opts, jetstream.WithExpectStream(p.cfg.Stream))
	}
	future, err := p.cfg.JetStream.PublishMsgAsync(out, opts...)
	if err != nil {
		return nil, fmt.Errorf("publish %s to %s: %w", msg.UUID, subject, err)
	}
	return future, nil
}

func (p *Publisher) awaitAll(window []inFlight) error {
	var first error
	failed := 0
	for _, f := range window {
		if err := p.await(f); err != nil {
			if failed++; failed == 1 {
				first = err
			}
		}
	}
	if failed > 1 { // they fail for one reason, and a log line is not the place for thousands of them
		return fmt.Errorf("%w, and %d more", first, failed-1)
	}
	return first
}

func (p *Publisher) await(f inFlight) error {
	select {
	case <-f.future.Ok(): // of many in flight, most are acknowledged while the first is awaited
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(f.msg.Context(), p.cfg.Timeout)
	defer cancel()
	var err error
	select {
	case <-f.future.Ok():
		return nil
	case err = <-f.future.Err():
	case <-ctx.Done():
		err = ctx.Err()
	}
	return fmt.Errorf("publish %s to %s: %w", f.msg.UUID, f.subject, err)
}

// Close waits for what is being published and refuses anything further. The connection stays open.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}
