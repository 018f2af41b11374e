package quota

import "testing"

// Within a lane age alone decides, whatever else entries differ in: lanes are searched by that. A rule that puts one of these
// before another has to make lanes of its own for it.
func TestWithinALaneAgeAloneDecides(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.reserve(1000)
	differing := []func(*Reserve){
		func(*Reserve) {},
		func(r *Reserve) { r.Preemptible = true },
		func(r *Reserve) { r.Actor.Agent = "a2" },
		func(r *Reserve) { r.MinTokens = 10 },
		func(r *Reserve) { r.Amount.Tokens.Output = 900 },
		func(r *Reserve) { r.Account = "max-1" },
		func(r *Reserve) { r.AcceptModels = []string{"sonnet"} },
		func(r *Reserve) { r.Lifetime, r.Lease = Hour, Minute },
		func(r *Reserve) { r.TaskType, r.Complexity = "analysis", "high" },
		func(r *Reserve) { r.MaxWait = 2 * Hour },
	}
	var ids []string
	for i := range 2 * len(differing) { // each before and after each other one
		r := l.queued(100, differing[min(i, 2*len(differing)-1-i)])
		if r.Queue == nil {
			t.Fatalf("entry %d does not wait: %+v", i, r)
		}
		ids = append(ids, r.Reservation)
		l.wait(Second)
	}
	for range 3 { // as they age
		for i, id := range ids {
			if place := l.state.Place(id, l.now); place == nil || place.Position != int64(i+1) {
				t.Fatalf("the entry that came as number %d stands at %+v", i+1, place)
			}
		}
		l.wait(15 * Minute)
	}
}
