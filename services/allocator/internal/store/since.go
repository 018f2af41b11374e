package store

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Before gives a revision after which every commit stored at or after an instant lies, and few that were stored before:
// revisions are searched by halving, each with one read at the leader. 0 means that all of the log may be later.
func (l *Log) Before(ctx context.Context, at time.Time) (uint64, error) {
	last, err := l.Last(ctx)
	if err != nil {
		return 0, err
	}
	var before uint64
	for after := last; before < after; {
		middle := before + (after-before+1)/2
		e, err := l.next(ctx, middle)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			after = middle - 1
		case err != nil:
			return 0, err
		case e.Stored.Before(at) && e.Revision <= after:
			before = e.Revision
		default:
			after = middle - 1
		}
	}
	return before, nil
}
