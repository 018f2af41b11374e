package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/bus"
)

const (
	// minRetry and maxRetry bound the pause before ClickHouse, or NATS, is asked again.
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
	// remoteTimeout bounds one question to NATS.
	remoteTimeout = 10 * time.Second
	// lagEvery is how often the lag is measured.
	lagEvery = 2 * time.Second

	// rangeMessages and rangeBytes bound what is read at a time; linger is how long a range waits for
	// more, and so what an idle ledger's commit waits at most before it is inserted.
	rangeMessages = 4096
	rangeBytes    = 4 << 20
	linger        = 100 * time.Millisecond
)

// Consumer reads the ledger stream and has the Writer store it.
type Consumer struct {
	JetStream jetstream.JetStream
	// Stream and Name are the stream and the durable consumer on it, which provisioning made.
	Stream, Name string
	Writer       *Writer
	Metrics      *Metrics
	Log          *slog.Logger
	// Ready is called, with nil or with what is wrong, when it becomes known whether commits flow.
	Ready func(error)
}

// Run consumes until ctx ends, whatever NATS and ClickHouse do meanwhile. It returns nil.
func (c *Consumer) Run(ctx context.Context) error {
	measuring, stop := context.WithCancel(ctx)
	measured := make(chan struct{})
	go func() {
		defer close(measured)
		c.measure(measuring)
	}()
	pause := minRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := c.consume(ctx)
		if ctx.Err() != nil {
			break
		}
		c.Ready(err)
		if errors.Is(err, ErrGap) {
			c.Log.Warn("the consumer is set back to what ClickHouse lacks", "error", err)
		} else {
			c.Log.Error("consuming the ledger", "error", err)
		}
		if time.Since(began) > maxRetry {
			pause = minRetry
		}
		sleep(ctx, pause)
		pause = min(2*pause, maxRetry)
	}
	stop()
	<-measured
	return nil
}

// consume brings the consumer to where ClickHouse is and stores ranges from there. It returns when ctx
// ends, and with the reason when it must be called again.
func (c *Consumer) consume(ctx context.Context) error {
	if err := c.untilStored(ctx, c.Writer.Resume); err != nil {
		return err
	}
	c.Writer.Restart()
	if err := c.reconcile(ctx); err != nil {
		return fmt.Errorf("comparing the stream with ClickHouse: %w", err)
	}
	subscriber, err := bus.NewRangeSubscriber(bus.SubscriberConfig{
		JetStream: c.JetStream,
		Source: func(string) (bus.Source, error) {
			return bus.Source{Stream: c.Stream, Consumer: c.Name}, nil
		},
		Log: c.Log,
	}, bus.RangeConfig{MaxMessages: rangeMessages, MaxBytes: rangeBytes, Linger: linger})
	if err != nil {
		return err
	}
	ranges, err := subscriber.Subscribe(ctx, c.Stream)
	if err != nil {
		return errors.Join(fmt.Errorf("subscribing to the ledger: %w", err), subscriber.Close())
	}
	c.Ready(nil)
	storeErr := c.storeRanges(ranges)
	return errors.Join(storeErr, subscriber.Close())
}

// storeRanges stores each range, and lets it be acknowledged after that. It returns nil when there are
// no more, and the error of the first one that no retry can store.
func (c *Consumer) storeRanges(ranges <-chan *message.Message) error {
	for msg := range ranges {
		messages, err := messagesOf(msg)
		if err == nil {
			err = c.untilStored(msg.Context(), func(ctx context.Context) error { return c.Writer.Write(ctx, messages) })
		}
		if err != nil {
			msg.Nack()
			return err
		}
		msg.Ack()
	}
	return nil
}

func messagesOf(msg *message.Message) ([]Message, error) {
	r, ok := bus.RangeOf(msg)
	if !ok {
		return nil, fmt.Errorf("message %s stands for no range", msg.UUID)
	}
	messages := make([]Message, len(r.Messages))
	for i, m := range r.Messages {
		messages[i] = Message{Subject: m.Subject, Data: m.Data, Sequence: m.Sequence, Stored: m.Time}
	}
	return messages, nil
}

// untilStored tries until it succeeds, ctx ends, or there is a gap. Meanwhile the stream keeps what
// comes, and the bus keeps the range for us.
func (c *Consumer) untilStored(ctx context.Context, try func(context.Context) error) error {
	told := ""
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		err := try(ctx)
		switch {
		case err == nil:
			if told != "" {
				c.Log.Info("ClickHouse takes commits again")
				c.Ready(nil)
			}
			return nil
		case ctx.Err() != nil, errors.Is(err, ErrGap):
			return err
		case err.Error() != told: // a server that is back may refuse the password
			told = err.Error()
			c.Log.Warn("ClickHouse does not take commits: trying until it does", "error", err)
			c.Ready(err)
		default:
			c.Log.Debug("ClickHouse still does not take commits", "error", err)
		}
		sleep(ctx, pause)
	}
}

// measure keeps the lag up to date until ctx ends.
func (c *Consumer) measure(ctx context.Context) {
	for ctx.Err() == nil {
		if lag, err := c.lag(ctx); err == nil {
			c.Metrics.LagCommits.Set(float64(lag))
			c.Metrics.setLagSeconds(lag)
		} else if ctx.Err() == nil {
			c.Log.Debug("measuring the lag", "error", err)
		}
		sleep(ctx, lagEvery)
	}
}

// lag returns how many commits were not acknowledged yet.
func (c *Consumer) lag(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	consumer, err := c.JetStream.Consumer(ctx, c.Stream, c.Name)
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo()
	return info.NumPending + uint64(info.NumAckPending), nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
