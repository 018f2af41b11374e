package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/telemetry"
)

// NewRouter makes a router whose handlers may panic: their message is handed out again. closeTimeout bounds the end of
// what is in hand.
func NewRouter(closeTimeout time.Duration, log *slog.Logger) (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, watermill.NewSlogLogger(log))
	if err != nil {
		return nil, fmt.Errorf("make router: %w", err)
	}
	router.AddMiddleware(middleware.Recoverer)
	return router, nil
}

// Service is one that does nothing but follow streams: it connects, makes its router, and is ready while that reads.
// Everything is required.
type Service struct {
	// Name of its readiness, and Follows what it follows, in words.
	Name, Follows string
	NATS          natsconn.Config
	Telemetry     *telemetry.Telemetry
	Log           *slog.Logger
	// Router makes what is run, with the connection's JetStream.
	Router func(ctx context.Context, js jetstream.JetStream) (*message.Router, error)
}

// Run serves until ctx ends, then finishes what is in hand and returns nil. It returns an error when the service cannot
// start, or can no longer read.
func (s *Service) Run(ctx context.Context) error {
	gate, standing := s.Telemetry.Gate(s.Name), &natsconn.Standing{}
	s.Telemetry.Check("nats of "+s.Name, standing.Ready)
	nc, err := natsconn.Connect(ctx, s.NATS)
	if err != nil {
		return UnlessEnded(ctx, err)
	}
	standing.Add(nc)
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	router, err := s.Router(ctx, js)
	if err != nil {
		return UnlessEnded(ctx, err)
	}
	go func() {
		select {
		case <-router.Running():
			gate.Open()
			s.Log.Info(s.Name + " service follows " + s.Follows)
		case <-ctx.Done():
		}
	}()
	if err := router.Run(ctx); err != nil {
		return fmt.Errorf("follow %s: %w", s.Follows, err)
	}
	if ctx.Err() == nil {
		return errors.New("follow " + s.Follows + ": the subscriptions ended")
	}
	return nil
}

// UnlessEnded drops the error of a start that was ended before it had begun.
func UnlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
