package chembed_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bursarhq/bursar/pkg/chembed"
)

// TestTheLogOfQueriesOutlivesARestart asks in two runs, in a directory that was in use before the log was kept.
func TestTheLogOfQueriesOutlivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := filepath.Join(dir, "store", "data", "system", "query_log", "left")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	const asked = "SELECT count() FROM system.query_log WHERE type = 'QueryFinish' AND query = 'SELECT 4711'"
	for run := uint64(1); run <= 2; run++ {
		s, err := chembed.Start(t.Context(), chembed.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		writer := open(t, s, chembed.UserWriter)
		if run > 1 {
			if got := count(t, writer, asked); got != run-1 {
				t.Errorf("%d queries of the runs before are told of, want %d", got, run-1)
			}
		}
		exec(t, writer, "SELECT 4711")
		awaitCount(t, writer, "SELECT count() FROM system.tables WHERE database = 'system' AND name = 'query_log'", 1)
		awaitCount(t, writer, asked, run)
		stop(t, s)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what no engine reads is still there: %v", err)
	}
}
