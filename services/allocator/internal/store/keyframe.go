package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
)

// keyframeTimeout bounds the storing or reading of one keyframe.
const keyframeTimeout = 2 * time.Minute

// tombstoneLife is how long the mark of a removed chunk stays.
const tombstoneLife = time.Minute

// ErrSuperseded: both keyframes that are kept are newer than the one to be stored. Another process is ahead.
var ErrSuperseded = errors.New("newer keyframes are stored already")

// The keys of a workspace: two manifests, <workspace>.a and <workspace>.b, written in turn, and the chunks
// <workspace>.<commit>.<chunk>. While a manifest is replaced the other one is whole, and since chunks bear the number of
// their commit, a process that was paused in the middle of a keyframe spoils no other when it goes on.
//
// A third manifest, <workspace>.base, belongs to the maintenance: the keyframe that a trimmed log begins with. Its chunks are
// <workspace>.base<commit>.<chunk>, which no sweep of the others touches.
var slots = []string{"a", "b"}

const (
	baseSlot   = "base"
	basePrefix = "base"
)

// Keyframes stores the keyframes of one ledger. It is safe for concurrent use, but one Save at a time is enough.
type Keyframes struct {
	kv        jetstream.KeyValue
	workspace string // as a token
	points    *failpoint.Set
}

// OpenKeyframes opens the keyframes of a workspace; points may be nil. The bucket must exist (pkg/provision makes it).
func OpenKeyframes(ctx context.Context, js jetstream.JetStream, workspace string, points *failpoint.Set) (*Keyframes, error) {
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	kv, err := js.KeyValue(ctx, wire.BucketKeyframes)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketKeyframes, err)
	}
	return &Keyframes{kv: kv, workspace: key, points: points}, nil
}

// stored is a manifest in its slot.
type stored struct {
	slot     string
	revision uint64           // 0 when the slot was never used
	manifest *ledger.Manifest // nil when there is none that can be read
}

func (s *stored) number() uint64 {
	if s.manifest == nil {
		return 0
	}
	return s.manifest.Number
}

func (s *stored) chunks() string { return chunksOf(s.slot, s.number()) }

// Save stores a keyframe in place of the older one of two:
//
//  1. the chunks, under keys of their own;
//  2. the manifest, if the slot still holds what it held: from here on the keyframe is found;
//  3. removal of the chunks that no manifest names.
//
// It fails with ErrSuperseded when a process that is ahead has stored newer ones.
func (k *Keyframes) Save(ctx context.Context, f *ledger.EncodedKeyframe) error {
	ctx, cancel := context.WithTimeout(ctx, keyframeTimeout)
	defer cancel()
	m, err := ledger.DecodeManifest(f.Manifest)
	if err != nil {
		return fmt.Errorf("keyframe to store: %w", err)
	}
	kept, err := k.newestFirst(ctx, slots...)
	if err != nil {
		return err
	}
	older := kept[len(kept)-1]
	if older.number() >= m.Number {
		return fmt.Errorf("keyframe of commit %d: %w", m.Number, ErrSuperseded)
	}
	if err := k.saveChunks(ctx, chunksOf(older.slot, m.Number), f.Chunks); err != nil {
		return err
	}
	if err := k.replace(ctx, older, f.Manifest); err != nil {
		return fmt.Errorf("store keyframe manifest: %w", err)
	}
	return k.sweep(ctx, m.Number, kept[0].number())
}

