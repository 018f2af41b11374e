package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/client/clienttest"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/wire"
)

// withServer runs an example against a NATS server and a workspace with one account of 100,000 tokens a day. The
// connection is made as principal ci of workspace acme.
func withServer(example func(ctx context.Context, nc *nats.Conn) error) {
	if err := serveExample(example); err != nil {
		log.Fatal(err)
	}
}

func serveExample(example func(ctx context.Context, nc *nats.Conn) error) error {
	dir, err := os.MkdirTemp("", "bursar-example")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	srv, err := natsembed.Start(context.Background(), natsembed.Options{StoreDir: dir, DontListen: true})
	if err != nil {
		return err
	}
	defer func() { _ = srv.Shutdown() }()
	deskConn, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		return err
	}
	defer deskConn.Close()
	if _, err := clienttest.Open(deskConn, "acme", clienttest.Config()); err != nil {
		return err
	}
	prefix, err := wire.InboxPrefix("acme", "ci")
	if err != nil {
		return err
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.CustomInboxPrefix(prefix))
	if err != nil {
		return err
	}
	defer nc.Close()
	return example(context.Background(), nc)
}

// Do reserves, lets the work report as it goes, and closes the reservation on every way out.
func ExampleAgent_Do() {
	withServer(func(ctx context.Context, nc *nats.Conn) error {
		c, err := client.New(nc, client.Options{Workspace: "acme", Principal: "ci"})
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()

		request := wire.ReserveRequest{Provider: "claude", Model: "claude-sonnet-4-5", Tokens: wire.Tokens{Input: 6000, Output: 2000}}
		return c.Agent("reviewer").Do(ctx, request, func(ctx context.Context, task *client.Task) error {
			// … call the provider, then report what it says it used, under its request id:
			err := task.Report(ctx, wire.UsageItem{CallID: "msg_01", Tokens: wire.Tokens{Input: 5200, Output: 1400}})
			fmt.Println("used", task.Reservation().Used.Tokens.Total(), "of", task.Reservation().Granted.Tokens.Total())
			return err
		})
	})
	// Output: used 6600 of 8000
}

// A refusal says whether to try later or never.
func ExampleAgent_Reserve() {
	withServer(func(ctx context.Context, nc *nats.Conn) error {
		c, err := client.New(nc, client.Options{Workspace: "acme", Principal: "ci"})
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()

		_, err = c.Agent("reviewer").Reserve(ctx, wire.ReserveRequest{
			Provider: "claude", Model: "claude-sonnet-4-5", Tokens: wire.Tokens{Input: 150_000},
		})
		refused, ok := errors.AsType[*wire.Error](err)
		switch {
		case !ok:
			return err
		case errors.Is(err, wire.ErrInsufficientQuota):
			d := refused.Details
			fmt.Printf("%s has %d of the %d asked for; later: %t\n", d.LimitID, *d.Available, d.Requested, refused.Retryable)
		}
		return nil
	})
	// Output: api-1/day has 100000 of the 150000 asked for; later: false
}
