package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestEachLeavesNothingOut reads a log that is many times longer than what is read ahead, with commits of another
// workspace between; also where the consumer that is to read it never says anything.
func TestEachLeavesNothingOut(t *testing.T) {
	t.Parallel()
	js := longLog(t)
	for name, reader := range map[string]jetstream.JetStream{"through a consumer": js, "past a silent consumer": silent{js}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachCommit(t, reader)
		})
	}
}

// silent makes consumers that have nothing to say, like one that was lost with its server.
type silent struct{ jetstream.JetStream }

func (s silent) OrderedConsumer(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	cfg.FilterSubjects = []string{wire.KeySubject(wire.BucketLedger, "nobody")}
	return s.JetStream.OrderedConsumer(ctx, stream, cfg)
}

const longLogCommits = 10 * bulkFrom

func longLog(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(natstest.Connect(t, natstest.Start(t)))
	if err != nil {
		t.Fatal(err)
	}
	sizes := provision.Defaults()
	sizes.LedgerMaxBytes, sizes.KeyframesMaxBytes, sizes.SuggestionsMaxBytes, sizes.EventsMaxBytes = 64<<20, 64<<20, 64<<20, 64<<20
	if err := provision.Ensure(t.Context(), js, sizes, nil); err != nil {
		t.Fatal(err)
	}
	for i := range longLogCommits {
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
	return js
}

func eachCommit(t *testing.T, js jetstream.JetStream) {
	t.Helper()
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
	if err != nil || seen != longLogCommits {
		t.Errorf("%d commits, error %v; want %d", seen, err, longLogCommits)
	}
}
