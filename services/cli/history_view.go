package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// slicesShown bounds the rows of each breakdown; the JSON has more.
const slicesShown = 8

// showHistory writes a history for people.
func (c *historyCommand) showHistory(doc *historyDocument) {
	s, sum := c.screen, &doc.Summary
	zone := zoneOf(sum.Zone)
	s.Title(fmt.Sprintf("Usage from %s to %s (%s)", stamp(sum.From, zone), stamp(sum.To, zone), sum.Zone))
	if sum.Totals.TotalTokens == 0 && sum.Decisions.Granted+sum.Decisions.Denied == 0 {
		s.Printf("Nothing was spent in that time.\n\n")
		c.showAdviceBriefly(&doc.Suggestions)
		return
	}
	c.showTotals(sum)
	for _, breakdown := range []struct {
		title  string
		slices []wire.Slice
	}{
		{"PROVIDER", sum.Providers}, {"ACCOUNT", sum.Accounts}, {"TEAM", sum.Teams}, {"AGENT", sum.Agents},
		{"TASK", sum.TaskTypes}, {"MODEL", sum.Models},
	} {
		c.showBreakdown(breakdown.title, breakdown.slices)
	}
	c.showChart(&doc.History)
	c.showPeaks(doc.Peaks, zone)
	c.showAdviceBriefly(&doc.Suggestions)
}

func (c *historyCommand) showTotals(sum *wire.SummaryReply) {
	t, d := &sum.Totals, &sum.Decisions
	c.line("tokens", strings.Join(nonEmpty(screen.Count(t.TotalTokens), classesText(t.Tokens)), ": "))
	cost := screen.Money(t.CostMicroUSD)
	if t.UnpricedTokens > 0 {
		cost += ", and " + screen.Count(t.UnpricedTokens) + " tokens of models without a price"
	}
	c.line("cost", cost+", "+counted(t.Requests, "provider request"))
	c.line("decided", fmt.Sprintf("%s granted, %s denied (%s), of those %s for lack of quota", screen.Count(d.Granted),
		screen.Count(d.Denied), screen.Percent(d.Denied, d.Granted+d.Denied), screen.Count(d.Exhausted)))
	if waits := d.QueueGranted + d.QueueEnded; waits > 0 {
		c.line("queued", fmt.Sprintf("%s that are over: %s granted, %s in vain", counted(waits, "wait"), screen.Count(d.QueueGranted), screen.Count(d.QueueEnded)))
	}
	c.line("reserved", fmt.Sprintf("%s tokens, %s returned (%s), %s used beyond", screen.Short(d.ReservedTokens),
		screen.Short(d.ReturnedTokens), screen.Percent(d.ReturnedTokens, d.ReservedTokens), screen.Short(d.OverrunTokens)))
	c.screen.Printf("\n")
}

// classesText tells the classes of tokens, those that there are.
func classesText(t wire.Tokens) string {
	var parts []string
	for _, class := range []struct {
		n    int64
		name string
	}{
		{t.Input, "in"}, {t.CacheRead, "cache read"}, {t.CacheWrite5m + t.CacheWrite1h, "cache write"}, {t.Output, "out"},
	} {
		if class.n != 0 {
			parts = append(parts, screen.Short(class.n)+" "+class.name)
		}
	}
	return strings.Join(parts, ", ")
}

func (c *historyCommand) showBreakdown(title string, slices []wire.Slice) {
	if len(slices) == 0 {
		return
	}
	t := &screen.Table{Columns: []screen.Column{
		{Title: title + strings.Repeat(" ", max(0, breakdownWidth-len(title))), Shrink: true}, {Title: "TOKENS", Right: true}, {Title: "    %", Right: true},
		{Title: "     COST", Right: true}, {Title: "    %", Right: true}, {Title: "REQUESTS", Right: true},
	}}
	for i := range slices[:min(len(slices), slicesShown)] {
		p := &slices[i]
		t.Add(screen.Text(cmp.Or(p.Name, "(none)")), screen.Text(screen.Short(p.TotalTokens)), screen.Text(percentText(p.TokensPercent)),
			screen.Text(screen.Money(p.CostMicroUSD)), screen.Text(percentText(p.CostPercent)), screen.Text(screen.Count(p.Requests)))
	}
	c.screen.Table(t)
	if more := len(slices) - slicesShown; more > 0 {
		c.screen.Printf("%s\n", c.screen.Paint(screen.Faint, fmt.Sprintf("and %d more (--json shows all)", more)))
	}
	c.screen.Printf("\n")
}

