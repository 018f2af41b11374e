package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

// errConflict is what the store says of a stale publish.
var errConflict = errors.New("wrong last sequence")

// Memory is a store in memory. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	entries []stored
}

type stored struct {
	workspace string
	ledger.Entry
}

// Open gives the log of a workspace.
func (m *Memory) Open(workspace string) *MemoryLog { return &MemoryLog{store: m, workspace: workspace} }

// MemoryLog is the log of one workspace.
type MemoryLog struct {
	store     *Memory
	workspace string

	// Interfere, if set, decides about each publish. It is called with what will store the data, and may call it, and
	// gives the outcome. Set it before the log is used.
	Interfere func(publish func() store.Outcome) store.Outcome
}

var _ Log = (*MemoryLog)(nil)

// Publish stores data as the next revision if the present one is expected.
func (l *MemoryLog) Publish(_ context.Context, data []byte, expected uint64) store.Outcome {
	publish := func() store.Outcome { return l.publish(data, expected) }
	if l.Interfere != nil {
		return l.Interfere(publish)
	}
	return publish()
}

func (l *MemoryLog) publish(data []byte, expected uint64) store.Outcome {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if own := l.after(0); len(own) == 0 && expected != 0 || len(own) > 0 && own[len(own)-1].Revision != expected {
		return store.Outcome{Verdict: writer.Conflict, Err: errConflict}
	}
	revision := uint64(len(l.store.entries)) + 1
	l.store.entries = append(l.store.entries, stored{l.workspace, ledger.Entry{Revision: revision, Data: slices.Clone(data), Stored: time.Now()}})
	return store.Outcome{Verdict: writer.Acked, Revision: revision}
}

// after lists the entries after a revision; the lock is held.
func (l *MemoryLog) after(revision uint64) (found []ledger.Entry) {
	for _, e := range l.store.entries {
		if e.workspace == l.workspace && e.Revision > revision {
			found = append(found, e.Entry)
		}
	}
	return found
}

// After lists the entries after a revision, at most the given number of them.
func (l *MemoryLog) After(_ context.Context, revision uint64, most int) ([]ledger.Entry, error) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	found := l.after(revision)
	return found[:min(most, len(found))], nil
}

// Entry gives the entry of a revision.
func (l *MemoryLog) Entry(ctx context.Context, revision uint64) (ledger.Entry, error) {
	found, err := l.After(ctx, revision-1, 1)
	if err == nil && (len(found) == 0 || found[0].Revision != revision) {
		err = jetstream.ErrMsgNotFound
	}
	if err != nil {
		return ledger.Entry{}, err
	}
	return found[0], nil
}

// First gives the oldest entry.
func (l *MemoryLog) First(ctx context.Context) (ledger.Entry, error) {
	found, err := l.After(ctx, 0, 1)
	if err == nil && len(found) == 0 {
		err = jetstream.ErrMsgNotFound
	}
	if err != nil {
		return ledger.Entry{}, err
	}
	return found[0], nil
}

// Last is the newest revision; 0 when there is none.
func (l *MemoryLog) Last(context.Context) (uint64, error) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if found := l.after(0); len(found) > 0 {
		return found[len(found)-1].Revision, nil
	}
	return 0, nil
}

// Each gives every entry after a revision to fold.
func (l *MemoryLog) Each(ctx context.Context, revision uint64, fold func(ledger.Entry) error) error {
	found, err := l.After(ctx, revision, 1<<30)
	for _, e := range found {
		if err == nil {
			err = fold(e)
		}
	}
	return err
}

// Put stores anything as the next revision, as a stranger with the right to write would.
func (l *MemoryLog) Put(data []byte) uint64 {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	revision := uint64(len(l.store.entries)) + 1
	l.store.entries = append(l.store.entries, stored{l.workspace, ledger.Entry{Revision: revision, Data: data, Stored: time.Now()}})
	return revision
}
