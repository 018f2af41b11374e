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
	s.Printf("%s, %s a cell, %s jobs in %s\n\n", counted(int64(g.Days), "day"), counted(int64(g.Seeds), "seed"), screen.Count(jobs), screen.Span(took))
	c.showShares(doc.Reports)
	s.Printf("\n")
	c.showWaits(doc.Reports)
	s.Printf("\n")
	c.showKnown(doc.Reports)
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
		{Title: "load", Right: true}, {Title: "policy"}, {Title: "used", Right: true}, {Title: "idle", Right: true}, {Title: "lost", Right: true},
		{Title: "fair", Right: true}, {Title: "floors", Right: true}, {Title: "late", Right: true}, {Title: "preempted", Right: true},
		{Title: "passed", Right: true}, {Title: "gave up", Right: true},
	}}
	for _, r := range reports {
		gaveUp := 0
		for _, w := range r.Waits {
			gaveUp += w.GaveUp
		}
		f := r.Floors
		t.Add(screen.Text(fmt.Sprintf("%.1f", r.Load)), screen.Toned(screen.Strong, r.Policy), screen.Text(percent(r.Utilisation)),
			screen.Text(percent(r.IdleHeld)), screen.Text(fmt.Sprintf("%.2f%%", 100*r.Lost)), screen.Text(fmt.Sprintf("%.3f", r.Fairness)),
			screen.Text(percent(1-float64(f.Broken)/float64(max(1, f.Steps)))), screen.Text(screen.Count(int64(f.Late))),
			screen.Text(screen.Count(int64(r.Preempting))), screen.Text(seconds(r.PassedMost)), screen.Text(percent(float64(gaveUp)/float64(r.Jobs))))
	}
	c.screen.Table(t)
}

// showKnown is the table of what was known beforehand: estimates, and predicted grants.
func (c *simulateCommand) showKnown(reports []*simulate.Report) {
	t := &screen.Table{Columns: []screen.Column{
		{Title: "load", Right: true}, {Title: "policy"}, {Title: "covered", Right: true}, {Title: "predicted", Right: true}, {Title: "p50", Right: true},
		{Title: "p90", Right: true}, {Title: "within", Right: true}, {Title: "half p50", Right: true}, {Title: "p90", Right: true}, {Title: "within", Right: true},
	}}
	for _, r := range reports {
		row := []screen.Cell{
			screen.Text(fmt.Sprintf("%.1f", r.Load)), screen.Toned(screen.Strong, r.Policy), screen.Text(percent(r.Coverage)), screen.Text(screen.Count(int64(r.AtFirst.Judged))),
		}
		for _, p := range []*simulate.Prediction{&r.AtFirst, &r.AtHalf} {
			if p.Judged == 0 {
				row = append(row, screen.Text(screen.None), screen.Text(screen.None), screen.Text(screen.None))
				continue
			}
			row = append(row, screen.Text("±"+percent(p.P50)), screen.Text("±"+percent(p.P90)), screen.Text(percent(p.Coverage)))
		}
		t.Add(row...)
	}
	c.screen.Table(t)
}

// showWaits is the table of waits by priority.
func (c *simulateCommand) showWaits(reports []*simulate.Report) {
	t := &screen.Table{Columns: []screen.Column{
		{Title: "load", Right: true}, {Title: "policy"}, {Title: "priority"}, {Title: "jobs", Right: true}, {Title: "gave up", Right: true},
		{Title: "wait p50", Right: true}, {Title: "p99", Right: true}, {Title: "worst", Right: true}, {Title: "windows", Right: true},
	}}
	for _, r := range reports {
		for _, w := range r.Waits {
			t.Add(screen.Text(fmt.Sprintf("%.1f", r.Load)), screen.Toned(screen.Strong, r.Policy), screen.Text(w.Priority),
				screen.Text(screen.Count(int64(w.Jobs))), screen.Text(percent(float64(w.GaveUp)/float64(max(1, w.Jobs)))),
				screen.Text(seconds(w.P50)), screen.Text(seconds(w.P99)), screen.Text(seconds(w.Max)), screen.Text(fmt.Sprintf("%.2f", w.WindowsP99)))
		}
	}
	c.screen.Table(t)
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

func seconds(s float64) string { return screen.Span(time.Duration(s * float64(time.Second))) }
