// Package store is the allocator's view of JetStream: the log of one ledger, and its keyframes.
//
// It guarantees that an outcome is told for what it is: stored, refused because of the expected revision, or not
// known. Nothing that is not known is ever told as a refusal. Reads go to the leader of the stream, so that they see
// every acknowledged write.
//
// Callers must tolerate that an outcome is not known, and resolve it by reading.
package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
)

// Deadlines of one call each.
const (
	PublishTimeout = 2 * time.Second
	ReadTimeout    = 2 * time.Second
)

// parallelReads is how many revisions are read ahead at a time when a log is loaded.
const parallelReads = 64

// JetStream's error codes that decide an outcome (nats-server, errors.json).
const (
	codeWrongLastSequence  = 10071 // the expected revision is not the present one: a verdict
	codeWriteInFlight      = 10164 // another write to the subject is being replicated: no verdict
	codeDuplicateInProcess = 10158
	codeStoreFailed        = 10077 // full, when it says so; otherwise open
)

// Outcome is what became of a publish.
type Outcome struct {
	Verdict  writer.Verdict
	Revision uint64
	Err      error
}

// Log is the log of one ledger. It is safe for concurrent use.
type Log struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	subject string
	points  *failpoint.Set
}

// OpenLog opens the log of a workspace. The ledger stream must exist (pkg/provision makes it).
func OpenLog(ctx context.Context, js jetstream.JetStream, workspace string, points *failpoint.Set) (*Log, error) {
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	stream, err := js.Stream(ctx, wire.StreamLedger)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", wire.StreamLedger, err)
	}
	return &Log{js: js, stream: stream, subject: wire.KeySubject(wire.BucketLedger, key), points: points}, nil
}

// Publish stores data as the next revision if the present one is expected; 0 means that there is none.
func (l *Log) Publish(ctx context.Context, data []byte, expected uint64) Outcome {
	ctx, cancel := context.WithTimeout(ctx, PublishTimeout)
	defer cancel()
	if err := l.points.Hit(ctx, failpoint.BeforePublish); err != nil {
		return Outcome{Verdict: writer.Unknown, Err: err}
	}
	msg := &nats.Msg{Subject: l.subject, Data: data, Header: nats.Header{
		jetstream.ExpectedLastSubjSeqHeader: []string{strconv.FormatUint(expected, 10)},
	}}
	future, err := l.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		return Outcome{Verdict: writer.Unknown, Err: err}
	}
	if err := l.points.Hit(ctx, failpoint.AfterPublish); err != nil {
		return Outcome{Verdict: writer.Unknown, Err: err}
	}
	select {
	case ack := <-future.Ok():
		if err := l.points.Hit(ctx, failpoint.AfterAck); err != nil {
			return Outcome{Verdict: writer.Unknown, Err: err}
		}
		return Outcome{Verdict: writer.Acked, Revision: ack.Sequence}
	case err := <-future.Err():
		return Outcome{Verdict: verdictOf(err), Err: err}
	case <-ctx.Done():
		return Outcome{Verdict: writer.Unknown, Err: ctx.Err()}
	}
}

// verdictOf reads a store's refusal. What is not listed is not known.
func verdictOf(err error) writer.Verdict {
	refused, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return writer.Unknown
	}
	switch int(refused.ErrorCode) {
	case codeWrongLastSequence:
		return writer.Conflict
	case codeWriteInFlight, codeDuplicateInProcess:
		return writer.InFlight
	case codeStoreFailed:
		if strings.Contains(refused.Description, "maximum bytes") {
			return writer.Full
		}
	}
	return writer.Unknown
}

// Entry reads the commit of one revision. It fails with jetstream.ErrMsgNotFound when there is none.
func (l *Log) Entry(ctx context.Context, revision uint64) (ledger.Entry, error) {
	e, err := l.next(ctx, revision)
	if err == nil && e.Revision != revision {
		return ledger.Entry{}, jetstream.ErrMsgNotFound
	}
	return e, err
}

// First reads the oldest commit that is kept.
func (l *Log) First(ctx context.Context) (ledger.Entry, error) { return l.next(ctx, 1) }

// next reads the first commit at or after a revision.
func (l *Log) next(ctx context.Context, revision uint64) (ledger.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, ReadTimeout)
	defer cancel()
	msg, err := l.stream.GetMsg(ctx, revision, jetstream.WithGetMsgSubject(l.subject))
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("read revision %d: %w", revision, err)
	}
	return ledger.Entry{Revision: msg.Sequence, Data: msg.Data, Stored: msg.Time}, nil
}

// After reads the commits after a revision, in order, at most the given number of them; fewer only at the end of the log.
func (l *Log) After(ctx context.Context, revision uint64, most int) ([]ledger.Entry, error) {
	var entries []ledger.Entry
	for len(entries) < most {
		e, err := l.next(ctx, revision+1)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
		revision = e.Revision
	}
	return entries, nil
}

// Each gives every commit after a revision to fold, in order, until the end of the log or an error. It reads ahead, in
// the hope that revisions are close to each other; where other workspaces lie between, it skips them.
func (l *Log) Each(ctx context.Context, revision uint64, fold func(ledger.Entry) error) error {
	type read struct {
		entry ledger.Entry
		err   error
	}
	for {
		ahead, from := make([]chan read, parallelReads), revision+1 // revision moves on while these are read
		for i := range ahead {
			ahead[i] = make(chan read, 1)
			go func() {
				e, err := l.next(ctx, from+uint64(i))
				ahead[i] <- read{e, err}
			}()
		}
		for _, c := range ahead {
			got := <-c
			if errors.Is(got.err, jetstream.ErrMsgNotFound) {
				return nil
			}
			if got.err != nil {
				return got.err
			}
			if got.entry.Revision <= revision {
				continue
			}
			if err := fold(got.entry); err != nil {
				return err
			}
			revision = got.entry.Revision
		}
	}
}
