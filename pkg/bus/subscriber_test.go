package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/bus"
)

const patience = 20 * time.Second

// fixture is a stream S of the subjects s.* with one durable consumer.
type fixture struct {
	t        testing.TB
	js       jetstream.JetStream
	consumer jetstream.ConsumerConfig
}

func newFixture(t testing.TB, js jetstream.JetStream) *fixture {
	t.Helper()
	if err := ensureStream(js, "S", "s.*"); err != nil {
		t.Fatal(err)
	}
	return &fixture{t: t, js: js, consumer: bus.Durable("reader", "s.*", bus.StartAll())}
}

func (f *fixture) config() bus.SubscriberConfig {
	return bus.SubscriberConfig{
		JetStream:  f.js,
		NackDelay:  time.Millisecond,
		CloseGrace: 50 * time.Millisecond,
		Source: func(string) (bus.Source, error) {
			return bus.Source{Stream: "S", Consumer: f.consumer.Name, Create: &f.consumer}, nil
		},
	}
}

// publish stores n messages whose payload is their number, counted from first.
func (f *fixture) publish(first, n int) {
	f.t.Helper()
	for i := first; i < first+n; i++ {
		if _, err := f.js.Publish(context.Background(), "s.x", []byte(strconv.Itoa(i))); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) singles() (*bus.Subscriber, <-chan *message.Message) {
	f.t.Helper()
	sub, err := bus.NewSubscriber(f.config())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = sub.Close() })
	return sub, f.subscribe(sub)
}

func (f *fixture) subscribe(sub message.Subscriber) <-chan *message.Message {
	f.t.Helper()
	messages, err := sub.Subscribe(f.t.Context(), "topic")
	if err != nil {
		f.t.Fatal(err)
	}
	return messages
}

func (f *fixture) floor() uint64 {
	f.t.Helper()
	cons, err := f.js.Consumer(f.t.Context(), "S", f.consumer.Name)
	if err != nil {
		f.t.Fatal(err)
	}
	return cons.CachedInfo().AckFloor.Stream
}

// receive returns the next message, or fails the test when none comes.
func receive(t testing.TB, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, ok := <-messages:
		if !ok {
			t.Fatal("the channel is closed")
		}
		return msg
	case <-time.After(patience):
		t.Fatal("no message came")
	}
	return nil
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestStartPositions(t *testing.T) {
	t.Parallel()
	js := inProcess(t)
	f := newFixture(t, js)
	f.publish(1, 3)
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	third, err := stream.GetMsg(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		start bus.Start
		want  string
	}{
		"all":      {bus.StartAll(), "1"},
		"sequence": {bus.StartSequence(2), "2"},
		"time":     {bus.StartTime(third.Time), "3"},
		"new":      {bus.StartNew(), "4"},
	} {
		f := newFixture(t, js)
		f.consumer = bus.Durable("from-"+name, "s.*", tc.start)
		_, messages := f.singles()
		if name == "new" {
			f.publish(4, 1)
		}
		if msg := receive(t, messages); string(msg.Payload) != tc.want {
			t.Errorf("%s: first message %s, want %s", name, msg.Payload, tc.want)
		} else {
			msg.Ack()
		}
	}
}

func TestForeignMessagesDoNoHarm(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	for _, header := range []nats.Header{
		nil, {}, {"repeated": {"a", "b"}}, {"bus_sequence": {"77"}}, {"Traceparent": {"nonsense"}}, {"Nats-Msg-Id": {"foreign"}},
	} {
		if _, err := f.js.PublishMsg(t.Context(), &nats.Msg{Subject: "s.x", Header: header}); err != nil {
			t.Fatal(err)
		}
	}
	_, messages := f.singles()
	for i := 1; i <= 6; i++ {
		msg := receive(t, messages)
		if msg.Metadata[bus.KeySequence] != strconv.Itoa(i) || msg.Metadata[bus.KeySubject] != "s.x" {
			t.Errorf("message %d: %v", i, msg.Metadata)
		}
		msg.Ack()
	}
}

