package config

import (
	"reflect"
	"testing"
)

// A plan is what a file that names it and says no more gives.
func TestPlanIsWhatAFileGives(t *testing.T) {
	t.Parallel()
	c, err := Parse("x.yaml", []byte("version: 1\naccounts:\n  - {id: a, provider: claude, tier: max_5x}\n"))
	if err != nil {
		t.Fatal(err)
	}
	account, limits, ok := Plan("claude", "max_5x", "a")
	if !ok || !reflect.DeepEqual(account, c.Quota.Accounts[0]) || !reflect.DeepEqual(limits, c.Quota.Limits) {
		t.Errorf("got %+v\n%+v\nwant %+v\n%+v", account, limits, c.Quota.Accounts[0], c.Quota.Limits)
	}
	for _, unknown := range [][2]string{{"claude", "no"}, {"no", "max_5x"}} {
		if _, _, ok := Plan(unknown[0], unknown[1], "a"); ok {
			t.Errorf("there is a plan %v", unknown)
		}
	}
}
