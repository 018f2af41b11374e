package quota

import "testing"

// lent has a session of 1,000 tokens of which core has a floor, all of which is lent, and bob holds some of it: r1.
func lent(t *testing.T, floor, held int64, more ...func(*Reserve)) *ledger {
	t.Helper()
	l := newTeams(t, core(Share{Floor: floor, LendPart: wholePart}))
	if r := l.reserve(held, append([]func(*Reserve){by(bob), preemptible}, more...)...); !r.OK() {
		t.Fatalf("not lent: %+v", r)
	}
	return l
}

// TestAVictimKeepsTheRest follows a part that goes back: the notice, the grace, what returns on every limit, and the grant
// of the owner.
func TestAVictimKeepsTheRest(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000),
		Limit{ID: "w", Name: "weekly", Scope: Scope{Account: "max-1"}, Unit: UnitTokens, Capacity: 5000, Window: Window{Kind: WindowSession, Duration: 7 * Day}},
		Limit{ID: "m", Unit: UnitMicroUSD, Capacity: 50_000_000, Window: Window{Kind: WindowCalendar, Period: PeriodMonth}},
		Limit{ID: "c", Unit: UnitRequests, Capacity: 9, Window: Window{Kind: WindowConcurrent}})
	c := l.state.Config
	c.Teams = []Team{core(Share{Floor: 600, LendPart: wholePart})}
	l.must(ApplyConfig{Config: c})
	l.reserve(1000, by(bob), preemptible, func(r *Reserve) { r.Lease = 10 * Minute })
	l.must(Report{Actor: bob, Reservation: "r1", Items: out(200)})
	queued := l.reserve(300, waits)
	if queued.Queue == nil || queued.Queue.GrantAt != l.now.Add(DefaultPreemptGrace) {
		t.Fatalf("the owner is told %+v", queued.Queue)
	}
	n := l.state.Notices(bob)
	if len(n) != 1 || n[0].Kind != NoticePreempting || n[0].Amount.Tokens.Output != 300 || n[0].Expires != l.now.Add(DefaultPreemptGrace) {
		t.Fatalf("told are %+v", n)
	}
	if _, r := l.do(Extend{Actor: bob, Reservation: "r1", Amount: Amount{Tokens: Tokens{Output: 1}}}); r.OK() || !r.Retryable {
		t.Errorf("units were added while some are taken: %+v", r)
	}
	l.must(Extend{Actor: bob, Reservation: "r1", Lifetime: Hour})
	l.wait(DefaultPreemptGrace)
	r := l.state.reservations["r1"]
	if r == nil || r.Granted.Tokens.Total() != 700 || r.Used.Tokens.Total() != 200 || len(r.Takes) != 0 {
		t.Fatalf("left is %+v", r)
	}
	// 300 of the 800 that were not used went back: of the money three eighths as well, and the place among the live is kept.
	for limit, want := range map[string]int64{"s": 500, "w": 500, "m": 7500, "c": 1} {
		if got := r.hold(limit).Held; got != want {
			t.Errorf("it holds %d on %s, want %d", got, limit, want)
		}
	}
	if !l.live("r2") {
		t.Error("the owner was not granted")
	}
	if totals := l.state.Totals(); totals.Shrunk != 1 || totals.Returned != 300 || totals.Preempted != 0 {
		t.Errorf("totals %+v", totals)
	}
	if n := l.state.Notices(bob); n[len(n)-1].Kind != NoticeShrunk || n[len(n)-1].Amount.Tokens.Total() != 300 {
		t.Errorf("told are %+v", n)
	}
	if r := l.must(Settle{Actor: bob, Reservation: "r1", Items: out(500)}); r.Granted.Tokens.Total() != 700 || r.Returned.Tokens.Total() != 0 {
		t.Errorf("settled: %+v", r)
	}
}

// TestWhatIsUsedInTheGrace: what is used stays used, first of what was to be kept, then of what was to go back.
func TestWhatIsUsedInTheGrace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		used    int64 // in the grace, of 1000 of which 300 are to go back
		outcome Outcome
		back    int64
		left    int64
	}{
		"nothing":                        {0, "", 300, 700},
		"some of what is kept":           {500, "", 300, 200},
		"all but one of what is kept":    {699, "", 300, 1},
		"all that is kept":               {700, OutcomePreempted, 300, 0},
		"some of what is to go back too": {900, OutcomePreempted, 100, 0},
		"all":                            {1000, OutcomePreempted, 0, 0},
		"more than all":                  {1100, OutcomePreempted, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lent(t, 600, 1000)
			l.reserve(300, waits)
			if c.used > 0 {
				l.do(Report{Actor: bob, Reservation: "r1", Items: out(c.used)})
			}
			l.wait(DefaultPreemptGrace)
			r := l.state.reservations["r1"]
			if r == nil {
				r = l.state.closed["r1"]
			}
			if r.Outcome != c.outcome || r.hold("s").Held != c.left || r.hold("s").Returned != c.back || r.Used.Tokens.Total() != c.used {
				t.Errorf("it ends as %q, has used %d, holds %d, returned %d", r.Outcome, r.Used.Tokens.Total(), r.hold("s").Held, r.hold("s").Returned)
			}
			if used := l.state.Totals().Used; used != c.used {
				t.Errorf("%d are recorded of %d", used, c.used)
			}
		})
	}
}

