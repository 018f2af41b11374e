package quota

import (
	"strings"
	"testing"
)

// heldForFourHours is a session of five hours of which 15 % is kept for high priority, for four of them.
func heldForFourHours() Limit {
	limit := session("s", 1000)
	limit.HoldBack = &HoldBack{Percent: 15, Priority: PriorityHigh, Until: 80}
	return limit
}

// What is held back is let go in the last part of the window and is held back again in the next one.
func TestHeldBackIsLetGo(t *testing.T) {
	t.Parallel()
	l := newLedger(t, heldForFourHours())
	letGo := t0.Add(4 * Hour)
	l.spends(800)
	for _, c := range []struct {
		at      Instant
		granted int64 // at most
		until   Instant
	}{{t0, 50, letGo}, {letGo - 1, 50, letGo}, {letGo, 200, 0}, {t0.Add(5*Hour) - 1, 200, 0}, {t0.Add(5 * Hour), 850, 0}} {
		l.wait(c.at.Sub(l.now))
		if n, v := l.most(ann), l.limit("s"); n != c.granted || v.HeldUntil != c.until || (v.HeldBack > 0) != (c.granted == 50 || c.granted == 850) {
			t.Errorf("at %d work of normal priority may have %d, want %d; %d are held back until %d", c.at.Sub(t0), n, c.granted, v.HeldBack, v.HeldUntil)
		}
		if n := l.most(ann, priority(PriorityHigh)); n < 200 {
			t.Errorf("at %d urgent work may have %d", c.at.Sub(t0), n)
		}
	}
}

// A refusal says until when, and when to ask again.
func TestARefusalSaysUntilWhenIsHeldBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		held, ask int64
		after     Millis
		until     bool
	}{
		"what is let go does":            {0, 200, 4 * Hour, true},
		"and with what comes back":       {100, 250, 4 * Hour, true}, // at the pace of late it is there before
		"it does not, and nothing comes": {0, 201, 5 * Hour, true},
		"more than that is left":         {0, 700, 5 * Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, heldForFourHours())
			l.spends(800 - c.held)
			if c.held > 0 {
				l.reserve(c.held, lasting)
			}
			r := l.reserve(c.ask)
			if r.Code != CodeInsufficientQuota || !r.Retryable || r.RetryAfter != c.after || r.Available != 50 {
				t.Errorf("%+v", r)
			}
			if a := r.Alternatives; len(a) == 0 || a[len(a)-1].Kind != AlternativeLater || a[len(a)-1].At != t0.Add(c.after) {
				t.Errorf("%+v", a)
			}
			if strings.Contains(r.Message, "150 are held back for priority high and above until 2026-11-23T16:00:00Z") != c.until {
				t.Errorf("%q", r.Message)
			}
			l.wait(r.RetryAfter - 1)
			if again := l.reserve(c.ask); again.OK() {
				t.Errorf("granted before the time that was told: %+v", again)
			}
		})
	}
	l := newLedger(t, heldForFourHours())
	if r := l.reserve(900); r.Retryable || !strings.Contains(r.Message, "more than this priority ever gets of the window but for its last part") {
		t.Errorf("%+v", r)
	}
}

// Who waits for it is granted in the instant in which it is let go, by nothing but the time, and was told so.
func TestWhoWaitsIsGrantedWhenItIsLetGo(t *testing.T) {
	t.Parallel()
	l := newLedger(t, heldForFourHours())
	l.uncorrected(PriorityNormal, PriorityLow)
	l.spends(850)
	letGo := t0.Add(4 * Hour)
	first := l.queued(100, func(r *Reserve) { r.MaxWait = Day })
	second := l.queued(100, func(r *Reserve) { r.MaxWait = Day })
	if q := first.Queue; q == nil || q.GrantAt != letGo || q.GrantFrom != letGo {
		t.Errorf("the first is told %+v, want %d", q, letGo)
	}
	if q := second.Queue; q == nil || q.GrantAt != letGo.Add(Hour) {
		t.Errorf("the second is told %+v, want %d: nothing is left for it", q, letGo.Add(Hour))
	}
	if due := l.state.NextDue(); due != letGo {
		t.Fatalf("the next is due at %d, want %d", due, letGo)
	}
	l.wait(4 * Hour)
	if !l.live(first.Reservation) || l.live(second.Reservation) {
		t.Error("not the first is granted when it is let go, or the second is")
	}
	l.wait(Hour)
	if !l.live(second.Reservation) {
		t.Error("the second is not granted at the reset")
	}
}

// Of later windows it is let go, too.
func TestWhatIsLetGoOfTheNextWindowIsForeseen(t *testing.T) {
	t.Parallel()
	l := newLedger(t, heldForFourHours())
	l.uncorrected(PriorityNormal)
	l.spends(1000)
	for _, c := range []struct {
		ask   int64
		after Millis
	}{{800, 5 * Hour}, {100, 9 * Hour}, {100, 9 * Hour}, {100, 10 * Hour}} { // 850 at the reset, and the rest four hours later
		r := l.queued(c.ask, func(r *Reserve) { r.MaxWait = Day })
		if want := t0.Add(c.after); r.Queue == nil || r.Queue.GrantAt != want {
			t.Errorf("%d: %+v, want %d", c.ask, r.Queue, want)
		}
	}
}

// A line that is kept for its head is looked at again when what is let go has enough for others besides.
func TestWhatIsLetGoIsNotKeptForTheHeadAlone(t *testing.T) {
	t.Parallel()
	mate := Actor{ann.Principal, "a2"}
	places := Limit{ID: "c", Name: "c", Scope: Scope{Agent: ann.Agent}, Unit: UnitRequests, Capacity: 1, Window: Window{Kind: WindowConcurrent}}
	l := newLedger(t)
	config := testConfig(heldForFourHours(), places)
	config.Policy.MaxLifetime = Day
	l.must(ApplyConfig{Config: config})
	l.spends(740)
	l.reserve(10, priority(PriorityHigh), func(r *Reserve) { r.Lease, r.Lifetime = Day, Day }) // the only place, beyond the let go
	before := l.reserve(50, by(mate))
	head := l.queued(100, func(r *Reserve) { r.MaxWait = Day })
	l.must(Release{Actor: mate, Reservation: before.Reservation}) // now 100 are there for the head, but no place
	passes := l.reserve(20, by(mate))
	l.must(Release{Actor: mate, Reservation: passes.Reservation})
	l.wait(DefaultQueueSkip)
	other := l.queued(120, by(mate), func(r *Reserve) { r.MaxWait = Day })
	if kept := l.state.queue.entries[head.Reservation].Kept; !kept {
		t.Fatal("the line is not kept for its head")
	}
	letGo := t0.Add(4 * Hour)
	l.wait(letGo.Sub(l.now) - 1)
	if l.live(other.Reservation) {
		t.Fatal("granted before it is let go")
	}
	l.wait(1)
	if !l.live(other.Reservation) || l.live(head.Reservation) {
		t.Error("with 250 there, of which 100 are for the head, 120 are not granted")
	}
}
