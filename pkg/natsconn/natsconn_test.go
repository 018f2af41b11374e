package natsconn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
)

func TestConnectEachWay(t *testing.T) {
	t.Parallel()
	seedFile, user := newSeed(t)
	srv := natstest.Start(t, natstest.Listen(), natstest.Users([]*server.NkeyUser{user}))
	contextFile := writeContext(t, map[string]string{"url": srv.URL(), "nkey": seedFile, "inbox_prefix": "_INBOX.acme.ci"})
	wrong := writeContext(t, map[string]string{"url": "nats://127.0.0.1:1", "user": "nobody", "password": "x"})

	for name, tc := range map[string]struct {
		cfg   natsconn.Config
		inbox string
	}{
		"address and seed":    {natsconn.Config{URL: srv.URL(), NkeySeedFile: seedFile}, "_INBOX."},
		"in process and seed": {natsconn.Config{InProcess: srv, NkeySeedFile: seedFile}, "_INBOX."},
		"context file":        {natsconn.Config{Context: contextFile}, "_INBOX.acme.ci."},
		"context overridden":  {natsconn.Config{Context: wrong, URL: srv.URL(), NkeySeedFile: seedFile, InboxPrefix: "_INBOX.a.b"}, "_INBOX.a.b."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.cfg.Name = name
			nc, err := natsconn.Connect(t.Context(), tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if err := nc.Flush(); err != nil {
				t.Error(err)
			}
			if got := nc.NewInbox(); !strings.HasPrefix(got, tc.inbox) {
				t.Errorf("inbox %q, want prefix %q", got, tc.inbox)
			}
			if nc.Opts.Name != name || nc.Opts.MaxReconnect != -1 {
				t.Errorf("name %q, max reconnects %d", nc.Opts.Name, nc.Opts.MaxReconnect)
			}
		})
	}
	if prefix, err := natsconn.ContextInboxPrefix(contextFile); err != nil || prefix != "_INBOX.acme.ci" {
		t.Errorf("inbox prefix of the context: %q, %v", prefix, err)
	}
}

// A context by name is looked up in the user's configuration directory, which the environment names:
// that is why this test is not parallel.
func TestConnectByContextName(t *testing.T) {
	srv := natstest.Start(t, natstest.Listen())
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	dir := filepath.Join(home, "nats", "context")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(writeContext(t, map[string]string{"url": srv.URL()}), filepath.Join(dir, "quota.json")); err != nil {
		t.Fatal(err)
	}
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "test", Context: "quota"})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if _, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "test", Context: "absent"}); err == nil || !strings.Contains(err.Error(), `nats context "absent"`) {
		t.Errorf("an unknown context: %v", err)
	}
}

func TestConnectReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	seedFile, _ := newSeed(t)
	_, other := newSeed(t)
	srv := natstest.Start(t, natstest.Listen(), natstest.Users([]*server.NkeyUser{other}))

	if _, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "x"}); !errors.Is(err, natsconn.ErrNoServer) {
		t.Errorf("no server: %v", err)
	}
	if _, err := natsconn.Connect(t.Context(), natsconn.Config{URL: srv.URL()}); err == nil {
		t.Error("a connection without a name was opened")
	}
	if _, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "x", URL: srv.URL(), NkeySeedFile: "absent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no seed file: %v", err)
	}
	if _, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "x", URL: srv.URL(), NkeySeedFile: seedFile, Wait: true}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("unknown user: %v", err)
	}
	if _, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "x", URL: "nats://127.0.0.1:1"}); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var logged lockedBuffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	absent := natsconn.Config{Name: "x", URL: "nats://me:hidden@127.0.0.1:1", Wait: true, Log: log}
	if _, err := natsconn.Connect(ctx, absent); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for nobody: %v", err)
	}
	if said := logged.String(); !strings.Contains(said, "waiting for one") || !strings.Contains(said, "server=127.0.0.1:1") || strings.Contains(said, "hidden") {
		t.Errorf("of the waiting the log says %q", said)
	}
}

func TestConnectionSurvivesARestart(t *testing.T) {
	t.Parallel()
	port := natstest.FreePort(t)
	first := natstest.Start(t, natstest.Port(port))
	var logged lockedBuffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "survivor", URL: first.URL(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var standing natsconn.Standing
	if err := standing.Ready(t.Context()); err == nil {
		t.Error("ready before there is a connection")
	}
	standing.Add(nc)
	if err := standing.Ready(t.Context()); err != nil {
		t.Errorf("with a connection: %v", err)
	}
	sub, err := nc.SubscribeSync("greeting")
	if err != nil {
		t.Fatal(err)
	}
	lost := nc.StatusChanged(nats.RECONNECTING)
	back := nc.StatusChanged(nats.CONNECTED)
	if err := first.Shutdown(); err != nil {
		t.Fatal(err)
	}
	<-lost
	if err := standing.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "survivor") {
		t.Errorf("without the server: %v", err)
	}
	if err := nc.Publish("greeting", nil); err == nil {
		t.Error("a message was accepted while disconnected")
	}
	natstest.Start(t, natstest.Port(port))
	<-back
	if err := nc.Publish("greeting", []byte("again")); err != nil {
		t.Fatal(err)
	}
	if err := standing.Ready(t.Context()); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if msg, err := sub.NextMsg(5 * time.Second); err != nil || string(msg.Data) != "again" {
		t.Errorf("after the restart: %v, %v", msg, err)
	}
	nc.Close()
	for _, want := range []string{"msg=disconnected", "msg=reconnected", "connection=survivor"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("log lacks %s: %s", want, logged.String())
		}
	}
}

func newSeed(t *testing.T) (file string, user *server.NkeyUser) {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := kp.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, &server.NkeyUser{Nkey: public}
}

func writeContext(t *testing.T, fields map[string]string) string {
	t.Helper()
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "context.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
