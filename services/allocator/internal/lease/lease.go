// Package lease decides who tries to lead.
//
// A lease is one key that its holder rewrites every [Renewal]. Everybody else watches its revision and, when it has not
// changed for [Patience] on their own monotonic clock, overwrites it. Clocks of different machines are never compared,
// no time to live is used (an update would drop it), and the time during which the store does not answer is not counted:
// after an outage of the store the holder keeps the lease.
//
// It guards nothing: two processes may hold it at once for a moment, after a pause or a partition. What keeps a second
// writer out is the epoch in the log. What the lease gives is that normally one process tries, and that after its death
// another one tries within Patience plus two [Poll]s: 0.9 s at most, which leaves 1.1 s of the two seconds that agents
// may notice to recover and to claim the epoch. Patience is four renewals, so that a holder on a busy machine may miss
// three in a row; Renewal costs some five small writes a second.
//
// A holder that cannot reach the store goes on holding: nobody else can reach it either, or somebody will have taken the
// lease when it can again, and then it is lost. Until it knows which, [Lease.Sure] is false: what it answers from memory
// might be of the past.
//
// Callers must tolerate being told to stop at any time, and late.
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

// Times.
const (
	Renewal  = 200 * time.Millisecond
	Patience = 800 * time.Millisecond
	Poll     = 50 * time.Millisecond

	// callTimeout bounds one read or write of the key.
	callTimeout = 600 * time.Millisecond
)

// Events are told from the goroutine of [Lease.Run], Acquired and Lost in turn. The lease is not renewed meanwhile.
type Events struct {
	Acquired func()
	// Lost is not told for a lease that was given up.
	Lost func()
}

// record is the value of the key, for people who look.
type record struct {
	Holder string `json:"holder"`
	Free   bool   `json:"free,omitempty"` // given up in good order: the next one need not wait
}

// Lease competes for one key. Run may be called once.
type Lease struct {
	kv     jetstream.KeyValue
	key    string
	holder string
	log    *slog.Logger
	giveUp chan time.Duration
	// elsewhere says that another process was seen renewing lately.
	elsewhere atomic.Bool
	// confirmed is when the last write that got the lease, or kept it, was sent; nil while it is not held.
	confirmed atomic.Pointer[time.Time]

	// What follows belongs to Run's goroutine.
	held      bool
	revision  uint64    // last seen; ours while held
	since     time.Time // when revision was first seen, or renewed
	seen      bool      // revision has changed since we watch
	notBefore time.Time // when to compete again
}

// Workspace is the key of the lease over a workspace's ledger. Errors: wire.ErrName.
func Workspace(workspace string) (string, error) { return wire.LedgerKey(workspace) }

// Service is the key of the lease over a task of which one is enough for all workspaces. No workspace has such a key:
// theirs are single tokens.
func Service(name string) string { return "service." + name }

// Open opens a lease for a holder, whose name must be unique among processes. The bucket must exist (pkg/provision
// makes it).
func Open(ctx context.Context, js jetstream.JetStream, key, holder string, log *slog.Logger) (*Lease, error) {
	kv, err := js.KeyValue(ctx, wire.BucketLease)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketLease, err)
	}
	return &Lease{kv: kv, key: key, holder: holder, log: log.With("lease", key), giveUp: make(chan time.Duration, 1)}, nil
}

// Run competes until ctx ends, and then gives the lease up if it is held.
func (l *Lease) Run(ctx context.Context, events Events) {
	ticker := time.NewTicker(Poll)
	defer ticker.Stop()
	for {
		l.turn(ctx, events)
		select {
		case <-ctx.Done():
			l.free(context.WithoutCancel(ctx))
			return
		case pause := <-l.giveUp:
			l.free(ctx)
			l.notBefore = time.Now().Add(pause)
		case <-ticker.C:
		}
	}
}

// GiveUp gives the lease up, if it is held, and does not compete for the pause: somebody else may do better. It does
// not wait.
func (l *Lease) GiveUp(pause time.Duration) {
	select {
	case l.giveUp <- pause:
	default: // it is being given up
	}
}

