package store

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestEachLeavesNothingOut reads a log that is many times longer than what is read ahead, with commits of another
// workspace between.
func TestEachLeavesNothingOut(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(natstest.Connect(t, natstest.Start(t)))
	if err != nil {
		t.Fatal(err)
	}
	sizes := provision.Defaults()
	sizes.LedgerMaxBytes, sizes.KeyframesMaxBytes, sizes.SuggestionsMaxBytes, sizes.EventsMaxBytes = 64<<20, 64<<20, 64<<20, 64<<20
	if err := provision.Ensure(t.Context(), js, sizes, nil); err != nil {
		t.Fatal(err)
	}
	const commits = 10 * bulkFrom
	for i := range commits {
		for name, share := range map[string]int{"own": 1, "other": 5} {
			key, err := wire.LedgerKey(name)
			if err != nil {
				t.Fatal(err)
			}
			if i%share == 0 {
				if _, err := js.Publish(t.Context(), wire.KeySubject(wire.BucketLedger, key), []byte(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	log, err := OpenLog(t.Context(), js, "own", nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = log.Each(t.Context(), 0, func(e ledger.Entry) error {
		if want := fmt.Sprint(seen); string(e.Data) != want {
			return fmt.Errorf("revision %d holds commit %s, want %s", e.Revision, e.Data, want)
		}
		seen++
		return nil
	})
	if err != nil || seen != commits {
		t.Errorf("%d commits, error %v; want %d", seen, err, commits)
	}
}
