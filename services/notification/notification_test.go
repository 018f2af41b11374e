package notification_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
	"github.com/bursarhq/bursar/services/notification"
)

const (
	patience = 30 * time.Second
	at       = quota.Instant(1_780_387_200_000) // when everything happened, in the summer of 2026
	secret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// told is one request to an endpoint.
type told struct {
	header http.Header
	body   []byte
}

// hook is an endpoint: what it is told comes out of the channel, and answer says with which status.
func hook(t *testing.T, answer func(told) int) (url string, requests <-chan told) {
	t.Helper()
	out := make(chan told, 64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		got := told{r.Header, body}
		status := answer(got)
		if status/100 == 2 {
			out <- got
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL, out
}

func always(status int) func(told) int { return func(told) int { return status } }

func next(t *testing.T, requests <-chan told) told {
	t.Helper()
	select {
	case got := <-requests:
		return got
	case <-time.After(patience):
		t.Fatal("nothing came")
		return told{}
	}
}

// start runs the service with a file of endpoints until the returned function is called.
func start(t *testing.T, s *site.Site, file string) (stop func()) {
	t.Helper()
	endpoints, err := notification.ParseEndpoints("test.yaml", []byte(file), func(string) string { return secret })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.DiscardHandler)
	watched := telemetry.New("notification", "test", log)
	ended := make(chan error, 1)
	go func() {
		ended <- notification.Run(ctx, notification.Config{
			NATS: s.Service(natsauth.RoleNotification), Telemetry: watched, Endpoints: endpoints,
		}, log)
	}()
	end := time.Now().Add(patience)
	for watched.Ready(ctx) != nil {
		select {
		case err := <-ended:
			t.Fatalf("the service ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("the service is never ready")
		}
	}
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	}
}

// publisher publishes warnings as the relay does.
func publisher(t *testing.T, s *site.Site) (publish func(commit uint64, threshold int64) []byte) {
	t.Helper()
	pub, err := bus.NewPublisher(bus.PublisherConfig{JetStream: s.JetStream(natsauth.RoleRelay), Stream: wire.StreamEvents})
	if err != nil {
		t.Fatal(err)
	}
	subject, err := wire.EventSubject("acme", "", "", quota.KindLimitWarning)
	if err != nil {
		t.Fatal(err)
	}
	return func(commit uint64, threshold int64) []byte {
		t.Helper()
		event, err := wire.NewEvent(wire.Place{Workspace: "acme", LedgerID: "0a", Commit: commit, At: at}, &quota.LimitWarning{
			At: at, Limit: "max/session", Threshold: threshold, Spent: threshold * 10, Capacity: 1000,
		})
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Publish(subject, message.NewMessage(event.ID, body)); err != nil {
			t.Fatal(err)
		}
		return body
	}
}

func TestEndpointsAreTold(t *testing.T) {
	t.Parallel()
	s := site.Start(t, nil)
	publish := publisher(t, s)
	publish(1, 75) // before anybody listened
	ops, toOps := hook(t, always(http.StatusNoContent))
	chat, toChat := hook(t, always(http.StatusOK))
	stop := start(t, s, "endpoints:\n  - {name: ops, url: '"+ops+"', secret_env: KEY}\n"+
		"  - {name: chat, url: '"+chat+"', format: slack, events: [limit.exhausted]}\n")
	defer stop()
	warning, exhausted := publish(2, 90), publish(3, 100)

	verify, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]byte{warning, exhausted} {
		got := next(t, toOps)
		if string(got.body) != string(want) || !strings.HasPrefix(got.header.Get("Content-Type"), "application/cloudevents+json") {
			t.Errorf("event %d is %s as %s, want %s", i, got.body, got.header.Get("Content-Type"), want)
		}
		if err := verify.Verify(got.body, got.header); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
	}
	if got := next(t, toChat); string(got.body) != `{"text":"Limit max/session is exhausted: 100% are spent (acme)"}` || got.header.Get("webhook-signature") != "" {
		t.Errorf("the channel is told %s", got.body)
	}
}

// TestNothingIsLostWhenAnEndpointOrTheServiceIsAway: an endpoint that hangs holds up nobody else, and what it missed
// comes in order once it is back, though the service was restarted in between.
func TestNothingIsLostWhenAnEndpointOrTheServiceIsAway(t *testing.T) {
	t.Parallel()
	s := site.Start(t, nil)
	publish := publisher(t, s)
	tried := make(chan told, 64)
	away := make(chan struct{})
	ops, toOps := hook(t, func(got told) int {
		select {
		case <-away:
			return http.StatusOK
		default:
			tried <- got
			return http.StatusServiceUnavailable
		}
	})
	chat, toChat := hook(t, always(http.StatusOK))
	file := "endpoints:\n  - {name: ops, url: '" + ops + "'}\n  - {name: chat, url: '" + chat + "'}\n"

	stop := start(t, s, file)
	bodies := [][]byte{publish(1, 75), publish(2, 90), publish(3, 95)}
	first := next(t, tried)
	for range bodies {
		next(t, toChat)
	}
	stop()
	bodies = append(bodies, publish(4, 100)) // while nobody runs
	close(away)
	stop = start(t, s, file)
	defer stop()
	for i, want := range bodies {
		got := next(t, toOps)
		if string(got.body) != string(want) {
			t.Errorf("event %d is %s, want %s", i, got.body, want)
		}
		if i == 0 && got.header.Get("webhook-id") != first.header.Get("webhook-id") {
			t.Error("the same event has another id when it is posted again")
		}
	}
	if got := next(t, toChat); string(got.body) != string(bodies[3]) {
		t.Errorf("the other endpoint is told %s", got.body)
	}
}

func TestAFileThatNamesOtherEventsMovesTheFilter(t *testing.T) {
	t.Parallel()
	s := site.Start(t, nil)
	publish := publisher(t, s)
	ops, toOps := hook(t, always(http.StatusOK))
	start(t, s, "endpoints: [{name: ops, url: '"+ops+"', events: [suggestion.made]}]")()
	defer start(t, s, "endpoints: [{name: ops, url: '"+ops+"', events: [limit.warning]}]")()
	want := publish(1, 75)
	if got := next(t, toOps); string(got.body) != string(want) {
		t.Errorf("told %s", got.body)
	}
}
