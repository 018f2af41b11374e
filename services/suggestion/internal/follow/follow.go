// Package follow reads the ledgers of all workspaces and turns them into advice and into estimates of tasks.
//
// # Why nothing is lost or repeated
//
// A range of commits is handled in this order:
//
//  1. the commits go into the books of their workspaces; those that a book has read already change nothing;
//  2. each book that changed is saved whole: position, window, list and outbox in one write;
//  3. the outbox is published, one event after the other, each under the suggestion's own id;
//  4. the emptied outbox is saved, and the list shown;
//  5. the range is acknowledged.
//
// A death before 2 repeats the range from the old book. A death after 2 repeats a range that the book has read; its
// outbox is published then, from behind the last event that is in the stream already. After any error the books are
// loaded again, so that what is in memory is never ahead of what is stored.
//
// What is learned about tasks is a value of its own, with a position of its own: it reads the same commits in step 1 and
// is saved before step 2. A death after that repeats commits which it knows to have read.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/book"
)

// Keeper stores books and tells of suggestions; package keep implements it.
type Keeper interface {
	Load(ctx context.Context, workspace string) (*book.Book, uint64, error)
	Save(ctx context.Context, b *book.Book, revision uint64) (uint64, error)
	Show(ctx context.Context, list wire.SuggestionList) error
	Publish(ctx context.Context, workspace string, s wire.Suggestion) error
	LastPublished(ctx context.Context, workspace string) (string, error)
	History(ctx context.Context, workspace string, from time.Time, upTo uint64, handle func(*ledger.Commit)) (unreadable int, err error)
	Dismissals(ctx context.Context, workspace string) (wire.SuggestionDismissals, error)
	LoadEstimates(ctx context.Context, workspace string) (*learn.Book, uint64, error)
	SaveEstimates(ctx context.Context, workspace string, b *learn.Book, revision uint64) (uint64, error)
}

// Follower handles ranges of commits. It is not safe for concurrent use: ranges come one at a time.
type Follower struct {
	keep    Keeper
	metrics *Metrics
	log     *slog.Logger
	now     func() time.Time
	ended   <-chan struct{}
	books   map[string]*entry
	learned map[string]*learned
	// advised is when advice was last given, and took how long that was.
	advised time.Time
	took    time.Duration
}

// entry is a book in memory.
type entry struct {
	book     *book.Book
	revision uint64
	changed  bool // not saved yet
	resumed  bool // loaded with an outbox, of which a part may be published
	shown    bool // the list that everybody reads is this book's
}

// New gives a follower. Once ended is closed it finishes what is in hand and begins no more back-tests.
func New(keep Keeper, metrics *Metrics, log *slog.Logger, now func() time.Time, ended <-chan struct{}) *Follower {
	return &Follower{ended: ended, keep: keep, metrics: metrics, log: log, now: now, books: map[string]*entry{}, learned: map[string]*learned{}}
}

// Handle takes the message of a range; see the package comment for the order. After an error the range is to be handed
// in again.
func (f *Follower) Handle(msg *message.Message) error {
	r, ok := bus.RangeOf(msg)
	if !ok {
		return errors.New("the message is no range of commits")
	}
	if err := f.handle(msg.Context(), r); err != nil {
		f.books, f.learned = map[string]*entry{}, map[string]*learned{}
		f.metrics.failures.Inc()
		return err
	}
	f.metrics.lag.Set(max(0, f.now().Sub(r.Messages[len(r.Messages)-1].Time).Seconds()))
	return nil
}

func (f *Follower) handle(ctx context.Context, r bus.Range) error {
	for _, record := range r.Messages {
		if err := f.read(ctx, record); err != nil {
			return err
		}
	}
	if err := f.saveEstimates(ctx); err != nil {
		return err
	}
	behind := r.Messages[len(r.Messages)-1].Pending > 0
	turn := !behind || f.now().Sub(f.advised) >= adviceShare*f.took
	began := f.now()
	for _, workspace := range slices.Sorted(maps.Keys(f.books)) {
		e := f.books[workspace]
		if !e.changed && e.shown && len(e.book.Outbox()) == 0 && !e.book.Awaiting() {
			continue
		}
		if !turn {
			if err := f.save(ctx, e); err != nil {
				return err
			}
			continue
		}
		if err := f.advise(ctx, e); err != nil {
			return err
		}
		for n := 0; !behind && e.book.Awaiting() && n < maxRounds && !f.ending(); n++ {
			e.changed = true
			if err := f.advise(ctx, e); err != nil {
				return err
			}
		}
	}
	if turn {
		f.advised = f.now()
		f.took = f.advised.Sub(began)
	}
	return nil
}

func (f *Follower) ending() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

const (
	// adviceShare: while there is more to read, advice takes at most one part in so many and one of the time.
	adviceShare = 4
	// maxRounds bounds how often advice that awaits its test is gone on with where there is nothing to read.
	maxRounds = 100
)

