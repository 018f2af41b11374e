package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// TestToldLimits: how many, since when, and whether the source is away.
func TestToldLimits(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_780_000_000, 0)
	limit := func(capacity, told int64, ago time.Duration, stale bool) wire.Limit {
		return wire.Limit{Capacity: capacity, Told: &wire.Told{Capacity: told, ToldAt: wireTime(now.Add(-ago)), Stale: stale}}
	}
	text, _ := toldLimits([]wire.Limit{{}, limit(10, 10, time.Minute, false), limit(10, 90, 2*time.Minute, false)}, now)
	if !strings.HasPrefix(text, "2 limits told by the provider, the last 1m ago") || !strings.HasSuffix(text, "; 1 of them decides") {
		t.Errorf("%q", text)
	}
	text, tone := toldLimits([]wire.Limit{limit(10, 10, 3*time.Hour, true)}, now)
	if !strings.Contains(text, "1 is stale: the source is away") || tone != screen.Caution {
		t.Errorf("%q", text)
	}
	if text, _ = toldLimits([]wire.Limit{{}}, now); text != "" {
		t.Errorf("nothing was told: %q", text)
	}
}

// TestUnknownWindowsAreShown: what a provider told and nobody configured is shown to people, within the width of a screen.
func TestUnknownWindowsAreShown(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	headers := filepath.Join(t.TempDir(), "headers.txt")
	i.write(headers, "HTTP/2 200\nanthropic-ratelimit-unified-30d_everything-utilization: 0.5\nanthropic-fast-output-tokens-limit: 400000\n"+
		"anthropic-fast-output-tokens-remaining: 100000\nanthropic-fast-output-tokens-reset: 2031-01-01T00:00:00Z\n")
	i.do(ExitOK, "observe", "--account", demoAccount, "--headers", headers)
	i.do(ExitOK, "observe", "--account", "anthropic-api", "--headers", headers, "--status", "429", "--model", "claude-opus-5")
	i.do(ExitOK, "observe", "--account", "openai-api", "--status", "529")
	for _, command := range []string{"accounts", "status"} {
		text := i.do(ExitOK, command)
		for _, want := range []string{"not configured, without effect", "30d_everything", "50%", "fast_output_per_minute", "300k", "400k", "by headers", "refused by the provider (429), opens in", "overloaded (529)"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", command, want, text)
			}
		}
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
				t.Errorf("%s: %d columns: %s", command, n, line)
			}
		}
	}
}

// TestAClosedWindowIsShown: a window that the provider refuses says so, whatever is left of it, also where nobody has used it.
func TestAClosedWindowIsShown(t *testing.T) {
	t.Parallel()
	now := time.Now()
	limit := wire.Limit{LimitID: "m/weekly_opus", Name: "weekly_opus", Account: "m", ModelGroup: "opus", Unit: "tokens", Window: "session", Capacity: 7_000_000, Available: 7_000_000}
	shown := func(closed wire.Time) string {
		var out bytes.Buffer
		l := limit
		l.ClosedUntil = closed
		c := &statusCommand{app: &app{screen: screen.New(&out, narrow)}}
		c.showLimits("m", []wire.Limit{l}, 0, now)
		return out.String()
	}
	text := shown(wireTime(now.Add(90*time.Minute + time.Second)))
	if !strings.Contains(text, "weekly_opus: refused by the provider (429), opens in 1h 30m, ") || !strings.Contains(text, " closed ") || strings.Count(text, "7M") != 1 {
		t.Errorf("closed:\n%s", text)
	}
	if text := shown(0); strings.Contains(text, "refused") || !strings.Contains(text, "1 limit untouched") {
		t.Errorf("open:\n%s", text)
	}
}

// TestWhatIsLearnedIsShown: the interval, from how much, and whether it decides.
func TestWhatIsLearnedIsShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		learned wire.Learned
		want    string
	}{
		{wire.Learned{Likely: 1_000_000, Low: 940_000, High: 1_100_000, Observations: 34, Decides: true}, "session: learned from 34 observations: it holds 1M (940k to 1.1M)\n"},
		{wire.Learned{Likely: 1_000_000, Low: 300_000, Observations: 1}, "session: learned from 1 observation: it holds 1M (300k to more), not enough to\ngo by yet\n"},
	} {
		var out bytes.Buffer
		command := &statusCommand{app: &app{screen: screen.New(&out, func(string) string { return "" })}}
		command.showLimits("", []wire.Limit{{Name: "session", Account: "m", Unit: "tokens", Window: "session", Capacity: 940_000, Learned: &c.learned}}, 0, time.Now())
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("does not say %q:\n%s", c.want, out.String())
		}
	}
}

// TestAnAccountThatIsRefusedHasNothingToGive: a 429 that names no window leaves the books of the windows as they are, and none of
// it is to be had.
func TestAnAccountThatIsRefusedHasNothingToGive(t *testing.T) {
	t.Parallel()
	now := time.Now()
	account := wire.Account{Account: "m", Limits: []wire.Limit{
		{LimitID: "m/session", Name: "session", Account: "m", Unit: "tokens", Window: "session", Capacity: 10_000_000, Available: 9_100_000, Used: 900_000},
	}}
	for _, c := range []struct {
		opens  time.Duration
		closed bool
	}{{20 * time.Minute, true}, {-time.Minute, false}} {
		var out bytes.Buffer
		account.ClosedUntil = wireTime(now.Add(c.opens))
		(&statusCommand{app: &app{screen: screen.New(&out, narrow)}}).showAccount(&account, now)
		if text := out.String(); strings.Contains(text, " closed ") != c.closed || strings.Contains(text, "9.1M") == c.closed || strings.Contains(text, "\nrefused by the provider (429), opens in") != c.closed {
			t.Errorf("opens in %v:\n%s", c.opens, text)
		}
	}
}
