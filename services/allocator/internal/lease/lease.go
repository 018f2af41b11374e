// Package lease decides which process tries to do what only one should: to lead a workspace, or to relay.
//
// A lease is one key that its holder rewrites every [Renewal]. Everybody else watches its revision and, when it has not
// changed for [Patience] on their own monotonic clock, overwrites it. Clocks of different machines are never compared,
// and no time to live is used.
//
// It guards nothing: two processes may hold it at once for a moment, after a pause or a partition. What keeps a second
// writer out is the epoch in the log. What the lease gives is that normally one process tries, and that another one
// tries within Patience plus [Poll] of its end: well under the two seconds that agents may notice.
//
// Callers must tolerate being told to stop at any time.
package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/wire"
)

// Times. A holder that misses three renewals in a row is taken for dead.
const (
	Renewal  = 300 * time.Millisecond
	Patience = 1100 * time.Millisecond
	Poll     = 100 * time.Millisecond
	// callTimeout bounds one read or write of the key.
	callTimeout = 800 * time.Millisecond
)

// record is the value of the key, for people who look.
type record struct {
	Holder string `json:"holder"`
	Free   bool   `json:"free,omitempty"` // given up in good order: the next one need not wait
}

// Lease competes for one key. But for Standby it is not safe for concurrent use.
type Lease struct {
	kv     jetstream.KeyValue
	key    string
	holder string
	log    *slog.Logger

	held     bool
	revision uint64    // the last seen, or ours while held
	seenAt   time.Time // when it was first seen; renewed at, while held
	standby  atomic.Bool
}

// Open opens a lease for a holder, whose name must be unique among processes. The bucket must exist.
func Open(ctx context.Context, js jetstream.JetStream, key, holder string, log *slog.Logger) (*Lease, error) {
	kv, err := js.KeyValue(ctx, wire.BucketLease)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketLease, err)
	}
	return &Lease{kv: kv, key: key, holder: holder, log: log}, nil
}

// Run competes until ctx ends, calling acquired and lost in turn, from one goroutine. It does not give the lease up:
// call Release when the work under it is done.
func (l *Lease) Run(ctx context.Context, acquired, lost func()) {
	ticker := time.NewTicker(Poll)
	defer ticker.Stop()
	for {
		switch held := l.held; {
		case !held && l.compete(ctx):
			l.held = true
			l.log.Info("lease acquired", "key", l.key)
			acquired()
		case held && !l.renew(ctx):
			l.held = false
			l.log.Warn("lease lost", "key", l.key)
			lost()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// compete tells whether the lease was taken: it was free, or its holder has not moved for Patience.
func (l *Lease) compete(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	entry, err := l.kv.Get(ctx, l.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return l.take(ctx, 0)
	}
	if err != nil {
		return false
	}
	var r record
	free := json.Unmarshal(entry.Value(), &r) == nil && r.Free
	if entry.Revision() != l.revision {
		l.standby.Store(l.revision != 0 && !free)
		l.revision, l.seenAt = entry.Revision(), time.Now()
		if !free {
			return false
		}
	}
	return (free || time.Since(l.seenAt) >= Patience) && l.take(ctx, entry.Revision())
}

// Standby tells whether another process was seen renewing the lease: all is well without this one. It may be called
// from any goroutine.
func (l *Lease) Standby() bool { return l.standby.Load() }

func (l *Lease) take(ctx context.Context, revision uint64) bool {
	next, err := l.write(ctx, revision, false)
	if err != nil {
		return false
	}
	l.revision, l.seenAt = next, time.Now()
	l.standby.Store(false)
	return true
}

// renew keeps the lease, and tells whether it is still held: not when somebody else took it, nor when it could not be
// renewed for Patience, after which others may take it.
func (l *Lease) renew(ctx context.Context) bool {
	if time.Since(l.seenAt) < Renewal {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	next, err := l.write(ctx, l.revision, false)
	switch {
	case err == nil:
		l.revision, l.seenAt = next, time.Now()
		return true
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		return l.ours(ctx)
	default:
		return time.Since(l.seenAt) < Patience
	}
}

// ours resolves a mismatch: an earlier renewal whose acknowledgement was lost is ours all the same.
func (l *Lease) ours(ctx context.Context) bool {
	entry, err := l.kv.Get(ctx, l.key)
	if err != nil {
		return time.Since(l.seenAt) < Patience
	}
	var r record
	if json.Unmarshal(entry.Value(), &r) != nil || r.Holder != l.holder || r.Free {
		return false
	}
	l.revision = entry.Revision()
	return true
}

func (l *Lease) write(ctx context.Context, revision uint64, free bool) (uint64, error) {
	value, err := json.Marshal(record{l.holder, free})
	if err != nil {
		return 0, fmt.Errorf("encode the lease: %w", err)
	}
	if revision == 0 {
		next, err := l.kv.Create(ctx, l.key, value)
		if err != nil {
			return 0, fmt.Errorf("create the lease: %w", err)
		}
		return next, nil
	}
	next, err := l.kv.Update(ctx, l.key, value, revision)
	if err != nil {
		return 0, fmt.Errorf("write the lease: %w", err)
	}
	return next, nil
}

// Release gives the lease up, so that the next one takes it at once. It must not be called while Run runs.
func (l *Lease) Release(ctx context.Context) error {
	if !l.held {
		return nil
	}
	l.held = false
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := l.write(ctx, l.revision, true); err != nil && !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return err
	}
	return nil
}
