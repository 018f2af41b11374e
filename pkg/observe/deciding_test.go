package observe

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// page reads the part of docs/deciding.md about what providers say; its table is worked out again here.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/deciding.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "\n## What the provider says\n")
	if !ok {
		t.Fatal("the page has no part about what the provider says")
	}
	return part
}

// rowOf gives the cells of the table's row that begins so.
func rowOf(t *testing.T, begin string) []string {
	t.Helper()
	for line := range strings.Lines(page(t)) {
		if strings.HasPrefix(line, "| "+begin) {
			return strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		}
	}
	t.Fatalf("no row begins with %q", begin)
	return nil
}

var mapped = regexp.MustCompile("`?([a-z0-9_,]+)`?(?: minutes)? → `([a-z_]+)`")

// named are the pairs "theirs → ours" of a row.
func named(t *testing.T, begin string) [][]string {
	t.Helper()
	pairs := mapped.FindAllStringSubmatch(rowOf(t, begin)[1], -1)
	if len(pairs) == 0 {
		t.Fatalf("the row of %s maps nothing", begin)
	}
	return pairs
}

// is checks that one window was told, under the name of the page.
func is(t *testing.T, from string, said *Said, want string) {
	t.Helper()
	if len(said.Windows) != 1 || said.Windows[0].Name != want || len(said.Problems) > 0 {
		t.Errorf("%s is read as %q, the page says %s", from, text(said), want)
	}
}

func TestThePagesWindows(t *testing.T) {
	t.Parallel()
	for _, pair := range named(t, "`anthropic-ratelimit-unified-*` headers") {
		is(t, pair[0], Headers(headersOf("anthropic-ratelimit-unified-"+pair[1]+"-utilization: 0.4"), testAt), pair[2])
	}
	for _, pair := range named(t, "Claude Code's status line JSON") {
		is(t, pair[0], StatusLine(fmt.Appendf(nil, `{"rate_limits":{%q:{"used_percentage":40}}}`, pair[1])), pair[2])
	}
	for _, pair := range named(t, "`x-codex-*` headers") {
		minutes := strings.ReplaceAll(pair[1], ",", "")
		is(t, pair[0], Headers(headersOf("x-codex-primary-used-percent: 40\nx-codex-primary-window-minutes: "+minutes), testAt), pair[2])
		is(t, pair[0], CodexLimits([]byte(`{"primary":{"used_percent":40,"window_minutes":`+minutes+`}}`), testAt), pair[2])
	}
	row := rowOf(t, "`anthropic-ratelimit-{")
	theirs := strings.Split(regexp.MustCompile(`\{(.+)\}`).FindStringSubmatch(row[0])[1], ",")
	ours := regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1)
	if len(theirs) != len(ours) {
		t.Fatalf("%q are %q", theirs, ours)
	}
	for i, name := range theirs {
		is(t, name, Headers(headersOf("anthropic-ratelimit-"+name+"-limit: 7"), testAt), ours[i][1])
		is(t, name, Headers(headersOf("anthropic-priority-"+name+"-limit: 7"), testAt), "priority_"+ours[i][1])
		is(t, name, Headers(headersOf("anthropic-fast-"+name+"-limit: 7"), testAt), "fast_"+ours[i][1])
		if name == "requests" || name == "tokens" {
			wait := regexp.MustCompile("such as `(.+?)`").FindStringSubmatch(rowOf(t, "`x-ratelimit-*`")[0])[1]
			said := Headers(headersOf("x-ratelimit-reset-"+name+": "+wait), testAt)
			is(t, name, said, ours[i][1])
			if span, err := time.ParseDuration(wait); err != nil || !said.Windows[0].ResetAt.Equal(testAt.Add(span)) {
				t.Errorf("a reset of %s is at %v, %v", wait, said.Windows[0].ResetAt, err)
			}
		}
	}
}

// TestThePagesRefusals takes the ways in which a 429 tells its window away, one after the other.
func TestThePagesRefusals(t *testing.T) {
	t.Parallel()
	row := rowOf(t, "status 429 with its body")
	if want := "the one that a header rejects, else the one the text names, else one with nothing left, else none"; strings.TrimSpace(row[1]) != want {
		t.Fatalf("the page says %q, tested is %q", row[1], want)
	}
	const rejected, empty = "anthropic-ratelimit-unified-5h-status: rejected\n", "anthropic-ratelimit-requests-remaining: 0\n"
	const body, silent = `{"error":{"type":"rate_limit_error","message":"more than 50,000 input tokens per minute"}}`, `{"error":{"type":"rate_limit_error","message":"later"}}`
	for _, c := range []struct{ headers, body, window string }{
		{rejected + empty, body, "session"}, {empty, body, "input_per_minute"}, {empty, silent, "requests_per_minute"}, {"", silent, ""},
	} {
		said := Response(429, headersOf(c.headers), []byte(c.body), testAt)
		closed := ""
		for _, w := range said.Windows {
			if w.Signal == Exhausted {
				closed += w.Name
			}
		}
		if closed != c.window || (said.Signal == Exhausted) != (c.window == "") {
			t.Errorf("%q and %q close %q and say %q, want %q", c.headers, c.body, closed, said.Signal, c.window)
		}
	}
	for header, want := range map[string]time.Duration{
		"retry-after: 11": 11 * time.Second, "retry-after: Mon, 01 Jun 2026 12:01:00 GMT": time.Minute, "retry-after-ms: 1500": 1500 * time.Millisecond,
	} {
		if name, _, _ := strings.Cut(header, ":"); !strings.Contains(row[0], "`"+name+"`") {
			t.Errorf("the page does not tell of %s", name)
		}
		if said := Response(429, headersOf(header), nil, testAt); said.RetryAfter != want {
			t.Errorf("%s is a wait of %s", header, said.RetryAfter)
		}
	}
	if said := Response(529, headersOf("retry-after: 11"), []byte(body), testAt); said.Signal != Overloaded || len(said.Windows) > 0 ||
		!strings.HasPrefix(strings.TrimSpace(rowOf(t, "status 529")[1]), "none") {
		t.Errorf("a 529 says %q", text(said))
	}
	for why, message := range map[string]string{"no credit": "insufficient_quota", "request too large": "Request too large for x", "not entitled": "Extra usage is required"} {
		said := Response(429, headersOf(empty), fmt.Appendf(nil, `{"error":{"type":"x","message":%q}}`, message), testAt)
		if !strings.Contains(page(t), why) || !said.Terminal || said.Signal != "" || said.Windows[0].Signal != "" {
			t.Errorf("%s: %q", why, text(said))
		}
	}
	if said := Headers(headersOf("x-ratelimit-limit-tokens: -1"), testAt); !strings.Contains(page(t), "Azure writes -1 for a limit it does not tell") || len(said.Problems) != 1 || len(said.Windows) != 0 {
		t.Errorf("-1 says %q", text(said))
	}
}
