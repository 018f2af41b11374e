package whatif

import (
	"math"
	"testing"
)

// TestStudent compares with the tables of the distribution.
func TestStudent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		freedom student
		value   float64 // 97.5 % lie below
	}{{1, 12.706}, {2, 4.303}, {6, 2.447}, {10, 2.228}, {30, 2.042}} {
		if got := tt.freedom.quantile(0.975); math.Abs(got-tt.value) > 0.0006 {
			t.Errorf("%v degrees of freedom: quantile %.4f, want %.3f", tt.freedom, got, tt.value)
		}
		if above, below := tt.freedom.below(tt.value), tt.freedom.below(-tt.value); math.Abs(above-0.975) > 0.0001 || math.Abs(below-0.025) > 0.0001 {
			t.Errorf("%v degrees of freedom: %.5f below, %.5f below the opposite, want 0.975 and 0.025", tt.freedom, above, below)
		}
		if half := tt.freedom.below(0); half != 0.5 {
			t.Errorf("%v degrees of freedom: %v below 0, want one half", tt.freedom, half)
		}
	}
}

func TestMeanAndDeviation(t *testing.T) {
	t.Parallel()
	mean, deviation := meanAndDeviation([]float64{2, 4, 4, 4, 5, 5, 7, 9})
	if math.Abs(mean-5) > 1e-9 || math.Abs(deviation-math.Sqrt(32.0/7)) > 1e-9 {
		t.Errorf("mean %v and deviation %v, want 5 and the root of 32/7", mean, deviation)
	}
}
