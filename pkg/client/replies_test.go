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
	if err := <-ended; !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("the call under way ended with %v", err)
	}
	if _, err := c.Agent("a").Status(t.Context(), wire.StatusRequest{}); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("a call after the end gives %v", err)
	}
}
