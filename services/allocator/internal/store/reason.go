package store

import (
	"context"
	"errors"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ReasonOf gives a short name of an [Outcome]'s error, for counting: JetStream's error code, or one of no_responders,
// timeout, disconnected and other.
func ReasonOf(err error) string {
	if refused, ok := errors.AsType[*jetstream.APIError](err); ok {
		return strconv.Itoa(int(refused.ErrorCode))
	}
	for _, known := range [...]struct {
		err  error
		name string
	}{
		{nats.ErrNoResponders, "no_responders"}, {jetstream.ErrNoStreamResponse, "no_responders"},
		{context.DeadlineExceeded, "timeout"}, {jetstream.ErrAsyncPublishTimeout, "timeout"}, {nats.ErrTimeout, "timeout"},
		{nats.ErrDisconnected, "disconnected"}, {nats.ErrConnectionClosed, "disconnected"}, {nats.ErrReconnectBufExceeded, "disconnected"},
		{nats.ErrConnectionReconnecting, "disconnected"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "other"
}
