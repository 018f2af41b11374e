package bus_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/bus"
)

func (f *fixture) ranges(bound bus.RangeConfig) (*bus.RangeSubscriber, <-chan *message.Message) {
	f.t.Helper()
	sub, err := bus.NewRangeSubscriber(f.config(), bound)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = sub.Close() })
	return sub, f.subscribe(sub)
}

func rangeOf(t testing.TB, msg *message.Message) bus.Range {
	t.Helper()
	r, ok := bus.RangeOf(msg)
	if !ok || len(r.Messages) == 0 {
		t.Fatalf("message %s stands for no range", msg.UUID)
	}
	return r
}

// checkRun fails the test unless a range holds the payloads from first on, none missing.
func checkRun(t testing.TB, r bus.Range, first int) {
	t.Helper()
	for i, m := range r.Messages {
		if string(m.Data) != strconv.Itoa(first+i) {
			t.Fatalf("range %d-%d: message %d is %s, want %d", r.First(), r.Last(), i, m.Data, first+i)
		}
	}
}

func TestRangesAreBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		bound bus.RangeConfig
		sizes []int // of the payloads
		want  []int // messages per range
	}{
		"by count":                {bus.RangeConfig{MaxMessages: 3}, []int{1, 1, 1, 1, 1, 1, 1}, []int{3, 3, 1}},
		"by bytes":                {bus.RangeConfig{MaxBytes: 100}, []int{60, 40, 1, 99, 50, 60}, []int{2, 2, 1, 1}},
		"one larger than allowed": {bus.RangeConfig{MaxBytes: 100}, []int{500, 10, 500}, []int{1, 1, 1}},
		"by linger":               {bus.RangeConfig{Linger: time.Millisecond}, []int{1, 1}, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, inProcess(t))
			if tc.bound.Linger == 0 {
				tc.bound.Linger = time.Second
			}
			for _, size := range tc.sizes {
				if _, err := f.js.Publish(t.Context(), "s.x", make([]byte, size)); err != nil {
					t.Fatal(err)
				}
			}
			_, messages := f.ranges(tc.bound)
			next := uint64(1)
			for i, want := range tc.want {
				msg := receive(t, messages)
				r := rangeOf(t, msg)
				if len(r.Messages) != want || r.First() != next || msg.Metadata[bus.KeyCount] != strconv.Itoa(want) {
					t.Fatalf("range %d holds %d messages from %d, want %d from %d (%v)", i, len(r.Messages), r.First(), want, next, msg.Metadata)
				}
				next = r.Last() + 1
				msg.Ack()
			}
			eventually(t, "all is acknowledged", func() bool { return f.floor() == uint64(len(tc.sizes)) })
		})
	}
}

func TestRefusedRangeComesAgainUnchanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.publish(1, 5)
	_, messages := f.ranges(bus.RangeConfig{MaxMessages: 3, Linger: time.Second})
	for deliveries := 1; deliveries <= 3; deliveries++ {
		msg := receive(t, messages)
		r := rangeOf(t, msg)
		if checkRun(t, r, 1); len(r.Messages) != 3 || msg.Metadata[bus.KeyDeliveries] != strconv.Itoa(deliveries) {
			t.Errorf("delivery %d: %v", deliveries, msg.Metadata)
		}
		if deliveries < 3 {
			msg.Nack()
		} else {
			msg.Ack()
		}
	}
	checkRun(t, rangeOf(t, receive(t, messages)), 4)
}

// A reader that vanishes with messages in hand leaves them to the next one, at once and in order,
// though the ack wait is far from over.
func TestNextReaderBeginsAtTheFloor(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.consumer.AckWait = time.Hour
	f.publish(1, 20)
	first, messages := f.ranges(bus.RangeConfig{MaxMessages: 5})
	msg := receive(t, messages)
	checkRun(t, rangeOf(t, msg), 1)
	msg.Ack()
	checkRun(t, rangeOf(t, receive(t, messages)), 6) // never acknowledged
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	f.publish(21, 5)

	began := time.Now()
	_, messages = f.ranges(bus.RangeConfig{MaxMessages: 100})
	for next := 6; next <= 25; {
		msg := receive(t, messages)
		r := rangeOf(t, msg)
		checkRun(t, r, next)
		next += len(r.Messages)
		msg.Ack()
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the next reader took %s", took)
	}
}

