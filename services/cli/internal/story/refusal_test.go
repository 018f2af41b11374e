package story

import (
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// TestAdviceOnWhatIsKeptForOthers: a higher priority is advised where it would help, and not where a floor of another team or
// spending outside is in the way.
func TestAdviceOnWhatIsKeptForOthers(t *testing.T) {
	t.Parallel()
	const higher, owner = "a higher priority: ", "work of a team with a floor there: "
	for name, c := range map[string]struct {
		change func(*quota.Config)
		want   string // of the two; empty for neither
	}{
		"a floor of another team": {func(c *quota.Config) { c.Teams = floorOf("guests", 0) }, owner},
		"its own urgent floor":    {func(c *quota.Config) { c.Teams = floorOf("core", quota.PriorityHigh) }, higher},
		"the last part": {func(c *quota.Config) {
			c.Limits[0].HoldBack = &quota.HoldBack{Percent: 60, Priority: quota.PriorityHigh}
		}, higher},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBooks(t)
			plan := b.state.Config
			c.change(&plan)
			b.do("plan", quota.ApplyConfig{Config: plan})
			b.reserve("r1", 300)
			if r := b.reserve("r2", 350); r.HeldBack == 0 {
				t.Fatalf("nothing is held back: %+v", r)
			}
			advises(t, b.story("request-r2"), c.want, higher, owner)
		})
	}
	outside := Story{limits: map[string]known{"max/day": {}}}
	outside.refusal(&quota.Result{Retryable: true, Limit: "max/day", HeldBack: 50}, t0)
	advises(t, &outside, "", higher, owner)
}

func floorOf(team string, from quota.Priority) []quota.Team {
	return []quota.Team{{Name: team, Shares: []quota.Share{{Limit: "max/day", Floor: 500, From: from}}}}
}

func advises(t *testing.T, s *Story, want string, choices ...string) {
	t.Helper()
	told := strings.Join(s.Helpful, "\n")
	for _, advice := range choices {
		if strings.Contains(told, advice) != (advice == want) {
			t.Errorf("advises %q, want %q of %q", told, want, choices)
		}
	}
}

// TestNoTimeForWhatAnOperatorHoldsBack: only the operator lets go of it, and no wait is known to be enough.
func TestNoTimeForWhatAnOperatorHoldsBack(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.do("hold", quota.Block{Target: quota.BlockWorkspace})
	b.reserve("r1", 300)
	advises(t, b.story("request-r1"), "bursar resume", "bursar resume", "asking again", "max_wait")
}

// TestAdviceWhereNothingServes: no amount and no limit is in the way of a provider that nobody knows, nor of a team without an
// account.
func TestAdviceWhereNothingServes(t *testing.T) {
	t.Parallel()
	const provider, account, less = "a provider that is configured", "an account that is open to team core", "ask for less"
	for want, change := range map[string]func(*quota.Reserve){
		provider: func(r *quota.Reserve) { r.AcceptProviders = []string{"nobody"} },
		account:  func(r *quota.Reserve) { r.Account = "nowhere" },
		less:     func(r *quota.Reserve) { r.Amount.Tokens.Output = 1_000_000 },
	} {
		b := newBooks(t)
		r := quota.Reserve{Actor: quota.Actor{Principal: "ann", Agent: "a1"}, Reservation: "r1", Provider: "claude", Model: "m", Amount: quota.Amount{Tokens: quota.Tokens{Output: 1}}}
		change(&r)
		b.do("request-r1", r)
		advises(t, b.story("request-r1"), want, provider, account, less)
	}
}

// TestTimesAreOfOneZone: the texts tell times in the zone that is asked for, and a prediction within a second is one time.
func TestTimesAreOfOneZone(t *testing.T) {
	t.Parallel()
	r := NewReader("r1", &quota.Config{}, time.FixedZone("east", 3600))
	at := quota.InstantOf(time.Date(2026, 11, 26, 22, 10, 11, 0, time.UTC))
	r.Add(&ledger.Commit{Number: 1, At: at, Events: []quota.Event{
		&quota.ReservationQueued{At: at, Reservation: "r1", Position: 1, Until: at.Add(quota.Hour), GrantFrom: at.Add(100), GrantAt: at.Add(200), GrantTo: at.Add(300)},
	}})
	told := r.Story().all()
	for _, want := range []string{"until 2026-11-27 00:10:11+01:00\n", "a grant was predicted for 2026-11-26 23:10:11+01:00\n"} {
		if !strings.Contains(told, want) {
			t.Errorf("does not say %q:\n%s", want, told)
		}
	}
}
