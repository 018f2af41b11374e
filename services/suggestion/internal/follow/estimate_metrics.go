package follow

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
)

// estimateMetrics tell how estimates did in the last days: by workspace, task type (empty for all together) and by what was
// held against use: estimate is what stood when a reservation was granted, stated what its agent says it rests on, grant
// what such a reservation was granted at first.
type estimateMetrics struct {
	tasks, aim            *prometheus.GaugeVec
	covered, waste, short *prometheus.GaugeVec
}

func newEstimateMetrics() estimateMetrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "bursar", Subsystem: "suggestion", Name: name, Help: help},
			append([]string{"workspace", "task_type"}, labels...))
	}
	return estimateMetrics{
		tasks:   gauge("estimate_tasks", "Settled tasks of the last seven days that estimates were held to."),
		aim:     gauge("estimate_aim_ratio", "The share of those tasks that was to fit into the estimate."),
		covered: gauge("estimate_covered_ratio", "The share of those tasks that fitted.", "of"),
		waste:   gauge("estimate_waste_ratio", "Tokens estimated and not used, as a part of those used.", "of"),
		short:   gauge("estimate_short_ratio", "Tokens used beyond the estimate, as a part of those used.", "of"),
	}
}

// show replaces what is told of a workspace.
func (m *estimateMetrics) show(workspace string, report map[string]learn.Score) {
	for _, vec := range []*prometheus.GaugeVec{m.tasks, m.aim, m.covered, m.waste, m.short} {
		vec.DeletePartialMatch(prometheus.Labels{"workspace": workspace}) // types that are not heard of any more
	}
	for name, s := range report {
		if name != "" {
			m.score(workspace, name, &s)
		}
	}
	sum := learn.Sum(report)
	m.score(workspace, "", &sum)
}

func (m *estimateMetrics) score(workspace, taskType string, s *learn.Score) {
	m.tasks.WithLabelValues(workspace, taskType).Set(float64(s.Tasks))
	if s.Tasks == 0 {
		return
	}
	m.aim.WithLabelValues(workspace, taskType).Set(s.Aimed / float64(s.Tasks))
	count := func(of string, c *learn.Count, tasks, used int64) {
		if tasks == 0 {
			return
		}
		m.covered.WithLabelValues(workspace, taskType, of).Set(float64(c.Covered) / float64(tasks))
		m.waste.WithLabelValues(workspace, taskType, of).Set(float64(c.Waste) / float64(used))
		m.short.WithLabelValues(workspace, taskType, of).Set(float64(c.Short) / float64(used))
	}
	count("estimate", &s.Learned, s.Tasks, s.Used)
	count("stated", &s.Stated.Estimate, s.Stated.Tasks, s.Stated.Used)
	count("grant", &s.Stated.Grant, s.Stated.Tasks, s.Stated.Used)
}
