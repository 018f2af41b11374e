//go:build !race

package bus_test

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

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
		func(t *testing.T) (message.Publisher, message.Subscriber) { return streams.pubSub(t, "shared") })
}
