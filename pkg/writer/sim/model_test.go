package sim

import (
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// TestWhatComesBack: the oracle counts of what a reservation was told to give back no more than it holds still. Seed 34158
// found that it did not: two parts, 577 and 291, came to all that was held, 12 of it were used in the grace, others made up
// for these, and that was taken for 12 too many.
func TestWhatComesBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		made  int64 // up for by another reservation
		wrong string
	}{
		"as much as is missing": {12, ""},
		"one too many":          {13, "1018 come back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(1, false)
			m := &w.oracle.model
			for _, e := range []quota.Event{
				&quota.ConfigApplied{Config: simConfig(sessionUnits, false)},
				borrows("first", 524), borrows("second", 868),
				takesBack("second", 577), takesBack("second", 291), takesBack("first", 149),
				&quota.UsageRecorded{Reservation: "second", Labels: guestLabels(), Charges: []quota.Charge{{Limit: shared, Amount: 12, Within: 12}}},
				takesBack("first", c.made),
			} {
				m.fold(e)
			}
			found := strings.Join(w.result.Violations, "; ")
			if (found == "") != (c.wrong == "") || !strings.Contains(found, c.wrong) {
				t.Errorf("found %q, want %q", found, c.wrong)
			}
		})
	}
}

func guestLabels() quota.Labels { return quota.Labels{Team: guests} }

func borrows(id string, units int64) quota.Event {
	return &quota.ReservationGranted{
		Reservation: id, Labels: guestLabels(), Preemptible: true, Holds: []quota.LimitAmount{{Limit: shared, Amount: units}},
	}
}

func takesBack(id string, units int64) quota.Event {
	return &quota.ReservationPreempting{
		Reservation: id, Labels: guestLabels(), Limit: shared, For: owners, Units: units, Expires: quota.Instant(preemptGrace),
	}
}
