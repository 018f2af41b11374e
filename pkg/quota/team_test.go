package quota

import (
	"fmt"
	"testing"
)

// bob is of team guests, as everybody who is not listed.
var bob = Actor{"bob", "b1"}

func by(a Actor) func(*Reserve) { return func(r *Reserve) { r.Actor = a } }

func preemptible(r *Reserve) { r.Preemptible = true }

func waits(r *Reserve) { r.MaxWait = Hour }

// newTeams is a session of 1,000 tokens of which teams have shares.
func newTeams(t *testing.T, teams ...Team) *ledger {
	t.Helper()
	l := newLedger(t, session("s", 1000))
	l.configure(func(c *Config) { c.Teams = teams })
	return l
}

func (l *ledger) configure(change func(*Config)) {
	l.t.Helper()
	c := testConfig(session("s", 1000))
	change(&c)
	l.must(ApplyConfig{Config: c})
}

// gives is what a reservation is to give back of the session.
func (l *ledger) gives(id string) (units int64) {
	r := l.state.reservations[id]
	if r == nil {
		return 0
	}
	for _, p := range r.promises(r.hold("s")) {
		units += p.units
	}
	return units
}

func core(s Share) Team {
	s.Limit = "s"
	return Team{Name: "core", Shares: []Share{s}}
}

func TestFloors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		share   Share
		taken   int64 // by the owner before
		ask     int64
		by      Actor
		more    func(*Reserve)
		granted bool
	}{
		"others get what is above the floor":   {share: Share{Floor: 400}, ask: 600, by: bob, granted: true},
		"and no more":                          {share: Share{Floor: 400}, ask: 601, by: bob},
		"the owner gets all":                   {share: Share{Floor: 400}, ask: 1000, by: ann, granted: true},
		"what the owner has taken is not kept": {share: Share{Floor: 400}, taken: 300, ask: 600, by: bob, granted: true},
		"what the owner has not taken is":      {share: Share{Floor: 400}, taken: 300, ask: 601, by: bob},
		"a part of the capacity":               {share: Share{FloorPart: 40_000}, ask: 601, by: bob},
		"against the team's own lower work":    {share: Share{Floor: 400, From: PriorityHigh}, ask: 601, by: ann},
		"and not against its higher":           {share: Share{Floor: 400, From: PriorityHigh}, ask: 1000, by: ann, more: priority(PriorityHigh), granted: true},
		"lent to preemptible work":             {share: Share{Floor: 400, LendPart: 50_000}, ask: 800, by: bob, more: preemptible, granted: true},
		"as far as it is lent":                 {share: Share{Floor: 400, LendPart: 50_000}, ask: 801, by: bob, more: preemptible},
		"and to no other work":                 {share: Share{Floor: 400, LendPart: 50_000}, ask: 601, by: bob},
		"the most a team may take":             {share: Share{Most: 500}, taken: 300, ask: 200, by: ann, granted: true},
		"bounds it, whatever is left":          {share: Share{Most: 500}, taken: 300, ask: 201, by: ann},
		"and nobody else":                      {share: Share{MostPart: 50_000}, ask: 1000, by: bob, granted: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTeams(t, core(c.share))
			if c.taken > 0 {
				l.reserve(c.taken)
			}
			more := c.more
			if more == nil {
				more = func(*Reserve) {}
			}
			r := l.reserve(c.ask, by(c.by), more)
			if r.OK() != c.granted {
				t.Fatalf("got %+v", r)
			}
			if !c.granted && (r.Limit != "s" || r.Available >= c.ask || r.Reason == ReasonDepleted) {
				t.Errorf("the refusal says %+v", r)
			}
		})
	}
}

func TestAFloorEndsWithItsWindow(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 400}))
	l.reserve(400)
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(400)})
	if r := l.reserve(600, by(bob)); !r.OK() {
		t.Fatalf("the floor is used up, and still kept: %+v", r)
	}
	l.must(Release{Actor: bob, Reservation: "r2"})
	l.wait(6 * Hour)
	if r := l.reserve(601, by(bob)); r.OK() {
		t.Fatal("a new window has no floor")
	}
}

