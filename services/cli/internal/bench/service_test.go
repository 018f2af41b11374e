package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/chembed"
)

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

// TestLag runs the real ClickHouse and the analytics service under a short load.
func TestLag(t *testing.T) {
	t.Parallel()
	o := DefaultOptions()
	o.Repetitions, o.Duration, o.WarmUp = 1, 500*time.Millisecond, 50*time.Millisecond
	lag, err := MeasureLag(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if lag.Commits == 0 || lag.PerSecond <= 0 || lag.P50MS <= 0 || lag.P99MS < lag.P50MS || lag.MaxMS < lag.P99MS {
		t.Errorf("lag %+v has a hole", lag)
	}
}

// TestRecovery restarts the real program, cleanly and killed.
func TestRecovery(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "bursar-allocator")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../../allocator/cmd/bursar-allocator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the allocator: %v\n%s", err, out)
	}
	found, err := MeasureRecovery(t.Context(), DefaultOptions(), program, []int{50, 300})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Live != 50 || found[1].Live != 300 {
		t.Fatalf("found %+v, want 50 and 300 live reservations", found)
	}
	for _, one := range found {
		if one.CleanMS <= 0 || one.KilledMS <= 0 || one.MemoryMB <= 0 {
			t.Errorf("%+v has a hole", one)
		}
	}
}

func TestRecoveryRefusesNumbersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, numbers := range map[string][]int{"zero": {0}, "descending": {10, 5}, "beyond the bound": {maxLive + 1}} {
		if _, err := MeasureRecovery(t.Context(), DefaultOptions(), "nothing", numbers); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
