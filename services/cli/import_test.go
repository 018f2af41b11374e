package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/services/cli/internal/importer"
)

// TestImport brings a transcript of an hour ago into a real system, twice and from a copy: it is in the books once, at
// its time, and verify agrees with ClickHouse about it.
func TestImport(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	folder := t.TempDir()
	hourAgo := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	var lines strings.Builder
	for n := range 600 { // more than one report
		for _, output := range []int{1, 50} { // early lines hold a placeholder
			fmt.Fprintf(&lines, `{"type":"assistant","timestamp":%q,"sessionId":"s1","cwd":"/src/shop","requestId":"req_%d","message":{"id":"msg_%d",`+
				`"model":"claude-sonnet-4-5","usage":{"input_tokens":100,"output_tokens":%d}}}`+"\n", hourAgo, n, n, output)
		}
	}
	for _, name := range []string{"a.jsonl", "copy.jsonl"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	memory := filepath.Join(t.TempDir(), "memory.db")
	args := []string{"import", "claude-code", "--account", "claude-max", "--memory", memory, folder}
	if sum := ask[importer.Summary](i, args...); sum.Calls != 600 || sum.Tokens != 600*150 || sum.Files != 2 || sum.Repeated != 600*3 {
		t.Errorf("got %+v", sum)
	}
	if sum := ask[importer.Summary](i, args...); sum.Calls != 0 {
		t.Errorf("a second import: %+v", sum)
	}
	args[5] = filepath.Join(t.TempDir(), "lost.db")
	if sum := ask[importer.Summary](i, args...); sum.Calls != 600 {
		t.Errorf("an import without a memory: %+v", sum)
	}
	if doc := ask[verifyDocument](i, "verify"); !doc.OK {
		t.Errorf("verify: %+v", doc)
	}
	history := ask[historyDocument](i, "history")
	if total := history.Summary.Totals; total.Requests != 600 || total.TotalTokens != 600*150 || total.CostMicroUSD != 600*(100*3+50*15) {
		t.Errorf("history: %+v", total)
	}
	if got := i.do(ExitOK, "import", "claude-code", "--account", "claude-max", "--memory", memory, folder); !strings.HasPrefix(got, "Nothing new: 2 logs, imported before\n") {
		t.Errorf("people see %q", got)
	}
	if got := ask[importer.Summary](i, "import", "codex", "--account", "claude-max", "--memory", memory, folder); got.Read != 2 || got.Calls != 0 {
		t.Errorf("what was read as the log of another program is not read again: %+v", got)
	}
	bad := bursar(t, i.env, "import", "claude-code", "--account", "nobody", "--memory", memory, folder)
	if bad.status != ExitFailure || !strings.Contains(bad.stderr, "claude-max") {
		t.Errorf("an unknown account: %d %s", bad.status, bad.stderr)
	}
	absent := filepath.Join(t.TempDir(), "absent")
	if got := document[failure](t, i.do(ExitFailure, "import", "claude-code", "--account", "claude-max", "--memory", memory, absent, "--json")); !strings.Contains(got.Error.Message, "there is no "+absent) {
		t.Errorf("logs that are not there: %+v", got.Error)
	}
}
