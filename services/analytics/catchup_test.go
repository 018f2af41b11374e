package analytics_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
)

// envBehind is how many commits BenchmarkCatchUp starts behind.
const (
	envBehind     = "BURSAR_BENCH_COMMITS"
	defaultBehind = 20_000
	// distinct commits are made by the state machine; the rest repeat them under numbers of their own.
	distinct = 3000
	// memoryBound is what the process may use however far it is behind.
	memoryBound = 512 << 20
)

// BenchmarkCatchUp lets a process of its own catch up with a ledger that it has seen nothing of, and
// reports its pace and its greatest memory. Run it with -benchtime 1x; BURSAR_BENCH_COMMITS=1000000 is
// the promise of docs/analytics.md, of which TestMemoryFarBehind checks the beginning.
func BenchmarkCatchUp(b *testing.B) {
	behind := defaultBehind
	if text := os.Getenv(envBehind); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		behind = n
	}
	s := newSite(b)
	rows := s.fill(behind)
	b.Logf("%d commits of %d rows are in the stream", behind, rows)
	reader := chtest.Open(b, s.server, chembed.UserWriter)
	b.ResetTimer()
	for b.Loop() {
		cmd := s.process("")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		last := uint64(behind)
		awaitEvery(b, 250*time.Millisecond, time.Hour, "caught up", func() bool {
			var n uint64
			err := reader.QueryRow(b.Context(), "SELECT count() FROM bursar.ledger_events WHERE commit = ?", last).Scan(&n)
			return err == nil && n > 0
		})
		took := b.Elapsed()
		peak := peakMemory(b, cmd.Process.Pid)
		if err := cmd.Process.Kill(); err != nil {
			b.Fatal(err)
		}
		_ = cmd.Wait()
		if peak > memoryBound {
			b.Errorf("%d MB of memory with %d commits behind, at most %d MB are promised", peak>>20, behind, memoryBound>>20)
		}
		b.ReportMetric(float64(behind)/took.Seconds(), "commits/s")
		b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
		b.ReportMetric(float64(peak)/(1<<20), "peak-MB")
	}
	var stored, distinctRows uint64
	if err := reader.QueryRow(b.Context(), "SELECT count(), uniqExact(commit, idx) FROM bursar.ledger_events").Scan(&stored, &distinctRows); err != nil {
		b.Fatal(err)
	}
	if stored != rows || distinctRows != rows {
		b.Errorf("%d rows, %d of them distinct, want %d", stored, distinctRows, rows)
	}
}

// fill publishes many commits and returns how many rows they make.
func (s *site) fill(behind int) (rows uint64) {
	s.t.Helper()
	made := make([]*ledger.Commit, min(distinct, behind))
	for i := range made {
		commit, _, err := s.fleet.Next(i % 5)
		if err != nil {
			s.t.Fatal(err)
		}
		made[i] = commit
	}
	js := s.jetStream(natsauth.Service(natsauth.RoleAllocatorStore))
	subject := wire.KeySubject(wire.BucketLedger, "acme")
	for number := 1; number <= behind; number++ {
		commit := *made[(number-1)%len(made)]
		commit.Number = uint64(number)
		commit.At += quota.Instant(number / len(made) * int(quota.Minute))
		data, err := ledger.Encode(&commit)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := js.PublishAsync(subject, data, jetstream.WithStallWait(time.Minute)); err != nil {
			s.t.Fatal(err)
		}
		rows += uint64(len(commit.Events)) + 1
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(10 * time.Minute):
		s.t.Fatal("the stream did not take the commits within 10 minutes")
	}
	return rows
}

// process prepares the service as a process of its own.
func (s *site) process(points string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(selfOf(s.t))
	cmd.Env = append(os.Environ(), s.environment(points)...)
	return cmd
}

// peakMemory reads the greatest resident memory of a process, in bytes.
func peakMemory(b testing.TB, pid int) uint64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("no memory figures on this platform: %v", err)
	}
	for line := range strings.SplitSeq(string(raw), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("no VmHWM among the figures of the process")
	return 0
}
