package quota

import (
	"testing"
)

// What holds back an agent, its team or all work does so on every account: nothing would be granted instead.
func TestNothingIsAnAlternativeToWorkThatIsHeldBack(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*ledger){
		"the agent": func(l *ledger) { l.must(Block{Target: BlockAgent, Name: ann.Agent}) },
		"the team":  func(l *ledger) { l.must(Block{Target: BlockTeam, Name: "core"}) },
		"all":       func(l *ledger) { l.must(Block{Target: BlockWorkspace}) },
		"fan-out": func(l *ledger) {
			config := pool(DefaultPolicy())
			config.Teams = []Team{{Name: "core", FanOut: FanOut{Live: 1}}}
			l.must(ApplyConfig{Config: config})
			l.reserve(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newPool(t)
			stop(l)
			if r := l.reserve(100, func(r *Reserve) { r.Account = "m1" }); r.OK() || len(r.Alternatives) > 0 {
				t.Errorf("got %+v", r)
			}
		})
	}
	l := newPool(t)
	l.must(Block{Target: BlockAccount, Name: "m1"})
	if r := l.reserve(100, func(r *Reserve) { r.Account = "m1" }); r.Code != CodeUnavailable || len(r.Alternatives) == 0 {
		t.Errorf("other accounts are no alternative to one that is held back: %+v", r)
	}
}
