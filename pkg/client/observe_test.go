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
	"github.com/bursarhq/bursar/pkg/quota"
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
		read := r.ReadRaw(quota.Actor{}, time.Now())
		for _, o := range read.Command.Said {
			percent := "-"
			if o.PercentMilli != nil {
				percent = wire.Percent(*o.PercentMilli).String()
			}
			sent = append(sent, fmt.Sprint(r.Model, o.Window, " ", percent, " ", o.Signal))
		}
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
		{"refusal", "0.21", 429, `{"error":{"type":"rate_limit_error"}}`, nil, "session 21 | - exhausted"},
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

// TestModelOf: the model is read from a copy of the request, whatever stands around it.
func TestModelOf(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"max_tokens":5,"messages":[{"model":"inner"}],"model":"claude-opus-5"}`: "claude-opus-5",
		`{"model":7}`: "", `{"model":"cut`: "", `[1]`: "", "": "", `{}`: "", "no json": "",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://provider.invalid", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := modelOf(request); got != want {
			t.Errorf("%s: model %q, want %q", body, got, want)
		}
		if left, err := io.ReadAll(request.Body); err != nil || string(left) != body {
			t.Errorf("%s: the request's own body is %q, %v", body, left, err)
		}
	}
	if got := modelOf(nil); got != "" {
		t.Errorf("no request: %q", got)
	}
}

// TestOnlyWhatTellsOfLimitsIsSent: headers that concern nobody stay here, and a refusal's body stays readable.
func TestOnlyWhatTellsOfLimitsIsSent(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 2*observe.MaxBody) + "end"
	response := &http.Response{
		StatusCode: http.StatusTooManyRequests, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Set-Cookie": {"secret"}, "Retry-After": {" 7"}, "X-Ratelimit-Limit-Tokens": {"100"}, "X-Api-Key": {"secret"}},
	}
	raw := rawResponse(response)
	if len(raw.Headers) != 2 || raw.Headers["retry-after"] != "7" || raw.Status != 429 || len(raw.Body) != observe.MaxBody {
		t.Errorf("%+v", raw.Headers)
	}
	if again, err := io.ReadAll(response.Body); err != nil || string(again) != body {
		t.Errorf("the body is read as %d bytes, %v", len(again), err)
	}
	if rawResponse(&http.Response{StatusCode: http.StatusOK, Header: http.Header{"Set-Cookie": {"secret"}}}) != nil {
		t.Error("an answer that says nothing is sent")
	}
}
