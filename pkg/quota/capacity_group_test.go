package quota

import "testing"

// A window of a model group learns from the work of its models alone, beside the account's window, which learns from all of
// it; each account learns for itself. What is configured holds until there is enough, and the lower end from then on.
func TestEachWindowLearnsFromItsOwnWork(t *testing.T) {
	t.Parallel()
	const configured, ofOpus, ofAll = 9_000_000, 5_000_000, 12_000_000 // the truth is hidden
	week := func(id, account string, group string) Limit {
		l := session(id, configured)
		l.Name, l.Scope, l.Window.Duration = id, Scope{Account: account, ModelGroup: group}, 7*Day
		return l
	}
	l := newLedger(t)
	c := testConfig(week("weekly_opus", "max-1", "opus"), week("weekly", "max-1", ""), week("elsewhere", "max-2", ""))
	c.Accounts = append(c.Accounts, Account{ID: "max-2", Provider: "claude", Kind: KindSubscription})
	l.must(ApplyConfig{Config: c})
	used := int64(0) // of either model
	for n := range int64(30) {
		l.wait(4 * Hour)
		spent := 125_000 + n%3*25_000
		for _, model := range []string{"opus-4", "haiku"} {
			l.must(Report{Actor: ann, Reservation: "none", Account: "max-1", Model: model, Items: out(spent)}.known(l))
		}
		used += spent
		if v := l.limit("weekly_opus"); n == 3 && v.Capacity != configured {
			t.Fatalf("after three observations %d decide in place of what is configured: %+v", v.Capacity, v.Learned)
		}
		l.wait(Hour)
		for window, percent := range map[string]int64{"weekly_opus": used * 100 / ofOpus, "weekly": 2 * used * 100 / ofAll} {
			l.must(Observe{Actor: ann, Account: "max-1", Window: window, PercentMilli: percentMilli(percent), ResetAt: t0.Add(7 * Day)})
		}
	}
	for id, truth := range map[string]int64{"weekly_opus": ofOpus, "weekly": ofAll} {
		v := l.limit(id)
		if e := v.Learned; e == nil || !e.Enough || e.Low > truth || e.High < truth || e.High > truth*2 || v.Capacity != e.Low {
			t.Errorf("%s holds %d, learned is %+v, and %d decides", id, truth, e, v.Capacity)
		}
	}
	if v := l.limit("elsewhere"); v.Learned != nil || v.Capacity != configured {
		t.Errorf("the other account has %+v", v)
	}
}
