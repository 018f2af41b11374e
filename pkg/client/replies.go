package client

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// The status that NATS answers with where nobody subscribes to a request's subject.
const (
	statusHeader       = "Status"
	statusNoResponders = "503"
)

// replies receives the replies to all requests of a client on one subscription and hands each to who waits for it. It is
// what the request of nats.go does, for less: a request that is always bounded by a time and by a context takes neither a
// context of its own nor a new channel. Each request has a reply subject that is never used again, so that a late or a
// second reply finds nobody.
type replies struct {
	nc     *nats.Conn
	prefix string // of reply subjects
	sub    *nats.Subscription

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*waiter // nil once nothing will be received any more
	spare   []*waiter
}

// waiter is a request under way. Its channel has room for the one reply, or is given nil when the subscription ends.
type waiter struct {
	number uint64
	reply  chan *nats.Msg
	timer  *time.Timer
}

// newReplies subscribes to reply subjects of its own below the connection's inbox prefix.
func newReplies(nc *nats.Conn) (*replies, error) {
	r := &replies{nc: nc, prefix: nc.NewInbox() + ".", waiting: map[uint64]*waiter{}}
	var err error
	if r.sub, err = nc.Subscribe(r.prefix+"*", r.received); err != nil {
		return nil, fmt.Errorf("subscribe to replies: %w", err)
	}
	r.sub.SetClosedHandler(func(string) { r.ended() })
	return r, nil
}

// request sends a message and waits for the reply. Its error is [nats.ErrTimeout] after timeout, that of ctx when it ends
// before, [nats.ErrNoResponders], or of the connection.
func (r *replies) request(ctx context.Context, subject string, header nats.Header, body []byte, timeout time.Duration) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := r.enter(timeout)
	if w == nil {
		return nil, nats.ErrConnectionClosed
	}
	defer r.leave(w)
	msg := nats.Msg{Subject: subject, Reply: r.subject(w.number), Header: header, Data: body}
	if err := r.nc.PublishMsg(&msg); err != nil {
		return nil, err
	}
	select {
	case m := <-w.reply:
		switch {
		case m == nil:
			return nil, nats.ErrConnectionClosed
		case len(m.Data) == 0 && m.Header.Get(statusHeader) == statusNoResponders:
			return nil, nats.ErrNoResponders
		}
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.timer.C:
		return nil, nats.ErrTimeout
	}
}

// subject is the reply subject of a request.
func (r *replies) subject(number uint64) string {
	var room [128]byte
	return string(strconv.AppendUint(append(room[:0], r.prefix...), number, 36))
}

// enter registers a request; nil when nothing will be received any more.
func (r *replies) enter(timeout time.Duration) *waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		return nil
	}
	var w *waiter
	if n := len(r.spare); n > 0 {
		w, r.spare = r.spare[n-1], r.spare[:n-1]
		w.timer.Reset(timeout)
	} else {
		w = &waiter{reply: make(chan *nats.Msg, 1), timer: time.NewTimer(timeout)}
	}
	r.last++
	w.number = r.last
	r.waiting[w.number] = w
	return w
}

// leave ends a request. Whoever hands in a reply does so under the lock and to those who are registered, so that nothing
// reaches the waiter once it is left.
func (r *replies) leave(w *waiter) {
	w.timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, w.number)
	select {
	case <-w.reply: // it came together with the time or the end of the context
	default:
	}
	r.spare = append(r.spare, w)
}

// received hands a reply to who waits for it; a second one and a late one are dropped.
func (r *replies) received(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(r.prefix):], 36, 64)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.waiting[number]; w != nil {
		delete(r.waiting, number)
		w.reply <- m
	}
}

// ended tells everybody who waits that the subscription is gone: the client or its connection was closed.
func (r *replies) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.waiting {
		w.reply <- nil
	}
	r.waiting = nil
}
