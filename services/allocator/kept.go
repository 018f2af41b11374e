package allocator

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

// KeptFrom gives the fold that the kept log of a workspace goes on from: an empty ledger, or, where the first commits
// are trimmed, the keyframe that took their place. It is for whoever folds the log by themselves, as `bursar verify`
// does, and takes the rights of the reader.
func KeptFrom(ctx context.Context, js jetstream.JetStream, workspace string) (*ledger.Ledger, error) {
	log, err := store.OpenLog(ctx, js, workspace, nil)
	if err != nil {
		return nil, err
	}
	keyframes, err := store.OpenKeyframes(ctx, js, workspace, nil)
	if err != nil {
		return nil, err
	}
	return (&verifier{log, keyframes}).from(ctx)
}
