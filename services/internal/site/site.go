// Package site gives tests a provisioned NATS server with authorisation on, and connections with the rights of each
// role and no others.
package site

import (
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
)

// Workspace is the workspace of the principals of a site.
const Workspace = "default"

// Site is a provisioned server.
type Site struct {
	Server *natsembed.Server
	Keys   *natsauth.Keys
	t      testing.TB
}

// Start starts a server with an operator "root" and the given agent principals, and provisions it.
func Start(t testing.TB, principals []string, options ...natstest.Option) *Site {
	t.Helper()
	ids := []natsauth.Identity{natsauth.Operator(Workspace, "root")}
	for _, p := range principals {
		ids = append(ids, natsauth.Agent(Workspace, p))
	}
	keys, err := natsauth.LoadOrCreate(t.TempDir(), ids...)
	if err != nil {
		t.Fatal(err)
	}
	users, err := keys.Users()
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{Keys: keys, t: t}
	s.Server = natstest.Start(t, append(options, natstest.Users(users))...)
	sizes := provision.Defaults()
	sizes.LedgerMaxBytes, sizes.KeyframesMaxBytes, sizes.EventsMaxBytes = 256<<20, 256<<20, 256<<20
	if err := provision.Ensure(t.Context(), s.JetStream(natsauth.RoleProvisioning), sizes, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return s
}

// Connection says how an identity connects.
func (s *Site) Connection(id natsauth.Identity) natsconn.Config {
	s.t.Helper()
	cfg := natsconn.Config{URL: s.Server.URL()}
	if cfg.URL == "" {
		cfg.InProcess = s.Server
	}
	cfg, err := s.Keys.Connection(id, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

// Service says how one of our services connects.
func (s *Site) Service(role natsauth.Role) natsconn.Config {
	return s.Connection(natsauth.Service(role))
}

// Conn connects as an identity until the test ends.
func (s *Site) Conn(id natsauth.Identity) *nats.Conn {
	s.t.Helper()
	nc, err := natsconn.Connect(s.t.Context(), s.Connection(id))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// JetStream connects as a service.
func (s *Site) JetStream(role natsauth.Role) jetstream.JetStream {
	s.t.Helper()
	js, err := jetstream.New(s.Conn(natsauth.Service(role)))
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// Client speaks for an agent principal.
func (s *Site) Client(principal string) *client.Client {
	return s.client(natsauth.Agent(Workspace, principal))
}

// Operator speaks for the operator "root".
func (s *Site) Operator() *client.Client { return s.client(natsauth.Operator(Workspace, "root")) }

func (s *Site) client(id natsauth.Identity) *client.Client {
	s.t.Helper()
	c, err := client.New(s.Conn(id), client.Options{Workspace: Workspace, Principal: id.Principal})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}
