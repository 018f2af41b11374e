package keep

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/wire"
)

// LoadEstimates gives what is learned in a workspace and its revision; where nothing is stored, or nothing that can be
// read, a new book. In the latter case it comes with an error that is a [learn.ErrState].
func (k *Keeper) LoadEstimates(ctx context.Context, workspace string) (*learn.Book, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	key, err := wire.EstimatesKey(workspace)
	if err != nil {
		return nil, 0, err
	}
	entry, err := k.estimates.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return learn.New(learn.DefaultTarget), 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("load estimates of workspace %s: %w", workspace, err)
	}
	b, err := learn.Decode(entry.Value())
	if err != nil {
		return learn.New(learn.DefaultTarget), entry.Revision(), fmt.Errorf("load estimates of workspace %s: %w", workspace, err)
	}
	return b, entry.Revision(), nil
}

// SaveEstimates stores what is learned over the given revision, 0 for none, and gives the new one. It fails with
// ErrConflict when there is another revision by now.
func (k *Keeper) SaveEstimates(ctx context.Context, workspace string, b *learn.Book, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	key, err := wire.EstimatesKey(workspace)
	if err != nil {
		return 0, err
	}
	data, err := b.Encode()
	if err != nil {
		return 0, err
	}
	saved, err := k.estimates.Update(ctx, key, data, revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, fmt.Errorf("save estimates of workspace %s: %w", workspace, ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("save estimates of workspace %s: %w", workspace, err)
	}
	return saved, nil
}
