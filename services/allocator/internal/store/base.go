package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
)

// SaveBase stores the keyframe that a trimmed log is to begin with, reads it back, and restores it: only a keyframe that
// is known to restore may take the place of commits. The one before is removed afterwards.
func (k *Keyframes) SaveBase(ctx context.Context, f *ledger.EncodedKeyframe) error {
	ctx, cancel := context.WithTimeout(ctx, keyframeTimeout)
	defer cancel()
	m, err := ledger.DecodeManifest(f.Manifest)
	if err != nil {
		return fmt.Errorf("keyframe to store: %w", err)
	}
	before, err := k.newestFirst(ctx, baseSlot)
	if err != nil {
		return err
	}
	if before[0].number() >= m.Number {
		return fmt.Errorf("keyframe of commit %d: %w", m.Number, ErrSuperseded)
	}
	if err := k.saveChunks(ctx, chunksOf(baseSlot, m.Number), f.Chunks); err != nil {
		return err
	}
	if _, err := k.restore(ctx, &stored{slot: baseSlot, manifest: m}); err != nil {
		return fmt.Errorf("keyframe read back: %w", err)
	}
	if err := k.replace(ctx, before[0], f.Manifest); err != nil {
		return fmt.Errorf("store keyframe manifest: %w", err)
	}
	return k.sweepBase(ctx, m.Number)
}

// sweepBase removes the chunks of earlier base keyframes.
func (k *Keyframes) sweepBase(ctx context.Context, newest uint64) error {
	keys, err := k.kv.ListKeysFiltered(ctx, k.workspace+".*.*")
	if err != nil {
		return fmt.Errorf("list keyframe chunks: %w", err)
	}
	var old []string
	for key := range keys.Keys() {
		name, _, _ := strings.Cut(strings.TrimPrefix(key, k.workspace+"."), ".")
		number, isBase := strings.CutPrefix(name, basePrefix)
		if n, err := strconv.ParseUint(number, 10, 64); isBase && err == nil && n < newest {
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

// Floor is the revision up to which every consumer that has to see the log has acknowledged it, without a gap.
func (l *Log) Floor(ctx context.Context) (uint64, error) {
	var floor uint64
	for i, name := range wire.LedgerConsumers() {
		consumer, err := l.stream.Consumer(ctx, name)
		if err != nil {
			return 0, fmt.Errorf("acknowledgement floor of %s: %w", name, err)
		}
		if at := consumer.CachedInfo().AckFloor.Stream; i == 0 || at < floor {
			floor = at
		}
	}
	return floor, nil
}

// Trim removes the commits before a revision. It needs the rights of the maintenance.
func (l *Log) Trim(ctx context.Context, before uint64) error {
	if err := l.stream.Purge(ctx, jetstream.WithPurgeSubject(l.subject), jetstream.WithPurgeSequence(before)); err != nil {
		return fmt.Errorf("trim the log before revision %d: %w", before, err)
	}
	return nil
}
