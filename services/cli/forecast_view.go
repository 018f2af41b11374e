package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// showForecast writes a forecast for people.
func (c *forecastCommand) showForecast(r *wire.ForecastReply) {
	now := r.Now.Time().In(zoneOf(r.Zone))
	var shown []wire.LimitForecast
	for i := range r.Limits {
		if f := &r.Limits[i]; c.all || c.request.LimitID != "" || f.HistoryHours > 0 || f.Used+f.Outside > 0 {
			shown = append(shown, *f)
		}
	}
	if len(shown) == 0 {
		c.screen.Note(screen.Plain, "Nothing was used yet of a limit with a session, day, week or month window: there is nothing to forecast from.")
		return
	}
	c.showWindows(shown, now)
	if hidden := len(r.Limits) - len(shown); hidden > 0 {
		c.screen.Printf("%s\n", c.screen.Paint(screen.Faint, fmt.Sprintf("%s never used (--all shows them)", counted(int64(hidden), "limit"))))
	}
	if r.MoreLimits {
		c.screen.Note(screen.Faint, "There are more limits; --account and a LIMIT narrow it down.")
	}
	c.showShortPast(shown)
	if c.request.LimitID != "" && shown[0].NextWeek != nil {
		c.showHours(&shown[0], zoneOf(r.Zone))
	}
	if c.request.Backtest {
		for i := range shown {
			c.showBacktest(&shown[i])
		}
	}
}

// showWindows writes the table, by account.
func (c *forecastCommand) showWindows(limits []wire.LimitForecast, now time.Time) {
	owner := func(f *wire.LimitForecast) string { return cmp.Or(f.Account, "Teams and workspace") }
	for from := 0; from < len(limits); {
		to := from + 1
		for to < len(limits) && owner(&limits[to]) == owner(&limits[from]) {
			to++
		}
		c.screen.Title(owner(&limits[from]))
		t := &screen.Table{Columns: []screen.Column{
			{Title: "LIMIT", Shrink: true}, {Title: "USED", Right: true}, {Title: "ELAPSED", Right: true}, {Title: "PACE", Right: true},
			{Title: "RUNS OUT"}, {Title: "NEXT WEEK NEEDS"},
		}}
		for i := from; i < to; i++ {
			t.Add(windowRow(&limits[i], now)...)
		}
		c.screen.Table(t)
		c.screen.Printf("\n")
		from = to
	}
}

func windowRow(f *wire.LimitForecast, now time.Time) []screen.Cell {
	used, elapsed, pace := amount(f.Used+f.Outside, f.Unit), screen.None, screen.None
	if f.ElapsedPercent != nil {
		elapsed = percentText(*f.ElapsedPercent)
	}
	tone := screen.Plain
	if f.UsedPercent != nil {
		used = percentText(*f.UsedPercent)
		if *f.ElapsedPercent >= tooEarly {
			pace = paceText(*f.PacePercent)
		}
		tone = paceTone(f)
	}
	need := screen.None
	if n := f.NextWeek; n != nil {
		need = amount(n.Likely, f.Unit) + " (" + amount(n.Low, f.Unit) + "–" + amount(n.High, f.Unit) + ")"
	}
	return []screen.Cell{
		screen.Text(forecastName(f)), screen.Text(used), screen.Text(elapsed), screen.Toned(tone, pace),
		screen.Toned(tone, runsOutText(f, now)), screen.Text(need),
	}
}

// tooEarly is before which part of a window a pace says nothing: one call just after it opened makes it huge.
const tooEarly wire.Percent = 1_000

// forecastName is short, as in status.
func forecastName(f *wire.LimitForecast) string {
	return limitName(&wire.Limit{LimitID: f.LimitID, Name: f.Name, Account: f.Account, ModelGroup: f.ModelGroup})
}

// paceText writes a pace as a factor: 1 is just enough to the end of the window.
func paceText(p wire.Percent) string {
	const whole = 100_000
	pace := float64(p) / whole
	if pace >= 10 {
		return strconv.FormatFloat(pace, 'f', 0, 64)
	}
	return strconv.FormatFloat(pace, 'f', 1, 64)
}

func paceTone(f *wire.LimitForecast) screen.Tone {
	const half = 50_000
	switch {
	case f.Capacity > 0 && f.Used+f.Outside >= f.Capacity:
		return screen.Bad
	case f.Exhaustion != nil && f.Exhaustion.ChancePercent >= half, f.Exhaustion == nil && f.RunsOutAtPaceAt != 0:
		return screen.Caution
	}
	return screen.Plain
}

// runsOutText words when a window runs out.
func runsOutText(f *wire.LimitForecast, now time.Time) string {
	e := f.Exhaustion
	switch {
	case f.StartsAt == 0:
		return "not open"
	case f.Capacity == 0:
		return "capacity unknown"
	case f.Used+f.Outside >= f.Capacity:
		return "has run out"
	case e == nil && *f.ElapsedPercent < tooEarly:
		return screen.None
	case e == nil && f.RunsOutAtPaceAt != 0:
		return "at this pace " + clock(f.RunsOutAtPaceAt, now)
	case e == nil:
		return "not at this pace"
	case e.EarlyAt == 0:
		return "not before the reset"
	case e.LateAt == 0:
		return "from " + clock(e.EarlyAt, now) + chanceText(e.ChancePercent)
	}
	return clock(e.EarlyAt, now) + "–" + clock(e.LateAt, now) + chanceText(e.ChancePercent)
}

func chanceText(p wire.Percent) string {
	const almost = 97_500
	if p >= almost {
		return ""
	}
	return " (" + percentText(p) + ")"
}