// TestReclaim lends a floor to preemptible work, and takes it back.
func TestReclaim(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 500, LendPart: wholePart}))
	l.reserve(300, by(bob))              // r1: not preemptible
	l.reserve(200, by(bob), preemptible) // r2
	l.wait(Second)
	l.reserve(200, by(bob), preemptible)                        // r3: newer
	l.reserve(300, by(bob), preemptible, priority(PriorityLow)) // r4: lower
	l.must(Report{Actor: bob, Reservation: "r4", Items: out(40)})

	// 450 are short: r4 gives all of its 260, and r3 190 of its 200. Nothing is granted yet, and the owner keeps its place.
	r := l.reserve(450, waits)
	if !r.OK() || r.Queue == nil {
		t.Fatalf("got %+v", r)
	}
	for id, want := range map[string]int64{"r1": 0, "r2": 0, "r3": 190, "r4": 260} {
		if got := l.gives(id); got != want {
			t.Errorf("%s gives back %d, want %d", id, got, want)
		}
	}
	var told []string
	for _, n := range l.state.Notices(bob) {
		if n.Kind == NoticePreempting && n.Expires == l.now.Add(DefaultPreemptGrace) && n.Reason != "" {
			told = append(told, n.Reservation)
		}
	}
	if len(told) != 2 {
		t.Errorf("%v were told", told)
	}
	if _, r := l.do(Extend{Actor: bob, Reservation: "r3", Amount: Amount{Tokens: Tokens{Output: 1}}, Lifetime: Hour}); r.OK() {
		t.Error("a preempted reservation was extended")
	}
	// Asking again takes no more victims.
	l.must(Release{Actor: ann, Reservation: "r5"})
	if r := l.reserve(450, waits); !r.OK() || l.gives("r2") != 0 {
		t.Errorf("asked again: %+v", r)
	}
	l.must(Report{Actor: bob, Reservation: "r3", Items: out(10)}) // in the grace
	l.wait(DefaultPreemptGrace)
	if l.live("r3") || l.live("r4") || !l.live("r2") || !l.live("r6") {
		t.Fatalf("after the grace live are %v", l.state.reservations)
	}
	closed, totals := l.state.closed["r3"], l.state.Totals()
	if closed.Outcome != OutcomePreempted || closed.Used.Tokens.Total() != 10 || totals.Preempted != 2 || totals.Used != 50 {
		t.Errorf("got %+v, totals %+v", closed, totals)
	}
}

func TestReclaimRefusesWhoDoesNotWait(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 500, LendPart: wholePart}))
	l.reserve(1000, by(bob), preemptible)
	r := l.reserve(100)
	if r.Code != CodeInsufficientQuota || !r.Retryable || r.RetryAfter != DefaultPreemptGrace {
		t.Fatalf("got %+v", r)
	}
	l.wait(r.RetryAfter)
	if r := l.reserve(100); !r.OK() {
		t.Fatalf("asked again: %+v", r)
	}
}

func TestNobodyIsPreemptedInVain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		floor int64
		held  func(*Reserve) // by bob, 950 tokens
		ask   func(*Reserve)
	}{
		"not preemptible":       {500, func(*Reserve) {}, func(*Reserve) {}},
		"beyond the floor":      {50, preemptible, func(*Reserve) {}},
		"another team's work":   {500, preemptible, by(bob)},
		"an agent that is held": {500, preemptible, by(Actor{"ann", "blocked"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTeams(t, core(Share{Floor: c.floor, LendPart: wholePart}))
			l.must(Block{Target: BlockAgent, Name: "blocked"})
			if r := l.reserve(950, by(bob), preemptible, c.held, func(r *Reserve) { r.Preemptible = name != "not preemptible" }); name != "not preemptible" && !r.OK() {
				t.Fatalf("got %+v", r)
			}
			l.reserve(100, c.ask)
			for id, r := range l.state.reservations {
				if r.Preempting || len(r.Takes) > 0 {
					t.Errorf("%s is preempted", id)
				}
			}
		})
	}
}

