package observe

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

var testAt = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// text writes what was said on one line a window, so that a table can say what it expects.
func text(s *Said) string {
	var b strings.Builder
	for _, w := range s.Windows {
		fmt.Fprintf(&b, "%s", w.Name)
		if w.PercentMilli != nil {
			fmt.Fprintf(&b, " %dm%%", *w.PercentMilli)
		}
		if w.Remaining != nil {
			fmt.Fprintf(&b, " left %d", *w.Remaining)
		}
		if w.Limit != nil {
			fmt.Fprintf(&b, " of %d", *w.Limit)
		}
		if !w.ResetAt.IsZero() {
			fmt.Fprintf(&b, " until +%s", w.ResetAt.Sub(testAt))
		}
		if w.Length != 0 {
			fmt.Fprintf(&b, " lasts %s", w.Length)
		}
		if w.Signal != "" {
			fmt.Fprintf(&b, " %s", w.Signal)
		}
		b.WriteString("\n")
	}
	if s.Signal != "" {
		fmt.Fprintf(&b, "signal %s\n", s.Signal)
	}
	if s.RetryAfter != 0 {
		fmt.Fprintf(&b, "retry %s\n", s.RetryAfter)
	}
	if s.Terminal {
		b.WriteString("terminal\n")
	}
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "problem %s %s\n", p.Field, p.Value)
	}
	return b.String()
}

func at(d time.Duration) string { return fmt.Sprint(testAt.Add(d).Unix()) }

func TestHeaders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers string // name: value, one a line
		want    string
	}{
		"none":                             {"Content-Type: text/plain", ""},
		"unified":                          {"anthropic-ratelimit-unified-status: allowed\nAnthropic-Ratelimit-Unified-5h-Utilization: 0.2\nanthropic-ratelimit-unified-5h-reset: " + at(time.Hour) + "\nanthropic-ratelimit-unified-7d_sonnet-utilization: 1.02\nanthropic-ratelimit-unified-5h-surpassed-threshold: 0.75", "session 20000m% until +1h0m0s lasts 5h0m0s\nweekly_sonnet 102000m% lasts 168h0m0s\n"},
		"new window of a subscription":     {"anthropic-ratelimit-unified-30d-utilization: 0.5", "30d 50000m% lasts 720h0m0s\n"},
		"window of another kind":           {"anthropic-ratelimit-unified-overage-status: rejected\nanthropic-ratelimit-unified-overage-utilization: 0.1", "overage 10000m%\n"},
		"rejected week":                    {"anthropic-ratelimit-unified-status: rejected\nanthropic-ratelimit-unified-7d-status: rejected\nanthropic-ratelimit-unified-7d-reset: EPOCH", "weekly lasts 168h0m0s exhausted\nsignal exhausted\nproblem anthropic-ratelimit-unified-7d-reset EPOCH\n"},
		"API account of Anthropic":         {"anthropic-ratelimit-input-tokens-limit: 50000\nanthropic-ratelimit-input-tokens-remaining: 49000\nanthropic-ratelimit-input-tokens-reset: 2026-06-01T12:00:09Z", "input_per_minute left 49000 of 50000 until +9s\n"},
		"fast mode":                        {"anthropic-fast-output-tokens-limit: 7", "fast_output_per_minute of 7\n"},
		"OpenAI":                           {"x-ratelimit-limit-requests: 10000\nx-ratelimit-remaining-requests: 9999\nx-ratelimit-reset-requests: 6ms\nx-ratelimit-reset-tokens: 20m52.666s", "requests_per_minute left 9999 of 10000 until +6ms\ntokens_per_minute until +20m52.666s\n"},
		"Azure's minus one":                {"x-ratelimit-limit-tokens: -1\nx-ratelimit-remaining-tokens: 5", "tokens_per_minute left 5\nproblem x-ratelimit-limit-tokens -1\n"},
		"retry after seconds":              {"retry-after: 11", "retry 11s\n"},
		"retry after date":                 {"retry-after: Mon, 01 Jun 2026 12:01:00 GMT", "retry 1m0s\n"},
		"retry after milliseconds":         {"retry-after: 2\nretry-after-ms: 1500", "retry 1.5s\n"},
		"retry after a date that is past":  {"retry-after: Mon, 01 Jun 2026 11:00:00 GMT", ""},
		"retry after nonsense":             {"retry-after: soon", "problem retry-after soon\n"},
		"Codex":                            {"x-codex-primary-used-percent: 7.5\nx-codex-primary-window-minutes: 300\nx-codex-primary-reset-after-seconds: 60\nx-codex-secondary-used-percent: 77\nx-codex-secondary-window-minutes: 10080\nx-codex-secondary-reset-at: " + at(24*time.Hour), "session 7500m% until +1m0s lasts 5h0m0s\nweekly 77000m% until +24h0m0s lasts 168h0m0s\n"},
		"Codex without and with odd span":  {"x-codex-primary-used-percent: 1\nx-codex-spark-used-percent: 2\nx-codex-spark-window-minutes: 60", "codex_60m 2000m% lasts 1h0m0s\ncodex_primary 1000m%\n"},
		"a share that is none beside good": {"anthropic-ratelimit-unified-5h-utilization: NaN\nanthropic-ratelimit-unified-7d-utilization: 0.07", "weekly 7000m% lasts 168h0m0s\nproblem anthropic-ratelimit-unified-5h-utilization NaN\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, Headers(headersOf(c.headers), testAt), c.want)
		})
	}
}

