package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
)

// keyframeTimeout bounds the storing of one keyframe.
const keyframeTimeout = 2 * time.Minute

// slots are the places of keyframes. There are two, written in turn: while one is being overwritten, the other is
// whole. A slot whose chunks are not those of its manifest does not restore, and the other one is taken.
var slots = [...]string{"a", "b"}

// Keyframes stores the keyframes of one ledger: a cache, which may be lost at any time.
type Keyframes struct {
	kv     jetstream.KeyValue
	prefix string
	points *failpoint.Set
}

// OpenKeyframes opens the keyframes of a workspace. The bucket must exist.
func OpenKeyframes(ctx context.Context, js jetstream.JetStream, workspace string, points *failpoint.Set) (*Keyframes, error) {
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	kv, err := js.KeyValue(ctx, wire.BucketKeyframes)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketKeyframes, err)
	}
	return &Keyframes{kv: kv, prefix: key, points: points}, nil
}

// Save stores a keyframe in the slot with the older one: the chunks first, the manifest last.
func (k *Keyframes) Save(ctx context.Context, f *ledger.EncodedKeyframe) error {
	ctx, cancel := context.WithTimeout(ctx, keyframeTimeout)
	defer cancel()
	slot, err := k.olderSlot(ctx)
	if err != nil {
		return err
	}
	for i, chunk := range f.Chunks {
		if _, err := k.kv.Put(ctx, k.chunkKey(slot, i), chunk); err != nil {
			return fmt.Errorf("store keyframe chunk %d: %w", i, err)
		}
		if i == (len(f.Chunks)-1)/2 {
			if err := k.points.Hit(ctx, failpoint.MidKeyframe); err != nil {
				return err
			}
		}
	}
	if _, err := k.kv.Put(ctx, k.manifestKey(slot), f.Manifest); err != nil {
		return fmt.Errorf("store keyframe manifest: %w", err)
	}
	return nil
}

func (k *Keyframes) chunkKey(slot string, i int) string {
	return fmt.Sprintf("%s.%s.%d", k.prefix, slot, i)
}

func (k *Keyframes) manifestKey(slot string) string { return k.prefix + "." + slot + ".manifest" }

// manifest reads a slot's manifest; nil where there is none or it cannot be read.
func (k *Keyframes) manifest(ctx context.Context, slot string) (*ledger.Manifest, error) {
	entry, err := k.kv.Get(ctx, k.manifestKey(slot))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read keyframe manifest: %w", err)
	}
	m, err := ledger.DecodeManifest(entry.Value())
	if err != nil {
		return nil, nil //nolint:nilerr // a keyframe that cannot be read is as good as none: the log has everything
	}
	return m, nil
}

func (k *Keyframes) olderSlot(ctx context.Context) (string, error) {
	a, err := k.manifest(ctx, slots[0])
	if err != nil {
		return "", err
	}
	b, err := k.manifest(ctx, slots[1])
	if err != nil {
		return "", err
	}
	if a == nil || b != nil && a.Number <= b.Number {
		return slots[0], nil
	}
	return slots[1], nil
}

// Newest restores the newest keyframe that is whole; nil when there is none. rejected says, for the log, why newer
// ones were passed over.
func (k *Keyframes) Newest(ctx context.Context) (l *ledger.Ledger, rejected []error, err error) {
	ctx, cancel := context.WithTimeout(ctx, keyframeTimeout)
	defer cancel()
	var found []candidate
	for _, slot := range slots {
		m, err := k.manifest(ctx, slot)
		if err != nil {
			return nil, nil, err
		}
		if m != nil {
			found = append(found, candidate{slot, m})
		}
	}
	if len(found) == 2 && found[0].manifest.Number < found[1].manifest.Number {
		found[0], found[1] = found[1], found[0]
	}
	for _, c := range found {
		l, err := k.restore(ctx, c)
		if err == nil {
			return l, rejected, nil
		}
		if ctx.Err() != nil {
			return nil, rejected, err
		}
		rejected = append(rejected, fmt.Errorf("keyframe of commit %d: %w", c.manifest.Number, err))
	}
	return nil, rejected, nil
}

type candidate struct {
	slot     string
	manifest *ledger.Manifest
}

func (k *Keyframes) restore(ctx context.Context, c candidate) (*ledger.Ledger, error) {
	chunks := make([][]byte, len(c.manifest.Chunks))
	for i := range chunks {
		entry, err := k.kv.Get(ctx, k.chunkKey(c.slot, i))
		if err != nil {
			return nil, fmt.Errorf("read chunk %d: %w", i, err)
		}
		chunks[i] = entry.Value()
	}
	return ledger.Restore(c.manifest, chunks)
}
