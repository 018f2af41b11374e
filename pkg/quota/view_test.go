package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestPagesOfReservations goes through many reservations page by page: each comes once, in the order of their age.
func TestPagesOfReservations(t *testing.T) {
	t.Parallel()
	const live = 300
	l := newLedger(t, session("s", 1_000_000))
	for i := range live {
		if i%7 == 0 {
			l.wait(Second)
		}
		l.reserve(1)
	}
	for i := 1; i < live; i += 3 {
		l.must(Release{Actor: ann, Reservation: fmt.Sprint("r", i)})
	}
	odd := func(r *Reservation) bool { return r.ID[len(r.ID)-1]%2 == 1 }
	for _, closedToo := range []bool{false, true} {
		all := l.state.Reservations(closedToo, odd)
		if want := live / 2; closedToo && len(all) != want {
			t.Fatalf("%d of %d match", len(all), want)
		}
		for _, limit := range []int{1, 7, 64, len(all), len(all) + 1} {
			var ids []string
			after, more := "", true
			for more {
				var list []Reservation
				var ok bool
				if list, more, ok = l.state.ReservationsAfter(after, limit, closedToo, odd); !ok || len(list) == 0 {
					t.Fatalf("after %q: %d, %t", after, len(list), ok)
				}
				for _, r := range list {
					ids, after = append(ids, r.ID), r.ID
				}
			}
			for i := range all {
				if i >= len(ids) || ids[i] != all[i].ID || len(ids) != len(all) || i > 0 && olderFirst(&all[i-1], &all[i]) >= 0 {
					t.Fatalf("pages of %d have %v", limit, ids)
				}
			}
		}
	}
	for _, id := range []string{"nobody", "r2", "r1"} { // unknown, one that does not match, and one that is closed
		if _, _, ok := l.state.ReservationsAfter(id, 5, false, odd); ok {
			t.Errorf("a page begins after %s", id)
		}
	}
}

func TestHeldBy(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1_000_000))
	of := func(agent string) func(*Reserve) { return func(r *Reserve) { r.Actor.Agent = agent } }
	l.reserve(1, of("x")) // r1
	l.reserve(1, of("y")) // r2
	l.wait(Second)
	l.reserve(1, of("x")) // r3
	l.reserve(1, of("x")) // r4
	l.must(Release{Actor: Actor{"ann", "x"}, Reservation: "r3"})
	for agent, want := range map[string]string{"x": "r1 r4 ", "y": "r2 ", "z": ""} {
		got := ""
		for _, r := range l.state.HeldBy(Actor{"ann", agent}) {
			got += r.ID + " "
		}
		if got != want {
			t.Errorf("%s holds %q, want %q", agent, got, want)
		}
	}
}

// BenchmarkReservations is the cost of the first hundred of those that are live.
func BenchmarkReservations(b *testing.B) {
	for _, live := range []int{100, 10_000, MaxLiveReservations} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			l := newLedger(b, session("s", MaxCapacity))
			env := Env{Now: l.now, Prices: testPrices}
			for i := range live {
				events, _ := Decide(l.state, Reserve{
					Actor: Actor{ann.Principal, fmt.Sprint("a", rand.IntN(live))}, Reservation: fmt.Sprint("r", i), Provider: "claude", Model: "opus-4",
					Amount: Amount{Tokens: Tokens{Output: 1}},
				}, env)
				for _, e := range events {
					Apply(l.state, e)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if list, _, _ := l.state.ReservationsAfter("", 100, false, func(*Reservation) bool { return true }); len(list) != 100 {
					b.Fatal(len(list))
				}
			}
		})
	}
}
