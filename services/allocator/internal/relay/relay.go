// Package relay turns commits of the ledger into public events: one CloudEvent per event, on the stream QUOTA_EVENTS.
//
// It guarantees that every event of every readable commit is published at least once and, within the stream's duplicate
// window, stored once: the id of an event follows from the ledger, the commit's number and the event's index. A commit
// is acknowledged only after all its events are stored. Events of one ledger are in the order of its commits, but for
// those that a failure held up: they are stored late, behind others of their range. Where commits are gone from the ledger
// that it cannot prove to be relayed, it says so in its log and in a metric; see chain.
//
// Consumers must tolerate repeats, know an event again by its id, and sort by commit and index where order matters.
package relay

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// topic names the ledger within the relay's router; on NATS it is a durable consumer.
const topic = "ledger"

const (
	// eventBytes is enough for nearly every event.
	eventBytes = 2048
	// headerBytes is room for the headers of a message.
	headerBytes = 4096
	// publishAtOnce is from how many events on what is made is published, before more is made: a range may hold
	// thousands of commits with thousands of events each.
	publishAtOnce = 2048
	// lagEvery is how often the lag is measured.
	lagEvery = 5 * time.Second
)

// keySubject is the metadata that carries an event's subject to the publisher.
const keySubject = "subject"

// Metrics count what the relay does.
type Metrics struct {
	events     prometheus.Counter
	unreadable prometheus.Counter
	oversized  prometheus.Counter
	gaps       prometheus.Counter
	position   prometheus.Gauge
	lag        prometheus.Gauge
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		events:     prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_relay_events_total", Help: "Events published, repeats included."}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_relay_unreadable_total", Help: "Commits that could not be read and have no public events."}),
		oversized:  prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_relay_oversized_total", Help: "Events that do not fit a message and were left out."}),
		gaps:       prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_relay_gaps_total", Help: "Places where commits are gone from the ledger that nothing shows to be relayed."}),
		position:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "bursar_relay_position", Help: "Stream position of the last commit relayed."}),
		lag:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "bursar_relay_lag_commits", Help: "Commits of all workspaces that are not relayed yet; only where this process relays."}),
	}
	r.MustRegister(m.events, m.unreadable, m.oversized, m.gaps, m.position, m.lag)
	return m
}

// Options configure a relay; everything is required but Points.
type Options struct {
	JetStream jetstream.JetStream
	Metrics   *Metrics
	Points    *failpoint.Set
	Log       *slog.Logger
}

// Run relays until ctx ends. One process at a time should: two would repeat each other's work, and lose nothing.
func Run(ctx context.Context, opt Options) error {
	publisher, err := bus.NewPublisher(bus.PublisherConfig{
		JetStream: opt.JetStream, Stream: wire.StreamEvents,
		MessageSubject: func(_ string, m *message.Message) (string, error) { return m.Metadata.Get(keySubject), nil },
	})
	if err != nil {
		return fmt.Errorf("open the event stream: %w", err)
	}
	return run(ctx, opt, publisher)
}

// run relays through a publisher.
func run(ctx context.Context, opt Options, publisher message.Publisher) error {
	subscriber, err := bus.NewRangeSubscriber(bus.SubscriberConfig{
		JetStream: opt.JetStream, Log: opt.Log,
		Source: func(string) (bus.Source, error) {
			return bus.Source{Stream: wire.StreamLedger, Consumer: wire.ConsumerRelay}, nil
		},
	}, bus.RangeConfig{})
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	router, err := bus.NewRouter(bus.DefaultCloseGrace, opt.Log)
	if err != nil {
		return err
	}
	h := handler{opt, publisher, newSubjects(), newChain(opt)}
	router.AddConsumerHandler("relay", topic, subscriber, h.handle)
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	go watchLag(watched, opt)
	if err := router.Run(ctx); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

// watchLag asks the server how many commits are ahead.
func watchLag(ctx context.Context, opt Options) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		if c, err := opt.JetStream.Consumer(ctx, wire.StreamLedger, wire.ConsumerRelay); err == nil {
			info := c.CachedInfo()
			opt.Metrics.lag.Set(float64(info.NumPending) + float64(info.NumAckPending))
		}
		select {
		case <-ctx.Done():
			opt.Metrics.lag.Set(0)
			return
		case <-tick.C:
		}
	}
}

