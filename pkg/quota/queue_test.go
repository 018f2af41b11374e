package quota

import (
	"fmt"
	"testing"
)

// queued asks for tokens and waits for up to an hour.
func (l *ledger) queued(tokens int64, change ...func(*Reserve)) Result {
	l.t.Helper()
	wait := func(r *Reserve) { r.MaxWait = Hour }
	return l.reserve(tokens, append([]func(*Reserve){wait}, change...)...)
}

func priority(p Priority) func(*Reserve) { return func(r *Reserve) { r.Priority = p } }

// live tells whether a reservation is held.
func (l *ledger) live(id string) bool { return l.state.reservations[id] != nil }

func (l *ledger) waiting(id string) bool { return l.state.queue.entries[id] != nil }

func TestAQueuedReserveIsGrantedWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(900)
	r := l.queued(500)
	if !r.OK() || r.Queue == nil || r.Queue.Position != 1 || r.Granted != (Amount{}) || r.Limit != "s" {
		t.Fatalf("not queued: %+v", r)
	}
	if v := l.limit("s"); v.Held != 900 {
		t.Fatalf("a place in the queue holds: %+v", v)
	}
	l.must(Release{Actor: ann, Reservation: "r1"})
	if due := l.state.NextDue(); due > l.now {
		t.Fatalf("nothing is due after the release: %d", due)
	}
	l.wait(0)
	if !l.live("r2") || l.waiting("r2") {
		t.Fatal("not granted after the release")
	}
	notices := l.state.Notices(ann)
	if len(notices) != 1 || notices[0].Kind != NoticeGranted || notices[0].Reservation != "r2" {
		t.Fatalf("notices: %+v", notices)
	}
	if got := l.state.reservations["r2"]; !got.Unclaimed || got.Expires != l.now.Add(DefaultGrantGrace) {
		t.Fatalf("no grace: %+v", got)
	}
}

func TestAGrantFromTheQueueNeedsASignOfLife(t *testing.T) {
	t.Parallel()
	for _, alive := range []bool{true, false} {
		l := newLedger(t, session("s", 1000))
		l.reserve(900)
		l.queued(500)
		l.must(Release{Actor: ann, Reservation: "r1"})
		l.wait(Second)
		if alive {
			l.must(Report{Actor: ann, Reservation: "r2"})
		}
		l.wait(DefaultGrantGrace)
		if l.live("r2") != alive {
			t.Fatalf("with a sign of life %v it is live %v", alive, l.live("r2"))
		}
		if !alive && l.limit("s").Held != 0 {
			t.Fatal("its units did not return")
		}
	}
}

// The order of the queue, and that nothing starves.
func TestTheOrderOfTheQueue(t *testing.T) {
	t.Parallel()
	key := func(p Priority, waited Millis, share int64, id string) queueKey {
		return queueKey{rank: rank(p, waited, 30*Minute), share: share, since: t0.Add(-waited), id: id}
	}
	for name, c := range map[string]struct{ first, second queueKey }{
		"the higher priority":                    {key(PriorityHigh, 0, 0, "b"), key(PriorityNormal, 5*Minute, 0, "a")},
		"then whose team had less":               {key(PriorityNormal, 0, 1, "b"), key(PriorityNormal, 5*Minute, 2, "a")},
		"then the older":                         {key(PriorityNormal, 5*Minute, 1, "b"), key(PriorityNormal, 0, 1, "a")},
		"then the id":                            {key(PriorityNormal, 0, 1, "a"), key(PriorityNormal, 0, 1, "b")},
		"waiting lifts":                          {key(PriorityLow, 31*Minute, 0, "b"), key(PriorityNormal, 0, 0, "a")},
		"at last only age counts":                {key(PriorityLow, 2*Hour, 9, "b"), key(PriorityCritical, 119*Minute, 0, "a")},
		"a newcomer never passes one so old":     {key(PriorityLow, 2*Hour, 9, "b"), key(PriorityCritical, 0, 0, "a")},
		"before that the share of a team counts": {key(PriorityCritical, 0, 0, "a"), key(PriorityLow, 91*Minute, 9, "b")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if queueOrder(c.first, c.second) >= 0 || queueOrder(c.second, c.first) <= 0 {
				t.Fatalf("%+v does not come before %+v", c.first, c.second)
			}
		})
	}
}

func TestAPageOfTheQueue(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(1000)
	l.queued(300)                         // r2
	l.queued(300)                         // r3
	l.queued(300, priority(PriorityHigh)) // r4
	l.queued(300)                         // r5
	others := func(w *Waiting) bool { return w.Reservation != "r5" }
	for _, c := range []struct {
		offset, limit int
		want          string
	}{{0, 9, "r4@1 r2@2 r3@3 "}, {1, 1, "r2@2 "}, {2, 5, "r3@3 "}, {3, 5, ""}, {9, 1, ""}} {
		views, total := l.state.Queue(l.now, c.offset, c.limit, others)
		got := ""
		for _, v := range views {
			got += fmt.Sprintf("%s@%d ", v.Reservation, v.Position)
		}
		if got != c.want || total != 3 {
			t.Errorf("%d from %d: %q of %d, want %q of 3", c.limit, c.offset, got, total, c.want)
		}
	}
}

