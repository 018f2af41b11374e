//go:build fault

package analytics_test

import (
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
)

const (
	farBehind = 1_000_000
	// firstOf is how many of them are waited for. All would take minutes; BenchmarkCatchUp waits for as many as it is told.
	firstOf = 100_000
	// early is when the memory is looked at for the first time: some ranges and batches have passed by then.
	early = 25_000
)

// TestMemoryFarBehind lets a process of its own begin with a ledger of a million commits that it has seen nothing of, and
// wants its memory to keep within what is promised.
//
//nolint:paralleltest // what is measured needs the machine for itself
func TestMemoryFarBehind(t *testing.T) {
	s := newSite(t)
	rows := s.fill(farBehind)
	reader := chtest.Open(t, s.server, chembed.UserWriter)
	cmd := s.process("")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // what it would do next is not looked at
		_ = cmd.Wait()
	}()
	var peaks []uint64
	for _, commits := range []uint64{early, firstOf} {
		awaitEvery(t, 100*time.Millisecond, 5*time.Minute, "stored", func() bool {
			var last uint64
			err := reader.QueryRow(t.Context(), "SELECT max(commit) FROM bursar.ledger_events").Scan(&last)
			return err == nil && last >= commits // an error is that of a table that is not there yet
		})
		peaks = append(peaks, peakMemory(t, cmd.Process.Pid))
	}
	t.Logf("%d commits of %d rows: at most %d MB of memory while the first %d were stored, %d MB with %d",
		farBehind, rows, peaks[0]>>20, early, peaks[1]>>20, firstOf)
	if peaks[1] > memoryBound {
		t.Errorf("%d MB of memory with %d commits behind, at most %d MB are promised", peaks[1]>>20, farBehind, memoryBound>>20)
	}
}
