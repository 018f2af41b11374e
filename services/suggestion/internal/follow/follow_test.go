package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/book"
	"github.com/bursarhq/bursar/services/suggestion/internal/keep"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
)

// world is a real server with the bucket and the stream that the service writes to.
type world struct {
	t       testing.TB
	js      jetstream.JetStream
	keeper  *keep.Keeper
	metrics *Metrics
}

func newWorld(t testing.TB) *world {
	t.Helper()
	js, err := jetstream.New(natstest.Connect(t, natstest.Start(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{wire.BucketSuggestions, wire.BucketEstimates} {
		if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bucket}); err != nil {
			t.Fatal(err)
		}
	}
	for name, filter := range map[string]string{wire.StreamEvents: wire.FilterEvents, wire.StreamLedger: wire.FilterLedger} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{filter}}); err != nil {
			t.Fatal(err)
		}
	}
	catalogue, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := keep.New(t.Context(), js, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, js, keeper, newMetrics(t)}
}

func newMetrics(t testing.TB) *Metrics {
	t.Helper()
	m, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (w *world) follower(k Keeper) *Follower {
	return New(k, w.metrics, slog.New(slog.DiscardHandler), time.Now, nil)
}

// events lists the ids of the suggestions that became events, in order.
func (w *world) events() []string {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), wire.StreamEvents)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for i := uint64(1); i <= stream.CachedInfo().State.LastSeq; i++ {
		msg, err := stream.GetMsg(w.t.Context(), i)
		if err != nil {
			w.t.Fatal(err)
		}
		event, err := wire.DecodeEvent(msg.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		var s wire.Suggestion
		if err := event.Into(&s); err != nil {
			w.t.Fatal(err)
		}
		if event.Kind() != wire.KindSuggestionMade || s.SuggestionID != event.ID {
			w.t.Errorf("event %+v holds %+v", event, s)
		}
		ids = append(ids, event.ID)
	}
	return ids
}

func (w *world) state(workspace string) wire.SuggestionList {
	w.t.Helper()
	b, _, err := w.keeper.Load(w.t.Context(), workspace)
	if err != nil {
		w.t.Fatal(err)
	}
	return b.List()
}

