package consume

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the consumer shows of itself.
type Metrics struct {
	// Rows counts rows inserted, Failures inserts that failed or whose outcome is unknown.
	Rows, Failures prometheus.Counter
	// Repeated counts commits that were delivered again and were there already.
	Repeated prometheus.Counter
	// Unreadable counts commits that were kept as they are, Lost those that can no longer be had.
	Unreadable, Lost prometheus.Counter
	// LagCommits is how many commits the stream holds that ClickHouse does not.
	LagCommits prometheus.Gauge
	// LagSeconds is the age of the newest commit that is stored; 0 when caught up.
	LagSeconds prometheus.Gauge
	// InsertSeconds and StoredSeconds time an insert, and the way from the stream into ClickHouse of
	// the newest commit of each insert.
	InsertSeconds, StoredSeconds prometheus.Histogram

	// newest is when the stream got the newest commit that is stored, in Unix nanoseconds.
	newest atomic.Int64
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_analytics_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "bursar_analytics_" + name, Help: help})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bursar_analytics_" + name, Help: help,
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		})
	}
	m := &Metrics{
		Rows:          counter("rows_total", "Rows inserted into ClickHouse."),
		Failures:      counter("insert_failures_total", "Inserts that failed or whose outcome is unknown."),
		Repeated:      counter("repeated_commits_total", "Commits that were read again and were stored already."),
		Unreadable:    counter("unreadable_commits_total", "Commits that cannot be read and were kept as they are."),
		Lost:          counter("lost_commits_total", "Commits that neither ClickHouse nor the stream holds any more."),
		LagCommits:    gauge("lag_commits", "Commits in the stream that ClickHouse does not hold yet."),
		LagSeconds:    gauge("lag_seconds", "Age of the newest commit that ClickHouse holds while it lags; 0 when it does not."),
		InsertSeconds: histogram("insert_seconds", "Duration of an insert."),
		StoredSeconds: histogram("commit_to_stored_seconds", "From the stream into ClickHouse, the newest commit of each insert."),
	}
	for _, collector := range []prometheus.Collector{
		m.Rows, m.Failures, m.Repeated, m.Unreadable, m.Lost, m.LagCommits, m.LagSeconds, m.InsertSeconds, m.StoredSeconds,
	} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe notes an insert whose newest commit the stream got at newest.
func (m *Metrics) observe(rows int, took time.Duration, newest time.Time) {
	m.Rows.Add(float64(rows))
	m.InsertSeconds.Observe(took.Seconds())
	if !newest.IsZero() {
		m.newest.Store(newest.UnixNano())
		m.StoredSeconds.Observe(time.Since(newest).Seconds())
	}
}

// setLagSeconds derives the lag in time from the lag in commits.
func (m *Metrics) setLagSeconds(commits uint64) {
	newest := m.newest.Load()
	if commits == 0 || newest == 0 {
		m.LagSeconds.Set(0)
		return
	}
	m.LagSeconds.Set(time.Since(time.Unix(0, newest)).Seconds())
}