type handler struct {
	opt       Options
	publisher message.Publisher
	subjects  *subjects
	chain     *chain
}

// handle relays a range of commits. Its error leaves the range unacknowledged, and it comes again.
func (h handler) handle(msg *message.Message) error {
	commits, ok := bus.RangeOf(msg)
	if !ok {
		return fmt.Errorf("message %s is not a range of commits", msg.UUID)
	}
	var events []*message.Message
	for i, record := range commits.Messages {
		commit, made, err := h.events(msg.Context(), record)
		if gap := h.chain.follow(msg.Context(), record, commit); gap != nil {
			return gap
		}
		if err != nil {
			// Nobody can make events of bytes that are not a commit. Analytics keeps them, and verify fails.
			h.opt.Metrics.unreadable.Inc()
			h.opt.Log.Error("commit not readable; it has no public events", "subject", record.Subject, "sequence", record.Sequence, "error", err)
		}
		if events = append(events, made...); len(events) < publishAtOnce && i < len(commits.Messages)-1 {
			continue
		}
		if err := h.publisher.Publish(topic, events...); err != nil {
			return fmt.Errorf("publish events: %w", err)
		}
		h.opt.Metrics.events.Add(float64(len(events)))
		events = events[:0]
	}
	if err := h.opt.Points.Hit(msg.Context(), failpoint.RelayAfterPublish); err != nil {
		return err
	}
	h.opt.Metrics.position.Set(float64(commits.Last()))
	return nil
}

// events reads a commit, if it can be read, and makes the messages of its events.
func (h handler) events(ctx context.Context, record bus.Record) (*ledger.Commit, []*message.Message, error) {
	workspace, err := wire.WorkspaceOfLedgerSubject(record.Subject)
	if err != nil {
		return nil, nil, err
	}
	commit, err := ledger.DecodeEvents(record.Data)
	if err != nil {
		return nil, nil, err
	}
	messages, err := h.messages(ctx, workspace, commit, record.Time)
	return commit, messages, err
}

func (h handler) messages(ctx context.Context, workspace string, commit *ledger.Commit, stored time.Time) ([]*message.Message, error) {
	at := commit.At
	if at == 0 { // the first claim of a ledger: its writer's clock was not compared with anything yet
		at = quota.InstantOf(stored)
	}
	messages := make([]*message.Message, 0, len(commit.Events))
	for i, e := range commit.Events {
		place := wire.Place{Workspace: workspace, LedgerID: commit.Ledger.String(), Commit: commit.Number, Index: i, At: at}
		event, err := wire.NewEvent(place, e)
		if err != nil {
			return nil, fmt.Errorf("event %d of commit %d: %w", i, commit.Number, err)
		}
		principal, agent := wire.EventRoute(e)
		subject, err := h.subjects.of(route{workspace, principal, agent, e.Kind()})
		if err != nil {
			return nil, fmt.Errorf("event %d of commit %d: %w", i, commit.Number, err)
		}
		body := event.Append(make([]byte, 0, eventBytes))
		if len(body) > wire.MaxEventBytes-headerBytes {
			h.opt.Metrics.oversized.Inc()
			h.opt.Log.Error("event left out, it does not fit a message", "id", event.ID, "kind", e.Kind(), "bytes", len(body))
			continue
		}
		m := message.NewMessageWithContext(ctx, event.ID, body)
		m.Metadata.Set(keySubject, subject)
		messages = append(messages, m)
	}
	return messages, nil
}
