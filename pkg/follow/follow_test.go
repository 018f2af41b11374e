package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/wire"
)

func TestSubjects(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		agent string
		types []string
		want  []string
	}{
		{"all", "", nil, []string{"quota.v1.main.event.*.*.>"}},
		{"an agent", "build.1", nil, []string{"quota.v1.main.event.*.build=2E1.>"}},
		{"types", "", []string{"limit", "reservation.denied"}, []string{"quota.v1.main.event.*.*.limit.>", "quota.v1.main.event.*.*.reservation.denied"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Subjects("main", tt.agent, tt.types)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	for _, bad := range []string{"*", "reservation.", ">", "Limit"} {
		if _, err := Subjects("main", "", []string{bad}); err == nil {
			t.Errorf("type %q is accepted", bad)
		}
	}
}

// fixture is a server with the events' stream and a connection to it.
type fixture struct {
	srv *natsembed.Server
	nc  *nats.Conn
	js  jetstream.JetStream
}

func start(t *testing.T, options ...natstest.Option) *fixture {
	t.Helper()
	f := &fixture{srv: natstest.Start(t, options...)}
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "test", URL: f.srv.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	f.nc = nc
	if f.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	_, err = f.js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: wire.StreamEvents, Subjects: []string{wire.FilterEvents}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) publish(t *testing.T, from, to int) {
	t.Helper()
	subject, err := wire.EventSubject("main", "p", "a", "usage.recorded")
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i <= to; i++ {
		if _, err := f.js.Publish(t.Context(), subject, []byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// restart ends the server and starts it again at the same port.
func (f *fixture) restart(t *testing.T, dir string) *fixture {
	t.Helper()
	at, err := url.Parse(f.srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	return start(t, natstest.Port(port), natstest.StoreDir(dir))
}

// TestNoGapBeforeTheFirstEvent follows what is new, restarts the server before there is anything, and expects all that was published
// while the connection was lost.
func TestNoGapBeforeTheFirstEvent(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"an empty stream": 0, "a stream with events": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			first := start(t, natstest.Listen(), natstest.StoreDir(dir))
			first.publish(t, 1, before)
			got := make(chan string)
			go func() {
				query := Query{Subjects: []string{wire.FilterEvents}, Log: slog.New(slog.DiscardHandler)}
				_ = Events(t.Context(), first.nc, query, func(body []byte) error {
					got <- string(body)
					return nil
				})
			}()
			every := time.NewTicker(10 * time.Millisecond)
			defer every.Stop()
			for first.consumers(t) == 0 {
				<-every.C
			}
			second := first.restart(t, dir)
			second.publish(t, before+1, before+5) // before the follower is back: it pauses longer than that takes
			expect(t, got, before+1, before+5)
		})
	}
}

func (f *fixture) consumers(t *testing.T) int {
	t.Helper()
	stream, err := f.js.Stream(t.Context(), wire.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Consumers
}

// TestNoGapAcrossARestart follows from the past on, restarts the server in the middle, and expects every event once.
func TestNoGapAcrossARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, natstest.Listen(), natstest.StoreDir(dir))
	first.publish(t, 1, 50)
	got := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		query := Query{Subjects: []string{wire.FilterEvents}, Since: time.Now().Add(-time.Hour), Log: slog.New(slog.DiscardHandler)}
		ended <- Events(ctx, first.nc, query, func(body []byte) error {
			got <- string(body)
			return nil
		})
	}()
	expect(t, got, 1, 50)
	second := first.restart(t, dir)
	second.publish(t, 51, 90)
	expect(t, got, 51, 90)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want that it was cancelled", err)
	}
}

// TestTheLastOnes begins with the last messages of the stream, however many there are.
func TestTheLastOnes(t *testing.T) {
	t.Parallel()
	f := start(t, natstest.Listen())
	f.publish(t, 1, 5)
	for last, first := range map[uint64]int{2: 4, 5: 1, 9: 1, 1: 5} {
		got := make(chan string)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			query := Query{Subjects: []string{wire.FilterEvents}, Last: last, Log: slog.New(slog.DiscardHandler)}
			ended <- Events(ctx, f.nc, query, func(body []byte) error {
				got <- string(body)
				return nil
			})
		}()
		expect(t, got, first, 5)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("last %d: ended with %v, want that it was cancelled", last, err)
		}
	}
}

func expect(t *testing.T, got <-chan string, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		select {
		case body := <-got:
			if body != strconv.Itoa(i) {
				t.Fatalf("got event %s, want %d", body, i)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("event %d did not come", i)
		}
	}
}

func TestTheHandlersErrorEndsFollowing(t *testing.T) {
	t.Parallel()
	f := start(t, natstest.Listen())
	f.publish(t, 1, 3)
	enough := fmt.Errorf("enough")
	query := Query{Subjects: []string{wire.FilterEvents}, Since: time.Now().Add(-time.Hour), Log: slog.New(slog.DiscardHandler)}
	if err := Events(t.Context(), f.nc, query, func([]byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("error %v, want the handler's", err)
	}
}

func TestAServerWithoutEvents(t *testing.T) {
	t.Parallel()
	f := start(t, natstest.Listen())
	if err := f.js.DeleteStream(t.Context(), wire.StreamEvents); err != nil {
		t.Fatal(err)
	}
	err := Events(t.Context(), f.nc, Query{Subjects: []string{wire.FilterEvents}, Log: slog.New(slog.DiscardHandler)}, nil)
	if !errors.Is(err, ErrNoStream) {
		t.Errorf("error %v, want %v", err, ErrNoStream)
	}
}
