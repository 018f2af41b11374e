// Package metrics holds the allocator's Prometheus metrics. Labels are workspaces, verbs, codes and the like: never an
// agent, a reservation or anything else that a stranger can make more of.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/writer"
)

// Metrics are the allocator's metrics of all workspaces.
type Metrics struct {
	commits     *prometheus.CounterVec
	bytes       *prometheus.HistogramVec
	requests    *prometheus.HistogramVec
	seconds     *prometheus.HistogramVec
	outcomes    *prometheus.CounterVec
	epoch       *prometheus.GaugeVec
	leading     *prometheus.GaugeVec
	alarms      *prometheus.GaugeVec
	answered    *prometheus.CounterVec
	dropped     *prometheus.CounterVec
	live        *prometheus.GaugeVec
	agents      *prometheus.GaugeVec
	tokens      *prometheus.GaugeVec
	decisions   *prometheus.GaugeVec
	cost        *prometheus.GaugeVec
	expirySlack *prometheus.HistogramVec
}

// New registers the metrics.
func New(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"workspace"}, labels...))
		r.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{"workspace"}, labels...))
		r.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"workspace"})
		r.MustRegister(v)
		return v
	}
	seconds := prometheus.ExponentialBuckets(0.0001, 2, 16)
	return &Metrics{
		commits:     counter("bursar_ledger_commits_total", "Commits written by this process."),
		bytes:       histogram("bursar_ledger_commit_bytes", "Size of a commit as stored.", prometheus.ExponentialBuckets(256, 2, 12)),
		requests:    histogram("bursar_ledger_commit_requests", "Requests answered by one commit.", prometheus.ExponentialBuckets(1, 2, 12)),
		seconds:     histogram("bursar_ledger_commit_seconds", "From publishing a commit to knowing that it is in the log.", seconds),
		outcomes:    counter("bursar_ledger_publish_outcomes_total", "What became of publishes.", "verdict"),
		epoch:       gauge("bursar_ledger_epoch", "Epoch of the reign of this process; 0 while it does not lead."),
		leading:     gauge("bursar_allocator_leading", "1 while this process serves the workspace."),
		alarms:      gauge("bursar_ledger_alarm", "1 while an alarm is raised.", "kind"),
		answered:    counter("bursar_requests_total", "Requests answered, by verb and code; code is empty for success.", "verb", "code"),
		dropped:     counter("bursar_requests_dropped_total", "Requests dropped without an answer.", "reason"),
		live:        gauge("bursar_reservations_live", "Open reservations."),
		agents:      gauge("bursar_agents_live", "Agents with at least one open reservation."),
		tokens:      gauge("bursar_tokens", "Tokens over the life of the ledger by state; held is the present value.", "state"),
		decisions:   gauge("bursar_reservations", "Reservations over the life of the ledger by what became of them.", "outcome"),
		cost:        gauge("bursar_cost_micro_usd", "Cost of all recorded usage, in micro-USD."),
		expirySlack: histogram("bursar_expiry_delay_seconds", "From the time at which a reservation expires to the commit that expires it.", seconds),
	}
}

// Workspace are the metrics of one workspace.
type Workspace struct {
	m    *Metrics
	name string
}

// Workspace gives the metrics of one workspace.
func (m *Metrics) Workspace(name string) *Workspace { return &Workspace{m, name} }

// Served notes the start of a reign.
func (w *Workspace) Served(epoch uint64) {
	w.m.epoch.WithLabelValues(w.name).Set(float64(epoch))
	w.m.leading.WithLabelValues(w.name).Set(1)
}

// Stopped notes its end.
func (w *Workspace) Stopped() {
	w.m.epoch.WithLabelValues(w.name).Set(0)
	w.m.leading.WithLabelValues(w.name).Set(0)
}

// Outcome counts what became of a publish.
func (w *Workspace) Outcome(v writer.Verdict) {
	name := map[writer.Verdict]string{
		writer.Acked: "acked", writer.Conflict: "conflict", writer.InFlight: "in_flight", writer.Unknown: "unknown", writer.Full: "full",
	}[v]
	w.m.outcomes.WithLabelValues(w.name, name).Inc()
}

// Alarm notes that an alarm is raised or cleared.
func (w *Workspace) Alarm(kind writer.AlarmKind, raised bool) {
	value := 0.0
	if raised {
		value = 1
	}
	w.m.alarms.WithLabelValues(w.name, string(kind)).Set(value)
}

// Answered counts a reply.
func (w *Workspace) Answered(verb, code string) {
	w.m.answered.WithLabelValues(w.name, verb, code).Inc()
}

// Dropped counts a request without a reply.
func (w *Workspace) Dropped(reason string) { w.m.dropped.WithLabelValues(w.name, reason).Inc() }

// Committed notes a commit and the state after it.
func (w *Workspace) Committed(c *writer.Committed, took time.Duration, s *quota.State) {
	w.m.commits.WithLabelValues(w.name).Inc()
	w.m.bytes.WithLabelValues(w.name).Observe(float64(c.Bytes))
	w.m.requests.WithLabelValues(w.name).Observe(float64(len(c.Commit.Answers)))
	w.m.seconds.WithLabelValues(w.name).Observe(took.Seconds())
	for _, e := range c.Commit.Events {
		if closed, ok := e.(*quota.ReservationClosed); ok && closed.Outcome == quota.OutcomeExpired {
			w.m.expirySlack.WithLabelValues(w.name).Observe(closed.At.Sub(closed.Expires).Duration().Seconds())
		}
	}
	w.state(s)
}

func (w *Workspace) state(s *quota.State) {
	if s == nil {
		return
	}
	t := s.Totals()
	w.m.live.WithLabelValues(w.name).Set(float64(s.Live()))
	w.m.agents.WithLabelValues(w.name).Set(float64(s.LiveAgents()))
	w.m.cost.WithLabelValues(w.name).Set(float64(t.Cost))
	for state, n := range map[string]int64{"reserved": t.Reserved, "used": t.Used, "returned": t.Returned, "overrun": t.Overrun, "held": t.HeldTokens(), "unpriced": t.Unpriced} {
		w.m.tokens.WithLabelValues(w.name, state).Set(float64(n))
	}
	for outcome, n := range map[string]int64{
		"granted": t.Granted, "denied": t.Denied, "exhausted": t.Exhausted, "settled": t.Settled,
		"released": t.Released, "expired": t.Expired, "revoked": t.Revoked, "overrun": t.Overruns,
	} {
		w.m.decisions.WithLabelValues(w.name, outcome).Set(float64(n))
	}
}
