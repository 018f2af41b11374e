package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/wire"
)

// A call that waits ends with the client, long before its time is over.
func TestCloseEndsCallsUnderWay(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := connect(t, srv)
	asked := make(chan struct{}, 1)
	if _, err := natstest.Connect(t, srv).Subscribe("quota.>", func(*nats.Msg) { asked <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(nc, client.Options{Workspace: workspace, Principal: principal, Timeout: time.Hour, Patience: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Agent("a").Status(t.Context(), wire.StatusRequest{})
		ended <- err
	}()
	select {
	case <-asked:
	case err := <-ended:
		t.Fatalf("the call ended before it was answered: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, nats.ErrConnectionClosed) || !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("the call under way ended with %v", err)
	}
	if _, err := c.Agent("a").Status(t.Context(), wire.StatusRequest{}); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("a call after the end gives %v", err)
	}
}

// TestWhatNobodyCanReadIsUnanswered: a request of which it is not known what became of it names its id, whatever ended it.
func TestWhatNobodyCanReadIsUnanswered(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(nc *nats.Conn, m *nats.Msg) error{
		"the connection is closed": func(nc *nats.Conn, _ *nats.Msg) error { nc.Close(); return nil },
		"no JSON":                  func(_ *nats.Conn, m *nats.Msg) error { return m.Respond([]byte("{")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			nc := connect(t, srv)
			if _, err := natstest.Connect(t, srv).Subscribe("quota.>", func(m *nats.Msg) {
				if err := end(nc, m); err != nil {
					t.Error(err)
				}
			}); err != nil {
				t.Fatal(err)
			}
			c, err := client.New(nc, client.Options{Workspace: workspace, Principal: principal, Timeout: time.Hour, Patience: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Agent("a").Report(t.Context(), wire.ReportRequest{Account: "api-1", Usage: []wire.UsageItem{usage("", 1)}})
			unanswered, ok := errors.AsType[*client.Unanswered](err)
			if !ok || unanswered.RequestID == "" {
				t.Errorf("got %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
