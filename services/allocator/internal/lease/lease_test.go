package lease

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
)

const patience = 20 * time.Second

// site is a server with the lease bucket.
func site(t *testing.T, options ...natstest.Option) (*natsembed.Server, jetstream.JetStream) {
	t.Helper()
	srv := natstest.Start(t, options...)
	js, err := jetstream.New(natstest.Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	sizes := provision.Defaults()
	sizes.LedgerMaxBytes, sizes.KeyframesMaxBytes, sizes.EventsMaxBytes, sizes.SuggestionsMaxBytes = 64<<20, 64<<20, 64<<20, 64<<20
	if err := provision.Ensure(t.Context(), js, sizes, nil); err != nil {
		t.Fatal(err)
	}
	return srv, js
}

// process is a holder of a lease as a test sees it.
type process struct {
	lease  *Lease
	events chan string
	stop   func() // gives the lease up and waits
}

func start(t *testing.T, js jetstream.JetStream, name string) *process {
	t.Helper()
	l, err := Open(t.Context(), js, "acme", name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if l.Sure() {
		t.Error("sure before it was acquired")
	}
	p := &process{lease: l, events: make(chan string, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, Events{Acquired: func() { p.events <- "acquired" }, Lost: func() { p.events <- "lost" }})
	}()
	p.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(p.stop)
	return p
}

func (p *process) await(t *testing.T, want string) time.Time {
	t.Helper()
	select {
	case got := <-p.events:
		if got != want {
			t.Fatalf("the lease was %s, want %s", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("the lease was not %s", want)
	}
	return time.Now()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so after %s: %s", patience, what)
		}
	}
}

func TestOneHolderAndAGracefulHandOver(t *testing.T) {
	t.Parallel()
	_, js := site(t)
	first := start(t, js, "first")
	first.await(t, "acquired")
	second := start(t, js, "second")
	eventually(t, "the second sees the first", second.lease.Elsewhere)
	if first.lease.Elsewhere() {
		t.Error("the holder sees another one")
	}
	began := time.Now()
	first.stop()
	if took := second.await(t, "acquired").Sub(began); took > Patience {
		t.Errorf("a lease that was given up was taken after %s", took)
	}
	if second.lease.Elsewhere() {
		t.Error("the holder sees another one")
	}
}

func TestTakeoverFromADeadHolder(t *testing.T) {
	t.Parallel()
	_, js := site(t)
	kv, err := js.KeyValue(t.Context(), "quota_lease")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "acme", []byte(`{"holder":"dead"}`)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	next := start(t, js, "next")
	took := next.await(t, "acquired").Sub(began)
	if took < Patience || took > 5*Patience {
		t.Errorf("a dead holder's lease was taken after %s, want %s and a little", took, Patience)
	}
}

// A holder that cannot renew is not sure of its lease any more, before somebody else can have it.
func TestSureness(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv, _ := site(t, natstest.Listen(), natstest.StoreDir(dir))
	p := startRemote(t, srv.URL(), "holder")
	p.await(t, "acquired")
	eventually(t, "it is sure", p.lease.Sure)
	began := time.Now()
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not sure while the store is away", func() bool { return !p.lease.Sure() })
	if took := time.Since(began); took < Patience-Renewal-callTimeout {
		t.Errorf("it was not sure after %s", took)
	}
	natstest.Start(t, natstest.Port(portOf(t, srv)), natstest.StoreDir(dir))
	eventually(t, "it is sure again", p.lease.Sure)
	p.stop()
	if p.lease.Sure() {
		t.Error("sure of a lease that was given up")
	}
}

func TestOneWinnerOfMany(t *testing.T) {
	t.Parallel()
	_, js := site(t)
	processes := make([]*process, 5)
	for i := range processes {
		processes[i] = start(t, js, string(rune('a'+i)))
	}
	holder := func() int {
		n := -1
		for i, p := range processes {
			if len(p.events) > 0 {
				n = i
			}
		}
		return n
	}
	eventually(t, "one holds it", func() bool { return holder() >= 0 })
	for range len(processes) - 1 {
		winner := holder()
		processes[winner].await(t, "acquired")
		processes[winner].stop()
		eventually(t, "the next holds it", func() bool { return holder() >= 0 })
	}
	total := 0
	for _, p := range processes {
		total += len(p.events)
	}
	if total != 1 {
		t.Errorf("%d events are left, want the last acquisition", total)
	}
}

func TestAStolenLeaseIsLostAndWonBack(t *testing.T) {
	t.Parallel()
	_, js := site(t)
	kv, err := js.KeyValue(t.Context(), "quota_lease")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, js, "victim")
	p.await(t, "acquired")
	if _, err := kv.Put(t.Context(), "acme", []byte("not even json")); err != nil {
		t.Fatal(err)
	}
	p.await(t, "lost")
	p.await(t, "acquired")
	if err := kv.Delete(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is there again", func() bool { _, err := kv.Get(t.Context(), "acme"); return err == nil })
}

func TestGivingUpLetsAnotherOneTry(t *testing.T) {
	t.Parallel()
	_, js := site(t)
	first := start(t, js, "first")
	first.await(t, "acquired")
	second := start(t, js, "second")
	first.lease.GiveUp(time.Minute)
	second.await(t, "acquired")
	eventually(t, "the first sees the second", first.lease.Elsewhere)
}

func TestAnOutageOfTheStoreMovesNoLease(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv, js := site(t, natstest.Listen(), natstest.StoreDir(dir))
	_ = js
	first := startRemote(t, srv.URL(), "first")
	first.await(t, "acquired")
	second := startRemote(t, srv.URL(), "second")
	eventually(t, "the second sees the first", second.lease.Elsewhere)
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	outage := time.NewTimer(2 * Patience) // longer than a dead holder has
	<-outage.C
	natstest.Start(t, natstest.Port(portOf(t, srv)), natstest.StoreDir(dir))
	eventually(t, "the second sees the first again", second.lease.Elsewhere)
	if len(first.events) != 0 || len(second.events) != 0 {
		t.Errorf("the lease moved: %d and %d events", len(first.events), len(second.events))
	}
}
