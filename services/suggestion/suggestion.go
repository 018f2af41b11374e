// Package suggestion is the service that turns the ledger into advice, and settled reservations into estimates.
//
// It follows the commits of all workspaces, keeps a week of each in mind, and publishes what its rules find as
// suggestion.made events; the advice that holds now is kept in the bucket of suggestions. What it learned about tasks is
// kept in the bucket of estimates, from which the allocator answers (package learn says how). It decides nothing and
// stands in nobody's way: while it is down, nothing else notices, and when it returns it goes on where it was.
//
// The state of the week is stored with the position in the ledger, rather than built again from the log at each start:
// the log of a busy month is a million commits, while a week in slots takes some kilobytes, and what is stored also says
// which advice was told. Commits are gathered for a second before they are handled, so that the state is written once a
// second at most.
//
// It guarantees that advice is neither lost nor told twice across restarts and crashes (package follow says how).
// Readers must tolerate that advice comes a second or two after the commit that gave rise to it.
package suggestion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/follow"
	"github.com/bursarhq/bursar/services/suggestion/internal/keep"
)

// DefaultLinger is how long commits are gathered before they are handled.
const DefaultLinger = time.Second

const (
	topicLedger = "ledger"
	handlerName = "suggestion"
	// closeTimeout bounds the end of the range in hand.
	closeTimeout = 10 * time.Second
)

// Config configures the service.
type Config struct {
	// NATS says whom to connect to. Required. The stream, consumer and buckets must exist.
	NATS natsconn.Config
	// Telemetry takes the service's metrics and its readiness. Required.
	Telemetry *telemetry.Telemetry
	// Linger is how long commits are gathered before they are handled; 0 means DefaultLinger.
	Linger time.Duration
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.Telemetry == nil {
		errs = append(errs, errors.New("no telemetry"))
	}
	if c.Linger < 0 {
		errs = append(errs, fmt.Errorf("linger %s is negative", c.Linger))
	}
	if len(errs) > 0 {
		return fmt.Errorf("suggestion service: %w", errors.Join(errs...))
	}
	return nil
}

// Run serves until ctx ends, then finishes the range in hand and returns nil. It returns an error when it cannot start,
// or can no longer read.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	service := bus.Service{
		Name: "suggestion", Follows: "the ledger", NATS: cfg.NATS, Telemetry: cfg.Telemetry, Log: log,
		Router: func(ctx context.Context, js jetstream.JetStream) (*message.Router, error) {
			return newRouter(ctx, js, cfg, log)
		},
	}
	return service.Run(ctx)
}

// newRouter wires the ledger's consumer to the follower.
func newRouter(ctx context.Context, js jetstream.JetStream, cfg Config, log *slog.Logger) (*message.Router, error) {
	catalogue, err := price.Default()
	if err != nil {
		return nil, err
	}
	metrics, err := follow.NewMetrics(cfg.Telemetry.Registerer())
	if err != nil {
		return nil, err
	}
	var keeper *keep.Keeper
	err = natsconn.Await(ctx, log, "the suggestions", func(ctx context.Context) (err error) {
		keeper, err = keep.New(ctx, js, catalogue)
		return err
	})
	if err != nil {
		return nil, err
	}
	linger := cfg.Linger
	if linger == 0 {
		linger = DefaultLinger
	}
	subscriber, err := bus.NewRangeSubscriber(bus.SubscriberConfig{
		JetStream: js, Log: log, CloseGrace: closeTimeout,
		Source: func(string) (bus.Source, error) {
			return bus.Source{Stream: wire.StreamLedger, Consumer: wire.ConsumerSuggestion}, nil
		},
	}, bus.RangeConfig{Linger: linger})
	if err != nil {
		return nil, err
	}
	router, err := bus.NewRouter(closeTimeout, log)
	if err != nil {
		return nil, err
	}
	follower := follow.New(keeper, metrics, log, time.Now, ctx.Done())
	router.AddConsumerHandler(handlerName, topicLedger, subscriber, follower.Handle)
	return router, nil
}
