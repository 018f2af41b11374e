package quota

import (
	"fmt"
	"testing"
)

// BenchmarkCopy is for how long a copy of a ledger that is at every bound holds up decisions: the writer makes one for
// each keyframe.
func BenchmarkCopy(b *testing.B) {
	l := newLedger(b, session("s", MaxCapacity), Limit{ID: "c", Unit: UnitRequests, Capacity: MaxLiveReservations, Window: Window{Kind: WindowConcurrent}})
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
	reserve := func(id, agent string, wait Millis) {
		do(Reserve{
			Actor: Actor{ann.Principal, agent}, Reservation: id, Provider: "claude", Model: "opus-4", MaxWait: wait,
			Amount: Amount{Tokens: Tokens{Input: 3000, Output: 12_000}},
		})
	}
	for i := range DefaultPolicy().ClosedKept {
		id := fmt.Sprint("closed", i)
		reserve(id, ann.Agent, 0)
		var items []UsageItem
		for k := range MaxKnownCalls / DefaultPolicy().ClosedKept {
			items = append(items, UsageItem{CallID: fmt.Sprint("call", i, "-", k), Tokens: Tokens{Output: 9}})
		}
		do(Settle{Actor: ann, Reservation: id, Items: items})
	}
	for i := range MaxLiveReservations {
		reserve(fmt.Sprint("live", i), ann.Agent, 0)
	}
	for i := range MaxQueued {
		reserve(fmt.Sprint("queued", i), fmt.Sprint("agent", i%1000), Hour)
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := l.state.Copy(); len(n.Reservations) != MaxLiveReservations || len(n.Queue) != MaxQueued || len(n.Calls) != MaxKnownCalls {
			b.Fatalf("%d live, %d queued and %d calls", len(n.Reservations), len(n.Queue), len(n.Calls))
		}
	}
}
