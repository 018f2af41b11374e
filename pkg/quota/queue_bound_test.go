package quota

import (
	"reflect"
	"testing"
)

// newTwoLimits is a session of 1,000 tokens on which no more than two may work at once.
func newTwoLimits(t *testing.T, teams ...Team) *ledger {
	t.Helper()
	l := newLedger(t, session("s", 1000), Limit{
		ID: "c", Name: "agents", Scope: Scope{Account: "max-1"}, Unit: UnitRequests, Capacity: 2, Window: Window{Kind: WindowConcurrent},
	})
	if len(teams) > 0 {
		c := l.state.Config
		c.Teams = teams
		l.must(ApplyConfig{Config: c})
	}
	return l
}

// waitsFor lists what an entry waits for.
func (l *ledger) waitsFor(id string) (list []Bound) {
	if w := l.state.queue.entries[id]; w != nil {
		list = w.Bounds
	}
	return list
}

// moves counts how often an entry was said to wait for something else.
func moves(events []Event, id string) (n int) {
	for _, e := range events {
		if w, ok := e.(*ReservationWaiting); ok && w.Reservation == id {
			n++
		}
	}
	return n
}

// An entry for which two limits have no room stands in both lines, and is tried when both have.
func TestWhoContendsForTwoLimitsWaitsForBoth(t *testing.T) {
	t.Parallel()
	l := newTwoLimits(t)
	l.reserve(600) // r1
	l.reserve(300) // r2
	l.queued(500)  // r3
	want := []Bound{{On: "s", Units: 500, Choice: 1}, {On: "c", Units: 1, Choice: 1}}
	if got := l.waitsFor("r3"); !sameBounds(got, want) || got[0].Choice != 1 || got[1].Choice != 1 {
		t.Fatalf("it waits for %+v, want %+v", got, want)
	}
	var events []Event
	step := func(cmd Command) {
		made, r := l.do(cmd)
		if !r.OK() {
			t.Fatalf("%+v", r)
		}
		events = append(append(events, made...), l.wait(0)...)
	}
	step(Release{Actor: ann, Reservation: "r2"}) // there is a place, and 400 tokens
	if !l.waiting("r3") {
		t.Fatal("granted without room on the session")
	}
	l.reserve(50)                                // r4 takes the place
	step(Release{Actor: ann, Reservation: "r1"}) // now there are a place and 950 tokens
	if !l.live("r3") || moves(events, "r3") > 0 {
		t.Errorf("r3 is live: %v; it changed lines %d times", l.live("r3"), moves(events, "r3"))
	}
}

// What has been in the way once stays among the bounds: the entry does not go to and fro between two lines.
func TestWhatWasInTheWayStaysInTheBounds(t *testing.T) {
	t.Parallel()
	l := newTwoLimits(t)
	var events []Event
	step := func(cmd Command) {
		made, r := l.do(cmd)
		if !r.OK() {
			t.Fatalf("%+v", r)
		}
		events = append(append(events, made...), l.wait(0)...)
	}
	l.reserve(900) // r1
	l.queued(500)  // r2 waits for the session
	l.reserve(10)  // r3: no place is left
	step(Release{Actor: ann, Reservation: "r1"})
	if !l.live("r2") {
		t.Fatal("not granted")
	}
	l.queued(600) // r4 waits for both
	for i := range 6 {
		step(Release{Actor: ann, Reservation: []string{"r3", "r5", "r6", "r7", "r8", "r9"}[i]})
		l.reserve(20) // takes the place again
	}
	if n := moves(events, "r4"); n > 1 {
		t.Errorf("r4 changed lines %d times", n)
	}
	step(Release{Actor: ann, Reservation: "r2"})
	if !l.waiting("r4") && !l.live("r4") {
		t.Fatal("r4 is gone")
	}
}

// When somebody else takes one of the two limits that have just got room, who waits for both waits on without a word.
func TestWhoLosesOneOfTwoLimitsWaitsOn(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000), Limit{ID: "c", Unit: UnitRequests, Capacity: 2, Window: Window{Kind: WindowConcurrent}})
	elsewhere := func(r *Reserve) { r.Provider, r.Account, r.Priority = "openai", "api-1", PriorityHigh }
	l.reserve(900)           // r1
	l.reserve(10, elsewhere) // r2
	l.queued(500)            // r3 waits for the session and a place
	l.queued(10, elsewhere)  // r4 waits for a place, and comes first
	made, _ := l.do(Release{Actor: ann, Reservation: "r1"})
	events := append(made, l.wait(0)...)
	if !l.live("r4") || !l.waiting("r3") || moves(events, "r3") > 0 {
		t.Fatalf("r4 is live: %v, r3 waits: %v and changed lines %d times", l.live("r4"), l.waiting("r3"), moves(events, "r3"))
	}
	l.must(Release{Actor: ann, Reservation: "r2"})
	if l.wait(0); !l.live("r3") {
		t.Error("r3 was not granted")
	}
}

// While the first of two limits has no room for an entry, the other is not kept for it, nor does it count who passes there.
func TestTheSecondLimitIsKeptWhenTheFirstHasRoom(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000), Limit{ID: "c", Unit: UnitRequests, Capacity: 3, Window: Window{Kind: WindowConcurrent}})
	elsewhere := func(r *Reserve) { r.Provider, r.Account = "openai", "api-1" }
	l.reserve(900)           // r1
	l.reserve(50)            // r2
	l.reserve(10, elsewhere) // r3
	l.queued(500)            // r4 waits for the session, then for a place
	pass := func(id, next string) {
		l.must(Release{Actor: ann, Reservation: id})
		if r := l.reserve(10, elsewhere); !r.OK() || r.Reservation != next {
			t.Fatalf("%s: %+v, r4 waits for %+v", next, r, l.waitsFor("r4"))
		}
		l.wait(DefaultQueueSkip)
	}
	pass("r3", "r5")
	if pass("r5", "r6"); l.state.queue.entries["r4"].Kept {
		t.Fatal("a place is kept for who cannot use it")
	}
}

