package rules

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// TestCapacityIsTheLedgers: what was learned decides, then what is configured, then what was told.
func TestCapacityIsTheLedgers(t *testing.T) {
	t.Parallel()
	const id, configured, said = "max/weekly", 60_000_000, 500_000
	of := func(c *quota.Config) *quota.Limit { return limitOf(c, id) }
	told := func(s *scene) {
		s.fold(&quota.ObservationRecorded{At: s.now, Limit: id, Effective: true, Capacity: said, Observation: quota.Observation{Used: -1, PercentMilli: -1}})
	}
	learned := func(enough bool) func(*scene) {
		return func(s *scene) {
			s.fold(&quota.ObservationRecorded{
				At: s.now, Limit: id, Effective: true, Observation: quota.Observation{Used: -1, PercentMilli: -1},
				Lesson: &quota.Lesson{End: true, Estimate: &quota.Estimate{Low: said, Enough: enough}},
			})
		}
	}
	anew := func(s *scene) {
		s.fold(&quota.ConfigApplied{At: s.now, Config: s.w.Config, Opened: []quota.WindowSpan{{Limit: id}}})
	}
	again := func(s *scene) { s.fold(&quota.ConfigApplied{At: s.now, Config: s.w.Config}) }
	weighed := func(s *scene) {
		c := s.w.Config
		c.Limits = append([]quota.Limit{}, c.Limits...)
		of(&c).Weights = quota.Weights{Output: 1}
		s.fold(&quota.ConfigApplied{At: s.now, Config: c})
	}
	for name, row := range map[string]struct {
		capacity int64
		fixed    bool
		play     []func(*scene)
		want     int64
	}{
		"configured":                        {configured, false, nil, configured},
		"told, and nothing is configured":   {0, false, []func(*scene){told}, said},
		"told, and another is configured":   {configured, false, []func(*scene){told}, configured},
		"learned":                           {configured, false, []func(*scene){told, learned(true), again}, said},
		"not enough was learned":            {configured, false, []func(*scene){learned(true), learned(false)}, configured},
		"fixed, whatever was learned":       {configured, true, []func(*scene){learned(true)}, configured},
		"learned before it counted anew":    {configured, false, []func(*scene){learned(true), anew}, configured},
		"told before it counted anew":       {0, false, []func(*scene){told, anew}, 0},
		"learned before it weighed the way": {configured, false, []func(*scene){learned(true), weighed}, configured},
	} {
		s := newScene(t, func(c *quota.Config) { of(c).Capacity, of(c).Fixed = row.capacity, row.fixed })
		for _, do := range row.play {
			do(s)
		}
		if got := Restore(s.w.Snapshot()).Capacity(of(&s.w.Config)); got != row.want {
			t.Errorf("%s: the capacity is %d, want %d", name, got, row.want)
		}
	}
}
