package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/notification/internal/endpoint"
)

// receiver answers with one status after another, the last one for ever, and keeps what it was told.
type receiver struct {
	mu       sync.Mutex
	statuses []int
	header   http.Header // of every answer
	bodies   []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	status := r.statuses[0]
	if len(r.statuses) > 1 {
		r.statuses = r.statuses[1:]
	}
	r.bodies = append(r.bodies, string(body))
	for name, values := range r.header {
		w.Header()[name] = values
	}
	http.Error(w, "said so", status)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

// trial is a courier with short pauses.
type trial struct {
	courier *Courier
	metrics *Metrics
	log     *bytes.Buffer
}

func newTrial(t *testing.T, url string, change func(*endpoint.Endpoint)) *trial {
	t.Helper()
	to := endpoint.Endpoint{Name: "e", URL: url, Format: endpoint.FormatCloudEvents, Kinds: []string{quota.KindLimitWarning}}
	if change != nil {
		change(&to)
	}
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	courier, err := New(to, metrics, slog.New(slog.NewTextHandler(log, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	courier.pause = time.Millisecond
	return &trial{courier, metrics, log}
}

func (tr *trial) outcomes(outcome string) float64 {
	return testutil.ToFloat64(tr.metrics.events.WithLabelValues("e", outcome))
}

// at is when everything happened: in the summer of 2026.
const at = quota.Instant(1_780_387_200_000)

func warning(t *testing.T, threshold int64) wire.Event {
	t.Helper()
	event, err := wire.NewEvent(wire.Place{Workspace: "acme", LedgerID: "0a", Commit: 7, Index: 1, At: at}, &quota.LimitWarning{
		At: at, Limit: "max/<session>", Threshold: threshold, Spent: 1_013, Capacity: 1_000, Team: "R&D",
	})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func messageOf(t *testing.T, event *wire.Event, stored time.Time) *message.Message {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	msg := message.NewMessage(event.ID, payload)
	msg.Metadata.Set(bus.KeyTime, stored.Format(time.RFC3339Nano))
	return msg
}

func TestWhatBecomesOfAnEvent(t *testing.T) {
	t.Parallel()
	const ok = http.StatusNoContent
	for _, tc := range []struct {
		name     string
		statuses []int
		age      time.Duration
		posts    int
		outcome  string
	}{
		{"taken at once", []int{ok}, 0, 1, outcomeDelivered},
		{"taken at last", []int{500, 503, 429, 404, 401, 410, ok}, 0, 7, outcomeDelivered},
		{"redirects are not followed", []int{302, ok}, 0, 2, outcomeDelivered},
		{"malformed, it says", []int{422}, 0, RefusedTries, outcomeGivenUp},
		{"malformed, once", []int{400, ok}, 0, 2, outcomeDelivered},
		{"too old, and tried once more", []int{503}, GiveUpAfter + time.Hour, 1, outcomeGivenUp},
		{"too old, and taken", []int{ok}, GiveUpAfter + time.Hour, 1, outcomeDelivered},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := &receiver{statuses: tc.statuses, header: http.Header{"Location": {"/elsewhere"}}}
			server := httptest.NewServer(r)
			defer server.Close()
			tr := newTrial(t, server.URL, nil)
			event := warning(t, 95)
			if err := tr.courier.Handle(t.Context(), messageOf(t, &event, time.Now().Add(-tc.age))); err != nil {
				t.Fatal(err)
			}
			if r.count() != tc.posts || tr.outcomes(tc.outcome) != 1 {
				t.Errorf("posted %d times, want %d; %s %v; log %s", r.count(), tc.posts, tc.outcome, tr.outcomes(tc.outcome), tr.log)
			}
		})
	}
}

func TestAnEndedContextHandsTheEventBack(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"of the message", "of the service"} {
		ctx, cancel := context.WithCancel(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			cancel()
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		defer server.Close()
		tr := newTrial(t, server.URL, nil)
		tr.courier.pause = time.Hour // that nobody waits for
		event, serving := warning(t, 95), t.Context()
		msg := messageOf(t, &event, time.Now())
		if which == "of the message" {
			msg.SetContext(ctx)
		} else {
			serving = ctx
		}
		if err := tr.courier.Handle(serving, msg); !errors.Is(err, context.Canceled) {
			t.Errorf("context %s: %v, want that it was cancelled", which, err)
		}
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	c := &Courier{now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }}
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "7": 7 * time.Second, "999999": longestAsked,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0,
	} {
		if got := c.asked(header); got != want {
			t.Errorf("%q asks for %s, want %s", header, got, want)
		}
	}
	r := &receiver{statuses: []int{429, 200}, header: http.Header{headerRetryTime: {"1"}}}
	server := httptest.NewServer(r)
	defer server.Close()
	tr := newTrial(t, server.URL, nil)
	event, begin := warning(t, 95), time.Now()
	if err := tr.courier.Handle(t.Context(), messageOf(t, &event, begin)); err != nil || time.Since(begin) < time.Second {
		t.Errorf("posted again after %s, %v; want a second", time.Since(begin), err)
	}
}

// TestARetryAfterMakesNoPauseShorter: a proxy that asks for a second with each of its answers, while what is behind it is
// away for a day, is not posted to each second.
func TestARetryAfterMakesNoPauseShorter(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&receiver{statuses: []int{http.StatusServiceUnavailable}, header: http.Header{headerRetryTime: {"1"}}})
	defer server.Close()
	tr := newTrial(t, server.URL, nil)
	tr.courier.pause = time.Hour
	serving, cancel := context.WithCancel(t.Context())
	event, done := warning(t, 95), make(chan error, 1)
	msg := messageOf(t, &event, time.Now())
	go func() { done <- tr.courier.Handle(serving, msg) }()
	for tr.outcomes(outcomeFailed) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(tr.log.String(), "pause=")
	pause, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || pause < time.Hour/2 {
		t.Errorf("the pause is %s, %v; want about an hour", pause, err)
	}
}

func TestNoLogShowsTheURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&receiver{statuses: []int{400}})
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	defer server.Close()
	for _, url := range []string{server.URL, gone.URL} {
		tr := newTrial(t, url+"/T0/SECRET", nil)
		event := warning(t, 95)
		if err := tr.courier.Handle(t.Context(), messageOf(t, &event, time.Now().Add(-GiveUpAfter-time.Hour))); err != nil {
			t.Fatal(err)
		}
		if text := tr.log.String(); strings.Contains(text, "SECRET") || !strings.Contains(text, "127.0.0.1") {
			t.Errorf("logged %s", text)
		}
	}
}

