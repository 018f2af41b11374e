package quota

import (
	"strings"
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

// A refusal says what to do, for people who read it in a log.
func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	l := newPool(t)
	l.reserve(1000, func(r *Reserve) { r.Account = "m1" })
	l.queued(100, func(r *Reserve) { r.Account = "m1" })
	l.reserve(1, func(r *Reserve) { r.Account = "m2" })
	l.must(Release{Actor: ann, Reservation: "r3"})
	l.must(Block{Target: BlockAgent, Name: "b", Reason: "month end"})
	reserve := func(change func(*Reserve)) Reserve {
		c := Reserve{Actor: ann, Reservation: "new", Provider: "claude", Model: "opus-4", Amount: Amount{Tokens: Tokens{Output: 1}}}
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		cmd  Command
		want string
	}{
		"no such account":        {reserve(func(r *Reserve) { r.Provider, r.Account = "", "m9" }), `no account "m9"; write m1, m2, m3, o1`},
		"of another provider":    {reserve(func(r *Reserve) { r.Account = "o1" }), `of provider "claude" and open to you; write m1, m2, m3`},
		"accepts none there is":  {reserve(func(r *Reserve) { r.AcceptAccounts = []string{"m9"} }), `open to you; write m1, m2, m3`},
		"observes no account":    {Observe{Actor: ann, Account: "m9", Window: "session", Tier: "t"}, `no account "m9"; write m1, m2, m3, o1`},
		"observes all of none":   {ObserveAll{Actor: ann, Account: "m9", Said: []Observe{{Window: "session", Tier: "t"}}}, `no account "m9"; write m1`},
		"holds back no account":  {Block{Target: BlockAccount, Name: "m9"}, `no account "m9"; write m1, m2, m3, o1`},
		"holds back nameless":    {Block{Target: BlockAccount}, "name the account"},
		"resumes nameless":       {Unblock{Target: BlockTeam}, "name the team"},
		"resumes all by a name":  {Unblock{Target: BlockWorkspace, Name: "x"}, "takes no name"},
		"resumes what goes on":   {Unblock{Target: BlockAgent, Name: "x"}, "no hold is on agent x; accounts tells"},
		"revokes what is not":    {Revoke{Actor: Actor{"op", ""}, Reservation: "r9"}, `"r9"; reservations tells`},
		"an agent is held back":  {reserve(func(r *Reserve) { r.Actor = Actor{"bob", "b"} }), "holds back agent b: month end; ask again later"},
		"reports while it waits": {Report{Actor: ann, Reservation: "r2"}, "waits in the queue: report after its grant, or release it"},
		"usage while it waits":   {Report{Actor: ann, Reservation: "r2", Items: out(5)}, "or release it; the usage is recorded"},
		"waits for another":      {Report{Actor: Actor{"ann", "x"}, Reservation: "r2"}, `of agent "x"; list tells`},
		"is over":                {Extend{Actor: ann, Reservation: "r3", Lifetime: Hour}, "was released; further work takes a new reserve"},
		"is unknown":             {Settle{Actor: ann, Reservation: "r9"}, "list tells those there are, and further work takes a new reserve"},
	} {
		if _, r := Decide(l.state, c.cmd, Env{Now: l.now, Prices: testPrices}); r.OK() || !strings.Contains(r.Message, c.want) {
			t.Errorf("%s: %s: %s, want %q", name, r.Code, r.Message, c.want)
		}
	}
	l.must(Block{Target: BlockWorkspace})
	if r := l.reserve(1); !strings.Contains(r.Message, "holds back all work; ask again") {
		t.Error(r.Message)
	}
}
