package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Pauses between tries: each is drawn from half of its span to all of it, and the span doubles.
const (
	firstPause = 40 * time.Millisecond
	lastPause  = time.Second
	// leastTry is for how long another try is worth it: one that ends before its reply can be there would hide why the one
	// before it failed.
	leastTry = 20 * time.Millisecond
)

// Unanswered says that a call got no decision: nobody answered in time, what came cannot be read, the connection was closed,
// or the context ended. The request may have been carried out; the same request with the same RequestID tells. It matches [wire.ErrUnavailable] and wraps what ended
// the last try.
type Unanswered struct {
	RequestID string // empty for a request that changes nothing
	Verb      string
	Tries     int
	Took      time.Duration
	Last      error
}

// Error says how often and how long was tried.
func (u *Unanswered) Error() string {
	text := fmt.Sprintf("%s: no decision after %d tries in %s: %v", u.Verb, u.Tries, u.Took.Round(time.Millisecond), u.Last)
	if u.RequestID != "" {
		text += "; ask again with request id " + u.RequestID
	}
	return text
}

// Unwrap gives what ended the last try.
func (u *Unanswered) Unwrap() error { return u.Last }

// Is matches wire.ErrUnavailable.
func (u *Unanswered) Is(target error) bool { return target == wire.ErrUnavailable }

// call sends a request until it is decided, and decodes the reply. heard receives the notices of every reply.
func (c *Client) call(ctx context.Context, subject string, request wire.Request, timeout time.Duration, reply any, heard func([]wire.Notice)) error {
	buffer := c.buffers.Get().(*[]byte)
	body := request.Append((*buffer)[:0])
	*buffer = body
	start := time.Now()
	patience := max(c.options.Patience, timeout)
	span := firstPause
	for tries := 1; ; tries++ {
		err := c.try(ctx, subject, body, min(timeout, patience-time.Since(start)), reply, heard)
		if tries == 1 && err == nil {
			c.buffers.Put(buffer) // it was answered, so nobody reads the body any more
		}
		refused, isRefused := errors.AsType[*wire.Error](err)
		again := undecided(err)
		if err == nil || isRefused && !again || errors.Is(err, nats.ErrMaxPayload) {
			return err
		}
		pause := span/2 + rand.N(span/2)
		if isRefused {
			pause = max(pause, time.Duration(refused.RetryAfterMS)*time.Millisecond)
		}
		if again {
			var ctxErr error
			if ctxErr = sleep(ctx, pause, patience-leastTry-time.Since(start)); ctxErr != nil && !errors.Is(ctxErr, errPatience) {
				err = errors.Join(ctxErr, err)
			}
			again = ctxErr == nil
		}
		if !again {
			return &Unanswered{requestIDOf(request), request.Verb(), tries, time.Since(start), c.explain(err)}
		}
		span = min(2*span, lastPause)
	}
}

// errPatience: the pause would outlast the patience.
var errPatience = errors.New("out of patience")

// sleep pauses. It returns ctx's error when ctx ends, and errPatience at once when not enough patience is left.
func sleep(ctx context.Context, pause, left time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if pause > left {
		return errPatience
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try sends the request once.
func (c *Client) try(ctx context.Context, subject string, body []byte, timeout time.Duration, reply any, heard func([]wire.Notice)) error {
	answer, err := c.replies.request(ctx, subject, traceHeader(ctx), body, timeout)
	if err != nil {
		return fmt.Errorf("request %s: %w", subject, err)
	}
	notices, err := wire.DecodeReply(answer, reply)
	if heard != nil {
		heard(notices)
	}
	return err
}

// undecided tells whether an error leaves open what becomes of the request, so that it is to be sent again.
func undecided(err error) bool {
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		return refused.Code == quota.CodeUnavailable && refused.Retryable && !refused.Decided
	}
	for _, transient := range []error{
		nats.ErrNoResponders, nats.ErrTimeout, context.DeadlineExceeded, context.Canceled, nats.ErrReconnectBufExceeded,
		nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrStaleConnection,
	} {
		if errors.Is(err, transient) {
			return true
		}
	}
	return false
}

// explain adds the likely cause of silence.
func (c *Client) explain(err error) error {
	if last := c.nc.LastError(); last != nil && errors.Is(last, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w; the server said: %w: the credentials must be those of principal %q", err, last, c.options.Principal)
	}
	return err
}

func requestIDOf(r wire.Request) string {
	if m, ok := r.(wire.Mutation); ok && m.ID() != (wire.RequestID{}) {
		return m.ID().String()
	}
	return ""
}

// identify gives a mutation a request id unless it has one. An id that is none is left to be refused: with another in its
// place the caller's retry would happen twice.
func identify(m wire.Mutation) {
	if !wire.HasRequestID(m) {
		wire.SetRequestID(m, wire.MakeID(time.Now()).String())
	}
}

// traceHeader carries the trace of ctx to the server; nil without one.
func traceHeader(ctx context.Context) nats.Header {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	header := nats.Header{}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(http.Header(header)))
	return header
}
