package main

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/client/clienttest"
	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestRun runs the agent twice, as a user would, against a workspace in memory with the configuration of the examples.
func TestRun(t *testing.T) {
	t.Parallel()
	parsed, err := config.Load("../bursar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	srv := natstest.Start(t)
	if _, err := clienttest.Open(natstest.Connect(t, srv), "main", parsed.Quota); err != nil {
		t.Fatal(err)
	}
	inbox, err := wire.InboxPrefix("main", "examples")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(natstest.Connect(t, srv, nats.CustomInboxPrefix(inbox)), client.Options{Workspace: "main", Principal: "examples"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		e := &example{c.Agent("go-agent"), t.Output()}
		if err := e.run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
