package sim

import "github.com/bursarhq/bursar/pkg/quota"

// What is configured, where it is, and what the provider may tell instead.
const (
	sessionUnits = 1_500
	minuteUnits  = 300
)

// tell hands in how much a window or a limit per minute holds by the provider's word: at times something that was said
// before, and comes in late.
func (a *agent) tell() {
	w := a.world
	o := quota.Observe{Actor: a.actor(), Account: "acc", Window: shared}
	capacity := []int64{1_000, 1_200, 1_500, 1_800}[w.rand.IntN(4)]
	if w.rand.IntN(3) == 0 {
		o.Window, capacity = "rpm", []int64{3, 20, 200, 1_000}[w.rand.IntN(4)]
	}
	o.Capacity = &capacity
	if w.rand.IntN(3) == 0 {
		o.At = w.wall().Add(-quota.Millis(w.rand.IntN(8000)))
	}
	a.add("tell "+o.Window, o)
}
