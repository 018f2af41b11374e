package follow

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what a follower does.
type Metrics struct {
	commits, missed, unreadable, failures prometheus.Counter
	made                                  *prometheus.CounterVec
	current                               *prometheus.GaugeVec
	lag                                   prometheus.Gauge
	estimates                             estimateMetrics
}

// NewMetrics makes the metrics and registers them. It fails when they are registered already.
func NewMetrics(into prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "bursar", Subsystem: "suggestion", Name: name, Help: help})
	}
	m := &Metrics{
		commits:    counter("commits_read_total", "Commits taken into account, each once."),
		missed:     counter("commits_missed_total", "Commits that were trimmed or lost before they were read."),
		unreadable: counter("commits_unreadable_total", "Commits that could not be decoded and were passed over."),
		failures:   counter("failures_total", "Ranges of commits that had to be handled again."),
		made: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "bursar", Subsystem: "suggestion", Name: "made_total", Help: "Suggestions published, by rule.",
		}, []string{"rule"}),
		current: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "bursar", Subsystem: "suggestion", Name: "current", Help: "Suggestions that hold now, by workspace.",
		}, []string{"workspace"}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "bursar", Subsystem: "suggestion", Name: "lag_seconds",
			Help: "Age of the newest commit of the last range when its advice was out.",
		}),
		estimates: newEstimateMetrics(),
	}
	for _, c := range []prometheus.Collector{m.commits, m.missed, m.unreadable, m.failures, m.made, m.current, m.lag, m.estimates.tasks, m.estimates.aim, m.estimates.covered, m.estimates.waste, m.estimates.short} {
		if err := into.Register(c); err != nil {
			return nil, fmt.Errorf("register suggestion metrics: %w", err)
		}
	}
	return m, nil
}
