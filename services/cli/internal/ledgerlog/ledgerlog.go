// Package ledgerlog reads the kept log of a workspace's ledger from its stream, commit by commit.
//
// It guarantees that every kept revision up to the newest one at the time of the call is handed over in order, or an
// error is returned: a gap is never passed over in silence. It needs the reader's credentials and changes nothing.
package ledgerlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
)

const (
	requestTimeout = 10 * time.Second
	// silence is how long the server may take for the next revision.
	silence = 15 * time.Second
)

// Each hands over every revision of a workspace, from the oldest one kept to the one that is newest now. handle's
// error ends it and is returned. A ledger without commits is no error.
func Each(ctx context.Context, js jetstream.JetStream, workspace string, handle func(ledger.Entry) error) error {
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		return fmt.Errorf("workspace: %w", err)
	}
	subject := wire.KeySubject(wire.BucketLedger, key)
	stream, newest, err := newest(ctx, js, subject)
	if err != nil || newest == 0 {
		return err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		return fmt.Errorf("read the ledger's log: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read the ledger's log: %w", err)
	}
	defer messages.Stop()
	for revision := uint64(0); revision < newest; {
		entry, err := next(ctx, messages)
		if err != nil {
			return fmt.Errorf("read the ledger's log after revision %d: %w", revision, err)
		}
		if revision = entry.Revision; revision > newest {
			return fmt.Errorf("read the ledger's log: revision %d is gone while it was read", newest)
		}
		if err := handle(entry); err != nil {
			return err
		}
	}
	return nil
}

// newest finds the newest revision of a subject; 0 where there is none.
func newest(ctx context.Context, js jetstream.JetStream, subject string) (jetstream.Stream, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, wire.StreamLedger)
	if err != nil {
		return nil, 0, fmt.Errorf("open the ledger's log: %w", err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return stream, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("find the newest commit: %w", err)
	}
	return stream, msg.Sequence, nil
}

func next(ctx context.Context, messages jetstream.MessagesContext) (ledger.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	msg, err := messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return ledger.Entry{}, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return ledger.Entry{}, err
	}
	return ledger.Entry{Revision: meta.Sequence.Stream, Data: msg.Data(), Stored: meta.Timestamp}, nil
}