func TestWhatIsNotWantedOrNotReadableIsLeftOut(t *testing.T) {
	t.Parallel()
	r := &receiver{statuses: []int{200}}
	server := httptest.NewServer(r)
	defer server.Close()
	tr := newTrial(t, server.URL, func(e *endpoint.Endpoint) { e.MinPercent = 96 })
	event := warning(t, 95)
	for _, msg := range []*message.Message{messageOf(t, &event, time.Now()), message.NewMessage("x", []byte("{"))} {
		if err := tr.courier.Handle(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	if r.count() != 0 || tr.outcomes(outcomeUnreadable) != 1 {
		t.Errorf("posted %d times, %v unreadable", r.count(), tr.outcomes(outcomeUnreadable))
	}
}

func TestSlack(t *testing.T) {
	t.Parallel()
	advice, err := wire.NewForeignEvent("acme", wire.KindSuggestionMade, "s1", "x", at, &wire.Suggestion{
		Title: "Reservations hold <3> times", Advice: "Reserve less.", SavingMicroUSD: 10_120_000, SavingBasis: "freed_budget", ConfidencePercent: 71_500,
		WindowStartsAt: wire.TimeOf(at), WindowEndsAt: wire.TimeOf(at), MadeAt: wire.TimeOf(at),
	})
	if err != nil {
		t.Fatal(err)
	}
	long, err := wire.NewForeignEvent("acme", wire.KindSuggestionMade, "s2", "x", at, &wire.Suggestion{
		Title: strings.Repeat("é", 3000), WindowStartsAt: wire.TimeOf(at), WindowEndsAt: wire.TimeOf(at), MadeAt: wire.TimeOf(at),
	})
	if err != nil {
		t.Fatal(err)
	}
	held, err := wire.NewEvent(wire.Place{Workspace: "acme", LedgerID: "0a", Commit: 8, At: at}, &quota.BlockLifted{At: at, Name: "freeze"})
	if err != nil {
		t.Fatal(err)
	}
	passed, all := warning(t, 75), warning(t, 100)
	for _, tc := range []struct {
		event *wire.Event
		want  string
	}{
		{&passed, "Limit max/&lt;session&gt; of team R&amp;D has passed 75%: 101% are spent (acme)"},
		{&all, "Limit max/&lt;session&gt; of team R&amp;D is exhausted: 101% are spent (acme)"},
		{&advice, "Reservations hold &lt;3&gt; times\nReserve less.\nWorth $10.12 (freed budget), confidence 71.5% (acme)"},
		{&held, "block.lifted freeze (acme)"},
		{&long, strings.Repeat("é", maxSlackRunes) + "… (acme)"},
	} {
		var got struct{ Text string }
		if err := json.Unmarshal(slackBody(tc.event), &got); err != nil || got.Text != tc.want {
			t.Errorf("says %q, %v; want %q", got.Text, err, tc.want)
		}
	}
}

func TestSharesOfHugeLimitsDoNotOverflow(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]int64{{1, 3, 33}, {999, 1000, 99}, {1 << 62, 1 << 62, 100}} {
		if got := spentPercent(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%d of %d is %d %%, want %d", tc[0], tc[1], got, tc[2])
		}
	}
}