func TestSlowHandlerKeepsItsMessage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.consumer.AckWait = 300 * time.Millisecond
	f.publish(1, 1)
	_, messages := f.singles()
	other, others := f.singles()
	msg := receiveEither(t, messages, others)
	select {
	case again := <-messages:
		t.Errorf("handed out twice: %v", again.Metadata)
	case again := <-others:
		t.Errorf("handed to another subscriber meanwhile: %v", again.Metadata)
	case <-time.After(4 * f.consumer.AckWait):
	}
	msg.Ack()
	eventually(t, "the acknowledgement arrives", func() bool { return f.floor() == 1 })
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

func receiveEither(t *testing.T, a, b <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg := <-a:
		return msg
	case msg := <-b:
		return msg
	case <-time.After(patience):
		t.Fatal("no message came")
		return nil
	}
}

func TestRefusedMessageComesAgainFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.publish(1, 2)
	_, messages := f.singles()
	var got []string
	for attempt := range 4 {
		msg := receive(t, messages)
		got = append(got, string(msg.Payload)+"/"+msg.Metadata[bus.KeyDeliveries])
		if attempt < 2 {
			msg.Nack()
		} else {
			msg.Ack()
		}
	}
	if want := []string{"1/1", "1/2", "1/3", "2/1"}; !slices.Equal(got, want) {
		t.Errorf("payload/deliveries %v, want %v", got, want)
	}
}

func TestCloseWaitsForTheHandler(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	f.publish(1, 1)
	cfg := f.config()
	cfg.CloseGrace = patience
	sub, err := bus.NewSubscriber(cfg)
	if err != nil {
		t.Fatal(err)
	}
	msg := receive(t, f.subscribe(sub))
	closed := make(chan error, 1)
	go func() { closed <- sub.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("closed under the handler's feet: %v", err)
	case <-msg.Context().Done():
		t.Fatal("the handler's context ended within the grace")
	case <-time.After(50 * time.Millisecond):
	}
	msg.Ack()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the late acknowledgement counts", func() bool { return f.floor() == 1 })
	if _, err := sub.Subscribe(t.Context(), "topic"); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("subscribed after closing: %v", err)
	}
	if _, err := f.js.Publish(t.Context(), "s.x", nil); err != nil {
		t.Errorf("the shared connection was closed: %v", err)
	}
}

func TestConstructorsReportEveryFault(t *testing.T) {
	t.Parallel()
	if _, err := bus.NewSubscriber(bus.SubscriberConfig{NackDelay: -1}); err == nil {
		t.Error("an empty subscriber configuration was accepted")
	}
	f := newFixture(t, inProcess(t))
	if _, err := bus.NewRangeSubscriber(f.config(), bus.RangeConfig{MaxMessages: bus.MaxRangeMessages + 1, MaxBytes: -1, Linger: -1}); err == nil {
		t.Error("a range configuration out of bounds was accepted")
	}
	if _, err := bus.NewPublisher(bus.PublisherConfig{}); err == nil {
		t.Error("a publisher without JetStream was accepted")
	}
	f.consumer.AckPolicy = jetstream.AckAllPolicy
	sub, err := bus.NewSubscriber(f.config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Subscribe(t.Context(), "topic"); !errors.Is(err, bus.ErrConsumer) {
		t.Errorf("a consumer that acknowledges everything at once: %v", err)
	}
}

func TestPublisher(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inProcess(t))
	pub, err := bus.NewPublisher(bus.PublisherConfig{JetStream: f.js, Stream: "S", Subject: func(topic string) (string, error) {
		if topic == "" {
			return "", errors.New("no topic")
		}
		return "s." + topic, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var batch []*message.Message
	for i := range 1000 {
		batch = append(batch, message.NewMessage(fmt.Sprintf("id-%d", i), []byte(strconv.Itoa(i))))
	}
	for range 2 { // the second time everything is a duplicate
		if err := pub.Publish("a", batch...); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := f.js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 1000 {
		t.Errorf("%d messages stored, want 1000", got)
	}
	last, err := stream.GetMsg(t.Context(), 1000)
	if err != nil || string(last.Data) != "999" || last.Subject != "s.a" {
		t.Errorf("last message %+v, %v", last, err)
	}
	if err := pub.Publish("", batch[0]); err == nil {
		t.Error("a topic without a subject was accepted")
	}
	if err := pub.Publish("nobody.listens", message.NewMessage("x", nil)); err == nil {
		t.Error("a message that no stream stores was reported as published")
	}
	if err := pub.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pub.Publish("a", batch[0]); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("published after closing: %v", err)
	}
}
