package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/observe"
	"github.com/bursarhq/bursar/pkg/wire"
)

// provider answers with what its fields say.
type provider struct {
	status  int
	percent string
	body    string
}

func (p *provider) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("anthropic-ratelimit-unified-5h-utilization", p.percent)
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.body) // a caller that is gone needs no body
}

func TestObservingTransport(t *testing.T) {
	t.Parallel()
	p := &provider{status: http.StatusOK, percent: "0.201"}
	server := httptest.NewServer(p)
	defer server.Close()
	var sent []string
	var away error
	transport := newObserving("max-1", server.Client().Transport, slog.New(slog.DiscardHandler), func(_ context.Context, r wire.ObserveRequest) error {
		sent = append(sent, fmt.Sprint(r.Window, " ", r.UsedPercent, " ", r.Signal))
		return away
	})
	client := &http.Client{Transport: transport}
	for _, step := range []struct {
		name, percent string
		status        int
		body          string
		away          error
		want          string
	}{
		{"first", "0.201", 200, "ok", nil, "session 20.1 "},
		{"the same whole percent", "0.209", 200, "ok", nil, ""},
		{"the next while the broker is away", "0.21", 200, "ok", errors.New("away"), "session 21 "},
		{"told again", "0.21", 200, "ok", nil, "session 21 "},
		{"refusal", "0.21", 429, `{"error":{"type":"rate_limit_error"}}`, nil, " <nil> exhausted"},
		{"the same refusal", "0.21", 429, `{"error":{"type":"rate_limit_error"}}`, nil, ""},
		{"no header that is understood", "?", 200, "ok", nil, ""},
	} {
		p.percent, p.status, p.body, away, sent = step.percent, step.status, step.body, step.away, nil
		response, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if closeErr := response.Body.Close(); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		transport.Wait()
		if got := strings.Join(sent, "|"); got != step.want || string(body) != step.body {
			t.Errorf("%s: sent %q, want %q; body %q", step.name, got, step.want, body)
		}
	}
}

func TestObservationsKeepWhatIsTold(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_780_000_000_000)
	h := http.Header{
		"Anthropic-Ratelimit-Tokens-Limit": {"100"}, "Anthropic-Ratelimit-Tokens-Remaining": {"30"}, "Retry-After": {"7"},
	}
	requests := Observations("api", observe.Response(429, h, []byte(`{"error":{"type":"tokens"}}`), at), at)
	if len(requests) != 1 {
		t.Fatalf("%d requests", len(requests))
	}
	r := requests[0]
	if r.Window != "tokens_per_minute" || *r.Used != 70 || *r.Capacity != 100 || r.Signal != "exhausted" || r.RetryAfterMS != 7000 {
		t.Errorf("%+v", r)
	}
}