// estimates gives what is stored of what was learned in a workspace.
func (w *world) estimates(workspace string) []byte {
	w.t.Helper()
	b, _, err := w.keeper.LoadEstimates(w.t.Context(), workspace)
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := b.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

// script is what happens in two workspaces, as ranges of the ledger's stream.
func script(t testing.TB) []bus.Range {
	one, two := scene.New(t, 1), scene.New(t, 2)
	var sequence uint64
	record := func(workspace string, data []byte) bus.Record {
		sequence++
		return bus.Record{Subject: wire.KeySubject(wire.BucketLedger, workspace), Data: data, Sequence: sequence, Deliveries: 1, Time: scene.Start.Time()}
	}
	return []bus.Range{
		{Messages: []bus.Record{record("one", one.Encoded(one.Configured())), record("two", two.Encoded(two.Configured()))}},
		{Messages: []bus.Record{record("one", one.Encoded(one.Spent(1_000_000))), record("one", one.Encoded(one.Exhausted(8)...))}},
		{Messages: []bus.Record{record("two", two.Encoded(two.Oversized(8)...)), record("one", one.Encoded(one.Spent(10)))}},
		{Messages: []bus.Record{record("one", one.Encoded(one.Oversized(8)...)), record("two", two.Encoded(two.Exhausted(7)...))}},
	}
}

var errCrash = errors.New("the process dies here")

// mortal dies at the n-th call to its keeper, before or after the call has had its effect.
type mortal struct {
	Keeper
	calls, at int
	after     bool
	published int // calls that reached the stream, which may itself hold back a repeat
}

func (m *mortal) step(call func() error) error {
	m.calls++
	if m.calls != m.at {
		return call()
	}
	if m.after {
		if err := call(); err != nil {
			return err
		}
	}
	return errCrash
}

func (m *mortal) Load(ctx context.Context, workspace string) (b *book.Book, revision uint64, err error) {
	err = m.step(func() error {
		b, revision, err = m.Keeper.Load(ctx, workspace)
		return err
	})
	return b, revision, err
}

func (m *mortal) Save(ctx context.Context, b *book.Book, revision uint64) (saved uint64, err error) {
	err = m.step(func() error {
		saved, err = m.Keeper.Save(ctx, b, revision)
		return err
	})
	return saved, err
}

func (m *mortal) LoadEstimates(ctx context.Context, workspace string) (b *learn.Book, revision uint64, err error) {
	err = m.step(func() error {
		b, revision, err = m.Keeper.LoadEstimates(ctx, workspace)
		return err
	})
	return b, revision, err
}

func (m *mortal) SaveEstimates(ctx context.Context, workspace string, b *learn.Book, revision uint64) (saved uint64, err error) {
	err = m.step(func() error {
		saved, err = m.Keeper.SaveEstimates(ctx, workspace, b, revision)
		return err
	})
	return saved, err
}

func (m *mortal) Show(ctx context.Context, list wire.SuggestionList) error {
	return m.step(func() error { return m.Keeper.Show(ctx, list) })
}

func (m *mortal) Publish(ctx context.Context, workspace string, s wire.Suggestion) error {
	return m.step(func() error {
		m.published++
		return m.Keeper.Publish(ctx, workspace, s)
	})
}

// play runs the script; whoever dies is replaced, and the range in hand is handed in again, as the bus does.
func (w *world) play(at int, after bool) (calls, published int) {
	w.t.Helper()
	m := &mortal{Keeper: w.keeper, at: at, after: after}
	f := w.follower(m)
	for _, r := range script(w.t) {
		w.log(r)
		for {
			err := f.handle(w.t.Context(), r)
			if err == nil {
				break
			}
			if !errors.Is(err, errCrash) {
				w.t.Fatalf("death %d: %v", at, err)
			}
			f = w.follower(m)
		}
	}
	return m.calls, m.published
}

// log puts a range into the ledger's log.
func (w *world) log(r bus.Range) {
	w.t.Helper()
	for _, m := range r.Messages {
		if _, err := w.js.Publish(w.t.Context(), m.Subject, m.Data); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A process may die at any step: the advice is told once, in the same order, and the books end up the same.
func TestDeathAtEveryStep(t *testing.T) {
	t.Parallel()
	calm := newWorld(t)
	calls, _ := calm.play(0, false)
	want, one, two := calm.events(), calm.state("one"), calm.state("two")
	if len(want) != 5 || len(one.Suggestions) != 3 || len(two.Suggestions) != 2 {
		t.Fatalf("the script tells %d, the lists have %d and %d", len(want), len(one.Suggestions), len(two.Suggestions))
	}
	learnedOne, learnedTwo := calm.estimates("one"), calm.estimates("two")
	for at := 1; at <= calls; at++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d after %v", at, after), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if _, published := w.play(at, after); published != len(want) {
					t.Errorf("published %d times, want %d", published, len(want))
				}
				if got := w.events(); !reflect.DeepEqual(got, want) {
					t.Errorf("told %v, want %v", got, want)
				}
				if !reflect.DeepEqual(w.state("one"), one) || !reflect.DeepEqual(w.state("two"), two) {
					t.Error("the books differ from those of a calm life")
				}
				if !bytes.Equal(w.estimates("one"), learnedOne) || !bytes.Equal(w.estimates("two"), learnedTwo) {
					t.Error("the estimates differ from those of a calm life")
				}
			})
		}
	}
}

// Two services at once, one of them behind: the one that comes second gives way and reads again.
func TestTwoServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.follower(w.keeper), w.follower(w.keeper)
	ranges := script(t)
	for i, r := range ranges {
		w.log(r)
		if err := first.handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		err := second.handle(t.Context(), r)
		if i > 0 && !errors.Is(err, keep.ErrConflict) {
			t.Fatalf("range %d: got %v, want a conflict", i, err)
		}
	}
	if got := w.events(); len(got) != 5 {
		t.Errorf("told %v, want each once", got)
	}
}

func TestUnreadableIsPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := scene.New(t, 1)
	subject := wire.KeySubject(wire.BucketLedger, "one")
	first := l.Encoded(l.Configured())
	broken := l.Encoded(l.Exhausted(8)...)
	broken[len(broken)-1] ^= 1
	last := l.Encoded(l.Exhausted(8)...)
	f := w.follower(w.keeper)
	err := f.handle(t.Context(), bus.Range{Messages: []bus.Record{
		{Subject: subject, Data: first}, {Subject: subject, Data: broken}, {Subject: "$KV.other.x", Data: first}, {Subject: subject, Data: last},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if unreadable, missed := testutil.ToFloat64(w.metrics.unreadable), testutil.ToFloat64(w.metrics.missed); unreadable != 2 || missed != 1 {
		t.Errorf("%v unreadable and %v missed, want 2 and 1", unreadable, missed)
	}
	if len(w.events()) != 1 {
		t.Error("what can be read must still give advice")
	}
}

func TestUnreadableStateBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kv, err := w.js.KeyValue(t.Context(), wire.BucketSuggestions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "one.state", []byte("from the future")); err != nil {
		t.Fatal(err)
	}
	w.play(0, false)
	if list := w.state("one"); len(list.Suggestions) != 3 {
		t.Errorf("got %d suggestions, want 3", len(list.Suggestions))
	}
}

// BenchmarkCatchUp handles ranges of 1,024 commits with 10 usage events each, as after a long absence.
func BenchmarkCatchUp(b *testing.B) {
	w := newWorld(b)
	f := w.follower(w.keeper)
	l := scene.New(b, 1)
	subject := wire.KeySubject(wire.BucketLedger, "one")
	next := func() bus.Range {
		r := bus.Range{Messages: make([]bus.Record, 1024)}
		for i := range r.Messages {
			events := make([]quota.Event, 10)
			for j := range events {
				events[j] = l.Spent(int64(j))
			}
			r.Messages[i] = bus.Record{Subject: subject, Data: l.Encoded(events...), Time: scene.Start.Time()}
		}
		return r
	}
	for range b.N {
		b.StopTimer()
		r := next()
		b.StartTimer()
		if err := f.handle(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1024/b.Elapsed().Seconds(), "commits/s")
}

// TestReadingComesFirstWhileBehind wants advice to take its share of the time and no more while there is more to read, every
// commit to be stored all the same, and the advice to be there at the end.
func TestReadingComesFirstWhileBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ranges := script(t)
	for i := range ranges {
		ranges[i].Messages[len(ranges[i].Messages)-1].Pending = uint64(len(ranges) - 1 - i)
	}
	shows := &showing{Keeper: w.keeper}
	f := w.follower(shows)
	now := scene.Start.Time()
	f.now = func() time.Time { now = now.Add(time.Second); return now }
	var shown []int
	for _, r := range ranges {
		if err := f.handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		shown = append(shown, len(shows.lists))
	}
	// The first range gives advice for two workspaces, which takes a second by this clock; the others come too soon after
	// it, but for the last one, behind which there is nothing.
	if want := []int{2, 2, 2, 4}; !reflect.DeepEqual(shown, want) {
		t.Errorf("lists were shown %v times, want %v", shown, want)
	}
	plain := newWorld(t)
	g := plain.follower(plain.keeper)
	for _, r := range script(t) {
		if err := g.handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, workspace := range []string{"one", "two"} {
		got, want := w.state(workspace), plain.state(workspace)
		if got.Commit != want.Commit || len(got.Suggestions) != len(want.Suggestions) || len(want.Suggestions) == 0 {
			t.Errorf("%s: %d suggestions at commit %d, want %d at %d", workspace, len(got.Suggestions), got.Commit, len(want.Suggestions), want.Commit)
		}
	}
}

// showing counts the lists that are shown.
type showing struct {
	Keeper
	lists []wire.SuggestionList
}

func (s *showing) Show(ctx context.Context, list wire.SuggestionList) error {
	s.lists = append(s.lists, list)
	return s.Keeper.Show(ctx, list)
}
