// Package estimates gives the allocator what the suggestion service learned about the tasks of one workspace.
//
// A [Watch] follows the key of the workspace and holds the newest book in memory. Nothing depends on it: while there is no
// bucket, no key, or nothing that can be read, [Watch.Estimate] answers from the built-in table, and reservations are
// decided as ever. Callers must tolerate that a book is some seconds behind the ledger.
package estimates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/wire"
)

// again is the pause before a watch that could not be opened, or ended, is opened again.
const again = 5 * time.Second

// openTimeout bounds the opening of the bucket.
const openTimeout = 10 * time.Second

// errEnded says that the server gave up the watch.
var errEnded = errors.New("the watch ended")

// Watch holds what is learned in one workspace. Run it once; the rest is safe for concurrent use.
type Watch struct {
	js   jetstream.JetStream
	key  string
	log  *slog.Logger
	book atomic.Pointer[learn.Book] // never changed once it is here
}

// New makes a watch that knows nothing until it runs. Errors: wire.ErrName.
func New(js jetstream.JetStream, workspace string, log *slog.Logger) (*Watch, error) {
	key, err := wire.EstimatesKey(workspace)
	if err != nil {
		return nil, err
	}
	return &Watch{js: js, key: key, log: log}, nil
}

// Run follows the key until ctx ends. What was read last holds while it cannot.
func (w *Watch) Run(ctx context.Context) {
	for told := false; ; {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if !told {
			w.log.Warn("learned estimates cannot be followed; those known, or the table, hold meanwhile", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(again):
		}
	}
}

// follow takes in every value of the key until the watch ends.
func (w *Watch) follow(ctx context.Context) error {
	bucket, err := w.open(ctx)
	if err != nil {
		return err
	}
	watcher, err := bucket.Watch(ctx, w.key, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("watch estimates: %w", err)
	}
	defer func() { _ = watcher.Stop() }() // it may have ended by itself
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, open := <-watcher.Updates():
			if !open {
				return errEnded
			}
			if entry != nil { // nil: all that was there has come
				w.take(entry.Value())
			}
		}
	}
}

func (w *Watch) open(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	bucket, err := w.js.KeyValue(ctx, wire.BucketEstimates)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketEstimates, err)
	}
	return bucket, nil
}

// take makes a stored book the one that holds.
func (w *Watch) take(data []byte) {
	b, err := learn.Decode(data)
	if err != nil {
		w.log.Error("learned estimates cannot be read; those before hold", "error", err)
		return
	}
	w.book.Store(b)
}
