package keep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
)

// silence is how long the server may take for the next commit.
const silence = 10 * time.Second

// History hands over the commits of a workspace from an instant on up to a number, in order, as far as the log keeps them. A
// commit that cannot be read is passed over: advice is not the books. It returns the number of those.
func (k *Keeper) History(ctx context.Context, workspace string, from time.Time, upTo uint64, handle func(*ledger.Commit)) (unreadable int, err error) {
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		return 0, err
	}
	opening, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stream, err := k.js.Stream(opening, wire.StreamLedger)
	if err != nil {
		return 0, fmt.Errorf("open the ledger's log: %w", err)
	}
	consumer, err := stream.OrderedConsumer(opening, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{wire.KeySubject(wire.BucketLedger, key)}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from,
	})
	if err != nil {
		return 0, fmt.Errorf("read the ledger's log: %w", err)
	}
	left, err := consumer.Info(opening)
	if err != nil {
		return 0, fmt.Errorf("read the ledger's log: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return 0, fmt.Errorf("read the ledger's log: %w", err)
	}
	defer messages.Stop()
	for range left.NumPending {
		next, cancel := context.WithTimeout(ctx, silence)
		msg, err := messages.Next(jetstream.NextContext(next))
		cancel()
		if err != nil {
			return unreadable, fmt.Errorf("read the ledger's log: %w", err)
		}
		commit, err := ledger.Decode(msg.Data())
		if err != nil {
			unreadable++
			continue
		}
		if commit.Number > upTo {
			return unreadable, nil
		}
		handle(commit)
	}
	return unreadable, nil
}

// Dismissals gives the advice of a workspace that is not wanted.
func (k *Keeper) Dismissals(ctx context.Context, workspace string) (wire.SuggestionDismissals, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var list wire.SuggestionDismissals
	key, err := wire.DismissalsKey(workspace)
	if err != nil {
		return list, err
	}
	entry, err := k.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return list, nil
	}
	if err != nil {
		return list, fmt.Errorf("read the dismissals of workspace %s: %w", workspace, err)
	}
	if err := json.Unmarshal(entry.Value(), &list); err != nil {
		return wire.SuggestionDismissals{}, nil //nolint:nilerr // somebody wrote nonsense: nothing is dismissed by it
	}
	return list, nil
}
