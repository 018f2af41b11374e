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
				if err != nil || string(reply.Data) != body {
					t.Errorf("request %s: %v, %v", body, reply, err)
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
