package quota

import (
	"fmt"
	"testing"
)

// lastPart is one situation on a window of ten tokens: what is held back, of whom a floor is, what is gone, who asks.
type lastPart struct {
	heldBack    int64 // for high priority
	floor, lent int64 // core's, and how much of it is lent
	from        Priority
	others, own int64 // used by others, and held by core's high-priority work
	core        bool  // asks
	priority    Priority
	preemptible bool
	units       int64
}

const lastPartWindow = 10

// rule says by the words of docs/deciding.md what the ask may take, and what is left.
func (c lastPart) rule() (room, left int64) {
	left = max(0, lastPartWindow-c.others-c.own)
	lacks := max(0, c.floor-c.own) // high priority is at or above every floor's
	own := c.core && c.priority >= c.from
	notLent := max(0, lacks-c.lent)
	room = left
	if c.priority < PriorityHigh && (!own || c.units > notLent) { // a floor goes before what is held back
		room -= c.heldBack
	}
	switch {
	case own:
	case c.preemptible:
		room -= notLent
	default:
		room -= lacks
	}
	return max(0, room), left
}

// TestWhoGetsTheLastPart decides every combination of what is held back, a floor, lending, priorities and what is left of a
// small window, and compares with the rules as they are written down: who gets it, how much there is to be had, and that
// nothing is called depleted that is kept for others.
func TestWhoGetsTheLastPart(t *testing.T) {
	t.Parallel()
	var asked, granted, heldBack, depleted int
	for _, s := range lastPartSituations() {
		l := s.ledger(t)
		for _, c := range s.asks() {
			room, left := c.rule()
			r := c.decide(l)
			asked++
			switch {
			case c.units <= room:
				if granted++; !r.OK() {
					t.Fatalf("%+v: refused, though it may take %d: %+v", c, room, r)
				}
				continue
			case r.OK():
				t.Fatalf("%+v: granted, though it may take %d", c, room)
			}
			want := ReasonDepleted
			switch {
			case c.units > lastPartWindow:
				want = ReasonTooLarge
			case c.units <= left:
				heldBack++
				want = ReasonHeldBack
			default:
				depleted++
			}
			if r.Reason != want || r.Available != room || r.HeldBack != left-room {
				t.Fatalf("%+v: refused as %s with %d to be had and %d kept for others, want %s, %d and %d: %s", c, r.Reason, r.Available, r.HeldBack,
					want, room, left-room, r.Message)
			}
		}
	}
	t.Logf("%d asks: %d granted, %d held back, %d depleted", asked, granted, heldBack, depleted)
	if granted == 0 || heldBack == 0 || depleted == 0 {
		t.Error("not every case occurred")
	}
}

func lastPartSituations() (list []lastPart) {
	for _, heldBack := range []int64{0, 3} {
		for _, floor := range []int64{0, 2, 5} {
			for _, lent := range []int64{0, floor / 2, floor} {
				for _, from := range []Priority{0, PriorityHigh} {
					for _, own := range []int64{0, 1} {
						for others := range int64(lastPartWindow + 1) {
							list = append(list, lastPart{heldBack: heldBack, floor: floor, lent: lent, from: from, own: own, others: others})
						}
					}
				}
			}
		}
	}
	return list
}

func (c lastPart) asks() (list []lastPart) {
	for _, c.core = range []bool{true, false} {
		for _, c.priority = range []Priority{PriorityNormal, PriorityHigh} {
			for _, c.preemptible = range []bool{true, false} {
				for c.units = 1; c.units <= lastPartWindow+1; c.units++ {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// ledger is where the situation has come about: others have used more than they reserved, if it must be.
func (c lastPart) ledger(t *testing.T) *ledger {
	limit := session("s", lastPartWindow)
	if c.heldBack > 0 {
		limit.HoldBack = &HoldBack{Percent: c.heldBack * 100 / lastPartWindow, Priority: PriorityHigh}
	}
	l := newLedger(t, limit)
	config := l.state.Config
	config.Principals = append(config.Principals, Principal{Name: bob.Principal, Team: "guests", MaxPriority: PriorityHigh})
	if c.floor > 0 {
		config.Teams = []Team{core(Share{Floor: c.floor, LendPart: c.lent * wholePart / c.floor, From: c.from})}
	}
	l.must(ApplyConfig{Config: config})
	if c.own > 0 {
		if r := l.reserve(c.own, priority(PriorityHigh)); !r.OK() {
			t.Fatalf("%+v: core's own work is refused: %+v", c, r)
		}
	}
	if c.others > 0 {
		if r := l.reserve(1, by(bob), priority(PriorityHigh)); !r.OK() {
			t.Fatalf("%+v: %+v", c, r)
		}
		l.do(Settle{Actor: bob, Reservation: fmt.Sprint("r", l.next), Items: out(c.others)})
	}
	return l
}

// decide asks, and holds nothing of it.
func (c lastPart) decide(l *ledger) Result {
	ask := Reserve{Actor: bob, Reservation: "ask", Provider: "claude", Model: "opus-4", Priority: c.priority, Preemptible: c.preemptible,
		Amount: Amount{Tokens: Tokens{Output: c.units}}}
	if c.core {
		ask.Actor = ann
	}
	_, r := Decide(l.state, ask, Env{Now: l.now, Prices: testPrices})
	return r
}