func (k *Keyframes) saveChunks(ctx context.Context, chunks string, data [][]byte) error {
	for i, chunk := range data {
		if _, err := k.kv.Put(ctx, k.chunkKey(chunks, i), chunk); err != nil {
			return fmt.Errorf("store keyframe chunk %d: %w", i, err)
		}
		if i == (len(data)-1)/2 {
			if err := k.points.Hit(ctx, failpoint.MidKeyframe); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *Keyframes) replace(ctx context.Context, s stored, manifest []byte) error {
	key := k.workspace + "." + s.slot
	if s.revision == 0 {
		_, err := k.kv.Create(ctx, key, manifest)
		return err
	}
	_, err := k.kv.Update(ctx, key, manifest, s.revision)
	return err
}

func (k *Keyframes) chunkKey(chunks string, i int) string {
	return k.workspace + "." + chunks + "." + strconv.Itoa(i)
}

// chunksOf names the chunks of the keyframe of a commit in a slot.
func chunksOf(slot string, number uint64) string {
	if slot == baseSlot {
		return basePrefix + strconv.FormatUint(number, 10)
	}
	return strconv.FormatUint(number, 10)
}

// sweep removes the chunks of commits before newest but those of one: what an older keyframe or a process that died left.
func (k *Keyframes) sweep(ctx context.Context, newest, keep uint64) error {
	keys, err := k.kv.ListKeysFiltered(ctx, k.workspace+".*.*")
	if err != nil {
		return fmt.Errorf("list keyframe chunks: %w", err)
	}
	var old []string
	for key := range keys.Keys() {
		number, _, _ := strings.Cut(strings.TrimPrefix(key, k.workspace+"."), ".")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil && n < newest && n != keep {
			old = append(old, key)
		}
	}
	for _, key := range old {
		if err := k.kv.Purge(ctx, key, jetstream.PurgeTTL(tombstoneLife)); err != nil {
			return fmt.Errorf("remove keyframe chunk %s: %w", key, err)
		}
	}
	return nil
}

// all reads every slot, the newest first.
func (k *Keyframes) all(ctx context.Context) ([]stored, error) {
	return k.newestFirst(ctx, append(slices.Clone(slots), baseSlot)...)
}

// newestFirst reads slots.
func (k *Keyframes) newestFirst(ctx context.Context, slots ...string) ([]stored, error) {
	var found []stored
	for _, slot := range slots {
		entry, err := k.kv.Get(ctx, k.workspace+"."+slot)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			found = append(found, stored{slot: slot})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read keyframe manifest: %w", err)
		}
		s := stored{slot: slot, revision: entry.Revision()}
		if m, err := ledger.DecodeManifest(entry.Value()); err == nil {
			s.manifest = m // one that cannot be read is as good as none
		}
		found = append(found, s)
	}
	slices.SortStableFunc(found, func(a, b stored) int {
		switch {
		case a.number() > b.number():
			return -1
		case a.number() < b.number():
			return 1
		}
		return 0
	})
	return found, nil
}

// Newest restores the newest keyframe that is whole; nil when there is none. passedOver says why newer ones were not taken.
func (k *Keyframes) Newest(ctx context.Context) (l *ledger.Ledger, passedOver []error, err error) {
	ctx, cancel := context.WithTimeout(ctx, keyframeTimeout)
	defer cancel()
	found, err := k.all(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range found {
		if s.manifest == nil {
			continue
		}
		l, err := k.restore(ctx, &s)
		if err == nil {
			return l, passedOver, nil
		}
		if ctx.Err() != nil {
			return nil, passedOver, err
		}
		passedOver = append(passedOver, fmt.Errorf("keyframe of commit %d: %w", s.manifest.Number, err))
	}
	return nil, passedOver, nil
}

// From restores a keyframe as of a commit with at least the given number, the oldest such; nil when there is none. It
// is where the fold of a trimmed log begins.
func (k *Keyframes) From(ctx context.Context, number uint64) (*ledger.Ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, keyframeTimeout)
	defer cancel()
	found, err := k.all(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range slices.Backward(found) {
		if s.number() < number || s.manifest == nil {
			continue
		}
		if l, err := k.restore(ctx, &s); err == nil || ctx.Err() != nil {
			return l, err
		}
	}
	return nil, nil
}

func (k *Keyframes) restore(ctx context.Context, s *stored) (*ledger.Ledger, error) {
	m := s.manifest
	chunks := make([][]byte, len(m.Chunks))
	for i := range chunks {
		entry, err := k.kv.Get(ctx, k.chunkKey(s.chunks(), i))
		if err != nil {
			return nil, fmt.Errorf("read chunk %d: %w", i, err)
		}
		chunks[i] = entry.Value()
	}
	return ledger.Restore(m, chunks)
}
