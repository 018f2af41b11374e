package natsconn_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsconn"
)

func TestAwait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err   error
		calls int
	}{
		"nobody leads":        {fmt.Errorf("open: %w", context.DeadlineExceeded), 3},
		"no responders":       {nats.ErrNoResponders, 3},
		"cluster unavailable": {&jetstream.APIError{Code: 503, ErrorCode: 10008}, 3},
		"absent":              {jetstream.ErrStreamNotFound, 1},
		"not enabled":         {jetstream.ErrJetStreamNotEnabled, 1},
		"something else":      {errors.New("no"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := natsconn.Await(t.Context(), slog.New(slog.DiscardHandler), "test", func(context.Context) error {
					if calls++; calls == 3 {
						return nil
					}
					return tc.err
				})
				if calls != tc.calls || (tc.calls == 1) != errors.Is(err, tc.err) {
					t.Errorf("%d calls and %v, want %d", calls, err, tc.calls)
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := natsconn.Await(ctx, slog.New(slog.DiscardHandler), "test", func(context.Context) error {
		cancel()
		return nats.ErrTimeout
	})
	if err == nil {
		t.Error("it succeeds though ctx has ended")
	}
}
