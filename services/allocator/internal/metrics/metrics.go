// Package metrics holds the allocator's Prometheus metrics. Labels are workspaces, verbs, codes and the like: never an
// agent, a reservation or anything else that a stranger can make more of.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
)

// Metrics are the allocator's metrics of all workspaces.
type Metrics struct {
	commits  *prometheus.CounterVec
	bytes    *prometheus.HistogramVec
	group    *prometheus.HistogramVec
	seconds  *prometheus.HistogramVec
	outcomes *prometheus.CounterVec
	refusals *prometheus.CounterVec
	alarms   *prometheus.GaugeVec
	halted   *prometheus.GaugeVec
	answered *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	late     *prometheus.HistogramVec
	states   *states
}

// New registers the metrics; it panics if they are registered already.
func New(r prometheus.Registerer) *Metrics {
	f := factory{r}
	latency := prometheus.ExponentialBuckets(0.0001, 2, 16) // 0.1 ms to 3.3 s
	m := &Metrics{
		commits:  f.counter("bursar_ledger_commits_total", "Commits that this process has put into the log."),
		bytes:    f.histogram("bursar_ledger_commit_bytes", "Size of a commit as stored.", prometheus.ExponentialBuckets(256, 2, 12)),
		group:    f.histogram("bursar_ledger_commit_answers", "Requests answered by one commit.", prometheus.ExponentialBuckets(1, 2, 12)),
		seconds:  f.histogram("bursar_ledger_commit_seconds", "From sending a commit to knowing that it is in the log.", latency),
		outcomes: f.counter("bursar_ledger_publish_outcomes_total", "What became of publishes; unknown ones are looked into.", "verdict"),
		refusals: f.counter("bursar_ledger_publish_refusals_total", "Publishes that were not acknowledged, by JetStream's error code or what else was said.", "reason"),
		alarms:   f.gauge("bursar_ledger_alarm", "1 while an alarm is raised.", "kind"),
		halted:   f.gauge("bursar_ledger_halted", "1 when this process does not write the ledger until somebody has looked."),
		answered: f.counter("bursar_requests_total", "Requests answered, by verb and code; the code is ok for success.", "verb", "code"),
		dropped:  f.counter("bursar_requests_dropped_total", "Requests that got no answer, by reason.", "reason"),
		late:     f.histogram("bursar_due_delay_seconds", "From the time at which something was due, an expiry or a new window, to the commit that does it.", latency),
		states:   newStates(),
	}
	r.MustRegister(m.states)
	return m
}

// factory registers metrics whose first label is the workspace.
type factory struct{ r prometheus.Registerer }

func (f factory) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"workspace"}, labels...))
	f.r.MustRegister(v)
	return v
}

func (f factory) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{"workspace"}, labels...))
	f.r.MustRegister(v)
	return v
}

func (f factory) histogram(name, help string, buckets []float64) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"workspace"})
	f.r.MustRegister(v)
	return v
}

// Workspace are the metrics of one workspace. The children that every request or commit needs are looked up once.
type Workspace struct {
	m        *Metrics
	name     string
	commits  prometheus.Counter
	bytes    prometheus.Observer
	group    prometheus.Observer
	seconds  prometheus.Observer
	late     prometheus.Observer
	outcomes map[writer.Verdict]prometheus.Counter
	answered map[answer]prometheus.Counter
	state    *state
}

type answer struct {
	verb string
	code quota.Code
}

// codeOK is what success is called in a label, which reads better than nothing.
const codeOK = "ok"