// read takes one commit into its book. A commit that cannot be read is counted and passed over: advice is not the
// books, and analytics keeps the commit as it is.
func (f *Follower) read(ctx context.Context, record bus.Record) error {
	workspace, err := wire.WorkspaceOfLedgerSubject(record.Subject)
	if err != nil {
		f.unreadable(record, err)
		return nil
	}
	commit, err := ledger.Decode(record.Data)
	if err != nil {
		f.unreadable(record, err)
		return nil
	}
	if err := f.learn(ctx, workspace, commit); err != nil {
		return err
	}
	e, err := f.entry(ctx, workspace)
	if err != nil {
		return err
	}
	reading := e.book.Read(commit)
	if reading.Repeated {
		return nil
	}
	e.changed = true
	f.metrics.commits.Inc()
	if reading.Missed > 0 {
		f.metrics.missed.Add(float64(reading.Missed))
		f.log.Warn("commits are missing before this one", "workspace", workspace, "commit", commit.Number, "missed", reading.Missed)
	}
	if reading.Replaced {
		f.log.Warn("the workspace has another ledger than before, its advice begins anew", "workspace", workspace, "ledger", commit.Ledger.String())
	}
	if reading.Fault != nil {
		f.log.Warn("the configuration's prices cannot be used, the catalogue's own hold", "workspace", workspace, "error", reading.Fault)
	}
	return nil
}

func (f *Follower) unreadable(record bus.Record, err error) {
	f.metrics.unreadable.Inc()
	f.log.Error("a commit cannot be read and is passed over", "subject", record.Subject, "sequence", record.Sequence, "error", err)
}

// entry finds or loads a book.
func (f *Follower) entry(ctx context.Context, workspace string) (*entry, error) {
	if e := f.books[workspace]; e != nil {
		return e, nil
	}
	b, revision, err := f.keep.Load(ctx, workspace)
	if errors.Is(err, book.ErrState) {
		f.log.Error("the stored state cannot be read, the workspace's advice begins anew", "workspace", workspace, "error", err)
	} else if err != nil {
		return nil, err
	}
	if b.Number() > 0 {
		if err := f.recall(ctx, b); err != nil {
			return nil, err
		}
	}
	e := &entry{book: b, revision: revision, resumed: len(b.Outbox()) > 0}
	f.books[workspace] = e
	return e, nil
}

// recall brings the jobs of the last days back to a book that was loaded, for its back-tests.
func (f *Follower) recall(ctx context.Context, b *book.Book) error {
	unreadable, err := f.keep.History(ctx, b.Workspace(), b.From().Time(), b.Number(), b.Recall)
	if err != nil {
		return fmt.Errorf("recall the last days of workspace %s: %w", b.Workspace(), err)
	}
	if unreadable > 0 {
		f.log.Warn("commits cannot be read and are missing in back-tests", "workspace", b.Workspace(), "commits", unreadable)
	}
	return nil
}

// advise does steps 2 to 4 for one book.
func (f *Follower) advise(ctx context.Context, e *entry) error {
	if e.changed {
		e.shown = false
		dismissed, err := f.keep.Dismissals(ctx, e.book.Workspace())
		if err != nil {
			return err
		}
		e.book.Dismiss(dismissed)
		e.book.Advise(f.ended)
		if err := f.save(ctx, e); err != nil {
			return err
		}
		e.changed = false
	}
	if err := f.publish(ctx, e); err != nil {
		return err
	}
	list := e.book.List()
	if err := f.keep.Show(ctx, list); err != nil {
		return err
	}
	e.shown = true
	f.metrics.current.WithLabelValues(list.Workspace).Set(float64(len(list.Suggestions)))
	return nil
}

func (f *Follower) save(ctx context.Context, e *entry) error {
	revision, err := f.keep.Save(ctx, e.book, e.revision)
	if err == nil {
		e.revision = revision
	}
	return err
}

// publish empties the outbox.
func (f *Follower) publish(ctx context.Context, e *entry) error {
	if len(e.book.Outbox()) == 0 {
		return nil
	}
	if e.resumed {
		if err := f.skipPublished(ctx, e); err != nil {
			return err
		}
	}
	workspace := e.book.Workspace()
	for _, s := range e.book.Outbox() {
		if err := f.keep.Publish(ctx, workspace, s); err != nil {
			return fmt.Errorf("publish suggestion %s: %w", s.SuggestionID, err)
		}
		f.metrics.made.WithLabelValues(s.Rule).Inc()
		f.log.Info("suggestion made", "workspace", workspace, "rule", s.Rule, "id", s.SuggestionID, "title", s.Title,
			"saving_micro_usd", s.SavingMicroUSD, "confidence_percent", s.ConfidencePercent.String())
	}
	e.book.Published(len(e.book.Outbox()))
	return f.save(ctx, e)
}

// skipPublished takes out of the outbox what a process before this one published and could not note down.
func (f *Follower) skipPublished(ctx context.Context, e *entry) error {
	last, err := f.keep.LastPublished(ctx, e.book.Workspace())
	if err != nil {
		return err
	}
	published := 1 + slices.IndexFunc(e.book.Outbox(), func(s wire.Suggestion) bool { return s.SuggestionID == last })
	e.book.Published(published)
	e.resumed = false
	return nil
}
