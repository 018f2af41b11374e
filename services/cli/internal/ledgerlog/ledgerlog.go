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

// Log is the log of one workspace up to the newest revision at the time it was opened.
type Log struct {
	stream  jetstream.Stream
	subject string
	newest  ledger.Entry
}

// Open finds the newest revision of a workspace.
func Open(ctx context.Context, js jetstream.JetStream, workspace string) (*Log, error) {
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	l := &Log{subject: wire.KeySubject(wire.BucketLedger, key)}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if l.stream, err = js.Stream(ctx, wire.StreamLedger); err != nil {
		return nil, fmt.Errorf("open the ledger's log: %w", err)
	}
	msg, err := l.stream.GetLastMsgForSubject(ctx, l.subject)
	switch {
	case err == nil:
		l.newest = ledger.Entry{Revision: msg.Sequence, Data: msg.Data, Stored: msg.Time}
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, fmt.Errorf("find the newest commit: %w", err)
	}
	return l, nil
}

// Newest is the newest revision; ok is false for a ledger without commits.
func (l *Log) Newest() (newest ledger.Entry, ok bool) { return l.newest, l.newest.Revision > 0 }

// Each hands over every revision from the oldest one kept to the newest. handle's error ends it and is returned.
func (l *Log) Each(ctx context.Context, handle func(ledger.Entry) error) error {
	if l.newest.Revision == 0 {
		return nil
	}
	consumer, err := l.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{l.subject}})
	if err != nil {
		return fmt.Errorf("read the ledger's log: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read the ledger's log: %w", err)
	}
	defer messages.Stop()
	for revision := uint64(0); revision < l.newest.Revision; {
		entry, err := next(ctx, messages)
		if err != nil {
			return fmt.Errorf("read the ledger's log after revision %d: %w", revision, err)
		}
		if revision = entry.Revision; revision > l.newest.Revision {
			return fmt.Errorf("read the ledger's log: revision %d is gone while it was read", l.newest.Revision)
		}
		if err := handle(entry); err != nil {
			return err
		}
	}
	return nil
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
