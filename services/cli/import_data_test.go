//go:build testdata

package cli

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/realdata"
	"github.com/bursarhq/bursar/services/cli/internal/importer"
)

// TestImportOfRealTranscripts imports a real session and the fixtures of another reader of the same logs. The books must
// hold what the rules give, and not what adding up all lines gives.
func TestImportOfRealTranscripts(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	session := realdata.Path(t, "transcripts", "tracelab", "claude_session.jsonl")
	calls, want := sumTranscript(t, session)
	var naive int64
	eachObject(t, session, func(o map[string]any) {
		message, _ := o["message"].(map[string]any)
		if usage, ok := message["usage"].(map[string]any); ok {
			for _, class := range []string{"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"} {
				naive += number(t, usage[class].(json.Number))
			}
		}
	})
	if naive <= want.Total() {
		t.Fatalf("adding up all lines gives %d tokens, no more than the calls' %d: the file proves nothing", naive, want.Total())
	}
	fixture := func(name string) string { return realdata.Path(t, "transcripts", "ccusage", name) }
	for _, c := range []struct {
		program, account, file string
		calls                  int
		tokens                 int64
	}{
		{"claude-code", "claude-max", session, int(calls), want.Total()},
		{"claude-code", "claude-max", fixture("claude_projects_project-alpha_session-alpha_chat.jsonl"), 3,
			100 + 50 + 25 + 10 + 200 + 75 + 50 + 20 + 300 + 125 + 40},
		{"codex", "openai-api", fixture("codex_sessions_project-alpha_session-alpha.jsonl"), 2, 1000 + 125 + 2500 + 300},
	} {
		args := []string{"import", c.program, "--account", c.account, "--memory", filepath.Join(t.TempDir(), "m.db"), c.file}
		if sum := ask[importer.Summary](i, args...); sum.Calls != c.calls || sum.Tokens != c.tokens {
			t.Errorf("%s: %+v, want %d calls and %d tokens", c.file, sum, c.calls, c.tokens)
		}
		if sum := ask[importer.Summary](i, args...); sum.Calls != 0 {
			t.Errorf("%s again: %+v", c.file, sum)
		}
	}
	if doc := ask[verifyDocument](i, "verify"); !doc.OK {
		t.Errorf("verify: %+v", doc)
	}
	var got quota.Tokens
	var rows uint64
	const query = "SELECT count(), sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), sum(output_tokens)" +
		" FROM analyst.usage WHERE source = 'transcript:claude-code' AND session NOT LIKE 'session-%'"
	if err := i.clickhouse().QueryRow(t.Context(), query).Scan(&rows, &got.Input, &got.CacheRead, &got.CacheWrite5m, &got.CacheWrite1h, &got.Output); err != nil {
		t.Fatal(err)
	}
	if rows != uint64(calls) || got != want {
		t.Errorf("ClickHouse has %d calls and %+v, want %d and %+v", rows, got, calls, want)
	}
}
