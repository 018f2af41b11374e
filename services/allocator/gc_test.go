package allocator

import (
	"runtime/metrics"
	"testing"
)

func TestGCPercent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		live uint64
		want int
	}{{0, 400}, {10 << 20, 400}, {64 << 20, 400}, {128 << 20, 200}, {256 << 20, 100}, {4 << 30, 100}} {
		if got := gcPercent(tc.live); got != tc.want {
			t.Errorf("with %d bytes alive the heap grows by %d %%, want %d", tc.live, got, tc.want)
		}
	}
	sample := []metrics.Sample{{Name: liveMetric}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindUint64 {
		t.Errorf("this version of Go does not tell %s", liveMetric)
	}
}
