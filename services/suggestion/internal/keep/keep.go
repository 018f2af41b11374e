// Package keep stores the books of the suggestion service in NATS, what it learned about tasks among them, and tells the
// world what is in them.
//
// A save is one compare-and-set write of one key, so that two services that run at once cannot mix their work: the one
// that comes second gets [ErrConflict] and reads again. Callers must tolerate that after any error the stored book may
// or may not be the one they tried to save, and load it anew.
package keep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/book"
)

// timeout bounds each call to the server.
const timeout = 10 * time.Second

// ErrConflict says that another service has saved the book in between.
var ErrConflict = errors.New("saved by another service in between")

// Keeper loads, saves and publishes. It is safe for concurrent use.
type Keeper struct {
	js        jetstream.JetStream
	bucket    jetstream.KeyValue
	estimates jetstream.KeyValue
	publisher message.Publisher
	catalogue *price.Catalogue
}

// New opens the buckets of suggestions and of estimates, which must exist.
func New(ctx context.Context, js jetstream.JetStream, catalogue *price.Catalogue) (*Keeper, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	bucket, err := js.KeyValue(ctx, wire.BucketSuggestions)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketSuggestions, err)
	}
	estimates, err := js.KeyValue(ctx, wire.BucketEstimates)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketEstimates, err)
	}
	publisher, err := bus.NewPublisher(bus.PublisherConfig{JetStream: js, Stream: wire.StreamEvents, Timeout: timeout, Subject: subject})
	if err != nil {
		return nil, err
	}
	return &Keeper{js: js, bucket: bucket, estimates: estimates, publisher: publisher, catalogue: catalogue}, nil
}

// subject is where the events of a workspace's suggestions go: they concern no principal and no agent in particular.
func subject(workspace string) (string, error) {
	return wire.EventSubject(workspace, "", "", wire.KindSuggestionMade)
}

// Load gives the stored book of a workspace and its revision; where there is none, or none that can be read, a new one.
// In the latter case the book comes with an error that is a [book.ErrState].
func (k *Keeper) Load(ctx context.Context, workspace string) (*book.Book, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	key, err := wire.SuggestionStateKey(workspace)
	if err != nil {
		return nil, 0, err
	}
	entry, err := k.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return book.New(workspace, k.catalogue), 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("load state of workspace %s: %w", workspace, err)
	}
	b, err := book.Decode(entry.Value(), k.catalogue)
	if err != nil {
		return book.New(workspace, k.catalogue), entry.Revision(), fmt.Errorf("load state of workspace %s: %w", workspace, err)
	}
	return b, entry.Revision(), nil
}

// Save stores a book over the given revision, 0 for none, and gives the new one. It fails with ErrConflict when there is
// another revision by now.
func (k *Keeper) Save(ctx context.Context, b *book.Book, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	key, err := wire.SuggestionStateKey(b.Workspace())
	if err != nil {
		return 0, err
	}
	data, err := b.Encode()
	if err != nil {
		return 0, err
	}
	saved, err := k.bucket.Update(ctx, key, data, revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, fmt.Errorf("save state of workspace %s: %w", b.Workspace(), ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("save state of workspace %s: %w", b.Workspace(), err)
	}
	return saved, nil
}

// Show puts the current list where everybody reads it.
func (k *Keeper) Show(ctx context.Context, list wire.SuggestionList) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	key, err := wire.SuggestionsKey(list.Workspace)
	if err != nil {
		return err
	}
	data, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode suggestions of workspace %s: %w", list.Workspace, err)
	}
	if _, err := k.bucket.Put(ctx, key, data); err != nil {
		return fmt.Errorf("show suggestions of workspace %s: %w", list.Workspace, err)
	}
	return nil
}

// Publish makes an event of a suggestion and returns when it is stored. The event's id is the suggestion's.
func (k *Keeper) Publish(ctx context.Context, workspace string, s wire.Suggestion) error {
	event, err := wire.NewForeignEvent(workspace, wire.KindSuggestionMade, s.SuggestionID, s.Rule, s.MadeAt.Instant(), s)
	if err != nil {
		return err
	}
	data, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", event.ID, err)
	}
	msg := message.NewMessage(event.ID, data)
	msg.SetContext(ctx)
	telemetry.InjectMetadata(ctx, msg.Metadata)
	return k.publisher.Publish(workspace, msg)
}

// LastPublished gives the id of the last suggestion of a workspace that became an event; empty if none is kept. The
// service is the only one to publish there, in order: what comes after it in an outbox was not published.
func (k *Keeper) LastPublished(ctx context.Context, workspace string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	at, err := subject(workspace)
	if err != nil {
		return "", err
	}
	stream, err := k.js.Stream(ctx, wire.StreamEvents)
	if err != nil {
		return "", fmt.Errorf("open stream %s: %w", wire.StreamEvents, err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, at)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read last suggestion of workspace %s: %w", workspace, err)
	}
	event, err := wire.DecodeEvent(msg.Data)
	if err != nil {
		return "", fmt.Errorf("read last suggestion of workspace %s: %w", workspace, err)
	}
	return event.ID, nil
}
