package relay

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

const patience = 30 * time.Second

// bench is a ledger stream with a relay beside it.
type bench struct {
	t       *testing.T
	site    *site.Site
	store   jetstream.JetStream
	metrics *Metrics
	stop    func()
	numbers map[string]uint64 // commits written, by workspace
	ledger  byte              // another one is another ledger
}

func newBench(t *testing.T) *bench {
	s := site.Start(t, nil)
	return &bench{t: t, site: s, store: s.JetStream(natsauth.RoleAllocatorStore), stop: func() {}, numbers: map[string]uint64{}}
}

// relay runs a relay with the rights of its role until stop is called.
func (b *bench) relay(points string) {
	b.t.Helper()
	set, err := failpoint.Parse(points)
	if err != nil {
		b.t.Fatal(err)
	}
	b.metrics = NewMetrics(prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{
			JetStream: b.site.JetStream(natsauth.RoleRelay), Metrics: b.metrics, Points: set, Log: slog.New(slog.DiscardHandler),
		})
	}()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("the relay ended with %v", err)
		}
	}
}

// commit stores a commit of a workspace with the given events.
func (b *bench) commit(workspace string, events ...quota.Event) {
	b.t.Helper()
	b.numbers[workspace]++
	n := b.numbers[workspace]
	data, err := ledger.Encode(&ledger.Commit{
		Ledger: ledger.ID{byte(len(workspace)), b.ledger}, Epoch: 1, Number: n, ID: ledger.ID{1}, At: quota.Instant(1_700_000_000_000 + n), Events: events,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.put(workspace, data)
}

func (b *bench) put(workspace string, data []byte) {
	b.t.Helper()
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.store.Publish(b.t.Context(), wire.KeySubject(wire.BucketLedger, key), data); err != nil {
		b.t.Fatal(err)
	}
}

func denied(agent string) quota.Event {
	return &quota.ReservationDenied{At: 1_700_000_000_000, Labels: quota.Labels{Principal: "ann", Agent: agent}, Code: quota.CodeInsufficientQuota}
}

// published gives the stored events, once there are as many as wanted, and fails the test when there are more.
func (b *bench) published(want int) (subjects []string, events []wire.Event) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	js := b.site.JetStream(natsauth.RoleReader)
	consumer, err := js.OrderedConsumer(ctx, wire.StreamEvents, jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		b.t.Fatal(err)
	}
	defer messages.Stop()
	for range want {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			b.t.Fatalf("%d events of %d: %v", len(events), want, err)
		}
		event, err := wire.DecodeEvent(msg.Data())
		if err != nil {
			b.t.Fatal(err)
		}
		if id := msg.Headers().Get(jetstream.MsgIDHeader); id != event.ID {
			b.t.Errorf("event %s was published as %q", event.ID, id)
		}
		subjects, events = append(subjects, msg.Subject()), append(events, event)
	}
	b.caughtUp()
	stream, err := js.Stream(ctx, wire.StreamEvents)
	if err != nil {
		b.t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != uint64(want) {
		b.t.Errorf("%d events are stored, want %d", got, want)
	}
	return subjects, events
}

// caughtUp waits until the relay has acknowledged every commit.
func (b *bench) caughtUp() {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	js := b.site.JetStream(natsauth.RoleRelay)
	for deadline := time.After(patience); ; {
		c, err := js.Consumer(b.t.Context(), wire.StreamLedger, wire.ConsumerRelay)
		if err != nil {
			b.t.Fatal(err)
		}
		if info := c.CachedInfo(); info.NumPending == 0 && info.NumAckPending == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatal("the relay does not catch up")
		}
	}
}

func TestEveryEventOfEveryCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.commit("acme", &quota.EpochClaimed{Epoch: 1, Writer: "w"})
	b.commit("acme", denied("a.1"), denied("b"))
	b.commit("acme") // answers only
	b.commit("b corp", denied("c"))
	b.relay("")
	defer b.stop()
	subjects, events := b.published(4)
	want := []string{
		"quota.v1.acme.event.=.=.epoch.claimed", "quota.v1.acme.event.ann.a=2E1.reservation.denied",
		"quota.v1.acme.event.ann.b.reservation.denied", "quota.v1.b=20corp.event.ann.c.reservation.denied",
	}
	for i := range want {
		if subjects[i] != want[i] {
			t.Errorf("event %d on %s, want %s", i, subjects[i], want[i])
		}
	}
	if e := events[2]; e.CommitNumber() != 2 || e.Index != 1 || e.Workspace() != "acme" || e.LedgerID != (ledger.ID{4}).String() {
		t.Errorf("the place of an event: %+v", e)
	}
	b.commit("acme", denied("later"))
	b.published(5)
}

// A relay that fails after it published, again and again, repeats itself, and the stream keeps each event once.
func TestRepeatsAreStoredOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.relay("relay-after-publish=1*error(no)")
	b.commit("acme", denied("a"), denied("b"))
	b.published(2)
	b.stop()
	b.commit("acme", denied("c"))
	b.relay("relay-after-publish=1*error(no)")
	defer b.stop()
	b.published(3)
	if n := testutil.ToFloat64(b.metrics.events); n != 2 {
		t.Errorf("%v events were published by the second relay, want the last one twice", n)
	}
}

func TestWhatIsNoCommitIsCountedAndPassedOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("acme", []byte("not a commit"))
	b.commit("acme", denied("a"))
	b.relay("")
	defer b.stop()
	b.published(1)
	if n := testutil.ToFloat64(b.metrics.unreadable); n != 1 {
		t.Errorf("%v commits were counted as unreadable, want 1", n)
	}
}

// More events than are published at once keep their order, over commits and ranges.
func TestOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const commits, each = 40, publishAtOnce / 10
	for c := range commits {
		events := make([]quota.Event, each)
		for i := range events {
			events[i] = denied(fmt.Sprintf("a%d", c*each+i))
		}
		b.commit("acme", events...)
	}
	b.relay("")
	defer b.stop()
	_, events := b.published(commits * each)
	for i := range events {
		if events[i].CommitNumber() != uint64(i/each)+1 || int(events[i].Index) != i%each {
			t.Fatalf("event %d is %s", i, events[i].ID)
		}
	}
}
