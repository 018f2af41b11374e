package quota

import (
	"fmt"
	"testing"
)

// BenchmarkReserveAndSettle is the cost of one grant and its settlement over six binding limits, by live reservations.
func BenchmarkReserveAndSettle(b *testing.B) {
	limits := []Limit{
		session("s", MaxCapacity),
		{ID: "w", Name: "weekly", Scope: Scope{Account: "max-1"}, Unit: UnitTokens, Capacity: MaxCapacity, Window: Window{Kind: WindowSession, Duration: 7 * Day}},
		{ID: "o", Name: "opus", Scope: Scope{Account: "max-1", ModelGroup: "opus"}, Unit: UnitTokens, Capacity: MaxCapacity, Window: Window{Kind: WindowSession, Duration: 7 * Day}},
		{ID: "d", Scope: Scope{Team: "core"}, Unit: UnitTokens, Capacity: MaxCapacity, Window: Window{Kind: WindowCalendar, Period: PeriodDay}},
		{ID: "m", Unit: UnitMicroUSD, Capacity: MaxCapacity, Window: Window{Kind: WindowCalendar, Period: PeriodMonth}},
		{ID: "c", Unit: UnitRequests, Capacity: MaxLiveReservations, Window: Window{Kind: WindowConcurrent}},
	}
	for _, live := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			l := newLedger(b, limits...)
			env := Env{Now: l.now, Prices: testPrices}
			do := func(cmd Command) {
				events, r := Decide(l.state, cmd, env)
				if !r.OK() {
					b.Fatalf("%+v", r)
				}
				for _, e := range events {
					Apply(l.state, e)
				}
			}
			reserve := func(id string) {
				do(Reserve{Actor: ann, Reservation: id, Provider: "claude", Model: "opus-4", Amount: Amount{Tokens: Tokens{Input: 3000, Output: 12_000}}})
			}
			for i := range live {
				reserve(fmt.Sprint("live", i))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := fmt.Sprint(i)
				reserve(id)
				do(Settle{Actor: ann, Reservation: id, Items: out(900)})
			}
		})
	}
}
