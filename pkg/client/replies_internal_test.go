package client

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/wire"
)

// echoing gives replies on a server where "echo" answers with the body and "silence" not at all.
func echoing(t *testing.T) *replies {
	t.Helper()
	srv := natstest.Start(t)
	answering := natstest.Connect(t, srv)
	for subject, answer := range map[string]nats.MsgHandler{
		"echo":    func(m *nats.Msg) { _ = m.Respond(m.Data) },
		"silence": func(*nats.Msg) {},
	} {
		if _, err := answering.Subscribe(subject, answer); err != nil {
			t.Fatal(err)
		}
	}
	if err := answering.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := newReplies(natstest.Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replies) underWay() (waiting, outgoing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting), len(r.outgoing)
}

// Whoever publishes for others gives each of them its own reply.
func TestRequestsGoOutTogether(t *testing.T) {
	t.Parallel()
	r := echoing(t)
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			for k := range 50 {
				body := strconv.Itoa(i*1000 + k)
				reply, err := r.request(t.Context(), "echo", nil, []byte(body), time.Minute)
				if err != nil || string(reply) != body {
					t.Errorf("request %s: %q, %v", body, reply, err)
					return
				}
			}
		})
	}
	group.Wait()
	if waiting, outgoing := r.underWay(); waiting != 0 || outgoing != 0 {
		t.Errorf("%d still wait and %d are still to be sent", waiting, outgoing)
	}
}

// One timer serves all: it goes off for the request that ends first, whichever was made first, and goes on with the rest.
func TestEachRequestHasItsTime(t *testing.T) {
	t.Parallel()
	r := echoing(t)
	ctx, cancel := context.WithCancel(t.Context())
	long := make(chan error, 1)
	go func() {
		_, err := r.request(ctx, "silence", nil, nil, time.Hour)
		long <- err
	}()
	for _, timeout := range []time.Duration{30 * time.Millisecond, 10 * time.Millisecond, 0} {
		began := time.Now()
		if _, err := r.request(t.Context(), "silence", nil, nil, timeout); !errors.Is(err, nats.ErrTimeout) {
			t.Errorf("after %s: %v", timeout, err)
		}
		if took := time.Since(began); took < timeout {
			t.Errorf("a request of %s ended after %s", timeout, took)
		}
	}
	select {
	case err := <-long:
		t.Fatalf("the request with an hour ended: %v", err)
	default:
	}
	cancel()
	if err := <-long; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled request ended with %v", err)
	}
	if waiting, _ := r.underWay(); waiting != 0 {
		t.Errorf("%d still wait", waiting)
	}
}

// A request that cannot be sent tells why at once, also when another one published it.
func TestWhatCannotBeSentIsTold(t *testing.T) {
	t.Parallel()
	r := echoing(t)
	r.nc.Close()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := r.request(t.Context(), "echo", nil, nil, time.Hour); !errors.Is(err, nats.ErrConnectionClosed) {
				t.Errorf("ended with %v", err)
			}
		})
	}
	group.Wait()
}

// Several replies in one message reach those who wait for them, and nobody else.
func TestRepliesComeTogether(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	answering, requests := natstest.Connect(t, srv), make(chan *nats.Msg, 2)
	if _, err := answering.ChanSubscribe("pairs", requests); err != nil {
		t.Fatal(err)
	}
	if err := answering.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := newReplies(natstest.Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for _, body := range []string{"first", "second"} {
		group.Go(func() {
			reply, err := r.request(t.Context(), "pairs", nil, []byte(body), time.Minute)
			if err != nil || string(reply) != body {
				t.Errorf("%s: %q, %v", body, reply, err)
			}
		})
	}
	var together []byte
	for range 2 {
		m := <-requests
		_, number, ok := wire.SplitMany(m.Reply)
		if !ok {
			t.Fatalf("the reply subject %s asks for one at a time", m.Reply)
		}
		together = wire.AppendMany(together, number, func(b []byte) []byte { return append(b, m.Data...) })
	}
	together = append(together, "no reply\n\n99999999999999999999999 {}\n12345 nobody waits\n"...)
	if err := answering.Publish(wire.ManySubject(r.prefix), together); err != nil {
		t.Fatal(err)
	}
	group.Wait()
}