// A line that is kept for its head leaves to others what the head does not need: it waits for something else as well.
func TestAKeptLineLeavesWhatItsHeadDoesNotNeed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more    int64
		granted bool
	}{
		"all that the head does not need":     {380, true},
		"and one unit of what the head needs": {381, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, session("s", 1000), Limit{ID: "c", Unit: UnitRequests, Capacity: 2, Window: Window{Kind: WindowConcurrent}})
			extend := func(id string, tokens int64) Result {
				_, r := l.do(Extend{Actor: ann, Reservation: id, Amount: Amount{Tokens: Tokens{Output: tokens}}})
				return r
			}
			l.reserve(10)                                                                                          // r1
			l.reserve(500)                                                                                         // r2
			l.queued(600)                                                                                          // r3 waits for 110 tokens and a place
			l.queued(10, func(r *Reserve) { r.Provider, r.Account, r.Priority = "openai", "api-1", PriorityHigh }) // r4, for a place
			if r := extend("r2", 50); !r.OK() || l.waitsFor("r3")[0].On != "s" {                                   // goes past r3
				t.Fatalf("%+v, r3 waits for %+v", r, l.waitsFor("r3"))
			}
			l.wait(DefaultQueueSkip)
			l.must(Settle{Actor: ann, Reservation: "r2", Items: out(10)})
			if l.wait(0); !l.live("r4") || !l.waiting("r3") || !l.state.queue.entries["r3"].Kept {
				t.Fatalf("r3 waits for %+v", l.waitsFor("r3"))
			}
			if r := extend("r1", c.more); r.OK() != c.granted {
				t.Errorf("got %+v", r)
			}
			l.must(Release{Actor: ann, Reservation: "r4"})
			if l.wait(0); !l.live("r3") {
				t.Errorf("r3 waits for %+v", l.waitsFor("r3"))
			}
		})
	}
}

// Bounds of an older ledger have no choices: each of them is one.
func TestBoundsWithoutChoicesAreChoices(t *testing.T) {
	t.Parallel()
	w := Waiting{Bounds: []Bound{{On: "a"}, {On: "b"}, {On: "c", Choice: 1}, {On: "d", Choice: 1}, {On: "e", Choice: 2}, {On: "f"}}}
	var got [][]string
	for bounds := range w.choices() {
		var names []string
		for _, b := range bounds {
			names = append(names, b.On)
		}
		got = append(got, names)
	}
	if want := [][]string{{"a"}, {"b"}, {"c", "d"}, {"e"}, {"f"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("the choices are %v, want %v", got, want)
	}
}

func TestSameBounds(t *testing.T) {
	t.Parallel()
	a := []Bound{{On: "x", Units: 1}, {On: "s", Units: 5, Choice: 1}, {On: "c", Units: 1, Choice: 1}}
	for name, c := range map[string]struct {
		b    []Bound
		same bool
	}{
		"the same":               {a, true},
		"choices in other order": {[]Bound{{On: "c", Units: 1, Choice: 1}, {On: "s", Units: 5, Choice: 1}, {On: "x", Units: 1}}, true},
		"other numbers":          {[]Bound{{On: "x", Units: 1}, {On: "s", Units: 5, Choice: 7}, {On: "c", Units: 1, Choice: 7}}, true},
		"other units":            {[]Bound{{On: "x", Units: 2}, {On: "s", Units: 5, Choice: 1}, {On: "c", Units: 1, Choice: 1}}, false},
		"other choices":          {[]Bound{{On: "x", Units: 1}, {On: "s", Units: 5}, {On: "c", Units: 1}}, false},
		"one more":               {append([]Bound{{On: "z"}}, a...), false},
		"something owed":         {[]Bound{{On: "x", Units: 1, Owed: 1}, {On: "s", Units: 5, Choice: 1}, {On: "c", Units: 1, Choice: 1}}, false},
	} {
		if sameBounds(a, c.b) != c.same || sameBounds(c.b, a) != c.same {
			t.Errorf("%s: %v", name, !c.same)
		}
	}
}

// What a floor guarantees is taken back for an entry as soon as nothing else is in its way, and not before.
func TestNobodyIsPreemptedForWhoeverIsHeldUpElsewhere(t *testing.T) {
	t.Parallel()
	l := newTwoLimits(t, core(Share{Floor: 600, LendPart: wholePart}))
	l.reserve(900, by(bob), preemptible) // r1
	l.reserve(10)                        // r2: no place is left
	if r := l.queued(500); r.Queue == nil || l.gives("r1") != 0 {
		t.Fatalf("%+v, r1 gives %d", r, l.gives("r1"))
	}
	if b := boundOn(l.waitsFor("r3"), "s"); b == nil || b.Owed != 500 {
		t.Fatalf("it waits for %+v", l.waitsFor("r3"))
	}
	l.must(Release{Actor: ann, Reservation: "r2"})
	if l.wait(0); l.gives("r1") != 400 {
		t.Fatalf("r1 gives %d of the 400 that are missing", l.gives("r1"))
	}
	if l.wait(DefaultPreemptGrace); !l.live("r3") {
		t.Fatalf("r3 waits for %+v", l.waitsFor("r3"))
	}
}
