package observe

import (
	"net/http"
	"testing"
	"unicode/utf8"
)

// sound is what holds of anything understood.
func sound(t *testing.T, s *Said) {
	t.Helper()
	if len(s.Windows) > MaxWindows || len(s.Problems) > 2*MaxWindows || s.RetryAfter < 0 || s.RetryAfter > maxWait {
		t.Fatalf("out of bounds: %+v", s)
	}
	for _, w := range s.Windows {
		switch {
		case len(w.Name) > maxName || cleanName(w.Name) != w.Name || w.Length < 0:
			t.Fatalf("window %+v", w)
		case w.PercentMilli != nil && (*w.PercentMilli < 0 || *w.PercentMilli > maxPercentMilli):
			t.Fatalf("percent %d", *w.PercentMilli)
		case w.Limit != nil && *w.Limit < 0, w.Remaining != nil && *w.Remaining < 0:
			t.Fatalf("negative units in %+v", w)
		case !w.ResetAt.IsZero() && w.ResetAt.Unix() < 0:
			t.Fatalf("reset %s", w.ResetAt)
		}
	}
	for _, p := range s.Problems {
		if !utf8.ValidString(p.Field+p.Value) || p.Want == "" {
			t.Fatalf("problem %+v", p)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("anthropic-ratelimit-unified-5h-utilization", "0.3")
	f.Add("x-ratelimit-reset-tokens", "20m52.666s")
	f.Add("x-codex-primary-used-percent", "12")
	f.Add("retry-after", "Mon, 01 Jun 2026 12:01:00 GMT")
	f.Add("anthropic-ratelimit-tokens-reset", "2026-06-01T12:00:09Z")
	f.Fuzz(func(t *testing.T, name, value string) {
		sound(t, Headers(http.Header{name: {value}}, testAt))
	})
}

func FuzzBody(f *testing.F) {
	f.Add(429, []byte(`{"error":{"type":"tokens","message":"try again in 1.1s"}}`))
	f.Add(529, []byte(`{"error":{"type":"overloaded_error"}}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		sound(t, Response(status, http.Header{}, body, testAt))
	})
}

func FuzzStatusLine(f *testing.F) {
	f.Add([]byte(`{"rate_limits":{"five_hour":{"used_percentage":23.5,"resets_at":1780000000}}}`))
	f.Fuzz(func(t *testing.T, document []byte) { sound(t, StatusLine(document)) })
}

func FuzzCodexLimits(f *testing.F) {
	f.Add([]byte(`{"primary":{"used_percent":7.0,"window_minutes":300,"resets_at":1780000000}}`))
	f.Fuzz(func(t *testing.T, document []byte) { sound(t, CodexLimits(document, testAt)) })
}