// Somebody else pulls from the same consumer and throws away what he gets. The reader sees the holes
// and fetches what is missing.
func TestReaderFillsHoles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.consumer.AckWait = time.Hour
	_, messages := f.ranges(bus.RangeConfig{MaxMessages: 7})
	thief, err := f.js.Consumer(t.Context(), "S", f.consumer.Name)
	if err != nil {
		t.Fatal(err)
	}
	const total = 500
	stolen := 0
	var stealing sync.WaitGroup
	stealing.Go(func() {
		for i := 1; i <= total; i++ {
			f.publish(i, 1)
			if i%50 != 0 || i == total {
				continue
			}
			loot, err := thief.Fetch(2, jetstream.FetchMaxWait(20*time.Millisecond))
			if err != nil {
				t.Error(err)
				return
			}
			f.publish(i+1, 4) // the server serves those who wait in turn
			i += 4
			for range loot.Messages() {
				stolen++
			}
		}
	})
	for next := 1; next <= total; {
		msg := receive(t, messages)
		r := rangeOf(t, msg)
		checkRun(t, r, next)
		next += len(r.Messages)
		msg.Ack()
	}
	stealing.Wait()
	eventually(t, "all is acknowledged", func() bool { return f.floor() == total })
	if stolen == 0 {
		t.Error("nothing was stolen, so nothing was shown")
	}
	t.Logf("%d of %d messages were stolen on the way", stolen, total)
}

// Two readers at once repeat each other's work, but each sees a run without gaps beyond what the
// other has acknowledged, and together they lose nothing.
func TestTwoReadersLoseNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	const total = 300
	var mu sync.Mutex
	seen := map[string]int{}
	for range 2 {
		_, messages := f.ranges(bus.RangeConfig{MaxMessages: 10, Linger: time.Millisecond})
		go func() {
			for msg := range messages {
				mu.Lock()
				if r, ok := bus.RangeOf(msg); ok {
					for _, m := range r.Messages {
						seen[string(m.Data)]++
					}
				}
				mu.Unlock()
				msg.Ack()
			}
		}()
	}
	f.publish(1, total)
	eventually(t, "all is acknowledged", func() bool { return f.floor() == total })
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != total {
		t.Errorf("%d of %d messages were seen", len(seen), total)
	}
}

// An acknowledgement that comes late, from a reader that was paused while another took over, says
// nothing about other messages and does not stop those of the new reader from counting.
func TestLateAcknowledgementIsHarmless(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.consumer.AckWait = time.Hour
	f.publish(1, 30)
	cons, err := f.js.CreateConsumer(t.Context(), "S", f.consumer)
	if err != nil {
		t.Fatal(err)
	}
	held := fetch(t, cons, 10)
	for _, msg := range held[:5] {
		if err := msg.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, messages := f.ranges(bus.RangeConfig{MaxMessages: 5, Linger: time.Second}) // takes over at 6
	first := receive(t, messages)
	checkRun(t, rangeOf(t, first), 6)
	if err := held[9].DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if floor := f.floor(); floor != 5 {
		t.Fatalf("the floor is %d after a late acknowledgement of 10, want 5", floor)
	}
	first.Ack()
	for next := 11; next <= 30; next += 5 {
		msg := receive(t, messages)
		checkRun(t, rangeOf(t, msg), next)
		msg.Ack()
	}
	eventually(t, "all is acknowledged", func() bool { return f.floor() == 30 })
}

func fetch(t *testing.T, cons jetstream.Consumer, n int) []jetstream.Msg {
	t.Helper()
	batch, err := cons.Fetch(n)
	if err != nil {
		t.Fatal(err)
	}
	var msgs []jetstream.Msg
	for msg := range batch.Messages() {
		msgs = append(msgs, msg)
	}
	if len(msgs) != n {
		t.Fatalf("fetched %d of %d messages: %v", len(msgs), n, batch.Error())
	}
	return msgs
}

func TestSlowRangeHandlerKeepsItsRange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.consumer.AckWait = 300 * time.Millisecond
	f.publish(1, 10)
	_, messages := f.ranges(bus.RangeConfig{Linger: 100 * time.Millisecond})
	msg := receive(t, messages)
	cons, err := f.js.Consumer(t.Context(), "S", f.consumer.Name)
	if err != nil {
		t.Fatal(err)
	}
	stray, err := cons.Fetch(1, jetstream.FetchMaxWait(4*f.consumer.AckWait))
	if err != nil {
		t.Fatal(err)
	}
	for m := range stray.Messages() {
		t.Errorf("%s was delivered again while its handler worked", m.Data())
	}
	msg.Ack()
	eventually(t, "all is acknowledged", func() bool { return f.floor() == 10 })
}

// Filters leave holes in the stream's positions, which are no gaps.
func TestRangesOfAFilteredConsumer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.consumer.FilterSubject = "s.mine"
	for i := range 20 {
		subject := "s.other"
		if i%3 == 0 {
			subject = "s.mine"
		}
		if _, err := f.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(strconv.Itoa(i / 3))}); err != nil {
			t.Fatal(err)
		}
	}
	_, messages := f.ranges(bus.RangeConfig{MaxMessages: 4})
	for next := 0; next < 7; {
		msg := receive(t, messages)
		r := rangeOf(t, msg)
		checkRun(t, r, next)
		next += len(r.Messages)
		msg.Ack()
	}
}