func TestVictimsAreTheSmallestSet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		held []int64 // the newest last
		ask  int64
		want []int64 // given back
	}{
		"the newest first, until it is enough":         {[]int64{500, 100, 100, 300}, 450, []int64{0, 50, 100, 300}},
		"what a later one makes unnecessary is spared": {[]int64{600, 300, 100}, 300, []int64{0, 300, 0}},
		"all of them":          {[]int64{600, 200, 200}, 900, []int64{500, 200, 200}},
		"a part of one":        {[]int64{500, 500}, 10, []int64{0, 10}},
		"all of one":           {[]int64{500, 500}, 500, []int64{0, 500}},
		"a little more of two": {[]int64{500, 500}, 501, []int64{1, 500}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTeams(t, core(Share{Floor: 900, LendPart: wholePart}))
			for _, n := range c.held {
				l.reserve(n, by(bob), preemptible)
			}
			l.reserve(c.ask, waits)
			for i, want := range c.want {
				if got := l.gives(fmt.Sprint("r", i+1)); got != want {
					t.Errorf("of %d tokens %d are preempted for %d, want %d", c.held[i], got, c.ask, want)
				}
			}
		})
	}
}

func TestFairShares(t *testing.T) {
	t.Parallel()
	l := newTeams(t, Team{Name: "core", Weight: 2})
	l.reserve(400)
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(400)})
	l.reserve(600, by(bob))
	if a, b := l.state.TeamUse("core", l.now), l.state.TeamUse("guests", l.now); a != 200 || b != 600 {
		t.Fatalf("core has had %d for its weight and guests %d, want 200 and 600", a, b)
	}
	// Both wait at the same priority, guests for longer: core has had less.
	l.queued(300, by(bob))
	l.wait(Second)
	l.queued(300)
	l.must(Release{Actor: bob, Reservation: "r2"})
	l.wait(0)
	if !l.live("r4") || !l.live("r3") {
		t.Fatal("both fit")
	}
	if got := l.state.TeamUse("core", l.now.Add(DefaultShareHalfLife)); got != (200+300)/2 {
		t.Errorf("after a half-life core has had %d, want %d", got, (200+300)/2)
	}
}

func TestTheQueueIsFair(t *testing.T) {
	t.Parallel()
	l := newTeams(t)
	l.reserve(400, by(bob))
	l.must(Settle{Actor: bob, Reservation: "r1", Items: out(400)})
	l.reserve(600, by(Actor{"ann", "a9"}))
	l.must(Report{Actor: Actor{"ann", "a9"}, Reservation: "r2"})
	l.queued(500, by(bob))
	l.wait(Second)
	l.queued(500, by(ann))
	l.must(Release{Actor: Actor{"ann", "a9"}, Reservation: "r2"})
	l.wait(0)
	if l.live("r3") || !l.live("r4") {
		t.Error("guests have had 400 and core nothing, and guests went first")
	}
}

func TestFanOut(t *testing.T) {
	t.Parallel()
	other := Actor{"ann", "a2"}
	t.Run("live", func(t *testing.T) {
		t.Parallel()
		l := newTeams(t, Team{Name: "core", FanOut: FanOut{Live: 3, LivePerAgent: 2}})
		l.reserve(10)
		l.reserve(10)
		if r := l.reserve(10); r.Code != CodeConcurrentLimitExceeded || !r.Retryable || r.Capacity != 2 {
			t.Fatalf("a third of one agent: %+v", r)
		}
		if r := l.reserve(10, by(other)); !r.OK() {
			t.Fatalf("another agent: %+v", r)
		}
		if r := l.reserve(10, by(other)); r.Code != CodeConcurrentLimitExceeded || r.Capacity != 3 {
			t.Fatalf("a fourth of the team: %+v", r)
		}
		if r := l.reserve(10, by(bob)); !r.OK() {
			t.Fatalf("another team: %+v", r)
		}
		waiting := l.queued(10)
		if waiting.Queue == nil {
			t.Fatalf("not queued: %+v", waiting)
		}
		l.must(Release{Actor: other, Reservation: "r4"})
		l.wait(0)
		if l.live(waiting.Reservation) {
			t.Error("the team has room, its agent has not")
		}
		l.must(Release{Actor: ann, Reservation: "r1"})
		l.wait(0)
		if !l.live(waiting.Reservation) {
			t.Error("not granted when there was room")
		}
	})
	t.Run("rate", func(t *testing.T) {
		t.Parallel()
		l := newTeams(t, Team{Name: "core", FanOut: FanOut{PerAgentPerMinute: 4}})
		for range 4 {
			if r := l.reserve(1); !r.OK() {
				t.Fatalf("within the burst: %+v", r)
			}
		}
		r := l.reserve(1)
		if r.Code != CodeConcurrentLimitExceeded || r.RetryAfter != 15*Second {
			t.Fatalf("a fifth at once: %+v", r)
		}
		waiting := l.queued(1)
		if due := l.state.NextDue(); due != l.now.Add(15*Second) {
			t.Errorf("due in %d ms, want 15000", due.Sub(l.now))
		}
		l.wait(15 * Second)
		if !l.live(waiting.Reservation) {
			t.Error("not granted when the rate allowed it")
		}
	})
}

