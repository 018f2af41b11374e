package query

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

const (
	// serviceName and serviceVersion are what `nats micro ls` shows; the version is that of the protocol.
	serviceName    = "bursar-analytics"
	serviceVersion = "1.0.0"

	// maxConcurrent bounds the questions under way, so that they do not starve the inserts.
	maxConcurrent = 4
	// maxWaiting bounds those that wait for their turn; beyond it they are turned away at once.
	maxWaiting = 64
	// answerTimeout bounds one answer, waiting included.
	answerTimeout = 20 * time.Second
	// retryAfter is what those that could not be answered are told.
	retryAfter = 2 * quota.Second
)

// Service answers queries over NATS.
type Service struct {
	reader  *Reader
	log     *slog.Logger
	micro   micro.Service
	slots   chan struct{}
	waiting chan struct{}
	// cancel breaks off the answers under way.
	cancel  context.CancelFunc
	running sync.WaitGroup

	answered *prometheus.CounterVec
	dropped  prometheus.Counter
}

// Serve starts to answer on a connection, which should have no right but to answer. Stop ends it.
func Serve(nc *nats.Conn, reader *Reader, registerer prometheus.Registerer, log *slog.Logger) (*Service, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{
		reader: reader, log: log, slots: make(chan struct{}, maxConcurrent), waiting: make(chan struct{}, maxWaiting),
		cancel: cancel,
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_analytics_queries_total", Help: "Queries answered, by query and error code; an empty code is a success.",
		}, []string{"query", "code"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bursar_analytics_queries_dropped_total", Help: "Queries that asked for an answer where none may go.",
		}),
	}
	for _, collector := range []prometheus.Collector{s.answered, s.dropped} {
		if err := registerer.Register(collector); err != nil {
			cancel()
			return nil, err
		}
	}
	service, err := micro.AddService(nc, micro.Config{
		Name: serviceName, Version: serviceVersion, Description: "Answers questions about usage, cost and decisions of the past",
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("serving queries: %w", err)
	}
	s.micro = service
	for _, verb := range wire.QueryVerbs() {
		filter, err := wire.QueryFilter(verb)
		if err == nil {
			err = service.AddEndpoint(verb, micro.HandlerFunc(func(req micro.Request) { s.take(ctx, req) }), micro.WithEndpointSubject(filter))
		}
		if err != nil {
			cancel()
			_ = service.Stop()
			return nil, fmt.Errorf("serving query %s: %w", verb, err)
		}
	}
	return s, nil
}

// Stop takes no more queries and returns when those under way are answered, or when ctx ends; then they
// are broken off.
func (s *Service) Stop(ctx context.Context) error {
	err := s.micro.Stop()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	s.cancel()
	<-done
	return err
}

// take checks where a query comes from and where its answer is to go, and answers it in the background
// until ctx ends.
func (s *Service) take(ctx context.Context, req micro.Request) {
	subject, err := wire.ParseSubject(req.Subject())
	if err != nil || !wire.ReplyAllowed(subject.Workspace, subject.Principal, req.Reply()) {
		s.dropped.Inc()
		return
	}
	select {
	case s.waiting <- struct{}{}:
	default:
		s.reply(req, subject.Verb, nil, wire.Unavailable(retryAfter, "too many queries are waiting"))
		return
	}
	s.running.Go(func() {
		defer func() { <-s.waiting }()
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		answer, err := s.answer(ctx, subject, req.Data())
		s.reply(req, subject.Verb, answer, err)
	})
}

// answer waits for its turn and asks ClickHouse.
func (s *Service) answer(ctx context.Context, subject wire.Subject, body []byte) (any, error) {
	request, err := wire.DecodeRequest(wire.KindQuery, subject.Verb, body)
	if err != nil {
		return nil, err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, wire.Unavailable(retryAfter, "too many queries are under way")
	}
	now := time.Now()
	var answer any
	switch q := request.(type) {
	case *wire.SummaryRequest:
		answer, err = s.reader.Summary(ctx, subject.Workspace, q, now)
	case *wire.HistoryRequest:
		answer, err = s.reader.History(ctx, subject.Workspace, q, now)
	case *wire.PeaksRequest:
		answer, err = s.reader.Peaks(ctx, subject.Workspace, q, now)
	case *wire.ForecastRequest:
		answer, err = s.reader.Forecast(ctx, subject.Workspace, q, now)
	default:
		err = fmt.Errorf("no answer to %T", request)
	}
	return answer, err
}

// reply sends an answer, or what went wrong: a fault in the question as it is, and a fault of ClickHouse
// as something that passes.
func (s *Service) reply(req micro.Request, verb string, answer any, err error) {
	var body []byte
	if err == nil {
		body = wire.AppendReply(nil, answer)
	} else {
		if wire.CodeOf(err) == wire.CodeInternal {
			s.log.Error("answering a query", "query", verb, "error", err)
			err = wire.Unavailable(retryAfter, "ClickHouse does not answer; the log of analytics says why")
		}
		body = wire.AppendError(nil, err, nil)
	}
	s.answered.WithLabelValues(verb, string(wire.CodeOf(err))).Inc()
	if err := req.Respond(body); err != nil {
		s.log.Warn("sending an answer", "query", verb, "error", err)
	}
}