func TestTheQueueGrantsInOrder(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(1000)
	l.queued(300, priority(PriorityLow))  // r2
	l.queued(300)                         // r3
	l.queued(300, priority(PriorityHigh)) // r4
	if r := l.queued(300, priority(PriorityHigh)); r.Queue.Position != 2 {
		t.Fatalf("the second of two high ones stands at %d", r.Queue.Position)
	}
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(400)})
	l.wait(0)
	if !l.live("r4") || !l.live("r5") || l.live("r3") || l.live("r2") {
		t.Fatal("600 units did not go to the two high ones")
	}
}

func TestAHeadThatDoesNotFitIsPassedForTenMinutes(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	for range 10 {
		l.reserve(100)
	}
	l.queued(800) // r11, the head
	l.must(Release{Actor: ann, Reservation: "r1"})
	if r := l.reserve(100); !r.OK() || r.Queue != nil {
		t.Fatalf("what fits did not pass the head: %+v", r)
	}
	l.wait(DefaultQueueSkip - 1)
	l.must(Release{Actor: ann, Reservation: "r2"})
	if r := l.reserve(100); !r.OK() {
		t.Fatalf("what fits did not pass the head before its time: %+v", r)
	}
	l.wait(1)
	l.must(Release{Actor: ann, Reservation: "r3"})
	if r := l.reserve(50); r.Code != CodeInsufficientQuota || !r.Retryable || r.Limit != "s" {
		t.Fatalf("the head is still passed: %+v", r)
	}
	if r := l.queued(50); r.Queue == nil || r.Queue.Position != 2 {
		t.Fatalf("a smaller one does not wait behind the head: %+v", r)
	}
	l.wait(Second)
	if l.live("r15") {
		t.Fatal("a smaller one was granted past the head")
	}
	if r := l.reserve(50, priority(PriorityHigh)); !r.OK() {
		t.Fatalf("a higher priority comes before the head and does not pass it: %+v", r)
	}
	for i := 4; i <= 10; i++ {
		l.must(Release{Actor: ann, Reservation: fmt.Sprintf("r%d", i)})
	}
	for _, id := range []string{"r12", "r13", "r16"} {
		l.must(Release{Actor: ann, Reservation: id})
	}
	l.wait(0)
	if !l.live("r11") || !l.live("r15") {
		t.Fatal("the head and who waited behind it were not granted")
	}
}

// That one entry has no room says nothing of others that need less, nor of those of other work that need as much.
func TestWhatFitsIsFoundBehindWhatDoesNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tokens int64
		change func(*Reserve)
		passes bool
	}{
		"less":                               {150, func(*Reserve) {}, true},
		"as much":                            {500, func(*Reserve) {}, false},
		"as much, of a higher priority":      {500, func(r *Reserve) { r.Priority = PriorityHigh }, true},
		"as much, that has what floors lend": {500, func(r *Reserve) { r.Preemptible = true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTeams(t)
			l.configure(func(config *Config) {
				config.Teams = []Team{core(Share{Floor: 300, From: PriorityHigh, LendPart: wholePart}), {Name: "guests"}}
				config.Principals = append(config.Principals, Principal{Name: bob.Principal, Team: "guests", MaxPriority: PriorityHigh})
			})
			running := l.reserve(600, by(bob))
			l.queued(500)
			r := l.queued(c.tokens, c.change)
			l.must(Settle{Actor: bob, Reservation: running.Reservation, Items: out(300)}) // 400 are left for all, 700 with the floor
			l.wait(0)
			if l.live(r.Reservation) != c.passes {
				t.Errorf("passed is %v", !c.passes)
			}
		})
	}
}

// What fits before a reset does not delay a head that has to wait for the reset.
func TestALineIsNotKeptForAHeadThatWaitsForTheReset(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(500)
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(500)})
	l.queued(800, func(r *Reserve) { r.MaxWait = Day }) // r2 has to wait for the reset
	l.reserve(100)
	l.wait(2 * DefaultQueueSkip)
	if r := l.reserve(100); !r.OK() {
		t.Fatalf("refused: %+v", r)
	}
	l.must(Release{Actor: ann, Reservation: "r3"})
	l.must(Release{Actor: ann, Reservation: "r4"})
	l.wait(5 * Hour)
	if !l.live("r2") {
		t.Fatal("not granted at the reset")
	}
}