// clock writes a time ahead as the clock on the wall shows it, with the day where it is another.
func clock(at wire.Time, now time.Time) string {
	t := at.Time().In(now.Location())
	switch {
	case t.YearDay() == now.YearDay() && t.Year() == now.Year():
		return t.Format("15:04")
	case t.Sub(now) < 6*24*time.Hour:
		return t.Format("Mon 15:04")
	}
	return t.Format("Jan 2")
}

// showShortPast says how much past is missing, once for all limits.
func (c *forecastCommand) showShortPast(limits []wire.LimitForecast) {
	var least, most int64
	for i := range limits {
		if f := &limits[i]; f.NeedsHours > 0 {
			if most == 0 || f.HistoryHours < least {
				least = f.HistoryHours
			}
			most = max(most, f.NeedsHours)
		}
	}
	if most > 0 {
		c.screen.Note(screen.Caution, fmt.Sprintf("not enough history of some limits: the shortest has %s. A time needs 48 hours of use, a week %d.", counted(least, "hour"), most))
	}
}

// showHours draws what each hour of the week needs.
func (c *forecastCommand) showHours(f *wire.LimitForecast, zone *time.Location) {
	s, need := c.screen, f.NextWeek
	s.Title(fmt.Sprintf("Next week by the hour, from %s (%s); a full bar is %s", need.From.Time().In(zone).Format("Mon Jan 2 15:04"), zone, amount(busiest(need), f.Unit)))
	hours, sums := map[string]*[24]int64{}, map[string]int64{}
	var days []string
	for _, h := range need.Hours {
		at := h.From.Time().In(zone)
		day := at.Format("Mon Jan _2")
		if hours[day] == nil {
			hours[day] = new([24]int64)
			for i := range hours[day] {
				hours[day][i] = beyond
			}
			days = append(days, day)
		}
		hours[day][at.Hour()] = max(0, hours[day][at.Hour()]) + h.Expected // an hour comes twice when clocks go back
		sums[day] += h.Expected
	}
	s.Printf("%s\n", s.Paint(screen.Faint, "            0     3     6     9     12    15    18    21      EXPECTED"))
	for _, day := range days {
		var bars strings.Builder
		for _, expected := range hours[day] {
			bars.WriteString(level(expected, busiest(need)) + " ")
		}
		s.Printf("%s  %s  %8s\n", day, s.Paint(screen.Good, bars.String()), amount(sums[day], f.Unit))
	}
}

// beyond marks an hour of the first or last day that is not in the week.
const beyond = -1

func busiest(n *wire.WeekNeed) (most int64) {
	for _, h := range n.Hours {
		most = max(most, h.Expected)
	}
	return most
}

// level draws one of eight heights.
func level(n, most int64) string {
	heights := []rune("▁▂▃▄▅▆▇█")
	switch {
	case n == beyond:
		return " "
	case n <= 0 || most <= 0:
		return "·"
	}
	return string(heights[min(len(heights)-1, int(float64(n)/float64(most)*float64(len(heights))))])
}

// showBacktest writes how well past forecasts of a limit fared.
func (c *forecastCommand) showBacktest(f *wire.LimitForecast) {
	s, b := c.screen, f.Backtest
	if b == nil {
		return
	}
	s.Printf("\n")
	s.Title("Back-test of " + f.LimitID)
	if w := b.Windows; w != nil {
		s.Note(screen.Plain, fmt.Sprintf("%s of windows of %s, of which %d ran out: %s of the intervals held, %s where it ran out (80%% promised).",
			counted(w.Cases, "forecast"), screen.Span(time.Duration(w.LengthMS)*time.Millisecond), w.RanOut, percentText(w.CoveredPercent), percentText(w.RanOutCoveredPercent)))
		t := &screen.Table{Columns: []screen.Column{
			{Title: "METHOD"}, {Title: "OFF BY, MEDIAN", Right: true}, {Title: "90TH PERCENTILE", Right: true}, {Title: "RIGHT WHETHER", Right: true},
		}}
		for _, m := range w.Methods {
			t.Add(screen.Text(m.Method), screen.Text(offText(m.MedianMS)), screen.Text(offText(m.P90MS)), screen.Text(percentText(m.CalledPercent)))
		}
		s.Table(t)
	} else {
		s.Note(screen.Caution, fmt.Sprintf("not enough history for a back-test of its windows: needs %d hours, has %d.", b.WindowsNeedHours, f.HistoryHours))
	}
	if w := b.Weeks; w != nil {
		s.Note(screen.Plain, fmt.Sprintf("%s: %s of the intervals held (80%% promised), %s of the hours stayed within their high (90%% promised).",
			counted(w.Cases, "week"), percentText(w.CoveredPercent), percentText(w.HoursWithinPercent)))
		t := &screen.Table{Columns: []screen.Column{{Title: "METHOD"}, {Title: "WEEK OFF BY, MEDIAN", Right: true}, {Title: "HOUR OFF BY, MEAN", Right: true}}}
		for _, m := range w.Methods {
			t.Add(screen.Text(m.Method), screen.Text(percentText(m.TotalPercent)), screen.Text(percentText(m.HourlyPercent)))
		}
		s.Table(t)
	} else {
		s.Note(screen.Caution, fmt.Sprintf("not enough history for a back-test of weeks: needs %d hours, has %d.", b.WeeksNeedHours, f.HistoryHours))
	}
}

// offText writes how far off a time was.
func offText(ms int64) string {
	return screen.Span((time.Duration(ms) * time.Millisecond).Round(time.Minute))
}