// breakdownWidth aligns the breakdowns, which stand below one another.
const breakdownWidth = 24

// showChart draws usage over time, intervals at the ends without any left out.
func (c *historyCommand) showChart(h *wire.HistoryReply) {
	points := trimmed(h.Points)
	if len(points) < 2 {
		return
	}
	most, inVain := int64(1), int64(0)
	for i := range points {
		most, inVain = max(most, points[i].TotalTokens), inVain+points[i].QueueEnded
	}
	s, zone := c.screen, zoneOf(h.Zone)
	t := &screen.Table{Columns: []screen.Column{
		{Title: strings.ToUpper(h.Interval)}, {Title: "TOKENS", Right: true}, {Title: "COST", Right: true},
		{Title: "GRANTED", Right: true}, {Title: "DENIED", Right: true},
	}}
	columns := int64(barColumns)
	if inVain > 0 {
		t.Columns, columns = append(t.Columns, screen.Column{Title: "IN VAIN", Right: true}), barBesideInVain
	}
	t.Columns = append(t.Columns, screen.Column{Title: " "})
	for len(points) > 0 {
		if skipped := quietRun(points); skipped >= quietShown {
			row := make([]screen.Cell, len(t.Columns))
			row[0] = screen.Toned(screen.Faint, fmt.Sprintf("… %d without", skipped))
			t.Add(row...)
			points = points[skipped:]
			continue
		}
		p := &points[0]
		points = points[1:]
		row := []screen.Cell{
			screen.Text(intervalText(p.From, h.Interval, zone)), screen.Text(screen.Short(p.TotalTokens)), screen.Text(screen.Money(p.CostMicroUSD)),
			screen.Text(screen.Count(p.Granted)), screen.Text(screen.Count(p.Denied)),
		}
		if inVain > 0 {
			row = append(row, screen.Text(screen.Count(p.QueueEnded)))
		}
		t.Add(append(row, screen.Toned(screen.Good, bar(p.TotalTokens, most, columns)))...)
	}
	s.Table(t)
	s.Printf("\n")
}

// What is left for bars in 80 columns.
const barColumns, barBesideInVain = 24, 16

// quietShown intervals in a row in which nothing happened, or more, are one line of the chart.
const quietShown = 4

func quiet(p *wire.Point) bool {
	return p.TotalTokens == 0 && p.Granted == 0 && p.Denied == 0 && p.QueueEnded == 0
}

// quietRun counts the first points in which nothing happened.
func quietRun(points []wire.Point) int {
	for i := range points {
		if !quiet(&points[i]) {
			return i
		}
	}
	return len(points)
}

func trimmed(points []wire.Point) []wire.Point {
	points = points[quietRun(points):]
	for len(points) > 0 && quiet(&points[len(points)-1]) {
		points = points[:len(points)-1]
	}
	return points
}

func intervalText(from wire.Time, interval string, zone *time.Location) string {
	at := from.Time().In(zone)
	if interval == wire.IntervalDay {
		return at.Format("Mon Jan 2" + yearOf(at))
	}
	return at.Format("Jan 2 " + clockOf(at))
}

// clockOf is the layout of a time of day: with the zone's letters where clocks show it twice, as summer time ends.
func clockOf(at time.Time) string {
	const layout = "15:04"
	for _, shift := range []time.Duration{time.Hour, time.Hour / 2} { // half an hour on Lord Howe Island
		if clock := at.Format(layout); at.Add(shift).Format(layout) == clock || at.Add(-shift).Format(layout) == clock {
			return layout + " MST"
		}
	}
	return layout
}

// bar draws n of most as a bar of so many columns at most, in eighths of a column.
func bar(n, most, columns int64) string {
	const eighths = 8
	if n <= 0 || most <= 0 {
		return ""
	}
	filled := max(1, int(float64(n)/float64(most)*float64(columns)*eighths))
	text := strings.Repeat("█", filled/eighths)
	if part := filled % eighths; part > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[part-1])
	}
	return text
}

