package learn_test

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
)

// The loss is least for the estimate that as many tasks fit as are meant to.
func TestLoss(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		count  learn.Count
		target float64
		want   float64
	}{
		"nothing is wasted, and nothing short": {learn.Count{Covered: 3}, 0.9, 0},
		"a tenth of what is wasted":            {learn.Count{Waste: 1000}, 0.9, 100},
		"nine tenths of what is short":         {learn.Count{Short: 1000}, 0.9, 900},
		"both alike at a half":                 {learn.Count{Waste: 1000, Short: 600}, 0.5, 800},
	} {
		if got := row.count.Loss(row.target); got < row.want-1e-9 || got > row.want+1e-9 {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
	// A hundred tasks of 1 to 100 tokens.
	best, least := int64(0), 0.0
	for estimate := int64(1); estimate <= 100; estimate++ {
		var c learn.Count
		for used := int64(1); used <= 100; used++ {
			c.Waste += max(0, estimate-used)
			c.Short += max(0, used-estimate)
		}
		if loss := c.Loss(0.9); best == 0 || loss < least-1e-9 {
			best, least = estimate, loss
		}
	}
	if best != 90 {
		t.Errorf("the loss is least at %d tokens, want 90", best)
	}
}
