package natsconn

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// awaitPause is the time between two looks at a server that is busy with itself.
const awaitPause = 500 * time.Millisecond

// Await calls open until it succeeds or fails for a reason that waiting does not change. In a cluster that elects a
// leader, JetStream does not answer for some seconds, and a service that starts just then is to wait, not to end. It
// returns open's error, or ctx's once ctx ends.
func Await(ctx context.Context, log *slog.Logger, what string, open func(context.Context) error) error {
	for told := false; ; {
		err := open(ctx)
		if err == nil || ctx.Err() != nil || !Passing(err) {
			return err
		}
		if !told {
			log.Warn("JetStream does not answer; waiting for it", "for", what, "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(awaitPause):
		}
	}
}

// Passing tells whether an error of JetStream says that nobody could answer, as during an election or an outage, and not
// that the answer is no.
func Passing(err error) bool {
	const clusterUnavailable = 503
	if refused, ok := errors.AsType[*jetstream.APIError](err); ok {
		return refused.Code == clusterUnavailable && refused.ErrorCode != jetstream.JSErrCodeJetStreamNotEnabledForAccount &&
			refused.ErrorCode != jetstream.JSErrCodeJetStreamNotEnabled
	}
	for _, passing := range [...]error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrConnectionReconnecting,
		nats.ErrReconnectBufExceeded,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}