// Workspace gives the metrics of one workspace.
func (m *Metrics) Workspace(name string) *Workspace {
	w := &Workspace{
		m: m, name: name, commits: m.commits.WithLabelValues(name), bytes: m.bytes.WithLabelValues(name), group: m.group.WithLabelValues(name),
		seconds: m.seconds.WithLabelValues(name), late: m.late.WithLabelValues(name), outcomes: map[writer.Verdict]prometheus.Counter{},
		answered: map[answer]prometheus.Counter{}, state: m.states.of(name),
	}
	for verdict, label := range map[writer.Verdict]string{
		writer.Acked: "acked", writer.Conflict: "conflict", writer.InFlight: "in_flight", writer.Unknown: "unknown", writer.Full: "full",
	} {
		w.outcomes[verdict] = m.outcomes.WithLabelValues(name, label)
	}
	for _, kind := range []writer.AlarmKind{writer.AlarmFull, writer.AlarmUnresolved, writer.AlarmClock, writer.AlarmHalt} {
		m.alarms.WithLabelValues(name, string(kind)).Set(0)
	}
	m.halted.WithLabelValues(name).Set(0)
	for _, reason := range []string{DroppedSubject, DroppedReply} {
		m.dropped.WithLabelValues(name, reason)
	}
	m.refusals.WithLabelValues(name, refusedOther) // so that the metric is there before the first of them
	for _, verb := range append(wire.AgentVerbs(), wire.AdminVerbs()...) {
		w.answered[answer{verb, quota.CodeOK}] = m.answered.WithLabelValues(name, verb, codeOK)
		for _, code := range wire.Codes() {
			w.answered[answer{verb, code}] = m.answered.WithLabelValues(name, verb, string(code))
		}
	}
	return w
}

// Served notes the start of a reign.
func (w *Workspace) Served(epoch uint64, s *quota.State) { w.state.reign(epoch, s) }

// Stopped notes its end.
func (w *Workspace) Stopped() { w.state.end() }

// Halted notes that the ledger is not written any more.
func (w *Workspace) Halted() {
	w.state.end()
	w.m.halted.WithLabelValues(w.name).Set(1)
}

// Outcome counts what became of a publish.
func (w *Workspace) Outcome(v writer.Verdict) {
	if c := w.outcomes[v]; c != nil {
		c.Inc()
	}
}

// refusedOther is the reason of a publish that was not acknowledged for no reason that has a name.
const refusedOther = "other"

// Refused counts a publish that was not acknowledged. The reason is one of a few: see store.ReasonOf.
func (w *Workspace) Refused(reason string) { w.m.refusals.WithLabelValues(w.name, reason).Inc() }

// Alarm notes that an alarm is raised or cleared.
func (w *Workspace) Alarm(kind writer.AlarmKind, raised bool) {
	value := 0.0
	if raised {
		value = 1
	}
	w.m.alarms.WithLabelValues(w.name, string(kind)).Set(value)
}

// Answered counts a reply to one of the known verbs. It may be called from several goroutines.
func (w *Workspace) Answered(verb string, code quota.Code) {
	if c := w.answered[answer{verb, code}]; c != nil {
		c.Inc()
	}
}

// Why a request is dropped.
const (
	DroppedSubject = "subject" // it is not of the protocol, or of another workspace
	DroppedReply   = "reply"   // it asks to be answered elsewhere than in its sender's inbox
)

// Dropped counts a request without a reply.
func (w *Workspace) Dropped(reason string) { w.m.dropped.WithLabelValues(w.name, reason).Inc() }

// Committed notes a commit and the state after it.
func (w *Workspace) Committed(c *writer.Committed, took time.Duration, s *quota.State) {
	w.commits.Inc()
	w.bytes.Observe(float64(c.Bytes))
	w.group.Observe(float64(len(c.Commit.Answers)))
	w.seconds.Observe(took.Seconds())
	w.state.note(s)
	for _, e := range c.Commit.Events {
		switch e := e.(type) {
		case *quota.ReservationClosed:
			if e.Outcome == quota.OutcomeExpired {
				w.delayed(e.At.Sub(e.Expires))
			}
		case *quota.WindowRolled:
			w.delayed(e.At.Sub(e.Ended.End))
		}
	}
}

// delayed notes how long after its time something was done that time brings about.
func (w *Workspace) delayed(by quota.Millis) { w.late.Observe(by.Duration().Seconds()) }
