package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/quota"
)

// states are the gauges of what the ledgers say. They are computed when they are asked for: a commit, of which there are
// thousands a second, only leaves its figures.
type states struct {
	mu   sync.Mutex
	list []*state

	leading, epoch, live, agents, held     *prometheus.Desc
	queued                                 *prometheus.Desc
	tokens, reservations, requests, events *prometheus.Desc
	cost                                   *prometheus.Desc
}

// state is the figures of one workspace as of its last commit.
type state struct {
	workspace string

	mu           sync.Mutex
	epoch        uint64 // 0 while this process does not lead
	known        bool   // this process has led and knows the figures
	live, agents int
	queued       int
	totals       quota.Totals
}

func newStates() *states {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"workspace"}, labels...), nil)
	}
	return &states{
		leading:      desc("bursar_allocator_leading", "1 while this process serves the workspace."),
		epoch:        desc("bursar_ledger_epoch", "Epoch of this process's reign; 0 while it does not lead."),
		live:         desc("bursar_reservations_live", "Open reservations."),
		agents:       desc("bursar_agents_live", "Agents that hold at least one reservation."),
		queued:       desc("bursar_reservations_queued", "Reserves that wait in the queue."),
		held:         desc("bursar_tokens_held", "Tokens that open reservations still hold."),
		tokens:       desc("bursar_tokens_total", "Tokens over the life of the ledger: reserved, used, returned, overrun (used beyond reservations), unpriced.", "what"),
		reservations: desc("bursar_reservations_total", "Reservations over the life of the ledger: granted, denied, exhausted (denied because quota ran out), settled, released, expired, preempted, shrunk (gave a part back for a floor), revoked, overrun.", "what"),
		requests:     desc("bursar_provider_requests_total", "Provider requests recorded over the life of the ledger."),
		events:       desc("bursar_usage_events_total", "Usage items recorded over the life of the ledger."),
		cost:         desc("bursar_cost_micro_usd_total", "Cost of all recorded usage, in micro-USD."),
	}
}

func (s *states) of(workspace string) *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := &state{workspace: workspace}
	s.list = append(s.list, one)
	return one
}

func (s *state) reign(epoch uint64, q *quota.State) {
	s.note(q)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = epoch
}

func (s *state) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch, s.known = 0, false // another process knows better from now on
}

func (s *state) note(q *quota.State) {
	if q == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.live, s.agents, s.queued, s.totals = true, q.Live(), q.LiveAgents(), q.Queued(), q.Totals()
}

// Describe implements prometheus.Collector.
func (s *states) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.leading, s.epoch, s.live, s.agents, s.queued, s.held, s.tokens, s.reservations, s.requests, s.events, s.cost} {
		out <- d
	}
}

// Collect implements prometheus.Collector. Figures of a ledger are given by the process that leads it, so that a sum
// over processes counts them once.
func (s *states) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	list := s.list
	s.mu.Unlock()
	for _, one := range list {
		s.collect(one, out)
	}
}

func (s *states) collect(one *state, out chan<- prometheus.Metric) {
	one.mu.Lock()
	epoch, known, live, agents, queued, t := one.epoch, one.known, one.live, one.agents, one.queued, one.totals
	one.mu.Unlock()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, n int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, float64(n), append([]string{one.workspace}, labels...)...)
	}
	send(s.epoch, prometheus.GaugeValue, int64(epoch))
	send(s.leading, prometheus.GaugeValue, int64(min(1, epoch)))
	if !known {
		return
	}
	send(s.live, prometheus.GaugeValue, int64(live))
	send(s.agents, prometheus.GaugeValue, int64(agents))
	send(s.queued, prometheus.GaugeValue, int64(queued))
	send(s.held, prometheus.GaugeValue, t.HeldTokens())
	send(s.requests, prometheus.CounterValue, t.Requests)
	send(s.events, prometheus.CounterValue, t.UsageEvents)
	send(s.cost, prometheus.CounterValue, t.Cost)
	for _, v := range []struct {
		what string
		n    int64
	}{{"reserved", t.Reserved}, {"used", t.Used}, {"returned", t.Returned}, {"overrun", t.Overrun}, {"unpriced", t.Unpriced}} {
		send(s.tokens, prometheus.CounterValue, v.n, v.what)
	}
	for _, v := range []struct {
		what string
		n    int64
	}{
		{"granted", t.Granted}, {"denied", t.Denied}, {"exhausted", t.Exhausted}, {"settled", t.Settled}, {"released", t.Released},
		{"expired", t.Expired}, {"preempted", t.Preempted}, {"shrunk", t.Shrunk}, {"revoked", t.Revoked}, {"overrun", t.Overruns},
	} {
		send(s.reservations, prometheus.CounterValue, v.n, v.what)
	}
}
