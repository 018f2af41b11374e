package bus_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/bus"
)

// features is what the suite may expect of [bus.Subscriber].
//
//   - ExactlyOnceDelivery is off: an acknowledgement can get lost, the message is then repeated.
//   - Order holds for one subscriber at a time; several share the consumer's messages among them.
//   - NewSubscriberReceivesOldMessages is off, since subscribers of one durable consumer go on where it
//     stands; TestConformanceOldMessages runs that test with a consumer each.
//   - ContextPreserved is off: of a context, only its trace crosses the network.
//   - RestartServiceCommand is off here, as a restart would hit the tests that run beside it;
//     TestConformanceReconnect runs that test with a server of its own, killed with SIGKILL. The
//     suite's test reads what its own goroutine still writes, so it does not run under the race
//     detector; TestReadersSurviveKills does.
func features() tests.Features {
	return tests.Features{
		ConsumerGroups:                      true,
		ExactlyOnceDelivery:                 false,
		GuaranteedOrder:                     true,
		GuaranteedOrderWithSingleSubscriber: true,
		Persistent:                          true,
		NewSubscriberReceivesOldMessages:    false,
		ContextPreserved:                    false,
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	streams := &topicStreams{js: inProcess(t)}
	tests.TestPubSub(t, features(),
		func(t *testing.T) (message.Publisher, message.Subscriber) { return streams.pubSub(t, "shared") },
		streams.pubSub,
	)
}

func TestConformanceOldMessages(t *testing.T) {
	t.Parallel()
	streams := &topicStreams{js: inProcess(t)}
	f := features()
	f.NewSubscriberReceivesOldMessages = true
	var group atomic.Int64
	tests.TestNewSubscriberReceivesOldMessages(t, tests.TestContext{TestID: tests.NewTestID(), Features: f},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			return streams.pubSub(t, "own-"+strconv.FormatInt(group.Add(1), 10))
		})
}

// topicStreams maps a topic to a stream of the same name, as the suite makes up topics as it goes.
type topicStreams struct {
	js   jetstream.JetStream
	made sync.Map // topic → true
}

func (s *topicStreams) ensure(topic string) error {
	if _, ok := s.made.Load(topic); ok {
		return nil
	}
	if err := ensureStream(s.js, topic, topic); err != nil {
		return err
	}
	s.made.Store(topic, true)
	return nil
}

func (s *topicStreams) pubSub(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	pub, err := bus.NewPublisher(bus.PublisherConfig{JetStream: s.js, Subject: func(topic string) (string, error) {
		return topic, s.ensure(topic)
	}})
	if err != nil {
		t.Fatal(err)
	}
	consumer := bus.Durable(group, "", bus.StartAll())
	consumer.AckWait = 5 * time.Second // the suite waits 15 s for what a closed subscriber had fetched
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		JetStream:  s.js,
		NackDelay:  time.Millisecond,
		CloseGrace: 100 * time.Millisecond,
		Source: func(topic string) (bus.Source, error) {
			return bus.Source{Stream: topic, Consumer: group, Create: &consumer}, s.ensure(topic)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return pub, sub
}
