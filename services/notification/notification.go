// Package notification is the service that tells people and programs what happens: it posts thresholds that were
// crossed, limits that are exhausted, suggestions and any other public event to webhooks and Slack-compatible channels.
//
// Each endpoint has a durable consumer of its own on the public events, so that one that is away holds up nobody else,
// and gets its events in the order of the stream. It guarantees that an event is delivered at least once: it is
// acknowledged only after the endpoint answered 2xx, and tried again until then, across restarts. Two things end that:
// an endpoint that says that it will never take this event (package deliver lists the answers), and the age of
// [deliver.GiveUpAfter]; both are logged and counted.
//
// An endpoint hears of what happens after it was first named, and nothing of the past. Receivers must tolerate repeats:
// the header webhook-id is the same for the same event. The service decides nothing, and while it is down nothing else
// notices.
package notification

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
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/notification/internal/deliver"
	"github.com/bursarhq/bursar/services/notification/internal/endpoint"
)

const (
	// closeTimeout bounds the end of the deliveries in hand.
	closeTimeout = 5 * time.Second
	// forgetAfter is how long the place of an endpoint is kept when nobody reads for it: as long as events are kept.
	forgetAfter = 30 * 24 * time.Hour
)

// Endpoint is somebody who is told; see [ParseEndpoints].
type Endpoint = endpoint.Endpoint

// ParseEndpoints reads a file of endpoints; name is how faults call it. Secrets are taken from the environment.
func ParseEndpoints(name string, data []byte, getenv func(string) string) ([]Endpoint, error) {
	return endpoint.Parse(name, data, getenv)
}

// Config configures the service.
type Config struct {
	// NATS says whom to connect to. Required. The stream of public events must exist.
	NATS natsconn.Config
	// Telemetry takes the service's metrics and its readiness. Required.
	Telemetry *telemetry.Telemetry
	// Endpoints are told. Required.
	Endpoints []Endpoint
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.Telemetry == nil {
		errs = append(errs, errors.New("no telemetry"))
	}
	if len(c.Endpoints) == 0 {
		errs = append(errs, errors.New("no endpoints to tell"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("notification service: %w", errors.Join(errs...))
	}
	return nil
}

// Run serves until ctx ends and returns nil. It returns an error when it cannot start, or can no longer read.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	service := bus.Service{
		Name: "notification", Follows: "the public events", NATS: cfg.NATS, Telemetry: cfg.Telemetry, Log: log,
		Router: func(ctx context.Context, js jetstream.JetStream) (*message.Router, error) {
			metrics, err := deliver.NewMetrics(cfg.Telemetry.Registerer())
			if err != nil {
				return nil, err
			}
			err = natsconn.Await(ctx, log, "the public events", func(ctx context.Context) error { return place(ctx, js, cfg.Endpoints) })
			if err != nil {
				return nil, err
			}
			return newRouter(ctx, js, cfg.Endpoints, metrics, log)
		},
	}
	return service.Run(ctx)
}

// place makes the consumer of each endpoint, or brings its filters in line with the file. One that exists goes on where
// it stands.
func place(ctx context.Context, js jetstream.JetStream, endpoints []Endpoint) error {
	for _, e := range endpoints {
		cfg := bus.Durable(consumerName(e), "", bus.StartNew())
		cfg.FilterSubjects = e.Subjects()
		cfg.MaxAckPending = 1 // with more, one that is handed back comes after those that were fetched behind it
		cfg.InactiveThreshold = forgetAfter
		if _, err := js.CreateOrUpdateConsumer(ctx, wire.StreamEvents, cfg); err != nil {
			return fmt.Errorf("place of endpoint %s in the public events: %w", e.Name, err)
		}
	}
	return nil
}

func consumerName(e Endpoint) string { return "notify-" + e.Name }

// newRouter gives each endpoint a handler of its own.
func newRouter(ctx context.Context, js jetstream.JetStream, endpoints []Endpoint, metrics *deliver.Metrics, log *slog.Logger) (*message.Router, error) {
	subscriber, err := bus.NewSubscriber(bus.SubscriberConfig{
		JetStream: js, Log: log, CloseGrace: closeTimeout,
		Source: func(topic string) (bus.Source, error) {
			return bus.Source{Stream: wire.StreamEvents, Consumer: topic}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	router, err := bus.NewRouter(closeTimeout, log)
	if err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		courier, err := deliver.New(e, metrics, log.With("endpoint", e.Name), time.Now)
		if err != nil {
			return nil, err
		}
		router.AddConsumerHandler(consumerName(e), consumerName(e), subscriber, courier.Handler(ctx))
	}
	return router, nil
}
