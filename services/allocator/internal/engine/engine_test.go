package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
	"github.com/bursarhq/bursar/services/allocator/internal/store/storetest"
)

const patience = 20 * time.Second

// unpriced knows no prices.
type unpriced struct{}

func (unpriced) Rate(string, quota.Instant, bool) (quota.Rate, bool) { return quota.Rate{}, false }

// noKeyframes keeps none.
type noKeyframes struct{}

func (noKeyframes) Save(context.Context, *ledger.EncodedKeyframe) error { return nil }
func (noKeyframes) Newest(context.Context) (*ledger.Ledger, []error, error) {
	return nil, nil, nil
}

// memoryKeyframes keeps keyframes, which a test can spoil.
type memoryKeyframes struct {
	mu    sync.Mutex
	saved []*ledger.EncodedKeyframe
	spoil bool
}

func (k *memoryKeyframes) Save(_ context.Context, f *ledger.EncodedKeyframe) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.saved = append(k.saved, f)
	return nil
}

func (k *memoryKeyframes) Newest(context.Context) (*ledger.Ledger, []error, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.spoil {
		return ledger.New(), []error{errors.New("spoilt")}, nil
	}
	if len(k.saved) == 0 {
		return nil, nil, nil
	}
	f := k.saved[len(k.saved)-1]
	m, err := ledger.DecodeManifest(f.Manifest)
	if err != nil {
		return nil, nil, err
	}
	l, err := ledger.Restore(m, f.Chunks)
	return l, nil, err
}

func (k *memoryKeyframes) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.saved)
}

// watcher is an observer that remembers.
type watcher struct {
	mu      sync.Mutex
	events  []string
	commits int
}

func (w *watcher) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf(format, args...))
}

func (w *watcher) Served(epoch uint64, _ *quota.State) { w.note("serving %d", epoch) }
func (w *watcher) Stopped(reason writer.StepReason)    { w.note("stopped %s", reason) }
func (w *watcher) Halted(string)                       { w.note("halted") }
func (w *watcher) Outcome(writer.Verdict, error)       {}
func (w *watcher) Committed(*writer.Committed, time.Duration, *quota.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits++
}

func (w *watcher) Alarm(kind writer.AlarmKind, detail string) {
	if detail == "" {
		w.note("no alarm %s", kind)
		return
	}
	w.note("alarm %s", kind)
}

func (w *watcher) has(event string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e == event {
			return true
		}
	}
	return false
}

// rig is an engine on a log in memory.
type rig struct {
	t       *testing.T
	engine  *Engine
	watcher *watcher
	stop    func()
}

func newRig(t *testing.T, log Log, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, watcher: &watcher{}}
	opt := Options{
		Name: t.Name(), Log: log, Keyframes: noKeyframes{}, Prices: func(*quota.Config) quota.Prices { return unpriced{} },
		Observer: r.watcher, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&opt)
	}
	r.engine = New(opt)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.engine.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(r.stop)
	return r
}

func (r *rig) await(event string) {
	r.t.Helper()
	eventually(r.t, event, func() bool { return r.watcher.has(event) })
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not after %s: %s", patience, what)
		}
	}
}

// request makes a call with an id of its own; its answer arrives on the channel.
func request(id uuid.UUID, command quota.Command) (*Call, <-chan writer.Reply) {
	answer := make(chan writer.Reply, 2) // room for one too many, which a test would see
	return &Call{
		Request: writer.Request{Key: ledger.KeyOf("ann", id.String()), IssuedAt: wire.RequestID(id).Made(), Command: command},
		Done:    func(reply *writer.Reply) { answer <- *reply },
	}, answer
}

func (r *rig) ask(id uuid.UUID, command quota.Command) writer.Reply {
	r.t.Helper()
	call, answer := request(id, command)
	r.engine.Submit(call)
	return receive(r.t, answer)
}

func receive(t *testing.T, answer <-chan writer.Reply) writer.Reply {
	t.Helper()
	select {
	case reply := <-answer:
		return reply
	case <-time.After(patience):
		t.Fatal("no answer")
		return writer.Reply{}
	}
}

func newRequestID(t *testing.T) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func hold(name string) quota.Command {
	return quota.Block{Actor: quota.Actor{Principal: "root"}, Target: quota.BlockTeam, Name: name}
}

// verify folds the log and fails the test on any violation; it gives the number of commits.
func verify(t *testing.T, log Log) int {
	t.Helper()
	v := ledger.NewVerifier(nil)
	if err := log.Each(t.Context(), 0, func(e ledger.Entry) error { v.Add(e); return nil }); err != nil {
		t.Fatal(err)
	}
	report := v.Finish()
	if !report.OK() {
		t.Fatalf("the log: %v", report.Violations)
	}
	return report.Commits
}

