package quota

import (
	"fmt"
	"testing"
)

func TestThresholdsOfALimit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*Limit)
		want   string
	}{
		{"those of the policy", func(*Limit) {}, "[75 90 95 100]"},
		{"an empty list is none", func(l *Limit) { l.Thresholds = []int64{} }, "[75 90 95 100]"},
		{"its own", func(l *Limit) { l.Thresholds = []int64{50} }, "[50 100]"},
		{"its own with all of it", func(l *Limit) { l.Thresholds = []int64{50, 100} }, "[50 100]"},
		{"unwarned", func(l *Limit) { l.Unwarned = true }, "[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			limit := session("s", 1000)
			tc.change(&limit)
			c := testConfig(limit)
			if got := fmt.Sprint(c.thresholds(&c.Limits[0])); got != tc.want {
				t.Errorf("warns at %s, want %s", got, tc.want)
			}
		})
	}
}
