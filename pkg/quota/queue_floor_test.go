package quota

import (
	"fmt"
	"testing"
)

// A line that is kept for a head keeps nothing of a floor: the head could not have that anyway.
func TestAKeptLineKeepsNoFloor(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 200}))
	l.reserve(400, by(bob))        // r1
	l.reserve(300, by(bob))        // r2
	l.reserve(600, by(bob), waits) // r3, the head
	l.reserve(50, by(bob))         // r4 passes it
	l.wait(DefaultQueueSkip)       // and from now on nothing does
	l.reserve(10, by(bob), waits)  // r5
	if r := l.reserve(201, priority(PriorityLow)); r.OK() {
		t.Fatalf("more than the floor went past the head: %+v", r)
	}
	if r := l.reserve(200, priority(PriorityLow)); !r.OK() || r.Queue != nil {
		t.Fatalf("the floor was kept from its owner: %+v", r)
	}
	l.must(Release{Actor: bob, Reservation: "r4"})
	if l.wait(0); l.live("r5") {
		t.Fatal("the head is passed")
	}
}

// Nor is it kept where floors leave the head too little until the reset, whatever comes back.
func TestALineIsNotKeptForWhatFloorsDoNotLeave(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 400}))
	l.reserve(300, by(bob))
	l.must(Settle{Actor: bob, Reservation: "r1", Items: out(300)})
	l.reserve(500, by(bob), func(r *Reserve) { r.MaxWait = Day }) // r2: floors leave 300 of this window
	l.reserve(50, by(bob))                                        // r3
	l.wait(2 * DefaultQueueSkip)
	if r := l.reserve(50, by(bob)); !r.OK() {
		t.Fatalf("refused: %+v", r)
	}
}

// However many wait before it, the owner of a floor gets it as soon as it is there.
func TestAFloorIsFoundBehindALongLine(t *testing.T) {
	t.Parallel()
	l := newTeams(t, core(Share{Floor: 200}))
	l.reserve(800, by(bob))
	l.reserve(200)
	for i := range 2 * queueDepth {
		l.reserve(500, by(Actor{"bob", fmt.Sprint(i)}), waits, priority(PriorityNormal))
	}
	r := l.reserve(150, waits, func(r *Reserve) { r.Reservation, r.Priority = "own", PriorityLow })
	if r.Queue == nil || r.Queue.Position <= queueDepth {
		t.Fatalf("got %+v", r)
	}
	l.must(Release{Actor: ann, Reservation: "r2"})
	if l.wait(0); !l.live("own") {
		t.Fatal("the floor lies idle while its owner waits")
	}
}

// What one team lent and others spent is not made up for by those who take of their own floor.
func TestWhatIsLentIsNotTakenFromOtherOwners(t *testing.T) {
	t.Parallel()
	cyd := Actor{"cyd", "c1"}
	l := newLedger(t, session("s", 1000))
	l.configure(func(c *Config) {
		c.Principals = append(c.Principals, Principal{Name: "cyd", Team: "bots"})
		c.Teams = []Team{core(Share{Floor: 400, LendPart: wholePart}), {Name: "guests", Shares: []Share{{Limit: "s", Floor: 200}}}}
	})
	l.reserve(800, by(cyd), preemptible)
	l.must(Settle{Actor: cyd, Reservation: "r1", Items: out(800)})
	if r := l.reserve(200, by(bob)); !r.OK() {
		t.Fatalf("the floor of guests is gone: %+v", r)
	}
}

// An extension that goes past a head counts as passing it.
func TestAnExtensionPassesAHead(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(500)
	l.reserve(300)
	l.queued(600) // r3
	l.must(Extend{Actor: ann, Reservation: "r1", Amount: Amount{Tokens: Tokens{Output: 50}}})
	if l.state.queue.entries["r3"].Passed != l.state.Now {
		t.Fatal("the head was not passed")
	}
	if ids := l.state.GoesPast([]LimitAmount{{"s", 10}}, &Labels{Team: "core", Priority: PriorityNormal}, "new", l.state.Now); len(ids) != 1 || ids[0] != "r3" {
		t.Fatalf("a grant goes past %v", ids)
	}
	l.wait(DefaultQueueSkip)
	if _, r := l.do(Extend{Actor: ann, Reservation: "r1", Amount: Amount{Tokens: Tokens{Output: 50}}}); r.OK() {
		t.Fatal("it is passed for more than ten minutes")
	}
}

// Who waits while an account is nearly spent is served there too after its reset.
func TestWaitingIsNotForOneAccountOnly(t *testing.T) {
	t.Parallel()
	l := newPool(t)
	l.spend("m2", 990)
	l.wait(Hour)
	for _, a := range []string{"m1", "m3"} {
		l.spend(a, 900)
	}
	r := l.queued(200, func(r *Reserve) { r.MaxWait = Day })
	if r.Queue == nil {
		t.Fatalf("got %+v", r)
	}
	l.wait(4 * Hour)
	if got := l.state.reservations[r.Reservation]; got == nil || got.Labels.Account != "m2" {
		t.Fatalf("not granted at the reset of m2: %+v, waits for %+v", got, l.state.queue.entries[r.Reservation])
	}
	if p := l.state.Place(r.Reservation, l.state.Now); p != nil {
		t.Fatalf("it still has a place: %+v", p)
	}
}
