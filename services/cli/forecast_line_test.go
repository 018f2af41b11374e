package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

// TestForecastOfImportedUsage imports ten days of a session log in which every hour is alike, and wants the forecast of a week
// that is 168 such hours, by the hour too, and a back-test.
func TestForecastOfImportedUsage(t *testing.T) {
	t.Parallel()
	const perHour, hours = 1000, 240
	dir := filepath.Join(t.TempDir(), "projects", "shop")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	first := time.Now().Add(-hours * time.Hour)
	for h := range hours {
		at := first.Add(time.Duration(h)*time.Hour + time.Minute).UTC().Format("2006-01-02T15:04:05.000Z")
		fmt.Fprintf(&log, `{"type":"assistant","sessionId":"s1","cwd":"/shop","timestamp":%q,"requestId":"r%d","uuid":"u%d","message":{"id":"m%d","role":"assistant","model":"claude-sonnet-4-5","usage":{"input_tokens":0,"output_tokens":%d}}}`+"\n",
			at, h, h, h, perHour)
	}
	if err := os.WriteFile(filepath.Join(dir, "s1.jsonl"), []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	i := up(t, t.TempDir())
	i.do(ExitOK, "import", "claude-code", filepath.Dir(dir), "--account", "claude-max", "--memory", filepath.Join(t.TempDir(), "memory.db"))
	const week = 168 * perHour
	var f wire.LimitForecast
	await(t, "the usage to be in ClickHouse", func() bool {
		got := bursar(t, i.env, "forecast", "claude-max/weekly", "--backtest", "--json")
		if got.status != ExitOK { // the configuration is not there yet either
			return false
		}
		f = document[wire.ForecastReply](t, got.stdout).Limits[0]
		return f.HistoryHours >= hours-2 && f.NextWeek != nil && f.NextWeek.Likely >= week*9/10 && f.Used > 0
	})
	if n := f.NextWeek; n == nil || n.Low > week || n.High < week || n.Likely < week*9/10 || n.Likely > week*11/10 || len(n.Hours) != 168 {
		t.Errorf("next week %+v, want about %d", n, week)
	}
	if f.Used == 0 || f.PacePercent == nil || f.Exhaustion == nil || f.Exhaustion.ChancePercent != 0 {
		t.Errorf("%+v, want an open window that lasts", f)
	}
	if f.Backtest == nil || f.Backtest.WeeksNeedHours == 0 {
		t.Errorf("back-test %+v, want that ten days are not enough for weeks", f.Backtest)
	}
	session := ask[wire.ForecastReply](i, "forecast", "claude-max/session", "--backtest").Limits[0]
	if b := session.Backtest; b == nil || b.Windows == nil || b.Windows.Cases == 0 || b.Windows.Methods[0].MedianMS > time.Hour.Milliseconds() {
		t.Errorf("back-test %+v, want that a steady use is told to within an hour", b)
	}
	if text := i.do(ExitOK, "forecast"); !strings.Contains(text, "weekly") || !strings.Contains(text, "not before the reset") {
		t.Errorf("%s", text)
	}
	if got := document[failure](t, i.do(ExitFailure, "forecast", "nobody/none", "--json")); got.Error.Code != "invalid" {
		t.Errorf("a limit that there is not: %+v", got.Error)
	}
}