func TestServesAndRemembers(t *testing.T) {
	t.Parallel()
	log := (&storetest.Memory{}).Open("acme")
	first := newRig(t, log, nil)
	if reply := first.ask(newRequestID(t), hold("early")); reply.Result.Code != quota.CodeUnavailable || !reply.Result.Retryable {
		t.Errorf("before it serves: %+v", reply.Result)
	}
	first.engine.Elect(t.Context())
	first.await("serving 1")
	id := newRequestID(t)
	reply := first.ask(id, hold("a"))
	if !reply.Result.OK() || reply.Version == 0 {
		t.Fatalf("%+v", reply)
	}
	if again := first.ask(id, hold("a")); !again.Result.OK() || again.Version != reply.Version {
		t.Errorf("asked again: %+v, first it was %+v", again, reply)
	}
	if err := first.engine.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.await("stopped drained")
	second := newRig(t, log, nil)
	second.engine.Elect(t.Context())
	second.await("serving 2")
	if again := second.ask(id, hold("a")); !again.Result.OK() || again.Version != reply.Version {
		t.Errorf("asked the next one: %+v, first it was %+v", again, reply)
	}
	if n := verify(t, log); n != 3 {
		t.Errorf("%d commits, want two claims and one decision", n)
	}
}

// A standby that was following takes over with what was committed up to the end.
func TestAFollowerTakesOver(t *testing.T) {
	t.Parallel()
	log := (&storetest.Memory{}).Open("acme")
	leader, standby := newRig(t, log, nil), newRig(t, log, nil)
	leader.engine.Elect(t.Context())
	leader.await("serving 1")
	for i := range 200 {
		if reply := leader.ask(newRequestID(t), hold(fmt.Sprint(i))); !reply.Result.OK() {
			t.Fatalf("%+v", reply.Result)
		}
	}
	standby.engine.Elect(t.Context())
	standby.await("serving 2")
	var blocks int
	call, answer := request(newRequestID(t), nil)
	call.Read = func(s *quota.State, _ quota.Instant) any { return len(s.Blocks()) }
	standby.engine.Submit(call)
	if blocks, _ = receive(t, answer).Value.(int); blocks != 200 {
		t.Errorf("%d blocks, want 200", blocks)
	}
	reply := leader.ask(newRequestID(t), hold("zombie"))
	if reply.Result.Code != quota.CodeUnavailable {
		t.Errorf("the deposed leader: %+v", reply.Result)
	}
	leader.await("stopped fenced")
	leader.engine.Elect(t.Context())
	leader.await("serving 3")
	verify(t, log)
}

// Every verdict of the store, before or after it stored the commit, leads to one answer and a log that verifies.
func TestOutcomesThatAreNotKnown(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	tests := []struct {
		name   string
		stored bool
		as     store.Outcome
	}{
		{"the acknowledgement is lost", true, store.Outcome{Verdict: writer.Unknown, Err: lost}},
		{"the commit is lost", false, store.Outcome{Verdict: writer.Unknown, Err: lost}},
		{"in flight, and stored", true, store.Outcome{Verdict: writer.InFlight, Err: lost}},
		{"in flight, and not stored", false, store.Outcome{Verdict: writer.InFlight, Err: lost}},
		{"a repeat is refused", true, store.Outcome{Verdict: writer.Conflict, Err: lost}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := (&storetest.Memory{}).Open("acme")
			var mu sync.Mutex
			n := 0
			log.Interfere = func(publish func() store.Outcome) store.Outcome {
				mu.Lock()
				defer mu.Unlock()
				if n++; n%2 == 0 {
					return publish()
				}
				if tt.stored {
					publish()
				}
				return tt.as
			}
			r := newRig(t, log, nil)
			r.engine.Elect(t.Context())
			r.await("serving 1")
			for i := range 5 {
				if reply := r.ask(newRequestID(t), hold(fmt.Sprint(i))); !reply.Result.OK() {
					t.Fatalf("%+v", reply.Result)
				}
			}
			if n := verify(t, log); n != 6 {
				t.Errorf("%d commits, want 6", n)
			}
		})
	}
}

