package quota

import (
	"fmt"
	"testing"
)

// BenchmarkDecisionWhileOthersWait is the cost of one grant, its settlement and the look at what is due, by entries of the
// queue that wait for the same limit.
func BenchmarkDecisionWhileOthersWait(b *testing.B) {
	for _, queued := range []int{0, 100, 1000, MaxQueued} {
		b.Run(fmt.Sprintf("queued=%d", queued), func(b *testing.B) {
			l := newLedger(b, session("s", 1_000_000))
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
			reserve := func(id, agent string, tokens int64, wait Millis) {
				do(Reserve{Actor: Actor{"ann", agent}, Reservation: id, Provider: "claude", Model: "opus-4", Amount: Amount{Tokens: Tokens{Output: tokens}}, MaxWait: wait})
			}
			reserve("most", "a", 900_000, 0)
			for i := range queued {
				reserve(fmt.Sprint("q", i), fmt.Sprint("w", i/MaxQueuedPerAgent), 500_000, Day)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := fmt.Sprint(i)
				reserve(id, "a", 1000, 0)
				do(Release{Actor: Actor{"ann", "a"}, Reservation: id})
				if l.state.NextDue() <= env.Now {
					b.Fatal("something is due")
				}
			}
		})
	}
}

// BenchmarkPlace is the cost of saying where the last of those that wait stands and when it will be granted.
func BenchmarkPlace(b *testing.B) {
	for _, queued := range []int{10, 1000, MaxQueued} {
		b.Run(fmt.Sprintf("queued=%d", queued), func(b *testing.B) {
			l := newLedger(b, session("s", 1_000_000))
			l.reserve(900_000)
			l.must(Settle{Actor: ann, Reservation: "r1", Items: out(900_000)})
			for i := range queued {
				l.reserve(500_000, func(r *Reserve) { r.Actor.Agent, r.MaxWait = fmt.Sprint("w", i/MaxQueuedPerAgent), Day })
			}
			last := fmt.Sprint("r", queued+1)
			b.ReportAllocs()
			for b.Loop() {
				if l.state.Place(last, l.now) == nil {
					b.Fatal("it does not wait")
				}
			}
		})
	}
}

// BenchmarkQueue is the cost of listing the first hundred of those that wait.
func BenchmarkQueue(b *testing.B) {
	for _, queued := range []int{100, 1000, MaxQueued} {
		b.Run(fmt.Sprintf("queued=%d", queued), func(b *testing.B) {
			l := newLedger(b, session("s", 1_000_000))
			l.reserve(900_000)
			for i := range queued {
				l.reserve(500_000, func(r *Reserve) { r.Actor.Agent, r.MaxWait = fmt.Sprint("w", i/MaxQueuedPerAgent), Day })
			}
			b.ReportAllocs()
			for b.Loop() {
				if list, total := l.state.Queue(l.now, 0, 100, func(*Waiting) bool { return true }); len(list) != 100 || total != queued {
					b.Fatalf("%d of %d", len(list), total)
				}
			}
		})
	}
}
