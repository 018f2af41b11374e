package simulate

import "testing"

// An entry of the queue waits for all that is in its way, so that the ledger seldom has to say that it waits for something
// else. When it waited for one limit at a time, there were two to three such events for each at this load.
func TestEntriesSeldomChangeLines(t *testing.T) {
	t.Parallel()
	r, err := Run(t.Context(), Options{Config: village(t), Days: 1, Load: 1.5, Seed: 1, Policy: Bursar()})
	if err != nil {
		t.Fatal(err)
	}
	if r.Queued < 400 || r.Moved == 0 || r.Moved > r.Queued {
		t.Errorf("%d entries changed lines %d times", r.Queued, r.Moved)
	}
}
