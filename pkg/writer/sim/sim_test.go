package sim

import (
	"reflect"
	"testing"
)

// schedules is how many a test runs; make sim runs 100,000.
const schedules = 300

func TestSchedules(t *testing.T) {
	t.Parallel()
	var tally Tally
	for seed := uint64(1); seed <= schedules; seed++ {
		r := Run(seed, false)
		for _, v := range r.Violations {
			t.Errorf("seed %d: %s", seed, v)
		}
		tally.Add(&r.Tally)
	}
	if empty := tally.Empty(); len(empty) > 0 {
		t.Errorf("never occurred, so nothing is proved of it: %q", empty)
	}
}

// TestSeedsRepeat: a violation is worth nothing if it cannot be found again.
func TestSeedsRepeat(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 20; seed++ {
		if a, b := Run(seed, true), Run(seed, true); !reflect.DeepEqual(a, b) {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}
