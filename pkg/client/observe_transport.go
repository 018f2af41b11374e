package client

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/observe"
	"github.com/bursarhq/bursar/pkg/wire"
)

// observePatience bounds what one response's observations may take to hand in.
const observePatience = 10 * time.Second

// ObservingTransport is an http.RoundTripper that hands in what the provider says with each response. The request and
// its response pass unchanged and wait for nothing. Only what changed is handed in: a window's whole percent, its reset
// (to the minute), or a refusal. One response is handed in at a time; what comes meanwhile is left out, and the next
// response tells it again, since a window counts as told only when the broker has answered.
type ObservingTransport struct {
	base    http.RoundTripper
	account string
	observe func(context.Context, wire.ObserveRequest) error
	log     *slog.Logger

	mu   sync.Mutex
	busy bool
	told map[string]saidOf // by window
	work sync.WaitGroup
}

// saidOf is as much of an observation as makes a difference.
type saidOf struct {
	percent int64 // whole; -1 where not told
	minute  int64 // of the reset
	signal  string
}

// Observing wraps base (nil: http.DefaultTransport) so that the responses tell of this account. Call
// [ObservingTransport.Wait] before the client is closed.
func (a *Agent) Observing(account string, base http.RoundTripper) *ObservingTransport {
	if base == nil {
		base = http.DefaultTransport
	}
	log := a.client.options.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newObserving(account, base, log, func(ctx context.Context, r wire.ObserveRequest) error {
		_, err := a.Observe(ctx, r)
		return err
	})
}

func newObserving(account string, base http.RoundTripper, log *slog.Logger, send func(context.Context, wire.ObserveRequest) error) *ObservingTransport {
	return &ObservingTransport{base: base, account: account, observe: send, log: log, told: map[string]saidOf{}}
}

// RoundTrip does the request with the base transport; its error is the base's.
func (t *ObservingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	if err == nil {
		now := time.Now()
		t.handIn(request.Context(), readResponse(response, now), now)
	}
	return response, err //nolint:wrapcheck // the caller's own error, untouched
}

// Wait returns when nothing is being handed in.
func (t *ObservingTransport) Wait() { t.work.Wait() }

// handIn sends in the background what changed.
func (t *ObservingTransport) handIn(ctx context.Context, said *observe.Said, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var changed []wire.ObserveRequest
	for _, r := range Observations(t.account, said, now) {
		if tells(&r) && t.told[r.Window] != differenceOf(&r) {
			changed = append(changed, r)
		}
	}
	if t.busy || len(changed) == 0 {
		return
	}
	t.busy = true
	ctx = context.WithoutCancel(ctx) // a caller who is done with the response has not taken it back
	t.work.Go(func() { t.send(ctx, changed) })
}

func (t *ObservingTransport) send(ctx context.Context, requests []wire.ObserveRequest) {
	ctx, cancel := context.WithTimeout(ctx, observePatience)
	defer cancel()
	for i := range requests {
		err := t.observe(ctx, requests[i])
		if err != nil {
			t.log.WarnContext(ctx, "observation not handed in", "account", t.account, "window", requests[i].Window, "error", err)
			continue
		}
		t.mu.Lock()
		if len(t.told) < 2*observe.MaxWindows || t.told[requests[i].Window] != (saidOf{}) {
			t.told[requests[i].Window] = differenceOf(&requests[i])
		}
		t.mu.Unlock()
	}
	t.mu.Lock()
	t.busy = false
	t.mu.Unlock()
}

func differenceOf(r *wire.ObserveRequest) saidOf {
	s := saidOf{percent: -1, minute: r.ResetsAt.Time().Unix() / 60, signal: r.Signal}
	switch {
	case r.UsedPercent != nil:
		s.percent = int64(*r.UsedPercent) / 1000
	case r.Used != nil && r.Capacity != nil && *r.Capacity > 0:
		s.percent = *r.Used / max(1, *r.Capacity/100)
	}
	return s
}
