package chembed_test

import (
	"errors"
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
	logs, err := filepath.Glob(filepath.Join(dir, "store", "store", "*", "*", "query_log.sql"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("the log is defined in %q, %v", logs, err)
	}
	for _, left := range []int64{0, 4096} { // as a full disk leaves it
		if err := os.Truncate(logs[0], left); err != nil {
			t.Fatal(err)
		}
		s, err := chembed.Start(t.Context(), chembed.Options{Dir: dir})
		if err != nil {
			t.Fatalf("over a definition of which %d bytes are left: %v", left, err)
		}
		exec(t, open(t, s, chembed.UserWriter), "SELECT 4712")
		stop(t, s)
	}
}

// TestDamagedTables: whoever starts the engine learns that it ended over what it found.
func TestDamagedTables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := chembed.Start(t.Context(), chembed.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	if err := os.WriteFile(filepath.Join(dir, "store", "metadata", "damaged.sql"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = chembed.Start(t.Context(), chembed.Options{Dir: dir})
	if !errors.Is(err, chembed.ErrEnded) {
		t.Errorf("over a damaged database: %v, want ErrEnded", err)
	}
	if err == nil {
		stop(t, s)
	}
}
