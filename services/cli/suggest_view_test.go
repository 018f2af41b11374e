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