// The rate of a team is that of all its agents together, and of no other team.
func TestTheRateOfATeam(t *testing.T) {
	t.Parallel()
	l := newTeams(t, Team{Name: "core", FanOut: FanOut{PerMinute: 3}})
	agent := func(n int) func(*Reserve) { return by(Actor{"ann", fmt.Sprint("a", n)}) }
	for n := range 3 {
		if r := l.reserve(1, agent(n)); !r.OK() {
			t.Fatalf("within the burst: %+v", r)
		}
	}
	if r := l.reserve(1, agent(3)); r.Code != CodeConcurrentLimitExceeded || r.RetryAfter != 20*Second || !r.Retryable {
		t.Fatalf("a fourth of the team at once: %+v", r)
	}
	if r := l.reserve(1, by(bob)); !r.OK() {
		t.Fatalf("another team: %+v", r)
	}
	l.wait(20 * Second)
	if r := l.reserve(1, agent(3)); !r.OK() {
		t.Fatalf("when the rate allows it: %+v", r)
	}
}

// TestFloorsAreKept lets everybody ask at random: whoever is within a floor that is not lent is never refused.
func TestFloorsAreKept(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 300}), Team{Name: "guests", Shares: []Share{{Limit: "s", FloorPart: 40_000, From: PriorityHigh}}})
	l.configure(func(c *Config) {
		c.Teams = []Team{core(Share{Floor: 300}), {Name: "guests", Shares: []Share{{Limit: "s", FloorPart: 40_000}}}}
	})
	taken := map[Actor]int64{}
	for n := range 400 {
		who := []Actor{ann, bob}[n*7%3%2]
		ask := int64(1 + n*31%97)
		floor := map[Actor]int64{ann: 300, bob: 400}[who]
		r := l.reserve(ask, by(who))
		if !r.OK() && taken[who]+ask <= floor {
			t.Fatalf("%s has %d of its floor of %d and is refused %d: %s", who.Principal, taken[who], floor, ask, r.Message)
		}
		if r.OK() {
			taken[who] += ask
		}
	}
	if taken[ann]+taken[bob] < 900 {
		t.Errorf("%v of 1000 were taken", fmt.Sprint(taken))
	}
}

// TestNobodyBorrowsWhatIsReclaimed: what comes back is for the owner, even if it has not come for it yet.
func TestNobodyBorrowsWhatIsReclaimed(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 500, LendPart: wholePart}))
	l.reserve(1000, by(bob), preemptible)
	r := l.reserve(100)
	l.wait(r.RetryAfter)
	if r := l.reserve(100, by(bob), preemptible); r.OK() {
		t.Fatal("a borrower was granted what the owner has just reclaimed")
	}
	if r := l.reserve(100); !r.OK() {
		t.Fatalf("the owner was refused: %+v", r)
	}
	l.wait(DefaultPreemptGrace)
	l.must(Release{Actor: bob, Reservation: "r1"})
	if r := l.reserve(900, by(bob), preemptible); !r.OK() {
		t.Errorf("lending does not begin again: %+v", r)
	}
}

// TestOwnersThatWaitAreCountedIn: two owners' reservations wait, and each gets its own victims.
func TestOwnersThatWaitAreCountedIn(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 500, LendPart: wholePart}))
	for range 10 {
		l.reserve(100, by(bob), preemptible)
	}
	first, second := l.reserve(100, waits), l.reserve(150, waits)
	l.wait(DefaultPreemptGrace)
	if !l.live(first.Reservation) || !l.live(second.Reservation) {
		t.Fatalf("not both were granted: %v", l.state.reservations)
	}
	if got := l.state.Totals(); got.Preempted != 2 || got.Shrunk != 1 {
		t.Errorf("%d were preempted for 250 and %d shrunk, want 2 and 1", got.Preempted, got.Shrunk)
	}
}
