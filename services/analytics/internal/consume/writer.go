package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

// ErrGap is returned by Write when a commit does not follow the last one that ClickHouse holds.
var ErrGap = errors.New("commits are missing in ClickHouse")

// Storage is what the Writer needs of ClickHouse; package store has it.
type Storage interface {
	Insert(ctx context.Context, b *record.Batch) error
	InsertUnreadable(ctx context.Context, all []store.Unreadable) error
	Prepare(ctx context.Context) error
	Settle(ctx context.Context) error
	Partition(ctx context.Context) (schema.Partitions, error)
	Ledgers(ctx context.Context) (map[string]store.Ledger, error)
	CommitID(ctx context.Context, workspace, ledgerID string, commit uint64) (string, error)
}

// Message is one message of the ledger stream.
type Message struct {
	Subject  string
	Data     []byte
	Sequence uint64
	Stored   time.Time
}

// sighting is the number of a commit and its place in the stream.
type sighting struct{ number, sequence uint64 }

// Writer brings ranges of messages into ClickHouse. It is not safe for concurrent use.
type Writer struct {
	storage Storage
	points  *failpoint.Set
	metrics *Metrics
	log     *slog.Logger
	// Progress, if not nil, is told how far each ledger is stored.
	Progress *rollup.Progress

	batch      *record.Batch
	unreadable []store.Unreadable
	// ledgers is the ledger that each workspace's last commit belonged to.
	ledgers map[string]string
	// stored is the number of the last commit of each ledger that ClickHouse holds without a gap;
	// reached counts what is in the batch too.
	stored, reached map[string]uint64
	// seen is the last message of each workspace that was read since Restart and is stored; seeing
	// counts those of the range under way too.
	seen, seeing map[string]sighting
	// runs are the runs of commits beyond stored that ClickHouse holds.
	runs map[string][]store.Run
	// unsettled says that the outcome of an insert is not known.
	unsettled bool
	newest    time.Time
}

// NewWriter returns a writer that knows nothing yet: call Resume before Write.
func NewWriter(storage Storage, points *failpoint.Set, metrics *Metrics, log *slog.Logger) *Writer {
	return &Writer{
		storage: storage, points: points, metrics: metrics, log: log,
		batch: record.NewBatch(), ledgers: map[string]string{}, stored: map[string]uint64{}, seen: map[string]sighting{},
	}
}

// Resume asks ClickHouse what it holds, once no insert of ours, or of a process before, runs any more.
// It makes the tables if they are not there, be it because ClickHouse was replaced by an empty one, and brings them to what is
// configured.
func (w *Writer) Resume(ctx context.Context) error {
	if err := w.storage.Prepare(ctx); err != nil {
		return err
	}
	if err := w.storage.Settle(ctx); err != nil {
		return err
	}
	partitions, err := w.storage.Partition(ctx)
	if err != nil {
		return err
	}
	ledgers, err := w.storage.Ledgers(ctx)
	if err != nil {
		return err
	}
	w.batch.Reset()
	w.batch.Partitions = partitions
	w.stored = make(map[string]uint64, len(ledgers))
	w.runs = make(map[string][]store.Run, len(ledgers))
	w.Progress.Restart()
	for id, l := range ledgers {
		w.Progress.Stored(rollup.Ledger{Workspace: l.Workspace, ID: id}, l.Runs[0].Last)
		w.ledgers[l.Workspace] = id
		w.stored[id] = l.Runs[0].Last
		w.runs[id] = l.Runs[1:]
	}
	w.unsettled = false
	return nil
}

// Restart forgets what was read: the next message may be any.
func (w *Writer) Restart() { w.seen = map[string]sighting{} }

// Stored returns how far a ledger is stored without a gap; 0 is not at all.
func (w *Writer) Stored(ledgerID string) uint64 { return w.stored[ledgerID] }

// Accept moves the position of a ledger over commits that can no longer be had, and over those after
// them that ClickHouse holds.
func (w *Writer) Accept(ledgerID string, through uint64) {
	position := max(w.stored[ledgerID], through)
	for _, run := range w.runs[ledgerID] {
		if run.First <= position+1 {
			position = max(position, run.Last)
		}
	}
	w.stored[ledgerID] = position
}

// holds tells whether ClickHouse holds a commit that is beyond the position.
func (w *Writer) holds(ledgerID string, number uint64) bool {
	for _, run := range w.runs[ledgerID] {
		if run.First <= number && number <= run.Last {
			return true
		}
	}
	return false
}

