package follow

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/ledger"
)

// learned is what is known of the tasks of a workspace, in memory.
type learned struct {
	book     *learn.Book
	revision uint64
	changed  bool // not saved yet
}

// learn takes the tasks that a commit settles into the estimates of its workspace. What cannot be learned is told in the
// log: estimates are not worth holding up advice for.
func (f *Follower) learn(ctx context.Context, workspace string, commit *ledger.Commit) error {
	l, err := f.learnedOf(ctx, workspace)
	if err != nil {
		return err
	}
	changed, err := l.book.Read(commit)
	if err != nil {
		f.log.Warn("a task cannot be learned from", "workspace", workspace, "commit", commit.Number, "error", err)
	}
	l.changed = l.changed || changed
	return nil
}

// learnedOf finds or loads the estimates of a workspace.
func (f *Follower) learnedOf(ctx context.Context, workspace string) (*learned, error) {
	if l := f.learned[workspace]; l != nil {
		return l, nil
	}
	b, revision, err := f.keep.LoadEstimates(ctx, workspace)
	if errors.Is(err, learn.ErrState) {
		f.log.Error("the stored estimates cannot be read, the workspace's estimates begin anew", "workspace", workspace, "error", err)
	} else if err != nil {
		return nil, err
	}
	l := &learned{book: b, revision: revision}
	f.learned[workspace] = l
	return l, nil
}

// saveEstimates saves what the range in hand has taught.
func (f *Follower) saveEstimates(ctx context.Context) error {
	for _, workspace := range slices.Sorted(maps.Keys(f.learned)) {
		l := f.learned[workspace]
		if !l.changed {
			continue
		}
		revision, err := f.keep.SaveEstimates(ctx, workspace, l.book, l.revision)
		if err != nil {
			return err
		}
		l.revision, l.changed = revision, false
		f.metrics.estimates.show(workspace, l.book.Report())
	}
	return nil
}
