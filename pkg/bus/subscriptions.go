package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsconn"
)

// SubscriberConfig configures a subscriber of either kind.
type SubscriberConfig struct {
	// JetStream to read with. Required. Its connection is shared and never closed.
	JetStream jetstream.JetStream
	// Source says where the messages of a topic come from. Required.
	Source func(topic string) (Source, error)
	// NackDelay is the pause before a refused message is handed out again; 0 means 1 s.
	NackDelay time.Duration
	// CloseGrace is how long Close lets the handlers in hand finish; 0 means 5 s. After it their
	// context ends, and what they did not acknowledge will be handed out again.
	CloseGrace time.Duration
	// Log receives what goes wrong; nil discards it.
	Log *slog.Logger
}

func (cfg SubscriberConfig) validate() error {
	var errs []error
	if cfg.JetStream == nil {
		errs = append(errs, errors.New("no JetStream to read with"))
	}
	if cfg.Source == nil {
		errs = append(errs, errors.New("no function that names the source of a topic"))
	}
	if cfg.NackDelay < 0 || cfg.CloseGrace < 0 {
		errs = append(errs, fmt.Errorf("nack delay %s and close grace %s must not be negative", cfg.NackDelay, cfg.CloseGrace))
	}
	return errors.Join(errs...)
}

func (cfg SubscriberConfig) withDefaults() SubscriberConfig {
	if cfg.NackDelay == 0 {
		cfg.NackDelay = DefaultNackDelay
	}
	if cfg.CloseGrace == 0 {
		cfg.CloseGrace = DefaultCloseGrace
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// subscriptions is what both subscribers share: binding to consumers, running one goroutine per
// subscription, starting over when the server went away, closing.
type subscriptions struct {
	cfg     SubscriberConfig
	closing chan struct{}

	mu     sync.Mutex // guards closed, and the start of a run against the wait for all
	closed bool
	run    sync.WaitGroup
}

func newSubscriptions(cfg SubscriberConfig) (*subscriptions, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("bus subscriber: %w", err)
	}
	return &subscriptions{cfg: cfg.withDefaults(), closing: make(chan struct{})}, nil
}

// reader reads from a consumer until ctx ends or reading fails.
type reader func(ctx context.Context, cons jetstream.Consumer, out outlet) error

func (s *subscriptions) initialize(ctx context.Context, topic string) error {
	src, err := s.source(topic)
	if err != nil {
		return err
	}
	_, err = s.bind(ctx, src)
	return err
}

func (s *subscriptions) subscribe(ctx context.Context, topic string, read reader) (<-chan *message.Message, error) {
	src, err := s.source(topic)
	if err != nil {
		return nil, err
	}
	cons, err := s.bind(ctx, src)
	if err != nil && !natsconn.Passing(err) { // else nobody leads just now, and the loop binds when somebody does
		return nil, fmt.Errorf("subscribe to %q: %w", topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	messages := make(chan *message.Message)
	s.run.Go(func() {
		defer close(messages)
		s.loop(ctx, src, cons, outlet{messages: messages, cfg: s.cfg, origin: origin{src.Stream, src.Consumer}, handled: new(int)}, read)
	})
	return messages, nil
}

func (s *subscriptions) source(topic string) (Source, error) {
	src, err := s.cfg.Source(topic)
	if err == nil {
		err = src.validate()
	}
	if err != nil {
		return Source{}, fmt.Errorf("source of topic %q: %w", topic, err)
	}
	return src, nil
}

// bind finds the consumer of a source, or makes it, and checks that it takes an acknowledgement for
// the very message it names: with policy all, it would take unread messages along.
func (s *subscriptions) bind(ctx context.Context, src Source) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	cons, err := s.cfg.JetStream.Consumer(ctx, src.Stream, src.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) && src.Create != nil {
		cons, err = s.cfg.JetStream.CreateConsumer(ctx, src.Stream, *src.Create)
		if errors.Is(err, jetstream.ErrConsumerExists) { // somebody else was faster
			cons, err = s.cfg.JetStream.Consumer(ctx, src.Stream, src.Consumer)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("consumer %s of stream %s: %w", src.Consumer, src.Stream, err)
	}
	if got := cons.CachedInfo().Config.AckPolicy; got != jetstream.AckExplicitPolicy {
		return nil, fmt.Errorf("%w: %s of stream %s has ack policy %s, want %s",
			ErrConsumer, src.Consumer, src.Stream, got, jetstream.AckExplicitPolicy)
	}
	return cons, nil
}

// loop reads until the subscription ends, binding again after each failure. The pauses in between grow
// while nothing gets done, and vary, so that readers do not come back in step.
func (s *subscriptions) loop(ctx context.Context, src Source, cons jetstream.Consumer, out outlet, read reader) {
	ctx, cancel := s.untilClosing(ctx)
	defer cancel()
	log := s.cfg.Log.With("component", "bus", "stream", src.Stream, "consumer", src.Consumer)
	for pause := retryFloor; ; pause = min(2*pause, retryCeiling) {
		if cons != nil {
			before := *out.handled
			err := read(ctx, cons, out)
			if ctx.Err() != nil {
				return
			}
			log.Warn("reading failed, starting over", "error", err)
			if *out.handled > before {
				pause = retryFloor
			}
		}
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return
		}
		var err error
		if cons, err = s.bind(ctx, src); err != nil && ctx.Err() == nil {
			log.Warn("consumer cannot be reached", "error", err)
		}
	}
}

// untilClosing returns a context that ends with ctx or when Close is called.
func (s *subscriptions) untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (s *subscriptions) close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.run.Wait()
	return nil
}

// sleep waits and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
