package client

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/wire"
)

// The status that NATS answers with where nobody subscribes to a request's subject.
const (
	statusHeader       = "Status"
	statusNoResponders = "503"
)

// replies receives the replies to all requests of a client on one subscription and hands each to who waits for it. It is
// what the request of nats.go does, for less: one timer serves all requests, and those that are made at the same time go
// out together, as their replies come. Each request has a reply subject that is never used again, so that a late or a
// second reply finds nobody.
type replies struct {
	nc     *nats.Conn
	prefix string // of reply subjects
	sub    *nats.Subscription

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*waiter // nil once nothing will be received any more
	spare   []*waiter

	outgoing []nats.Msg // not published yet; whoever put the first one in publishes all
	sent     []nats.Msg // room for the next outgoing

	timer *time.Timer   // tells the requests whose time is over
	due   time.Duration // when it goes off, by the clock of elapsed; 0 while it does not run
	start time.Time
}

// waiter is a request under way. Its channel has room for the one outcome that it is told.
type waiter struct {
	number   uint64
	deadline time.Duration
	outcome  chan outcome
}

// outcome is a reply, or why there is none.
type outcome struct {
	body []byte
	err  error
}

// newReplies subscribes to reply subjects of its own below the connection's inbox prefix.
func newReplies(nc *nats.Conn) (*replies, error) {
	r := &replies{nc: nc, prefix: wire.ManyInbox(nc.NewInbox()), waiting: map[uint64]*waiter{}, start: time.Now()}
	r.timer = time.AfterFunc(time.Hour, r.expire)
	r.timer.Stop()
	var err error
	if r.sub, err = nc.Subscribe(r.prefix+"*", r.received); err != nil {
		return nil, fmt.Errorf("subscribe to replies: %w", err)
	}
	r.sub.SetClosedHandler(func(string) { r.ended() })
	return r, nil
}

func (r *replies) elapsed() time.Duration { return time.Since(r.start) }

// request sends a message and waits for the reply. Its error is [nats.ErrTimeout] after timeout, that of ctx when it ends
// before, [nats.ErrNoResponders], or of the connection. body must not change before the reply, and never after an error:
// it may be sent later than that.
func (r *replies) request(ctx context.Context, subject string, header nats.Header, body []byte, timeout time.Duration) (reply []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := r.send(nats.Msg{Subject: subject, Header: header, Data: body}, timeout)
	if w == nil {
		return nil, nats.ErrConnectionClosed
	}
	select {
	case o := <-w.outcome:
		r.leave(w)
		return o.body, o.err
	case <-ctx.Done():
		r.leave(w)
		return nil, ctx.Err()
	}
}

// send registers a request and publishes it; nil when nothing will be received any more.
//
// Agents that were answered together ask together. Publishing at once would write each of their requests to the connection
// by itself, which costs more than all else here. So the first of them lets those that are ready to run go first, and
// publishes for all.
func (r *replies) send(msg nats.Msg, timeout time.Duration) *waiter {
	r.mu.Lock()
	if r.waiting == nil {
		r.mu.Unlock()
		return nil
	}
	w := r.enter(timeout)
	msg.Reply = r.subject(w.number)
	r.outgoing = append(r.outgoing, msg)
	publishes, alone := len(r.outgoing) == 1, len(r.waiting) == 1
	r.mu.Unlock()
	if publishes {
		if !alone {
			runtime.Gosched()
		}
		r.publish()
	}
	return w
}

// publish publishes what is outgoing.
func (r *replies) publish() {
	r.mu.Lock()
	all := r.outgoing
	r.outgoing, r.sent = r.sent, nil
	r.mu.Unlock()
	for i := range all {
		if err := r.nc.PublishMsg(&all[i]); err != nil {
			r.mu.Lock()
			r.tell(parseNumber(all[i].Reply[len(r.prefix):]), outcome{err: err})
			r.mu.Unlock()
		}
	}
	clear(all)
	r.mu.Lock()
	r.sent = all[:0]
	r.mu.Unlock()
}

// subject is the reply subject of a request.
func (r *replies) subject(number uint64) string {
	var room [128]byte
	return string(strconv.AppendUint(append(room[:0], r.prefix...), number, 10))
}

// parseNumber reads the number of a request; 0, which none has, for what is no number.
func parseNumber[T string | []byte](text T) (number uint64) {
	for i := range len(text) {
		digit := text[i] - '0'
		if digit > 9 || number > math.MaxUint64/10-1 {
			return 0
		}
		number = number*10 + uint64(digit)
	}
	return number
}

// enter registers a request. The lock must be held.
func (r *replies) enter(timeout time.Duration) *waiter {
	var w *waiter
	if n := len(r.spare); n > 0 {
		w, r.spare = r.spare[n-1], r.spare[:n-1]
	} else {
		w = &waiter{outcome: make(chan outcome, 1)}
	}
	r.last++
	w.number, w.deadline = r.last, r.elapsed()+timeout
	r.waiting[w.number] = w
	if r.due == 0 || w.deadline < r.due {
		r.due = w.deadline
		r.timer.Reset(timeout)
	}
	return w
}

// leave ends a request. Whoever tells an outcome does so under the lock and to those who are registered, so that nothing
// reaches the waiter once it is left.
func (r *replies) leave(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, w.number)
	select {
	case <-w.outcome: // it came together with the end of the context
	default:
	}
	r.spare = append(r.spare, w)
}

// expire tells those whose time is over, and sets the timer for the next one.
func (r *replies) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = 0
	now := r.elapsed()
	for number, w := range r.waiting {
		switch {
		case w.deadline <= now:
			delete(r.waiting, number)
			w.outcome <- outcome{err: nats.ErrTimeout}
		case r.due == 0 || w.deadline < r.due:
			r.due = w.deadline
		}
	}
	if r.due != 0 {
		r.timer.Reset(r.due - now)
	}
}

// received hands replies to who waits for them; a second one and a late one are dropped.
func (r *replies) received(m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case wire.IsMany(m.Subject, r.prefix):
		wire.EachMany(m.Data, func(number, body []byte) { r.tell(parseNumber(number), outcome{body: body}) })
	case len(m.Data) == 0 && m.Header.Get(statusHeader) == statusNoResponders:
		r.tell(parseNumber(m.Subject[len(r.prefix):]), outcome{err: nats.ErrNoResponders})
	default:
		r.tell(parseNumber(m.Subject[len(r.prefix):]), outcome{body: m.Data})
	}
}

// tell tells the outcome of the request with a number. The lock must be held.
func (r *replies) tell(number uint64, o outcome) {
	if w := r.waiting[number]; w != nil {
		delete(r.waiting, number)
		w.outcome <- o
	}
}

// ended tells everybody who waits that the subscription is gone: the client or its connection was closed.
func (r *replies) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.waiting {
		w.outcome <- outcome{err: nats.ErrConnectionClosed}
	}
	r.waiting = nil
	r.timer.Stop()
}
