package lease

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
)

// startRemote starts a process with a connection of its own, which survives a restart of the server.
func startRemote(t *testing.T, address, name string) *process {
	t.Helper()
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Name: name, URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, js, name)
}

func portOf(t *testing.T, srv *natsembed.Server) int {
	t.Helper()
	u, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
