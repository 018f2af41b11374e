package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
)

// gappy loses the first event of the first publish while the others are stored, as an outage of a moment may.
type gappy struct {
	message.Publisher
	failed bool
}

func (g *gappy) Publish(topic string, messages ...*message.Message) error {
	if g.failed {
		return g.Publisher.Publish(topic, messages...)
	}
	g.failed = true
	return errors.Join(g.Publisher.Publish(topic, messages[1:]...), errors.New("the first was lost"))
}

// After a part of a range was stored, the whole comes again: every event is stored once, the late one behind others, and
// ledgerid, commit and index tell the order.
func TestOrderAfterAPartialFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	js := b.site.JetStream(natsauth.RoleRelay)
	publisher, err := bus.NewPublisher(bus.PublisherConfig{
		JetStream: js, Stream: wire.StreamEvents,
		MessageSubject: func(_ string, m *message.Message) (string, error) { return m.Metadata.Get(keySubject), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.metrics = NewMetrics(prometheus.NewRegistry())
	opt := Options{JetStream: js, Metrics: b.metrics, Log: slog.New(slog.DiscardHandler)}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { done <- run(ctx, opt, &gappy{Publisher: publisher}) }()
	b.commit("acme", denied("a"), denied("b"), denied("c"))
	b.commit("acme", denied("d"))
	_, events := b.published(4)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	var places []string
	for _, e := range events {
		places = append(places, fmt.Sprintf("%s.%d", e.Commit, e.Index))
	}
	if places[0] == "1.0" {
		t.Errorf("events %q: nothing was held up", places)
	}
	slices.Sort(places)
	if !slices.Equal(places, []string{"1.0", "1.1", "1.2", "2.0"}) {
		t.Errorf("events %q, want each once", places)
	}
}
