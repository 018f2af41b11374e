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

// observePatience bounds what one response's observation may take to hand in.
const observePatience = 10 * time.Second

// ObservingTransport is an http.RoundTripper that hands in what the provider says with each response. The request and
// its response pass unchanged and wait for nothing. It is handed in only where something changed: a window's whole percent,
// its reset (to the minute), or a refusal. One response is handed in at a time; what comes meanwhile is left out, and the
// next response tells it again, since a window counts as told only when the broker has answered.
type ObservingTransport struct {
	base    http.RoundTripper
	account string
	observe func(context.Context, wire.ObserveRequest) error
	log     *slog.Logger

	mu   sync.Mutex
	busy bool
	told map[string]saidOf // by model and window
	work sync.WaitGroup
}

// saidOf is as much of an observation as makes a difference.
type saidOf struct {
	percent int64 // whole; -1 where not told
	minute  int64 // of the reset
	signal  observe.Signal
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
		if raw := rawResponse(response); raw != nil {
			t.handIn(request, raw, time.Now())
		}
	}
	return response, err //nolint:wrapcheck // the caller's own error, untouched
}

// Wait returns when nothing is being handed in.
func (t *ObservingTransport) Wait() { t.work.Wait() }

// handIn sends in the background what has something new.
func (t *ObservingTransport) handIn(request *http.Request, raw *wire.RawObservation, now time.Time) {
	r := responseRequest(t.account, request, raw, now)
	news := newsOf(&r, now)
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := false
	for window, said := range news {
		changed = changed || t.told[window] != said
	}
	if t.busy || !changed {
		return
	}
	t.busy = true
	ctx := context.WithoutCancel(request.Context()) // a caller who is done with the response has not taken it back
	t.work.Go(func() { t.send(ctx, r, news) })
}

func (t *ObservingTransport) send(ctx context.Context, r wire.ObserveRequest, news map[string]saidOf) {
	ctx, cancel := context.WithTimeout(ctx, observePatience)
	defer cancel()
	err := t.observe(ctx, r)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy = false
	if err != nil {
		t.log.WarnContext(ctx, "observation not handed in", "account", t.account, "error", err)
		return
	}
	for window, said := range news {
		if _, known := t.told[window]; known || len(t.told) < maxTold {
			t.told[window] = said
		}
	}
}

// maxTold bounds the windows that a transport remembers; beyond it they are handed in with every response.
const maxTold = 16 * observe.MaxWindows

// newsOf is what an observation tells of each window. It is read here only to see whether it is new.
func newsOf(r *wire.ObserveRequest, now time.Time) map[string]saidOf {
	said := observe.Raw{Status: int(r.Raw.Status), Headers: r.Raw.Headers, Body: []byte(r.Raw.Body)}
	read := said.Read(now)
	news := map[string]saidOf{}
	for i := range read.Windows {
		news[r.Model+"\x00"+read.Windows[i].Name] = differenceOf(&read.Windows[i])
	}
	if read.Signal != "" {
		news[r.Model] = saidOf{percent: -1, signal: read.Signal}
	}
	return news
}

func differenceOf(w *observe.Window) saidOf {
	s := saidOf{percent: -1, minute: w.ResetAt.Unix() / 60, signal: w.Signal}
	switch {
	case w.PercentMilli != nil:
		s.percent = *w.PercentMilli / 1000
	case w.Remaining != nil && w.Limit != nil && *w.Limit > 0:
		s.percent = (*w.Limit - *w.Remaining) / max(1, *w.Limit/100)
	}
	return s
}
