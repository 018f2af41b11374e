// Package follow reads the public events of a workspace from some point of the past on and goes on with the new ones.
//
// It guarantees that every event that the stream holds from the start on is handed over, in the order of the stream
// and once, whatever happens to the connection or the server in between: the position is kept here, by stream
// sequence, and reading goes on behind it. Callers must tolerate that the relay may have published an event twice, and
// that events which the stream no longer keeps are gone.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/wire"
)

// Timing of following.
const (
	requestTimeout = 5 * time.Second // of one request to JetStream
	heartbeat      = 2 * time.Second // a silence of twice that long means that the consumer is gone
	pause          = 250 * time.Millisecond
	maxPause       = 5 * time.Second
)

// ErrNoStream: the server has no events of a Bursar.
var ErrNoStream = errors.New("this server has no stream " + wire.StreamEvents + ": is it a Bursar?")

// Query says what to follow.
type Query struct {
	Subjects []string  // see [Subjects]
	Since    time.Time // hand over what was published from then on
	Last     uint64    // where Since is zero: begin with that many of the last messages of the stream
	Log      *slog.Logger
}

// Subjects gives the filters of events of a workspace: of one agent, or of all if it is empty; of the types named, or of
// all. A type is a whole one (reservation.granted) or the first part of several (reservation).
func Subjects(workspace, agent string, types []string) ([]string, error) {
	prefix, err := wire.KindFilter(workspace, wire.KindEvent)
	if err != nil {
		return nil, err
	}
	agentToken := "*"
	if agent != "" {
		if agentToken, err = wire.EncodeToken(agent); err != nil {
			return nil, fmt.Errorf("agent: %w", err)
		}
	}
	base := strings.TrimSuffix(prefix, ">") + "*." + agentToken + "."
	if len(types) == 0 {
		return []string{base + ">"}, nil
	}
	subjects := make([]string, len(types))
	for i, t := range types {
		// Building the subject of an event checks the type.
		if _, err := wire.EventSubject(workspace, "", "", t); err != nil {
			return nil, fmt.Errorf("type: %w", err)
		}
		if subjects[i] = base + t; !strings.Contains(t, ".") {
			subjects[i] += ".>"
		}
	}
	return subjects, nil
}

// Events hands over the body of each event until ctx ends or handle returns an error, which is returned.
func Events(ctx context.Context, nc *nats.Conn, q Query, handle func(body []byte) error) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	f := &follower{js: js, query: q, handle: handle}
	wait := pause
	for {
		progress := f.last
		err := f.read(ctx)
		switch handled := (*handleError)(nil); {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &handled):
			return handled.err
		case errors.Is(err, jetstream.ErrStreamNotFound) && !f.known:
			return ErrNoStream
		case errors.Is(err, nats.ErrPermissionViolation):
			return fmt.Errorf("follow events: %w: it takes the credentials of the reader", err)
		}
		q.Log.Debug("following events goes on after", "error", err, "sequence", f.last)
		if f.last != progress {
			wait = pause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, maxPause)
	}
}

// handleError is an error of the caller's handler, which ends following.
type handleError struct{ err error }

func (e *handleError) Error() string { return e.err.Error() }

// follower keeps the position.
type follower struct {
	js     jetstream.JetStream
	query  Query
	handle func([]byte) error
	// The position, once it is known: from then on nothing is left out, however often the connection is lost.
	known  bool
	last   uint64    // stream sequence of the last event handed over, or of the one before the first that is to be
	lastAt time.Time // when it was published
}

// read hands over events until something goes wrong.
func (f *follower) read(ctx context.Context) error {
	consumer, err := f.consumer(ctx)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(5*heartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	stopped := context.AfterFunc(ctx, messages.Stop)
	defer stopped()
	for {
		msg, err := messages.Next()
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Stream <= f.last {
			continue // redelivered
		}
		if err := f.handle(msg.Data()); err != nil {
			return &handleError{err}
		}
		f.known, f.last, f.lastAt = true, meta.Sequence.Stream, meta.Timestamp
	}
}

// consumer makes a consumer of its own behind the position. It is forgotten by the server soon after we are gone.
func (f *follower) consumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := f.js.Stream(ctx, wire.StreamEvents)
	if err != nil {
		return nil, err
	}
	config := jetstream.ConsumerConfig{
		FilterSubjects: f.query.Subjects, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute,
		MemoryStorage: true, Replicas: 1,
	}
	state := stream.CachedInfo().State
	if !f.known && f.query.Since.IsZero() {
		f.known, f.last, f.lastAt = true, state.LastSeq-min(state.LastSeq, f.query.Last), state.LastTime
	}
	switch {
	case f.known && state.LastSeq < f.last:
		// The stream was built anew: its sequences begin again, only the time still tells where we were.
		after := f.lastAt.Add(time.Nanosecond)
		f.last = 0
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &after
	case f.known:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, f.last+1
	default:
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &f.query.Since
	}
	return stream.CreateConsumer(ctx, config)
}
