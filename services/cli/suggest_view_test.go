package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// The days of a back-test and the texts of advice are of UTC, and so are the times beside them, wherever they are read.
func TestAnExplainedSuggestionIsInOneZone(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	a := &app{screen: screen.New(&out, narrow)}
	start := wireTime(time.Date(time.Now().Year(), time.November, 20, 0, 0, 0, 0, time.UTC))
	end := wireTime(time.Date(time.Now().Year(), time.November, 26, 22, 30, 0, 0, time.UTC))
	a.explainSuggestion(&wire.Suggestion{
		WindowStartsAt: start, WindowEndsAt: end,
		Occurrences: []wire.SuggestionOccurrence{{Agent: "ann", Team: "core", Count: 2, FirstAt: start, LastAt: end}},
		Backtest:    &wire.SuggestionBacktest{Days: []wire.SuggestionDay{{StartsAt: start}}},
	})
	text := out.String()
	if strings.Count(text, "Nov 20 00:00 to Nov 26 22:30 (UTC)") != 2 || strings.Contains(text, "exhausted") {
		t.Errorf("shown:\n%s", text)
	}
	fits(t, text)
}

// TestConfidenceIsNeverCertain: it is computed from what was seen, and told as no more than it is.
func TestConfidenceIsNeverCertain(t *testing.T) {
	t.Parallel()
	for percent, want := range map[wire.Percent]string{
		100_000: "99%", 99_900: "99%", 98_700: "98%", 50_000: "50%", 20_700: "20%", 9_990: "9.9%", 500: "0.5%", 50: "<0.1%", 0: "0%",
	} {
		if got := confidenceText(percent); got != want {
			t.Errorf("a confidence of %s is shown as %s, want %s", percent, got, want)
		}
	}
	var out strings.Builder
	a := &app{screen: screen.New(&out, narrow)}
	a.showSuggestion(&wire.Suggestion{Title: "Reserve less", ConfidencePercent: 99_900})
	if !strings.Contains(out.String(), "confidence  99%\n") {
		t.Errorf("shown:\n%s", out.String())
	}
}
