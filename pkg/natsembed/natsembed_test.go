package natsembed_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
)

func TestServerKeepsStreamsAcrossRestarts(t *testing.T) {
	t.Parallel()
	for _, sync := range []natsembed.Sync{natsembed.SyncAlways, natsembed.SyncSecond, natsembed.SyncTwoMinutes} {
		t.Run(string(sync), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			srv := natstest.Start(t, natstest.StoreDir(dir), natstest.Sync(sync))
			js := jetStream(t, natstest.Connect(t, srv))
			_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
				t.Fatal(err)
			}
			if err := srv.Shutdown(); err != nil {
				t.Fatal(err)
			}

			srv = natstest.Start(t, natstest.StoreDir(dir), natstest.Sync(sync))
			stream, err := jetStream(t, natstest.Connect(t, srv)).Stream(t.Context(), "S")
			if err != nil {
				t.Fatal(err)
			}
			msg, err := stream.GetMsg(t.Context(), 1)
			if err != nil || string(msg.Data) != "kept" {
				t.Fatalf("after the restart: %v, %v", msg, err)
			}
		})
	}
}

// What is free on the disk does not decide which streams there may be: a data directory that was filled has to start again.
func TestStreamsMayGrowBeyondWhatIsFree(t *testing.T) {
	t.Parallel()
	js := jetStream(t, natstest.Connect(t, natstest.Start(t)))
	const size = 512 << 30 // more than is free where tests run
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage, MaxBytes: size}); err != nil {
		t.Errorf("a stream of 512 GiB: %v", err)
	}
}

func TestServerListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen())
	u, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	if ip := net.ParseIP(u.Hostname()); !ip.IsLoopback() {
		t.Errorf("listens on %s", u.Host)
	}
	nc, err := nats.Connect(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if nc.MaxPayload() != natsembed.MaxPayloadBytes {
		t.Errorf("max payload %d", nc.MaxPayload())
	}
	if hidden := natstest.Start(t); hidden.URL() != "" {
		t.Errorf("a server that does not listen has the URL %q", hidden.URL())
	}
}

func TestStartReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	natstest.Start(t, natstest.StoreDir(dir))
	if _, err := natsembed.Start(t.Context(), natsembed.Options{StoreDir: dir, DontListen: true}); !errors.Is(err, natsembed.ErrStoreInUse) {
		t.Errorf("a second server on the same directory: %v", err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	if _, err := natsembed.Start(t.Context(), natsembed.Options{StoreDir: t.TempDir(), Port: port}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port that is taken: %v", err)
	}

	err = natsembed.Options{Port: -1, Sync: "sometimes", MaxStoreBytes: -1}.Validate()
	for _, want := range []string{"store directory is empty", "port -1", "max store bytes", `sync "sometimes"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("faults %v do not mention %q", err, want)
		}
	}
}

func TestSetUsersWhileRunning(t *testing.T) {
	t.Parallel()
	alice, bob := newUser(t), newUser(t)
	srv := natstest.Start(t, natstest.Listen(), natstest.Users([]*server.NkeyUser{alice.user("a.>")}))
	nc := natstest.Connect(t, srv, alice.option())
	if _, err := nats.Connect(srv.URL(), bob.option()); !errors.Is(err, nats.ErrAuthorization) {
		t.Fatalf("bob before being added: %v", err)
	}
	if err := srv.SetUsers([]*server.NkeyUser{alice.user("a.>"), bob.user("b.>")}); err != nil {
		t.Fatal(err)
	}
	natstest.Connect(t, srv, bob.option())
	if err := nc.FlushTimeout(time.Second); err != nil || nc.Stats().Reconnects != 0 {
		t.Errorf("alice was disturbed by the new user: %v, %d reconnects", err, nc.Stats().Reconnects)
	}
	if err := srv.SetUsers(nil); err == nil {
		t.Error("authorisation was turned off")
	}
}

func TestServerLogsToSlog(t *testing.T) {
	t.Parallel()
	var buf lockedBuffer
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv := natstest.Start(t, natstest.Log(log))
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(buf.String(), "component=nats-server") {
		t.Errorf("log: %s", buf.String())
	}
}

// A start after a kill is no reason to warn: what the server lacks beside its streams it works out anew.
func TestAStartAfterAKillWarnsOfNothing(t *testing.T) {
	t.Parallel()
	running, killed := t.TempDir(), t.TempDir()
	js := jetStream(t, natstest.Connect(t, natstest.Start(t, natstest.StoreDir(running))))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, AllowMsgTTL: true}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(killed, os.DirFS(running)); err != nil { // what a server leaves behind that is killed now
		t.Fatal(err)
	}
	var lines lockedBuffer
	log := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	natstest.Start(t, natstest.StoreDir(killed), natstest.Log(log))
	told := lines.String()
	if !strings.Contains(told, "outdated") {
		t.Errorf("nothing was to be worked out anew, so this shows nothing:\n%s", told)
	}
	if strings.Contains(told, "level=WARN") || strings.Contains(told, "level=ERROR") {
		t.Errorf("it warns:\n%s", told)
	}
}

// A stream that could not be written once takes nothing more, although the disk may have room again: callers have to know.
func TestAFullDiskIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := natstest.Start(t, natstest.StoreDir(dir))
	if err := srv.Writes(); err != nil {
		t.Errorf("before anything is wrong: %v", err)
	}
	natstest.FillDisk(t, srv, dir)
	if err := srv.Writes(); !errors.Is(err, natsembed.ErrStore) {
		t.Errorf("of the full disk it says %v", err)
	}
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

type testUser struct {
	public string
	sign   nats.SignatureHandler
}

func newUser(t *testing.T) testUser {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return testUser{public: public, sign: kp.Sign}
}

func (u testUser) option() nats.Option { return nats.Nkey(u.public, u.sign) }

func (u testUser) user(allow string) *server.NkeyUser {
	perm := &server.SubjectPermission{Allow: []string{allow}}
	return &server.NkeyUser{Nkey: u.public, Permissions: &server.Permissions{Publish: perm, Subscribe: perm}}
}

func jetStream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