// TestReadersSurviveKills kills the server with SIGKILL while messages are published and read. Each
// reader must see every message, the range reader in order and without a gap.
func TestReadersSurviveKills(t *testing.T) {
	t.Parallel()
	server := startKillable(t)
	f := newFixture(t, server.jetStream())
	f.consumer.AckWait = 2 * time.Second
	g := newFixture(t, f.js)
	g.consumer = bus.Durable("other", "s.*", bus.StartAll())
	g.consumer.AckWait = 2 * time.Second
	_, ranges := f.ranges(bus.RangeConfig{MaxMessages: 50, Linger: 5 * time.Millisecond})
	_, singles := g.singles()
	pub, err := bus.NewPublisher(bus.PublisherConfig{JetStream: f.js, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}

	const total, kills = 1500, 3
	var all sync.WaitGroup
	all.Go(func() {
		for i := 1; i <= total; i++ {
			publishUntilStored(pub, strconv.Itoa(i))
			if i%(total/(kills+1)) == 0 && i < total {
				server.restart()
			}
		}
	})
	all.Go(func() {
		for next := 1; next <= total; {
			msg := receive(t, ranges)
			r := rangeOf(t, msg)
			first, err := strconv.Atoi(string(r.Messages[0].Data))
			if err != nil || first > next {
				t.Errorf("a range begins at %s, next is %d", r.Messages[0].Data, next)
			}
			checkRun(t, r, first)
			next = max(next, first+len(r.Messages))
			msg.Ack()
		}
	})
	all.Go(func() {
		seen := map[string]bool{}
		for len(seen) < total {
			msg := receive(t, singles)
			seen[string(msg.Payload)] = true
			msg.Ack()
		}
	})
	all.Wait()
}

// publishUntilStored publishes a message under an id, so that trying again stores it once.
func publishUntilStored(pub *bus.Publisher, payload string) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		msg := message.NewMessageWithContext(ctx, "id-"+payload, []byte(payload))
		err := pub.Publish("s.x", msg)
		cancel()
		if err == nil {
			return
		}
	}
}

// Ranges pass through Watermill's router and middleware like any message.
func TestRangesThroughTheRouter(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	sub, err := bus.NewRangeSubscriber(f.config(), bus.RangeConfig{MaxMessages: 10, Linger: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	router, err := message.NewRouter(message.RouterConfig{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	failed := false
	router.AddConsumerHandler("reader", "topic", sub, func(msg *message.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if !failed {
			failed = true
			return context.DeadlineExceeded
		}
		r, ok := bus.RangeOf(msg)
		if !ok {
			return context.Canceled
		}
		for _, m := range r.Messages {
			got = append(got, string(m.Data))
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	<-router.Running()
	f.publish(1, 25)
	eventually(t, "all is acknowledged", func() bool { return f.floor() == 25 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 25 || !strings.HasPrefix(strings.Join(got, " "), "1 2 3 4 5") || got[24] != "25" {
		t.Errorf("handled %v", got)
	}
}

func BenchmarkRanges(b *testing.B) {
	f := newFixture(b, inProcess(b))
	data := make([]byte, 1000)
	for range b.N {
		if _, err := f.js.PublishAsync("s.x", data); err != nil {
			b.Fatal(err)
		}
	}
	<-f.js.PublishAsyncComplete()
	b.ResetTimer()
	_, messages := f.ranges(bus.RangeConfig{})
	for n := 0; n < b.N; {
		msg := <-messages
		r, _ := bus.RangeOf(msg)
		n += len(r.Messages)
		msg.Ack()
	}
	eventually(b, "all is acknowledged", func() bool { return f.floor() == uint64(b.N) })
}

// While its handler fails for longer than the ack wait, as when a database is away, a reader neither
// loses its place nor hands anything out twice.
func TestLongOutageOfTheHandler(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.consumer.AckWait = 300 * time.Millisecond
	const total = 200
	f.publish(1, total)
	_, messages := f.ranges(bus.RangeConfig{MaxMessages: 20})
	for outage := time.After(4 * f.consumer.AckWait); ; {
		msg := receive(t, messages)
		checkRun(t, rangeOf(t, msg), 1)
		select {
		case <-outage:
			msg.Ack()
		default:
			msg.Nack()
			continue
		}
		break
	}
	for next := 21; next <= total; {
		msg := receive(t, messages)
		r := rangeOf(t, msg)
		checkRun(t, r, next)
		next += len(r.Messages)
		msg.Ack()
	}
	eventually(t, "all is acknowledged", func() bool { return f.floor() == total })
}
