// Package store is the allocator's view of JetStream: the log of one ledger, and its keyframes.
//
// It guarantees that an outcome is told for what it is: stored, refused because of the expected revision, or not
// known. Nothing that is not known is ever told as a refusal. Reads that decide something go to the leader of the
// stream, so that they see every acknowledged write. A keyframe is found whole or not at all.
//
// Callers must tolerate that an outcome is not known, and resolve it by reading; and that keyframes get lost: the log has
// everything.
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

// Deadlines of one call each. The longest client deadline is 15 s, and within it an outcome that is not known has to be
// looked into and the commit sent again.
const (
	PublishTimeout = 2 * time.Second
	ReadTimeout    = 2 * time.Second
	// ackKept is how long the client library keeps a publish whose outcome nobody waits for any more.
	ackKept = 2 * PublishTimeout
)

// bulkFrom is from how many revisions on a log is read through a consumer rather than one by one: a consumer costs a
// few round trips to make and then delivers some 100,000 commits a second.
const bulkFrom = 64

// bulkIdle is when the server forgets a consumer that was read. bulkSilence is how long one may say nothing before the end
// of the log: in a cluster it may be on a server that falls behind, or be lost with one, and nobody says so.
const (
	bulkIdle    = 30 * time.Second
	bulkSilence = 5 * time.Second
)

// JetStream's error codes that decide an outcome (nats-server, errors.json).
const (
	codeWrongLastSequence  = 10071 // the expected revision is not the present one: a verdict
	codeWriteInFlight      = 10164 // another write to the subject is being replicated: no verdict
	codeDuplicateInProcess = 10158
	codeStoreFailed        = 10077 // full, when it says so; otherwise open
	fullDescription        = "maximum bytes"
)

// Outcome is what became of a publish.
type Outcome struct {
	Verdict  writer.Verdict
	Revision uint64 // when acknowledged
	Err      error  // what the store said, otherwise
}

// Log is the log of one ledger on JetStream. It is safe for concurrent use.
type Log struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	subject string
	points  *failpoint.Set
}

// NewJetStream opens JetStream on a connection as a Log needs it: a publish that is never acknowledged is forgotten.
func NewJetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(ackKept))
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	return js, nil
}

// OpenLog opens the log of a workspace; points may be nil. The ledger stream must exist (pkg/provision makes it).
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

// Publish stores data as the next revision if the present one is expected; 0 means that there is none. It answers
// within PublishTimeout.
func (l *Log) Publish(ctx context.Context, data []byte, expected uint64) Outcome {
	ctx, cancel := context.WithTimeout(ctx, PublishTimeout)
	defer cancel()
	if err := l.points.Hit(ctx, failpoint.BeforePublish); err != nil {
		return Outcome{Verdict: writer.Unknown, Err: err}
	}
	msg := &nats.Msg{Subject: l.subject, Data: data, Header: nats.Header{
		jetstream.ExpectedLastSubjSeqHeader: []string{strconv.FormatUint(expected, 10)},
	}}
	// No retries of the library: it would send the bytes again behind the protocol's back.
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
		if strings.Contains(refused.Description, fullDescription) {
			return writer.Full
		}
	}
	return writer.Unknown
}

// Entry reads the commit of one revision, at the leader. It fails with jetstream.ErrMsgNotFound when there is none.
func (l *Log) Entry(ctx context.Context, revision uint64) (ledger.Entry, error) {
	e, err := l.next(ctx, revision)
	if err == nil && e.Revision != revision {
		return ledger.Entry{}, jetstream.ErrMsgNotFound
	}
	return e, err
}

// Last is the newest revision, at the leader; 0 when there is none.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, ReadTimeout)
	defer cancel()
	msg, err := l.stream.GetLastMsgForSubject(ctx, l.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the last revision: %w", err)
	}
	return msg.Sequence, nil
}

// First reads the oldest commit that is kept. It fails with jetstream.ErrMsgNotFound when there is none.
func (l *Log) First(ctx context.Context) (ledger.Entry, error) { return l.next(ctx, 1) }

// next reads the first commit at or after a revision, at the leader.
func (l *Log) next(ctx context.Context, revision uint64) (ledger.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, ReadTimeout)
	defer cancel()
	msg, err := l.stream.GetMsg(ctx, max(1, revision), jetstream.WithGetMsgSubject(l.subject))
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

// Each gives every commit after a revision to fold, in order, up to the end of the log or an error. A long way is read
// through a consumer; the end of it is read at the leader, one by one, so that nothing acknowledged is missed.
func (l *Log) Each(ctx context.Context, revision uint64, fold func(ledger.Entry) error) error {
	last, err := l.Last(ctx)
	if err != nil {
		return err
	}
	if last > revision+bulkFrom {
		if revision, err = l.bulk(ctx, revision, last, fold); err != nil {
			return err
		}
	}
	for {
		e, err := l.next(ctx, revision+1)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fold(e); err != nil {
			return err
		}
		revision = e.Revision
	}
}

// bulk gives the commits after one revision up to and including another, which must exist, and tells up to which it came:
// not to the last one when the consumer falls silent.
func (l *Log) bulk(ctx context.Context, after, last uint64, fold func(ledger.Entry) error) (uint64, error) {
	consumer, err := l.js.OrderedConsumer(ctx, wire.StreamLedger, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{l.subject}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		InactiveThreshold: bulkIdle,
	})
	if err != nil {
		return after, fmt.Errorf("read the log: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return after, fmt.Errorf("read the log: %w", err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(bulkSilence))
		if ctx.Err() != nil {
			return after, fmt.Errorf("read the log after revision %d: %w", after, ctx.Err())
		}
		if errors.Is(err, nats.ErrTimeout) {
			return after, nil
		}
		if err != nil {
			return after, fmt.Errorf("read the log after revision %d: %w", after, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return after, fmt.Errorf("read the log after revision %d: %w", after, err)
		}
		if meta.Sequence.Stream > last {
			return after, nil
		}
		if err := fold(ledger.Entry{Revision: meta.Sequence.Stream, Data: msg.Data(), Stored: meta.Timestamp}); err != nil {
			return after, err
		}
		if after = meta.Sequence.Stream; after == last {
			return after, nil
		}
	}
}
