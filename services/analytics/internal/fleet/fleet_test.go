package fleet

import (
	"bytes"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

func TestFleetFoldsAndCoversEveryProjectedKind(t *testing.T) {
	t.Parallel()
	f, again := New(1, 20*time.Second), New(1, 20*time.Second)
	l := ledger.New()
	seen := map[string]int{}
	for i := range 4000 {
		commit, data, err := f.Next(i % 4)
		if err != nil {
			t.Fatal(err)
		}
		if _, same, err := again.Next(i % 4); err != nil || !bytes.Equal(data, same) {
			t.Fatalf("commit %d differs between two runs of one seed (%v)", commit.Number, err)
		}
		if _, err := l.ApplyEntry(ledger.Entry{Revision: uint64(i) + 1, Data: data}); err != nil {
			t.Fatal(err)
		}
		for _, event := range commit.Events {
			seen[event.Kind()]++
			if usage, ok := event.(*quota.UsageRecorded); ok {
				seen["usage/"+string(usage.Standing)]++
			}
			if closed, ok := event.(*quota.ReservationClosed); ok {
				seen["closed/"+string(closed.Outcome)]++
			}
			if left, ok := event.(*quota.ReservationDequeued); ok {
				seen["dequeued/"+string(left.Outcome)]++
			}
		}
	}
	for _, want := range []string{
		quota.KindConfigApplied, quota.KindEpochClaimed, quota.KindReservationGranted, quota.KindReservationDenied,
		quota.KindReservationExtended, quota.KindReservationRenewed, quota.KindReservationExpiring, quota.KindUsageRecorded,
		quota.KindWindowOpened, quota.KindWindowRolled, quota.KindLimitWarning, quota.KindObservationRecorded,
		quota.KindBlockPlaced, quota.KindBlockLifted, quota.KindReservationQueued, quota.KindReservationWaiting, quota.KindReservationPreempting, quota.KindReservationShrunk,
		"usage/open", "usage/late", "usage/unknown", "usage/unreserved", "closed/settled", "closed/released", "closed/expired",
		"closed/revoked", "closed/preempted", "dequeued/granted", "dequeued/cancelled", "dequeued/timed_out", "dequeued/refused",
	} {
		if seen[want] == 0 {
			t.Errorf("no %s among %v", want, seen)
		}
	}
	totals := f.Totals()
	if totals.Overruns == 0 || totals.Unpriced == 0 || totals.Exhausted == 0 {
		t.Errorf("no overrun, unpriced usage or exhaustion: %+v", totals)
	}
}