// TestAPartIsTakenOnce: while a part goes back, the same need takes no more, and another need takes more of the same.
func TestAPartIsTakenOnce(t *testing.T) {
	t.Parallel()
	l := lent(t, 900, 1000)
	l.reserve(300, waits)
	l.reserve(300, waits)
	if got := l.gives("r1"); got != 600 {
		t.Fatalf("%d go back for two that need 300 each", got)
	}
	l.must(Release{Actor: ann, Reservation: "r3"})
	l.wait(Second)
	l.reserve(300, waits)
	if got := l.gives("r1"); got != 600 {
		t.Fatalf("%d go back after one of the two went and another came", got)
	}
	l.wait(DefaultPreemptGrace)
	if !l.live("r2") || !l.live("r4") || l.state.reservations["r1"].hold("s").Held != 400 {
		t.Errorf("live are %v", l.state.reservations)
	}
}

// TestWhatIsUsedComesBackOfNoPart: parts that two owners were promised of one reservation come to no more than it still
// holds; what it used of them is taken from somebody else, once, and both owners are granted.
func TestWhatIsUsedComesBackOfNoPart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ used, newer, older int64 }{
		"nothing used":            {0, 500, 0},
		"one unit":                {1, 499, 1},
		"less than the last part": {120, 380, 120},
		"more than the last part": {320, 180, 320},
		"all":                     {500, 0, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lent(t, 600, 500) // r1
			l.wait(Second)
			l.reserve(500, by(bob), preemptible) // r2, newer
			l.reserve(200, waits)                // r3 gets a part of r2
			l.reserve(300, waits)                // r4 gets the rest of it
			if l.gives("r1") != 0 || l.gives("r2") != 500 || len(l.state.reservations["r2"].Takes) != 2 {
				t.Fatalf("r1 gives %d, r2 %d in %d parts", l.gives("r1"), l.gives("r2"), len(l.state.reservations["r2"].Takes))
			}
			l.do(Report{Actor: bob, Reservation: "r2", Items: out(c.used)})
			l.wait(0)
			if l.gives("r2") != c.newer || l.gives("r1") != c.older {
				t.Fatalf("r2 gives %d, want %d; r1 gives %d, want %d", l.gives("r2"), c.newer, l.gives("r1"), c.older)
			}
			if l.wait(DefaultPreemptGrace); !l.live("r3") || !l.live("r4") || l.limit("s").Available != 0 {
				t.Errorf("live are %v, %d are left", l.state.reservations, l.limit("s").Available)
			}
		})
	}
}

// TestAllOfItAfterAPart: who gives a part back can be asked for the rest before that is done.
func TestAllOfItAfterAPart(t *testing.T) {
	t.Parallel()
	l := lent(t, 1000, 1000)
	l.reserve(100, waits)
	l.wait(30 * Second)
	l.reserve(900, waits)
	if got := l.gives("r1"); got != 1000 {
		t.Fatalf("%d go back", got)
	}
	l.wait(30 * Second)
	if !l.live("r1") || !l.live("r2") || l.live("r3") {
		t.Fatalf("after the first grace live are %v", l.state.reservations)
	}
	l.wait(30 * Second)
	if l.live("r1") || !l.live("r3") || l.state.closed["r1"].Outcome != OutcomePreempted {
		t.Errorf("after the second live are %v", l.state.reservations)
	}
}

// TestALimitThatGoesTakesNothing: what was to go back on a limit that is not configured any more stays.
func TestALimitThatGoesTakesNothing(t *testing.T) {
	t.Parallel()
	l := lent(t, 600, 1000)
	l.reserve(300, waits)
	c := testConfig(Limit{ID: "w", Name: "weekly", Scope: Scope{Account: "max-1"}, Unit: UnitTokens, Capacity: 5000, Window: Window{Kind: WindowSession, Duration: 7 * Day}})
	l.must(ApplyConfig{Config: c})
	l.wait(DefaultPreemptGrace)
	if r := l.state.reservations["r1"]; r == nil || len(r.Takes) != 0 || r.Granted.Tokens.Total() != 1000 {
		t.Errorf("it is %+v", r)
	}
}

// TestTheGraceOutlivesAKeyframe: a state that is restored in the grace does the same at its end.
func TestTheGraceOutlivesAKeyframe(t *testing.T) {
	t.Parallel()
	l := lent(t, 600, 1000)
	l.reserve(300, waits)
	restored, err := Restore(l.state.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	l.state = restored
	if l.gives("r1") != 300 {
		t.Fatal("forgotten")
	}
	l.wait(DefaultPreemptGrace)
	if !l.live("r2") || l.state.reservations["r1"].Granted.Tokens.Total() != 700 {
		t.Errorf("live are %v", l.state.reservations)
	}
}

// TestAPlaceUnderAConcurrentLimitIsTakenWhole: there is no half of it.
func TestAPlaceUnderAConcurrentLimitIsTakenWhole(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000), Limit{ID: "c", Unit: UnitRequests, Capacity: 2, Window: Window{Kind: WindowConcurrent}})
	c := l.state.Config
	c.Teams = []Team{{Name: "core", Shares: []Share{{Limit: "c", Floor: 1, LendPart: wholePart}}}}
	l.must(ApplyConfig{Config: c})
	l.reserve(10, by(bob), preemptible)
	l.wait(Second)
	l.reserve(10, by(bob), preemptible)
	l.reserve(10, waits)
	l.wait(DefaultPreemptGrace)
	if !l.live("r1") || l.live("r2") || !l.live("r3") {
		t.Errorf("live are %v", l.state.reservations)
	}
}
