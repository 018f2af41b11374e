package quota

import (
	"fmt"
	"testing"
)

// standing is where somebody stands who comes after a reserve of low priority that has waited. ann's team has had more than bob's.
func standing(t *testing.T, waited Millis, p Priority, by Actor) string {
	t.Helper()
	l := newPage(t, 1000, func(c *Config) { c.Principals[len(c.Principals)-1].MaxPriority = PriorityCritical })
	long := func(r *Reserve) { r.MaxWait = 4 * Hour }
	l.reserve(400)
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(400)})
	l.reserve(600)
	low := l.reserve(900, priority(PriorityLow), long)
	l.wait(waited)
	later := l.reserve(900, priority(p), long, func(r *Reserve) { r.Actor = by })
	if low.Queue == nil || later.Queue == nil {
		t.Fatalf("not queued: %+v, %+v", low, later)
	}
	if later.Queue.Position == 1 {
		return "before it"
	}
	return "behind it"
}

// TestThePagesOrder lets somebody of each priority come when the page says.
func TestThePagesOrder(t *testing.T) {
	t.Parallel()
	for _, row := range tableOf(t, "| low has waited | normal stands | high stands | critical stands |") {
		var minutes Millis
		if _, err := fmt.Sscanf(row[0], "%d min", &minutes); err != nil {
			t.Fatal(err)
		}
		for i, p := range []Priority{PriorityNormal, PriorityHigh, PriorityCritical} {
			if got := standing(t, minutes*Minute, p, ann); got != row[1+i] {
				t.Errorf("after %d minutes one of priority %s stands %s, the page says %s", minutes, p, got, row[1+i])
			}
		}
	}
	says(t, "after two hours nothing that comes later goes before it",
		"At 90 minutes a critical one of a team that has had less still goes before it, at 120 minutes none does.")
	for waited, want := range map[Millis]string{90 * Minute: "before it", 2*Hour - 1: "before it", 2 * Hour: "behind it"} {
		if got := standing(t, waited, PriorityCritical, bob); got != want {
			t.Errorf("one of a team that has had less stands %s after %d minutes", got, waited/Minute)
		}
	}
	says(t, "Every 30 minutes of waiting (`policy.queue_ageing`)", fmt.Sprintf("at most 10,000, and %d of one agent", MaxQueuedPerAgent), "within 1 minute (`policy.grant_grace`)")
	if DefaultQueueAgeing != 30*Minute || MaxQueued != 10_000 || DefaultGrantGrace != Minute {
		t.Errorf("%d minutes of ageing, %d entries, %d ms of grace", DefaultQueueAgeing/Minute, MaxQueued, DefaultGrantGrace)
	}
}

// TestThePagesLadder queues the example where the configuration has the queue before the other account.
func TestThePagesLadder(t *testing.T) {
	t.Parallel()
	says(t, "With `ladder: [full, queue, account]` the 900,000 of the example, if they accept both accounts, wait for `sub-1` although `sub-2` has room: "+
		"with `max_wait: 2h` until the reset at 15:00, with `max_wait: 20m` until 14:40, and are granted on `sub-2` then.")
	for _, c := range []struct {
		wait         Millis
		hour, minute int
		account      string
	}{{2 * Hour, 15, 0, "sub-1"}, {20 * Minute, 14, 40, "sub-2"}} {
		l := newExample(t)
		config := l.state.Config
		config.Policy.Ladder = []Rung{RungFull, RungQueue, RungAccount}
		l.must(ApplyConfig{Config: config})
		r := l.reserve(900_000, func(r *Reserve) {
			r.Reservation, r.Account, r.AcceptAccounts, r.MaxWait = "q", "sub-1", []string{"sub-2"}, c.wait
		})
		if r.Queue == nil {
			t.Fatalf("not queued: %+v", r)
		}
		l.at(c.hour, c.minute-1)
		if !l.waiting("q") {
			t.Errorf("it does not wait until %d:%02d", c.hour, c.minute)
		}
		l.at(c.hour, c.minute)
		if got := l.state.reservations["q"]; got == nil || got.Labels.Account != c.account {
			t.Errorf("with a wait of %d minutes it has %+v, the page says %s", c.wait/Minute, got, c.account)
		}
	}
}