func (c *historyCommand) showPeaks(peaks []wire.Peak, zone *time.Location) {
	if len(peaks) == 0 {
		return
	}
	t := &screen.Table{Columns: []screen.Column{
		{Title: "BUSIEST HOURS"}, {Title: "TOKENS", Right: true}, {Title: "%", Right: true}, {Title: "COST", Right: true}, {Title: "REQUESTS", Right: true},
	}}
	for i := range peaks {
		p := &peaks[i]
		t.Add(screen.Text(hourText(p, zone)), screen.Text(screen.Short(p.TotalTokens)),
			screen.Text(percentText(p.TokensPercent)), screen.Text(screen.Money(p.CostMicroUSD)), screen.Text(screen.Count(p.Requests)))
	}
	c.screen.Table(t)
	c.screen.Printf("\n")
}

// hourText words an hour; the present one goes up to now.
func hourText(p *wire.Peak, zone *time.Location) string {
	from, to := p.From.Time().In(zone), p.To.Time().In(zone)
	end := to.Format(clockOf(to))
	if to.Sub(from) < time.Minute {
		end = to.Format("15:04:05")
	}
	return from.Format("Mon Jan 2"+yearOf(from)+" "+clockOf(from)) + " – " + end
}

// showAdviceBriefly lists the advice in a line each.
func (a *app) showAdviceBriefly(current *wire.SuggestionList) {
	if len(current.Suggestions) == 0 {
		a.screen.Printf("No suggestions.\n")
		return
	}
	a.screen.Title("Suggestions (`bursar suggest` explains them)")
	for i := range current.Suggestions {
		sug := &current.Suggestions[i]
		a.screen.Printf("  %s  %s\n", a.screen.Paint(screen.Good, fmt.Sprintf("%9s", screen.Money(sug.SavingMicroUSD))),
			screen.Cut(screen.Clean(sug.Title), a.screen.Room()-13))
	}
}

// basisText words in which sense a saving is one.
func basisText(basis string) string {
	switch basis {
	case "avoidable_spend":
		return "that need not have been spent"
	case "freed_budget":
		return "of budget that was held and never used"
	case "delayed_work":
		return "worth of work that was refused"
	case "bounded_risk":
		return "that a runaway agent could spend beyond the need"
	}
	return screen.Clean(strings.ReplaceAll(basis, "_", " "))
}

func evidenceName(e wire.SuggestionEvidence) string {
	return screen.Clean(strings.ReplaceAll(e.Name, "_", " "))
}

func evidenceText(e wire.SuggestionEvidence) string {
	switch e.Unit {
	case "micro_usd":
		return screen.Money(e.Value)
	case "percent":
		return screen.Count(e.Value) + "%"
	case "count":
		return screen.Count(e.Value)
	}
	return screen.Count(e.Value) + " " + screen.Clean(e.Unit)
}

// occurrencesShown bounds who is listed for one suggestion.
const occurrencesShown = 5

func (a *app) showOccurrences(list []wire.SuggestionOccurrence) {
	for i := range list[:min(len(list), occurrencesShown)] {
		o := &list[i]
		label := ""
		if i == 0 {
			label = "who"
		}
		a.line(label, fmt.Sprintf("%s of %s: %s, %s to %s (UTC)", screen.Clean(cmp.Or(o.Agent, o.Principal)), screen.Clean(cmp.Or(o.Team, o.Principal)),
			counted(o.Count, "time"), stamp(o.FirstAt, time.UTC), stamp(o.LastAt, time.UTC)))
	}
	if more := len(list) - occurrencesShown; more > 0 {
		a.line("", fmt.Sprintf("and %d more", more))
	}
}

// stamp writes a time of the past shortly.
func stamp(t wire.Time, zone *time.Location) string {
	if t == 0 {
		return screen.None
	}
	at := t.Time().In(zone)
	return at.Format("Jan 2" + yearOf(at) + " " + clockOf(at))
}

// yearOf is the layout of a year that has to be told: not of the present one.
func yearOf(at time.Time) string {
	if at.Year() == time.Now().In(at.Location()).Year() {
		return ""
	}
	return " 2006"
}

// zoneOf gives a zone by name; one that this machine does not know is shown in UTC.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}
