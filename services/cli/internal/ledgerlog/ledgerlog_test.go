package ledgerlog

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/wire"
)

func open(t *testing.T) jetstream.JetStream {
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
	return js
}

func put(t *testing.T, js jetstream.JetStream, workspace, data string) {
	t.Helper()
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), wire.KeySubject(wire.BucketLedger, key), []byte(data)); err != nil {
		t.Fatal(err)
	}
}

func TestEachHandsOverOneWorkspaceInOrder(t *testing.T) {
	t.Parallel()
	js := open(t)
	const revisions = 700 // more than a consumer hands over at once
	for i := range revisions {
		put(t, js, "own", fmt.Sprint(i))
		if i%10 == 0 {
			put(t, js, "other", "x")
		}
	}
	seen := 0
	err := each(t, js, "own", func(e ledger.Entry) error {
		if string(e.Data) != fmt.Sprint(seen) || e.Revision == 0 || e.Stored.IsZero() {
			t.Fatalf("entry %d is %q, revision %d", seen, e.Data, e.Revision)
		}
		seen++
		return nil
	})
	if err != nil || seen != revisions {
		t.Errorf("%d revisions, error %v; want %d", seen, err, revisions)
	}
}

func TestEachOfNothing(t *testing.T) {
	t.Parallel()
	js := open(t)
	if err := each(t, js, "own", func(ledger.Entry) error { return errors.New("called") }); err != nil {
		t.Errorf("error %v of an empty ledger", err)
	}
}

func TestTheHandlersErrorEnds(t *testing.T) {
	t.Parallel()
	js := open(t)
	put(t, js, "own", "1")
	want := errors.New("enough")
	if err := each(t, js, "own", func(ledger.Entry) error { return want }); !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func each(t *testing.T, js jetstream.JetStream, workspace string, handle func(ledger.Entry) error) error {
	t.Helper()
	log, err := Open(t.Context(), js, workspace)
	if err != nil {
		t.Fatal(err)
	}
	return log.Each(t.Context(), handle)
}