func TestAFullBucketIsAnAlarmAndHeals(t *testing.T) {
	t.Parallel()
	log := (&storetest.Memory{}).Open("acme")
	var mu sync.Mutex
	full := false
	setFull := func(to bool) { mu.Lock(); defer mu.Unlock(); full = to }
	log.Interfere = func(publish func() store.Outcome) store.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if full {
			return store.Outcome{Verdict: writer.Full, Err: errors.New("maximum bytes exceeded")}
		}
		return publish()
	}
	r := newRig(t, log, nil)
	r.engine.Elect(t.Context())
	r.await("serving 1")
	setFull(true)
	id := newRequestID(t)
	if reply := r.ask(id, hold("a")); reply.Result.Code != quota.CodeUnavailable {
		t.Errorf("full: %+v", reply.Result)
	}
	r.await("alarm full")
	setFull(false)
	r.await("no alarm full")
	if reply := r.ask(id, hold("a")); !reply.Result.OK() {
		t.Errorf("after there is room: %+v", reply.Result)
	}
	verify(t, log)
}

func TestAForeignWriteHaltsTheLedger(t *testing.T) {
	t.Parallel()
	log := (&storetest.Memory{}).Open("acme")
	r := newRig(t, log, nil)
	r.engine.Elect(t.Context())
	r.await("serving 1")
	log.Put([]byte("not a commit"))
	if reply := r.ask(newRequestID(t), hold("a")); reply.Result.Code != quota.CodeUnavailable {
		t.Errorf("%+v", reply.Result)
	}
	r.await("halted")
	r.await("alarm halt")
	r.engine.Elect(t.Context())
	if reply := r.ask(newRequestID(t), hold("b")); reply.Result.Code != quota.CodeUnavailable {
		t.Errorf("a halted ledger: %+v", reply.Result)
	}
	if last, _ := log.Last(t.Context()); last != 2 {
		t.Errorf("something was written after the foreign write: revision %d", last)
	}
	next := newRig(t, log, nil)
	next.engine.Elect(t.Context())
	next.await("halted")
}

func TestRecoveryFromKeyframes(t *testing.T) {
	t.Parallel()
	for _, spoil := range []bool{false, true} {
		t.Run(fmt.Sprintf("spoilt %v", spoil), func(t *testing.T) {
			t.Parallel()
			log, keyframes := (&storetest.Memory{}).Open("acme"), &memoryKeyframes{}
			with := func(o *Options) { o.Keyframes, o.KeyframeCommits = keyframes, 10 }
			r := newRig(t, log, with)
			r.engine.Elect(t.Context())
			r.await("serving 1")
			n := 0
			eventually(t, "three keyframes", func() bool { // one that is due while another one is stored is left out
				n++
				if reply := r.ask(newRequestID(t), hold(fmt.Sprint(n))); !reply.Result.OK() {
					t.Fatalf("%+v", reply.Result)
				}
				return keyframes.count() >= 3
			})
			r.stop()
			keyframes.mu.Lock()
			keyframes.spoil = spoil
			keyframes.mu.Unlock()
			next := newRig(t, log, with)
			next.engine.Elect(t.Context())
			next.await("serving 2")
			verify(t, log)
		})
	}
}

// Whatever happens, each call is done once: by an answer, a refusal, or the end of the engine.
func TestEveryCallIsDoneOnce(t *testing.T) {
	t.Parallel()
	log := (&storetest.Memory{}).Open("acme")
	r := newRig(t, log, nil)
	const callers, calls = 16, 200
	var mu sync.Mutex
	done := map[int]int{}
	var calling sync.WaitGroup
	for c := range callers {
		calling.Go(func() {
			for i := range calls {
				n := c*calls + i
				call, _ := request(uuid.Must(uuid.NewV7()), hold(fmt.Sprint(n)))
				call.Done = func(*writer.Reply) { mu.Lock(); defer mu.Unlock(); done[n]++ }
				r.engine.Submit(call)
				if n%100 == 50 {
					r.engine.Elect(t.Context())
				}
				if n%300 == 250 {
					r.engine.Demote(t.Context())
				}
			}
		})
	}
	calling.Wait()
	r.stop()
	for n := range callers * calls {
		if done[n] != 1 {
			t.Fatalf("call %d was done %d times", n, done[n])
		}
	}
	verify(t, log)
}

func TestTooManyCallsAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	e := New(Options{Logger: slog.New(slog.DiscardHandler)}) // it does not run
	for range MaxWaiting {
		call, _ := request(uuid.New(), nil)
		e.Submit(call)
	}
	call, answer := request(uuid.New(), nil)
	e.Submit(call)
	if reply := receive(t, answer); reply.Result.Code != quota.CodeUnavailable || !reply.Result.Retryable {
		t.Errorf("%+v", reply.Result)
	}
}
