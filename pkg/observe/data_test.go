//go:build testdata

package observe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/realdata"
)

// TestRecordedAnswers reads recorded answers: everything sound, and no header of a limit that is told as a problem but
// for the values that stand for a number in the collection, and Azure's -1.
func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	seen, windows := 0, 0
	for _, file := range []string{"openllmetry_fixtures.dev.jsonl", "error_bodies.jsonl"} {
		f, err := os.Open(realdata.Path(t, "http_fixtures", file))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }() // only read
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var row struct {
				Status  int               `json:"status"`
				Headers map[string]string `json:"headers"`
				Body    json.RawMessage   `json:"body"`
			}
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				t.Fatal(err)
			}
			h := http.Header{}
			for name, value := range row.Headers {
				h.Set(name, value)
			}
			said := Response(row.Status, h, row.Body, testAt)
			sound(t, said)
			for _, p := range said.Problems {
				if p.Value != "EPOCH" && p.Value != "-1" {
					t.Errorf("%s: not understood: %+v", file, p)
				}
			}
			if refused := row.Status == 429 || row.Status == 529; refused && said.Signal == "" && !said.Terminal && !closes(said) {
				t.Errorf("a refusal without meaning: %s", lines.Bytes())
			}
			seen, windows = seen+1, windows+len(said.Windows)
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if seen < 50 || windows < 20 {
		t.Errorf("%d answers with %d windows", seen, windows)
	}
	t.Logf("%d answers tell of %d windows", seen, windows)
}

func closes(s *Said) bool {
	for _, w := range s.Windows {
		if w.Signal == Exhausted {
			return true
		}
	}
	return false
}

// TestRecordedWindows reads the samples of subscriptions, of the status line and of Codex.
func TestRecordedWindows(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(realdata.Path(t, "http_fixtures", "unified_and_usage_samples.json"))
	if err != nil {
		t.Fatal(err)
	}
	var samples map[string]json.RawMessage
	if err := json.Unmarshal(data, &samples); err != nil {
		t.Fatal(err)
	}
	headers := func(name string) *Said {
		var fields map[string]any
		if err := json.Unmarshal(samples[name], &fields); err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		for field, value := range fields {
			if s, ok := value.(string); ok {
				h.Set(field, s)
			}
		}
		return Headers(h, testAt)
	}
	for name, c := range map[string]struct {
		said *Said
		want string
	}{
		"allowed":     {headers("unified_headers_allowed"), "session 20000m% until 1781973000, weekly 6000m% until 1782414000, weekly_sonnet 1000m%"},
		"rejected":    {headers("unified_headers_weekly_rejected"), "weekly exhausted"},
		"status line": {StatusLine(samples["statusline_rate_limits"]), "session 23500m% until 1738425600, weekly 41200m% until 1738857600"},
		"codex":       {CodexLimits(samples["codex_token_count_rate_limits"], testAt), "session 7000m% until 1763483205, weekly 77000m% until 1763606387"},
	} {
		var windows []string
		for _, w := range c.said.Windows {
			told := w.Name
			if w.PercentMilli != nil {
				told += fmt.Sprintf(" %dm%%", *w.PercentMilli)
			}
			if !w.ResetAt.IsZero() {
				told += fmt.Sprintf(" until %d", w.ResetAt.Unix())
			}
			windows = append(windows, strings.TrimSpace(told+" "+string(w.Signal)))
		}
		if got := strings.Join(windows, ", "); got != c.want {
			t.Errorf("%s: windows %q, want %q", name, got, c.want)
		}
	}
}
