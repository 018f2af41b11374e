package client

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/wire"
)

// Notices are told once, and those of a ledger that took another one's place are others.
func TestNoticesAreToldOncePerLedger(t *testing.T) {
	t.Parallel()
	var heard []wire.Notice
	c := &Client{options: Options{OnNotice: func(_ string, n wire.Notice) { heard = append(heard, n) }}}
	a := &Agent{client: c, seen: map[noticeKey]bool{}}
	first := wire.Notice{ID: 1, Kind: "expired", ReservationID: "of-the-old-ledger", At: 1_000}
	again := wire.Notice{ID: 1, Kind: "expired", ReservationID: "of-the-new-ledger", At: 2_000}
	for _, n := range []wire.Notice{first, first, again, first, again} {
		a.notify([]wire.Notice{n})
	}
	if len(heard) != 2 || heard[0] != first || heard[1] != again {
		t.Errorf("heard %+v, want each once", heard)
	}
}
