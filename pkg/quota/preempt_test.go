package quota

import "testing"

// TestVictimsThatComeLater: an owner that waits in vain is helped as soon as somebody holds what may be taken back.
func TestVictimsThatComeLater(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 500, LendPart: wholePart}))
	l.reserve(500, by(bob))                                        // r1: not preemptible
	l.reserve(400, by(bob), preemptible)                           // r2
	l.reserve(100, by(Actor{"bob", "b2"}), preemptible)            // r3
	l.must(Settle{Actor: bob, Reservation: "r2", Items: out(300)}) // 300 are spent, 100 are free
	queued := l.reserve(500, waits)                                // r4: 400 are short, r3 has 100
	if queued.Queue == nil || l.gives("r3") != 0 {
		t.Fatalf("%+v, and r3 gives %d in vain", queued, l.gives("r3"))
	}
	if b := l.state.queue.entries["r4"].Bounds; len(b) != 1 || b[0].Owed != 500 {
		t.Fatalf("it waits for %+v", b)
	}
	l.wait(Second)
	l.must(Settle{Actor: bob, Reservation: "r1", Items: out(190)}) // 310 come back: 90 are short, and r3 has them
	l.wait(0)
	if got := l.gives("r3"); got != 90 {
		t.Fatalf("r3 gives %d, want 90", got)
	}
	if l.wait(DefaultPreemptGrace); !l.live("r4") || l.state.reservations["r3"].hold("s").Held != 10 {
		t.Fatalf("live are %v", l.state.reservations)
	}
}

// TestWhoUsesItUpLeavesItToOthers: what a victim used in the grace is taken from another one, without anybody asking.
func TestWhoUsesItUpLeavesItToOthers(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 600, LendPart: wholePart}))
	l.reserve(700, by(bob), preemptible) // r1
	l.wait(Second)
	l.reserve(300, by(bob), preemptible) // r2: newer
	l.reserve(250, waits)                // r3
	if l.gives("r2") != 250 || l.gives("r1") != 0 {
		t.Fatalf("r2 gives %d, r1 %d", l.gives("r2"), l.gives("r1"))
	}
	l.must(Report{Actor: bob, Reservation: "r2", Items: out(200)})
	l.wait(0)
	if got := l.gives("r1") + l.gives("r2"); got != 250 {
		t.Fatalf("%d go back, 250 are needed", got)
	}
	if l.wait(DefaultPreemptGrace); !l.live("r3") {
		t.Fatalf("not granted: %+v", l.state.queue.entries["r3"])
	}
}

// TestNoTeamIsPreemptedBelowItsFloor: of a team only what it has beyond its own floor is taken back.
func TestNoTeamIsPreemptedBelowItsFloor(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 500, LendPart: wholePart}), Team{Name: "guests", Shares: []Share{{Limit: "s", Floor: 300}}})
	l.reserve(800, by(bob), preemptible) // r1: 500 beyond its floor
	l.reserve(200)                       // r2
	l.reserve(250, waits)                // r3: within what core's floor still guarantees
	if got := l.gives("r1"); got != 250 {
		t.Fatalf("%d go back", got)
	}
	l.must(Release{Actor: ann, Reservation: "r3"})
	l.must(Report{Actor: bob, Reservation: "r1", Items: out(750)})
	if l.wait(DefaultPreemptGrace); l.live("r1") {
		t.Fatal("what was left of it is not back")
	}
}

// TestFloorsAddUp: what fills the floor for urgent work does not count against the team's other floor.
func TestFloorsAddUp(t *testing.T) {
	t.Parallel()
	l := newTeams(t, Team{Name: "core", Shares: []Share{{Limit: "s", Floor: 400}, {Limit: "s", Floor: 100, From: PriorityHigh}}})
	l.reserve(100, priority(PriorityHigh))
	if r := l.reserve(501, by(bob)); r.OK() {
		t.Fatal("100 of urgent work have filled two floors")
	}
	if r := l.reserve(500, by(bob)); !r.OK() {
		t.Fatalf("more is kept than the floors: %+v", r)
	}
	if r := l.reserve(400); !r.OK() {
		t.Fatalf("the floor was not kept: %+v", r)
	}
}

// TestNobodyIsPreemptedWithinAFloor: where only what another's floor guarantees could help, nobody is preempted.
func TestNobodyIsPreemptedWithinAFloor(t *testing.T) {
	t.Parallel()
	cyd := Actor{"cyd", "c1"}
	l := newLedger(t, session("s", 1000))
	l.configure(func(c *Config) {
		c.Principals = append(c.Principals, Principal{Name: "cyd", Team: "bots"})
		c.Teams = []Team{core(Share{Floor: 500, LendPart: wholePart}), {Name: "guests", Shares: []Share{{Limit: "s", Floor: 300}}}}
	})
	l.reserve(400, by(cyd), preemptible)
	l.must(Settle{Actor: cyd, Reservation: "r1", Items: out(400)})
	if r := l.reserve(350, by(bob), preemptible); !r.OK() { // r2: 50 beyond its floor
		t.Fatalf("got %+v", r)
	}
	if l.reserve(500, waits); l.gives("r2") != 0 {
		t.Fatalf("r2 gives %d of its floor", l.gives("r2"))
	}
	l.must(Release{Actor: ann, Reservation: "r3"})
	if l.reserve(300, waits); l.gives("r2") != 50 {
		t.Fatalf("r2 gives %d of what it has beyond its floor", l.gives("r2"))
	}
}
