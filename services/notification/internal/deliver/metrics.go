package deliver

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What becomes of an event.
const (
	outcomeDelivered  = "delivered"
	outcomeFailed     = "failed" // one try of it
	outcomeGivenUp    = "given_up"
	outcomeUnreadable = "unreadable"
)

// Metrics counts what couriers do.
type Metrics struct {
	events *prometheus.CounterVec
	delay  *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them. It fails when they are registered already.
func NewMetrics(into prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "bursar", Subsystem: "notification", Name: "events_total",
			Help: "Events by endpoint and outcome: delivered, given_up, unreadable; failed counts tries.",
		}, []string{"endpoint", "outcome"}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "bursar", Subsystem: "notification", Name: "delay_seconds",
			Help:    "Time from the event's publication until the endpoint took it.",
			Buckets: []float64{.1, .5, 1, 5, 30, 60, 300, 1800, 7200, 86400},
		}, []string{"endpoint"}),
	}
	for _, c := range []prometheus.Collector{m.events, m.delay} {
		if err := into.Register(c); err != nil {
			return nil, fmt.Errorf("register notification metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) count(name, outcome string) { m.events.WithLabelValues(name, outcome).Inc() }

func (m *Metrics) delivered(name string, after time.Duration) {
	m.count(name, outcomeDelivered)
	m.delay.WithLabelValues(name).Observe(after.Seconds())
}
