package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// drawForecast writes a forecast as a person gets it.
func drawForecast(r *wire.ForecastReply, request wire.ForecastRequest) string {
	var out bytes.Buffer
	c := &forecastCommand{app: &app{screen: screen.New(&out, narrow), process: Process{Getenv: narrow}}, request: request}
	c.showForecast(r)
	return out.String()
}

func percentage(n int64) *wire.Percent {
	p := wire.Percent(n * 1000)
	return &p
}

var forecastNow = time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC) // a Monday

func ahead(d time.Duration) wire.Time { return wireTime(forecastNow.Add(d)) }

// session is a window that is open for two of five hours.
func session(change func(*wire.LimitForecast)) wire.LimitForecast {
	f := wire.LimitForecast{
		LimitID: "max-1/session", Name: "session", Account: "max-1", Unit: "tokens", Window: "session", StartsAt: ahead(-2 * time.Hour),
		ResetsAt: ahead(3 * time.Hour), Capacity: 10_000_000, Used: 6_000_000, UsedPercent: percentage(60), ElapsedPercent: percentage(40),
		PacePercent: percentage(150), RunsOutAtPaceAt: ahead(80 * time.Minute), HistoryHours: 400,
	}
	change(&f)
	return f
}

func TestRunsOutText(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*wire.LimitForecast){
		"15:10–16:30": func(f *wire.LimitForecast) {
			f.Exhaustion = &wire.Exhaustion{ChancePercent: 99_000, EarlyAt: ahead(70 * time.Minute), LikelyAt: ahead(2 * time.Hour), LateAt: ahead(150 * time.Minute)}
		},
		"15:10–16:30 (92%)": func(f *wire.LimitForecast) {
			f.Exhaustion = &wire.Exhaustion{ChancePercent: 92_000, EarlyAt: ahead(70 * time.Minute), LikelyAt: ahead(2 * time.Hour), LateAt: ahead(150 * time.Minute)}
		},
		"from Wed 02:00 (35%)": func(f *wire.LimitForecast) {
			f.Exhaustion = &wire.Exhaustion{ChancePercent: 35_000, EarlyAt: ahead(36 * time.Hour)}
		},
		"not before the reset": func(f *wire.LimitForecast) { f.Exhaustion = &wire.Exhaustion{} },
		"at this pace 15:20":   func(f *wire.LimitForecast) { f.NeedsHours, f.HistoryHours = 48, 13 },
		"not at this pace":     func(f *wire.LimitForecast) { f.RunsOutAtPaceAt, f.PacePercent = 0, percentage(80) },
		"has run out":          func(f *wire.LimitForecast) { f.Outside = 4_000_000 },
		"capacity unknown":     func(f *wire.LimitForecast) { f.Capacity, f.UsedPercent, f.PacePercent = 0, nil, nil },
		"not open":             func(f *wire.LimitForecast) { f.StartsAt, f.ResetsAt, f.ElapsedPercent = 0, 0, nil },
		screen.None:            func(f *wire.LimitForecast) { f.ElapsedPercent = percentage(0) },
	} {
		f := session(change)
		if got := runsOutText(&f, forecastNow); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestForecastFitsATerminal draws the widest that there is, and wants every part of it.
func TestForecastFitsATerminal(t *testing.T) {
	t.Parallel()
	need := &wire.WeekNeed{From: ahead(0), To: ahead(7 * 24 * time.Hour), Low: 123_400_000, Likely: 145_600_000, High: 167_800_000}
	for h := range 168 {
		need.Hours = append(need.Hours, wire.HourNeed{From: ahead(time.Duration(h) * time.Hour), Expected: int64(h%24) * 100_000, High: 3_000_000})
	}
	full := session(func(f *wire.LimitForecast) {
		f.LimitID, f.Name, f.ModelGroup = "max-1/weekly_of_a_very_long_name", "weekly_of_a_very_long_name", "opus"
		f.NextWeek = need
		f.Exhaustion = &wire.Exhaustion{ChancePercent: 88_000, EarlyAt: ahead(36 * time.Hour), LikelyAt: ahead(48 * time.Hour), LateAt: ahead(100 * time.Hour)}
		f.Backtest = &wire.ForecastBacktest{
			Windows: &wire.WindowBacktest{LengthMS: 18_000_000, Cases: 240, RanOut: 80, CoveredPercent: 85_000, RanOutCoveredPercent: 79_000, Methods: []wire.WindowErrors{
				{Method: "analogous days", MedianMS: 1_440_000, P90MS: 4_500_000, CalledPercent: 91_000}, {Method: "last hour", MedianMS: 2_580_000, P90MS: 8_100_000, CalledPercent: 81_000}}},
			Weeks: &wire.WeekBacktest{Cases: 14, CoveredPercent: 78_571, HoursWithinPercent: 90_100, Methods: []wire.WeekErrors{{Method: "analogous days", TotalPercent: 12_600, HourlyPercent: 68_700}}},
		}
	})
	short := session(func(f *wire.LimitForecast) {
		f.LimitID, f.Account, f.Team, f.Unit, f.HistoryHours, f.NeedsHours = "core/month", "", "core", "micro_usd", 13, 168
		f.Backtest = &wire.ForecastBacktest{WindowsNeedHours: 53, WeeksNeedHours: 360}
	})
	unused := session(func(f *wire.LimitForecast) { f.LimitID, f.HistoryHours, f.Used = "max-1/weekly", 0, 0 })
	text := drawForecast(&wire.ForecastReply{Now: ahead(0), Zone: "UTC", Limits: []wire.LimitForecast{full, short, unused}}, wire.ForecastRequest{Backtest: true})
	text += drawForecast(&wire.ForecastReply{Now: ahead(0), Zone: "UTC", Limits: []wire.LimitForecast{full}}, wire.ForecastRequest{LimitID: full.LimitID, Backtest: true})
	for _, line := range strings.Split(text, "\n") {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{
		"max-1\n", "Teams and workspace\n", "60%", "40%", "1.5", "Wed 02:00–Fri 18:00 (88%)", "146M (123M–168M)", "1 limit never used",
		"not enough history of some limits: the shortest has 13 hours", "not enough history for a back-test of its windows: needs 53 hours, has 13",
		"240 forecasts of windows of 5h, of which 80 ran out: 85% of the intervals held", "analogous days", "24m", "1h 15m", "91%", "14 weeks: 79%",
		"Next week by the hour, from Mon Mar 2 14:00 (UTC); a full bar is 2.3M", "Tue Mar  3  ▄ ▄ ▅", "█ █ █ · ▁ ▁ ▂", "Mon Mar  2                              · ▁ ▁ ▂ ▂ ▂ ▃ ▃ ▃ ▄       4.5M",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "max-1/weekly ") {
		t.Error("a limit that was never used is shown")
	}
}

func TestForecastOfNothing(t *testing.T) {
	t.Parallel()
	text := drawForecast(&wire.ForecastReply{Now: ahead(0), Zone: "UTC", Limits: []wire.LimitForecast{{LimitID: "a"}}}, wire.ForecastRequest{})
	if !strings.Contains(text, "Nothing was used yet") {
		t.Errorf("%q", text)
	}
}

// TestWarningsTellThePace wants in a warning of status when the window runs out, where it does before its end.
func TestWarningsTellThePace(t *testing.T) {
	t.Parallel()
	c := &statusCommand{app: &app{}, low: lowTokens}
	limit := wire.Limit{LimitID: "max-1/session", Unit: "tokens", Window: "session", StartsAt: ahead(-2 * time.Hour), ResetsAt: ahead(3 * time.Hour),
		Capacity: 100_000, Used: 80_000, Available: 20_000, UsedPercent: percentage(80)}
	slow := limit
	slow.StartsAt, slow.ResetsAt = ahead(-9*time.Hour), ahead(time.Hour)
	warnings := c.warnings([]wire.Limit{limit, slow}, forecastNow)
	if len(warnings) != 2 {
		t.Fatalf("%d warnings, want 2", len(warnings))
	}
	if w := warnings[0]; w.RunsOutAtPaceAt != ahead(30*time.Minute) || !strings.Contains(w.Message, "at this pace it runs out "+forecastNow.Add(30*time.Minute).Local().Format("15:04")) {
		t.Errorf("%+v, want that it runs out in half an hour", w)
	}
	if w := warnings[1]; w.RunsOutAtPaceAt != 0 || strings.Contains(w.Message, "pace") {
		t.Errorf("%+v, want no pace: it lasts", w)
	}
}
