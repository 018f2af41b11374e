package cli

import (
	"fmt"
	"time"

	"github.com/bursarhq/bursar/services/cli/internal/screen"
	"github.com/bursarhq/bursar/services/cli/internal/simulate"
)

func (c *simulateCommand) showReports(g *simulate.Grid, doc *simulation, took time.Duration) {
	s := c.screen
	jobs := int64(0)
	for _, r := range doc.Reports {
		jobs += int64(r.Jobs)
	}
	s.Printf("%s days, %s a cell, %s jobs in %s\n\n", screen.Count(int64(g.Days)), counted(int64(g.Seeds), "seed"), screen.Count(jobs), screen.Span(took))
	c.showShares(doc.Reports)
	s.Printf("\n")
	c.showWaits(doc.Reports)
	if len(g.Policies) < 2 {
		return
	}
	s.Printf("\n")
	if len(doc.Faults) == 0 {
		s.Note(screen.Good, fmt.Sprintf("%s dominates %s at every load.", g.Policies[len(g.Policies)-1].Name, g.Policies[0].Name))
	}
	for _, fault := range doc.Faults {
		s.Note(screen.Bad, "NOT dominated: "+fault)
	}
}

// showShares is the table of what is the same for all priorities.
func (c *simulateCommand) showShares(reports []*simulate.Report) {
	t := &screen.Table{Columns: []screen.Column{
		{Title: "load", Right: true}, {Title: "policy"}, {Title: "used", Right: true}, {Title: "idle", Right: true}, {Title: "fair", Right: true},
		{Title: "covered", Right: true}, {Title: "predicted", Right: true}, {Title: "cut short", Right: true},
		{Title: "gave up", Right: true},
	}}
	for _, r := range reports {
		predicted := screen.None
		if r.PredictionP90 >= 0 {
			predicted = "±" + percent(r.PredictionP90)
		}
		gaveUp := 0
		for _, w := range r.Waits {
			gaveUp += w.GaveUp
		}
		t.Add(screen.Text(fmt.Sprintf("%.1f", r.Load)), screen.Toned(screen.Strong, r.Policy), screen.Text(percent(r.Utilisation)),
			screen.Text(percent(r.IdleHeld)), screen.Text(fmt.Sprintf("%.3f", r.Fairness)), screen.Text(percent(r.Coverage)),
			screen.Text(predicted), screen.Text(screen.Count(int64(r.Interrupted))), screen.Text(percent(float64(gaveUp)/float64(r.Jobs))))
	}
	c.screen.Table(t)
}

// showWaits is the table of waits by priority.
func (c *simulateCommand) showWaits(reports []*simulate.Report) {
	t := &screen.Table{Columns: []screen.Column{
		{Title: "load", Right: true}, {Title: "policy"}, {Title: "priority"}, {Title: "jobs", Right: true}, {Title: "gave up", Right: true},
		{Title: "wait p50", Right: true}, {Title: "p99", Right: true}, {Title: "worst", Right: true},
	}}
	for _, r := range reports {
		for _, w := range r.Waits {
			t.Add(screen.Text(fmt.Sprintf("%.1f", r.Load)), screen.Toned(screen.Strong, r.Policy), screen.Text(w.Priority),
				screen.Text(screen.Count(int64(w.Jobs))), screen.Text(percent(float64(w.GaveUp)/float64(max(1, w.Jobs)))),
				screen.Text(seconds(w.P50)), screen.Text(seconds(w.P99)), screen.Text(seconds(w.Max)))
		}
	}
	c.screen.Table(t)
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

func seconds(s float64) string { return screen.Span(time.Duration(s * float64(time.Second))) }