func TestWaitsEnd(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(1000)
	l.queued(100, func(r *Reserve) { r.MaxWait = Minute })
	l.queued(100)
	l.queued(100)
	l.wait(Minute)
	if l.waiting("r2") {
		t.Fatal("it waits beyond its max_wait")
	}
	if n := l.state.Notices(ann); len(n) != 1 || n[0].Kind != NoticeTimedOut || n[0].Reservation != "r2" {
		t.Fatalf("notices: %+v", n)
	}
	if r := l.must(Release{Actor: ann, Reservation: "r3"}); r.Outcome != OutcomeCancelled || l.waiting("r3") {
		t.Fatalf("not cancelled: %+v", r)
	}
	if _, r := l.do(Release{Actor: Actor{"bob", "b"}, Reservation: "r4"}); r.Code != CodeAllocationNotFound {
		t.Fatalf("another agent cancels: %+v", r)
	}
	l.must(Revoke{Actor: Actor{"op", ""}, Reservation: "r4", Reason: "no"})
	if n := l.state.Notices(ann); len(n) != 2 || n[1].Kind != NoticeCancelled || n[1].Reason != "no" {
		t.Fatalf("notices: %+v", n)
	}
}

func TestWakeUps(t *testing.T) {
	t.Parallel()
	concurrent := Limit{ID: "c", Unit: UnitRequests, Capacity: 1, Window: Window{Kind: WindowConcurrent}}
	bucket := Limit{ID: "b", Unit: UnitTokens, Capacity: 600, Window: Window{Kind: WindowBucket, Duration: Minute}}
	for name, c := range map[string]struct {
		limits []Limit
		before func(*ledger)
		tokens int64
		cause  func(*ledger)
	}{
		"a release":      {[]Limit{session("s", 1000)}, func(l *ledger) { l.reserve(1000) }, 100, func(l *ledger) { l.must(Release{Actor: ann, Reservation: "r1"}) }},
		"an expiry":      {[]Limit{session("s", 1000)}, func(l *ledger) { l.reserve(1000, func(r *Reserve) { r.Lifetime = Minute }) }, 100, func(l *ledger) { l.wait(Minute) }},
		"a slot":         {[]Limit{session("s", 1000), concurrent}, func(l *ledger) { l.reserve(1) }, 100, func(l *ledger) { l.must(Settle{Actor: ann, Reservation: "r1"}) }},
		"a refill":       {[]Limit{session("s", 9000), bucket}, func(l *ledger) { l.reserve(600) }, 100, func(l *ledger) { l.wait(10 * Second) }},
		"a reset":        {[]Limit{session("s", 1000)}, func(l *ledger) { l.reserve(1000); l.must(Settle{Actor: ann, Reservation: "r1", Items: out(1000)}) }, 100, func(l *ledger) { l.wait(5 * Hour) }},
		"a resume":       {[]Limit{session("s", 1000)}, func(l *ledger) { l.must(Block{Target: BlockAccount, Name: "max-1"}) }, 100, func(l *ledger) { l.must(Unblock{Target: BlockAccount, Name: "max-1"}) }},
		"a team resumed": {[]Limit{session("s", 1000)}, func(l *ledger) { l.must(Block{Target: BlockTeam, Name: "core"}) }, 100, func(l *ledger) { l.must(Unblock{Target: BlockTeam, Name: "core"}) }},
		"an observation": {[]Limit{session("s", 0)}, func(*ledger) {}, 100, func(l *ledger) {
			used := int64(10_000)
			l.must(Observe{Account: "max-1", Window: "session", PercentMilli: &used})
		}},
		"a larger limit": {[]Limit{session("s", 1000)}, func(l *ledger) { l.reserve(1000) }, 100, func(l *ledger) { l.must(ApplyConfig{Config: testConfig(session("s", 2000))}) }},
		"a limit gone":   {[]Limit{session("s", 1000), concurrent}, func(l *ledger) { l.reserve(1) }, 100, func(l *ledger) { l.must(ApplyConfig{Config: testConfig(session("s", 1000))}) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, c.limits...)
			c.before(l)
			r := l.queued(c.tokens, func(r *Reserve) { r.Reservation, r.MaxWait = "q", Day })
			if r.Queue == nil {
				t.Fatalf("not queued: %+v", r)
			}
			l.wait(0)
			if !l.waiting("q") {
				t.Fatal("granted without a cause")
			}
			c.cause(l)
			l.wait(0)
			if !l.live("q") {
				t.Fatalf("not granted; it waits for %+v", l.state.queue.entries["q"])
			}
		})
	}
}

func TestALowerLimitRefusesWhatWaits(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(900)
	l.queued(500)
	l.must(ApplyConfig{Config: testConfig(session("s", 400))})
	l.wait(0)
	if l.waiting("r2") {
		t.Fatal("it waits for what can never be")
	}
	if n := l.state.Notices(ann); len(n) != 1 || n[0].Kind != NoticeRefused || n[0].Reason == "" {
		t.Fatalf("notices: %+v", n)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(1000)
	for range MaxQueuedPerAgent {
		if r := l.queued(10); r.Queue == nil {
			t.Fatalf("not queued: %+v", r)
		}
	}
	if r := l.queued(10); r.Code != CodeInsufficientQuota || !r.Retryable {
		t.Fatalf("beyond the bound of an agent: %+v", r)
	}
	if r := l.queued(10, func(r *Reserve) { r.Actor.Agent = "a2" }); r.Queue == nil {
		t.Fatalf("another agent is refused: %+v", r)
	}
}
