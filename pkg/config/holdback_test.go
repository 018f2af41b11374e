package config

import (
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

func TestHoldBack(t *testing.T) {
	t.Parallel()
	limits := map[string]quota.Limit{}
	c := exampleConfig(t, "hold-back.yaml")
	for _, l := range c.Quota.Limits {
		limits[l.ID] = l
	}
	for id, want := range map[string]*quota.HoldBack{
		"max-1/session": {Percent: 10, Priority: quota.PriorityCritical, Until: 90}, "max-1/weekly": nil,
		"max-1/weekly_opus": {Percent: 20, Priority: quota.PriorityHigh}, "max-2/session": nil,
	} {
		if got := limits[id].HoldBack; (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s holds back %+v, want %+v", id, got, want)
		}
	}
	if !limits["max-1/weekly"].Fixed || limits["max-1/session"].Fixed || c.Quota.Policy.DriftGranted != 50 {
		t.Errorf("got %+v, %+v", limits["max-1/weekly"], c.Quota.Policy)
	}
	plain := mustParse(t, "version: 1\naccounts:\n  - {id: m, provider: claude, tier: pro}\n")
	if got := plain.Quota.Limits[0].HoldBack; got == nil || *got != (quota.HoldBack{Percent: 15, Priority: quota.PriorityHigh}) {
		t.Errorf("a session of five hours holds back %+v by default", got)
	}
	_, err := Parse("f.yaml", []byte("version: 1\nlimits:\n  - {id: c, window: {kind: concurrent}, capacity: 3, hold_back: {percent: 10}, learn: true}\n"))
	for _, part := range []string{"no last part to hold back", "windows of subscriptions only"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not said: %v", part, err)
		}
	}
}