// Write stores a range of messages. After nil the range may be acknowledged. After ErrGap the consumer
// must be reconciled; after any other error the same range may be written again.
func (w *Writer) Write(ctx context.Context, messages []Message) error {
	if w.unsettled {
		if err := w.Resume(ctx); err != nil {
			return err
		}
	}
	w.begin()
	for i := range messages {
		if err := w.take(ctx, messages, i); err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	maps.Copy(w.seen, w.seeing)
	return w.points.Hit(ctx, failpoint.AnalyticsBeforeAck)
}

// begin forgets what an earlier, failed attempt left.
func (w *Writer) begin() {
	w.batch.Reset()
	w.unreadable = w.unreadable[:0]
	w.reached = maps.Clone(w.stored)
	w.seeing = maps.Clone(w.seen)
}

// take adds a message to what is to be stored, and stores first if there is no room.
func (w *Writer) take(ctx context.Context, messages []Message, i int) error {
	m := &messages[i]
	workspace, err := wire.WorkspaceOfLedgerSubject(m.Subject)
	if err != nil {
		w.keepRaw(m, store.Unreadable{Workspace: m.Subject}, err)
		return nil
	}
	if m.Sequence <= w.seen[workspace].sequence {
		w.metrics.Repeated.Inc()
		return nil
	}
	commit, unreadable := ledger.Decode(m.Data)
	id, number := w.ledgers[workspace], uint64(0)
	if unreadable == nil {
		id, number = commit.Ledger.String(), commit.Number
		w.ledgers[workspace] = id
	} else if number = w.numberOf(workspace, messages, i); number == 0 {
		w.keepRaw(m, store.Unreadable{Workspace: workspace, LedgerID: id}, unreadable)
		return nil
	} else {
		id = w.ledgers[workspace]
	}
	w.seeing[workspace] = sighting{number, m.Sequence}
	switch reached := w.reached[id]; {
	case number <= reached:
		w.metrics.Repeated.Inc()
		return nil
	case number > reached+1:
		return fmt.Errorf("%w: ledger %s of workspace %q is stored through commit %d, the next one read is %d",
			ErrGap, id, workspace, reached, number)
	case w.holds(id, number):
		w.metrics.Repeated.Inc()
	case unreadable != nil:
		w.keepRaw(m, store.Unreadable{Workspace: workspace, LedgerID: id, Commit: number}, unreadable)
	default:
		if err := w.add(ctx, workspace, commit); err != nil {
			return err
		}
	}
	w.reached[id] = number
	w.newest = m.Stored
	return nil
}

// add puts a commit into the batch.
func (w *Writer) add(ctx context.Context, workspace string, commit *ledger.Commit) error {
	full := w.batch.Rows() > 0 && w.batch.Rows()+len(commit.Events) >= store.MaxRows
	if full || !w.batch.Fits(commit) {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.batch.Add(workspace, commit)
	return nil
}

// numberOf finds the number of a commit that cannot be read: one more than the one before it in the
// stream, or, at the start of a subscription, so many less than the next one that can be read. It is 0
// if there is none of either.
func (w *Writer) numberOf(workspace string, messages []Message, i int) uint64 {
	subject := messages[i].Subject
	if before, ok := w.seeing[workspace]; ok {
		return before.number + 1
	}
	distance := uint64(0)
	for _, m := range messages[i:] {
		if m.Subject != subject {
			continue
		}
		if commit, err := ledger.Decode(m.Data); err == nil && commit.Number > distance {
			w.ledgers[workspace] = commit.Ledger.String()
			return commit.Number - distance
		}
		distance++
	}
	return 0
}

// keepRaw keeps a message that cannot be read as it is.
func (w *Writer) keepRaw(m *Message, u store.Unreadable, why error) {
	u.Revision, u.StoredAt, u.Reason, u.Raw = m.Sequence, m.Stored, why.Error(), m.Data
	w.log.Error("a commit cannot be read: it is kept as it is, and verify will fail",
		"workspace", u.Workspace, "commit", u.Commit, "revision", u.Revision, "error", why)
	w.unreadable = append(w.unreadable, u)
}

// flush stores what was taken.
func (w *Writer) flush(ctx context.Context) error {
	if len(w.unreadable) > 0 {
		if err := w.storage.InsertUnreadable(ctx, w.unreadable); err != nil {
			w.unsettled = true
			return err
		}
		w.metrics.Unreadable.Add(float64(len(w.unreadable)))
		w.unreadable = w.unreadable[:0]
	}
	if w.batch.Rows() > 0 {
		if err := w.insert(ctx); err != nil {
			return err
		}
	}
	maps.Copy(w.stored, w.reached)
	for workspace, id := range w.ledgers {
		w.Progress.Stored(rollup.Ledger{Workspace: workspace, ID: id}, w.stored[id])
	}
	return nil
}

func (w *Writer) insert(ctx context.Context) error {
	if err := w.points.Hit(ctx, failpoint.AnalyticsBeforeInsert); err != nil {
		return err
	}
	began := time.Now()
	// From here until the position is noted, the outcome counts as unknown.
	w.unsettled = true
	if err := w.storage.Insert(ctx, w.batch); err != nil {
		w.metrics.Failures.Inc()
		return err
	}
	if err := w.points.Hit(ctx, failpoint.AnalyticsAfterInsert); err != nil {
		return err
	}
	w.unsettled = false
	w.metrics.observe(w.batch.Rows(), time.Since(began), w.newest)
	w.batch.Reset()
	return nil
}