// Elsewhere tells whether another process was seen renewing the lease within Patience.
func (l *Lease) Elsewhere() bool { return l.elsewhere.Load() }

// Sure tells whether nobody else can have taken the lease yet: it was acquired or renewed less than [Patience] ago. What
// was read from memory before this says yes was the present state.
func (l *Lease) Sure() bool {
	at := l.confirmed.Load()
	return at != nil && time.Since(*at) < Patience
}

func (l *Lease) turn(ctx context.Context, events Events) {
	switch {
	case l.held:
		if l.renew(ctx) {
			return
		}
		l.held, l.seen = false, false
		l.confirmed.Store(nil)
		l.log.Warn("lease lost")
		events.Lost()
	case time.Now().Before(l.notBefore):
		l.watch(ctx)
	case l.compete(ctx):
		l.held = true
		l.elsewhere.Store(false)
		l.log.Info("lease acquired")
		events.Acquired()
	}
}

// sight is what a look at the key found.
type sight struct {
	revision uint64
	record   record
	absent   bool
}

// watch looks at the key and keeps the time of its last change. It gives false when the store does not answer.
func (l *Lease) watch(ctx context.Context) (sight, bool) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var s sight
	entry, err := l.kv.Get(ctx, l.key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		s.absent = true
	case err != nil:
		l.since = time.Now() // the holder may be renewing behind the outage
		return s, false
	default:
		s.revision = entry.Revision()
		if json.Unmarshal(entry.Value(), &s.record) != nil {
			s.record = record{} // nobody we know: it has its time like any other
		}
	}
	if s.revision != l.revision || l.since.IsZero() {
		l.seen = !l.since.IsZero()
		l.revision, l.since = s.revision, time.Now()
	}
	l.elsewhere.Store(l.seen && !s.absent && !s.record.Free && s.record.Holder != l.holder && time.Since(l.since) < Patience)
	return s, true
}

// compete tells whether the lease was taken: it was free, or its holder has not moved for Patience.
func (l *Lease) compete(ctx context.Context) bool {
	s, ok := l.watch(ctx)
	if !ok || !s.absent && !s.record.Free && time.Since(l.since) < Patience {
		return false
	}
	return l.write(ctx, false) == nil
}

// renew keeps the lease, and tells whether it is still held.
func (l *Lease) renew(ctx context.Context) bool {
	if time.Since(l.since) < Renewal {
		return true
	}
	err := l.write(ctx, false)
	if !moved(err) {
		return true // renewed, or out of reach; see the package comment
	}
	// A renewal whose acknowledgement was lost is ours all the same; so is an older one after a crash of the store.
	s, ok := l.watch(ctx)
	return !ok || s.absent || s.record.Holder == l.holder && !s.record.Free
}

// write stores the record in place of the revision that was last seen.
func (l *Lease) write(ctx context.Context, free bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	value, err := json.Marshal(record{l.holder, free})
	if err != nil {
		return fmt.Errorf("encode the lease: %w", err)
	}
	began := time.Now()
	var next uint64
	if l.revision == 0 {
		next, err = l.kv.Create(ctx, l.key, value) // also where the key was deleted by hand
	} else {
		next, err = l.kv.Update(ctx, l.key, value, l.revision)
	}
	if err != nil {
		return fmt.Errorf("write the lease: %w", err)
	}
	l.revision, l.since = next, began
	if !free {
		l.confirmed.Store(&began)
	}
	return nil
}

// moved tells whether a write was refused because the key has changed. A stale update matches both errors, a create of
// what exists only the latter.
func moved(err error) bool {
	return errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists)
}

// free gives the lease up, so that the next one takes it at once.
func (l *Lease) free(ctx context.Context) {
	if !l.held {
		return
	}
	l.held, l.seen = false, false
	l.confirmed.Store(nil)
	if err := l.write(ctx, true); err != nil && !moved(err) {
		l.log.Warn("lease not given up; the next one waits until it runs out", "error", err)
		return
	}
	l.log.Info("lease given up")
}
