package quota

import (
	"fmt"
	"testing"
)

// BenchmarkReclaim is the cost of a reserve for which one of many borrowers is to give something back.
func BenchmarkReclaim(b *testing.B) {
	for _, borrowers := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("borrowers=%d", borrowers), func(b *testing.B) {
			capacity := int64(borrowers) * 10
			l := newLedger(b, session("s", capacity))
			c := l.state.Config
			c.Teams = []Team{core(Share{Floor: capacity / 2, LendPart: wholePart})}
			l.must(ApplyConfig{Config: c})
			env := Env{Now: l.now, Prices: testPrices}
			reserve := func(id string, actor Actor) []Event {
				events, _ := Decide(l.state, Reserve{
					Actor: actor, Reservation: id, Provider: "claude", Model: "opus-4", Preemptible: actor == bob,
					Amount: Amount{Tokens: Tokens{Output: 10}}, MaxWait: Hour,
				}, env)
				return events
			}
			for i := range borrowers {
				for _, e := range reserve(fmt.Sprint("b", i), bob) {
					Apply(l.state, e)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if events := reserve("owner", ann); len(events) != 2 || events[0].Kind() != KindReservationPreempting {
					b.Fatalf("got %v", events)
				}
			}
		})
	}
}