func headersOf(lines string) http.Header {
	h := http.Header{}
	for line := range strings.Lines(lines) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return h
}

func check(t *testing.T, said *Said, want string) {
	t.Helper()
	if got := text(said); got != want {
		t.Errorf("understood\n%swant\n%s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const limited = "rate_limit_error"
	body := func(kind, code, message string) string {
		return fmt.Sprintf(`{"error":{"type":%q,"code":%q,"message":%q}}`, kind, code, message)
	}
	for name, c := range map[string]struct {
		status        int
		headers, body string
		want          string
	}{
		"minute of Anthropic":         {429, "retry-after: 11", body(limited, "", "over the limit of 50,000 input tokens per minute."), "input_per_minute of 50000 exhausted\nretry 11s\n"},
		"minute of OpenAI":            {429, "", body("tokens", "rate_limit_exceeded", "Limit 5, Used 4. Please try again in 1.146s. More"), "tokens_per_minute exhausted\nretry 1.146s\n"},
		"week by header":              {429, "anthropic-ratelimit-unified-status: rejected\nanthropic-ratelimit-unified-7d-status: rejected", body(limited, "", "later"), "weekly lasts 168h0m0s exhausted\n"},
		"nothing left":                {429, "anthropic-ratelimit-requests-remaining: 0", body(limited, "", "x"), "requests_per_minute left 0 exhausted\n"},
		"no window told":              {429, "x-should-retry: true", body(limited, "", "Error"), "signal exhausted\n"},
		"no body":                     {429, "", "", "signal exhausted\n"},
		"page of a proxy":             {429, "", "<html>", "signal exhausted\nproblem body <html>\n"},
		"credit used up":              {429, "", body("insufficient_quota", "insufficient_quota", "plan"), "terminal\n"},
		"too large":                   {429, "", body("tokens", "rate_limit_exceeded", "Request too large for x"), "terminal\n"},
		"not entitled":                {429, "", body(limited, "", "Extra usage is required for long context"), "terminal\n"},
		"overloaded":                  {529, "", body("overloaded_error", "", "Overloaded"), "signal overloaded\n"},
		"good answer with such words": {200, "", body("overloaded_error", "", "Overloaded"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, Response(c.status, headersOf(c.headers), []byte(c.body), testAt), c.want)
		})
	}
}

func TestStatusLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, want string }{
		"windows":         {`{"rate_limits":{"five_hour":{"used_percentage":23.5,"resets_at":` + at(time.Hour) + `},"seven_day":{"used_percentage":41.2}}}`, "session 23500m% until +1h0m0s lasts 5h0m0s\nweekly 41200m% lasts 168h0m0s\n"},
		"model's week":    {`{"rate_limits":{"seven_day_opus":{"used_percentage":1,"resets_at":null}}}`, "weekly_opus 1000m% lasts 168h0m0s\n"},
		"unknown window":  {`{"rate_limits":{"Lunar-Month":{"used_percentage":5}}}`, "lunar_month 5000m%\n"},
		"none yet":        {`{"session_id":"x"}`, ""},
		"null":            {`{"rate_limits":null}`, ""},
		"wrong type":      {`{"rate_limits":{"five_hour":{"used_percentage":"much","resets_at":"2026-06-01T13:00:00Z"}}}`, "session until +1h0m0s lasts 5h0m0s\nproblem rate_limits.five_hour.used_percentage \"much\"\n"},
		"not an object":   {`[1]`, "problem status_line [1]\n"},
		"limits as array": {`{"rate_limits":[]}`, "problem rate_limits []\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, StatusLine([]byte(c.document)), c.want)
		})
	}
}

func TestCodexLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, want string }{
		"snapshot": {`{"primary":{"used_percent":7.0,"window_minutes":300,"resets_at":` + at(time.Minute) + `},"secondary":{"used_percent":77,"window_minutes":10080,"resets_in_seconds":60},"plan_type":"plus","credits":null}`, "session 7000m% until +1m0s lasts 5h0m0s\nweekly 77000m% until +1m0s lasts 168h0m0s\n"},
		"too much": {`{"primary":{"used_percent":-3,"window_minutes":300}}`, "problem primary.used_percent -3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, CodexLimits([]byte(c.document), testAt), c.want)
		})
	}
}

func TestManyWindowsAreBounded(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	for i := range 100 {
		h.Set(fmt.Sprintf("anthropic-ratelimit-unified-%dd-utilization", i), "0.1")
	}
	said := Headers(h, testAt)
	if len(said.Windows) != MaxWindows || len(said.Problems) == 0 || len(said.Problems) > 2*MaxWindows {
		t.Errorf("%d windows, %d problems", len(said.Windows), len(said.Problems))
	}
}
