// Package storetest holds what every log of a ledger must do, and a log in memory for tests of who uses one.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

// Log is the log of one ledger.
type Log interface {
	Publish(ctx context.Context, data []byte, expected uint64) store.Outcome
	Entry(ctx context.Context, revision uint64) (ledger.Entry, error)
	First(ctx context.Context) (ledger.Entry, error)
	After(ctx context.Context, revision uint64, most int) ([]ledger.Entry, error)
	Last(ctx context.Context) (uint64, error)
	Each(ctx context.Context, revision uint64, fold func(ledger.Entry) error) error
}

// Run holds a log to the contract. open gives an empty log; two calls in one test give logs of different workspaces in
// one store.
func Run(t *testing.T, open func(t *testing.T) func(workspace string) Log) {
	t.Helper()
	tests := []struct {
		name string
		test func(t *testing.T, log func(string) Log)
	}{
		{"an empty log", testEmpty},
		{"a revision is stored only after the one expected", testCompareAndSet},
		{"of many writers one wins each revision", testRace},
		{"a long log is read in order and whole, beside another one", testEach},
		{"a fold that fails ends the reading", testFoldFails},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, open(t))
		})
	}
}

func testEmpty(t *testing.T, open func(string) Log) {
	log := open("acme")
	if last, err := log.Last(t.Context()); last != 0 || err != nil {
		t.Errorf("last revision %d, %v", last, err)
	}
	if entries, err := log.After(t.Context(), 0, 10); len(entries) != 0 || err != nil {
		t.Errorf("entries %v, %v", entries, err)
	}
	if _, err := log.First(t.Context()); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("first entry: %v", err)
	}
	if _, err := log.Entry(t.Context(), 1); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("entry 1: %v", err)
	}
	expectEach(t, log, 0)
}

func testCompareAndSet(t *testing.T, open func(string) Log) {
	log := open("acme")
	first := publish(t, log, "one", 0)
	other := publish(t, open("other"), "theirs", 0)
	for _, stale := range []uint64{0, other, first + 1000} {
		if o := log.Publish(t.Context(), []byte("late"), stale); o.Verdict != writer.Conflict || o.Err == nil {
			t.Errorf("published after revision %d: %+v", stale, o)
		}
	}
	second := publish(t, log, "two", first)
	if second <= first {
		t.Errorf("revision %d follows %d", second, first)
	}
	if last, err := log.Last(t.Context()); last != second || err != nil {
		t.Errorf("last revision %d, %v; want %d", last, err, second)
	}
	entries, err := log.After(t.Context(), first, 10)
	if err != nil || len(entries) != 1 || entries[0].Revision != second || string(entries[0].Data) != "two" || entries[0].Stored.IsZero() {
		t.Errorf("after the first: %v, %v", entries, err)
	}
	if e, err := log.First(t.Context()); err != nil || e.Revision != first {
		t.Errorf("first entry %+v, %v", e, err)
	}
	if e, err := log.Entry(t.Context(), first); err != nil || string(e.Data) != "one" {
		t.Errorf("entry of revision %d: %+v, %v", first, e, err)
	}
	if _, err := log.Entry(t.Context(), other); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("entry of another log: %v", err)
	}
}

func testRace(t *testing.T, open func(string) Log) {
	log := open("acme")
	const writers, rounds = 8, 10
	last := uint64(0)
	for round := range rounds {
		outcomes := make([]store.Outcome, writers)
		var racing sync.WaitGroup
		for i := range writers {
			racing.Go(func() { outcomes[i] = log.Publish(t.Context(), fmt.Append(nil, round, i), last) })
		}
		racing.Wait()
		winners := 0
		for _, o := range outcomes {
			switch o.Verdict {
			case writer.Acked:
				winners++
				last = o.Revision
			case writer.Conflict, writer.InFlight:
			default:
				t.Errorf("round %d: %+v", round, o)
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d writers won", round, winners)
		}
	}
}

func testEach(t *testing.T, open func(string) Log) {
	log, other := open("acme"), open("other")
	const commits = 500
	var revisions []uint64
	var last, theirs uint64
	for i := range commits {
		last = publish(t, log, fmt.Sprint(i), last)
		revisions = append(revisions, last)
		if i%3 == 0 {
			theirs = publish(t, other, "theirs", theirs)
		}
	}
	for _, from := range []int{0, 1, commits - 100, commits - 3, commits} {
		after := uint64(0)
		if from > 0 {
			after = revisions[from-1]
		}
		expectEach(t, log, after, revisions[from:]...)
	}
	entries, err := log.After(t.Context(), revisions[0], 7)
	if err != nil || len(entries) != 7 || entries[6].Revision != revisions[7] {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func testFoldFails(t *testing.T, open func(string) Log) {
	log := open("acme")
	last := uint64(0)
	for i := range 200 {
		last = publish(t, log, fmt.Sprint(i), last)
	}
	failure := errors.New("enough")
	seen := 0
	err := log.Each(t.Context(), 0, func(ledger.Entry) error {
		if seen++; seen == 100 {
			return failure
		}
		return nil
	})
	if !errors.Is(err, failure) || seen != 100 {
		t.Errorf("%d entries, then %v", seen, err)
	}
}

func publish(t *testing.T, log Log, data string, expected uint64) uint64 {
	t.Helper()
	o := log.Publish(t.Context(), []byte(data), expected)
	if o.Verdict != writer.Acked || o.Err != nil {
		t.Fatalf("publish %s after revision %d: %+v", data, expected, o)
	}
	return o.Revision
}

func expectEach(t *testing.T, log Log, after uint64, want ...uint64) {
	t.Helper()
	n := 0
	err := log.Each(t.Context(), after, func(e ledger.Entry) error {
		if n >= len(want) || e.Revision != want[n] {
			return fmt.Errorf("entry %d has revision %d", n, e.Revision)
		}
		n++
		return nil
	})
	if err != nil || n != len(want) {
		t.Errorf("after revision %d: %d entries, want %d; %v", after, n, len(want), err)
	}
}
