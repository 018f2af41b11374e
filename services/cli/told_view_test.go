package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

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
		for _, want := range []string{"not configured, without effect", "30d_everything", "50%", "fast_output_per_minute", "300k", "400k", "by headers", "refused by the provider (429) until", "overloaded (529)"} {
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
