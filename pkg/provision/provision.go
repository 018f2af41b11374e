// Package provision makes the streams, buckets and durable consumers that the services work on, and
// checks those that exist.
//
// It guarantees that nothing existing is changed behind anybody's back: what differs from the wanted
// configuration is an error that names the stream and the field. Only [Widen], called on purpose,
// changes something, and only upwards. It needs the provisioning user's credentials, which no service
// holds.
//
// Callers must tolerate that the server refuses a size that its disk does not have, and must not use
// the key-value API to create these buckets: it resets a bucket's configuration without a word.
package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// requestTimeout bounds each request to the server.
const requestTimeout = 15 * time.Second

// ErrDiffers: a stream or consumer exists and is not configured as wanted. See [DifferenceError].
var ErrDiffers = errors.New("exists with another configuration")

// ErrAbsent: [Check] missed a stream or consumer.
var ErrAbsent = errors.New("does not exist; run the provisioning first")

// DifferenceError names one field that is not as wanted.
type DifferenceError struct {
	// Asset is what differs: "stream X", or "consumer Y of stream X".
	Asset string
	// Field is the name of the field as `nats stream info --json` shows it.
	Field string
	// Have and Want are its values, in JSON.
	Have, Want string
}

func (d *DifferenceError) Error() string {
	return fmt.Sprintf("%s %s: %s is %s, want %s", d.Asset, ErrDiffers, d.Field, d.Have, d.Want)
}

// Unwrap makes the error match [ErrDiffers].
func (d *DifferenceError) Unwrap() error { return ErrDiffers }

// Ensure makes what is absent and checks what is there. It returns every [*DifferenceError] at once,
// joined; what was absent has been made nevertheless. A stream that was widened is none.
func Ensure(ctx context.Context, js jetstream.JetStream, cfg Config, log *slog.Logger) error {
	return apply(ctx, js, cfg, create{js: js, log: logger(log)})
}

// Check is [Ensure] without making anything: what is absent is [ErrAbsent].
func Check(ctx context.Context, js jetstream.JetStream, cfg Config) error {
	return apply(ctx, js, cfg, report{})
}

// Widen raises limits of streams that exist to those of cfg: max_bytes and max_age, up only. Any other
// difference is an error, and the stream that has one is not touched.
func Widen(ctx context.Context, js jetstream.JetStream, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	var errs []error
	for _, want := range cfg.Streams() {
		errs = append(errs, widenStream(ctx, js, want, logger(log)))
	}
	return errors.Join(errs...)
}

// absent decides what happens to what does not exist.
type absent interface {
	stream(ctx context.Context, want jetstream.StreamConfig) error
	consumer(ctx context.Context, stream string, want jetstream.ConsumerConfig) error
}

func apply(ctx context.Context, js jetstream.JetStream, cfg Config, onAbsent absent) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := recent(js.Conn().ConnectedServerVersion()); err != nil {
		return err
	}
	var errs []error
	for _, want := range cfg.Streams() {
		errs = append(errs, applyStream(ctx, js, want, onAbsent))
	}
	for _, c := range cfg.Consumers() {
		errs = append(errs, applyConsumer(ctx, js, c, onAbsent))
	}
	return errors.Join(errs...)
}

func applyStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, onAbsent absent) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return onAbsent.stream(ctx, want)
	case err != nil:
		return fmt.Errorf("look up stream %s: %w", want.Name, err)
	}
	have := stream.CachedInfo().Config
	// Somebody widened it, and whoever starts Bursar the next time need not know.
	want.MaxBytes = max(have.MaxBytes, want.MaxBytes)
	if want.MaxAge > 0 { // 0 is forever, and what is to be kept forever may not age
		want.MaxAge = max(have.MaxAge, want.MaxAge)
	}
	return joinDifferences(streamDifferences(have, want))
}

func applyConsumer(ctx context.Context, js jetstream.JetStream, c Consumer, onAbsent absent) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cons, err := js.Consumer(ctx, c.Stream, c.Config.Durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return onAbsent.consumer(ctx, c.Stream, c.Config)
	case err != nil:
		return fmt.Errorf("look up consumer %s of stream %s: %w", c.Config.Durable, c.Stream, err)
	}
	return joinDifferences(consumerDifferences(c.Stream, cons.CachedInfo().Config, c.Config))
}

// create makes what is absent.
type create struct {
	js  jetstream.JetStream
	log *slog.Logger
}

func (c create) stream(ctx context.Context, want jetstream.StreamConfig) error {
	if _, err := c.js.CreateStream(ctx, want); err != nil {
		return fmt.Errorf("create stream %s: %w%s", want.Name, err, advice(err))
	}
	c.log.Info("stream created", "stream", want.Name, "max_bytes", want.MaxBytes, "replicas", want.Replicas)
	return nil
}

// noStorage is the server's JSStorageResourcesExceededErr.
const noStorage jetstream.ErrorCode = 10047

// advice says what to do about a server that refuses a stream for its size.
func advice(err error) string {
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != noStorage {
		return ""
	}
	return "; the server reserves what streams may grow to: free disk space, or raise max_file_store in its jetstream block" +
		" (without it, three quarters of what was free on the disk at its start), or ask for smaller streams"
}

func (c create) consumer(ctx context.Context, stream string, want jetstream.ConsumerConfig) error {
	if _, err := c.js.CreateConsumer(ctx, stream, want); err != nil {
		return fmt.Errorf("create consumer %s of stream %s: %w", want.Durable, stream, err)
	}
	c.log.Info("consumer created", "stream", stream, "consumer", want.Durable)
	return nil
}

// report says what is absent.
type report struct{}

func (report) stream(_ context.Context, want jetstream.StreamConfig) error {
	return fmt.Errorf("stream %s %w", want.Name, ErrAbsent)
}

func (report) consumer(_ context.Context, stream string, want jetstream.ConsumerConfig) error {
	return fmt.Errorf("consumer %s of stream %s %w", want.Durable, stream, ErrAbsent)
}

func widenStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, want.Name)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", want.Name, err)
	}
	have := stream.CachedInfo().Config
	wider := have
	wider.MaxBytes = max(have.MaxBytes, want.MaxBytes)
	wider.MaxAge = max(have.MaxAge, want.MaxAge)
	if diffs := streamDifferences(wider, want); len(diffs) > 0 {
		return joinDifferences(diffs)
	}
	if wider.MaxBytes == have.MaxBytes && wider.MaxAge == have.MaxAge {
		return nil
	}
	if _, err := js.UpdateStream(ctx, wider); err != nil {
		return fmt.Errorf("widen stream %s: %w", want.Name, err)
	}
	log.Info("stream widened", "stream", want.Name,
		"max_bytes_before", have.MaxBytes, "max_bytes", wider.MaxBytes,
		"max_age_before", have.MaxAge, "max_age", wider.MaxAge)
	return nil
}

func joinDifferences(diffs []*DifferenceError) error {
	errs := make([]error, len(diffs))
	for i, d := range diffs {
		errs[i] = d
	}
	return errors.Join(errs...)
}

func logger(log *slog.Logger) *slog.Logger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return log.With("component", "provision")
}
