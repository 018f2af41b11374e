package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
)

// lookTimeout bounds one look into the ledger.
const lookTimeout = 10 * time.Second

// chain proves by number that every commit of each workspace is relayed. A number that follows the last one is proof. Where
// it does not follow, or is the first one that this process sees, the ledger is asked: if it still holds what lies between,
// another process has relayed and acknowledged that. If it does not, commits were removed that nobody may have relayed.
// Their events cannot be made any more; they are missed aloud, and those that there are go on.
type chain struct {
	js      jetstream.JetStream
	metrics *Metrics
	log     *slog.Logger
	last    map[string]link // by the subject of the workspace's ledger
}

// link is the last commit of a workspace that was read. The number of one that cannot be read is not known, and 0.
type link struct {
	ledger   ledger.ID
	number   uint64
	sequence uint64
}

func newChain(opt Options) *chain {
	return &chain{js: opt.JetStream, metrics: opt.Metrics, log: opt.Log, last: map[string]link{}}
}

// follow takes the next commit of a workspace; nil stands for one that cannot be read. It fails when the ledger does not
// answer; then the same commit is to come again.
func (c *chain) follow(ctx context.Context, record bus.Record, commit *ledger.Commit) error {
	before, known := c.last[record.Subject]
	if record.Sequence <= before.sequence {
		return nil // a range that comes again
	}
	now := link{sequence: record.Sequence}
	if commit == nil {
		c.last[record.Subject] = now // it has a place, so that the next one is not held to follow another
		return nil
	}
	now.ledger, now.number = commit.Ledger, commit.Number
	replaced := known && before.number > 0 && before.ledger != now.ledger
	if replaced {
		before.number = 0
	}
	proven := now.number == before.number+1 || known && !replaced && before.number == 0
	if !proven {
		gone, err := c.gone(ctx, record, before.sequence)
		if err != nil {
			return err
		}
		if gone {
			c.metrics.gaps.Inc()
			c.log.Error("a commit does not follow the last one, and the ledger holds nothing between them: what was there may have no public events",
				"subject", record.Subject, "ledger", now.ledger.String(), "last", before.number, "next", now.number)
		}
	}
	if replaced {
		c.log.Warn("the workspace has another ledger than before", "subject", record.Subject, "ledger", now.ledger.String(), "before", before.ledger.String())
	}
	c.last[record.Subject] = now
	return nil
}

// gone tells whether the ledger holds nothing of the workspace between a place and a commit.
func (c *chain) gone(ctx context.Context, record bus.Record, after uint64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	stream, err := c.js.Stream(ctx, wire.StreamLedger)
	if err != nil {
		return false, fmt.Errorf("look for what was removed from the ledger: %w", err)
	}
	next, err := stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(record.Subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil // this one, too, since it was delivered
	}
	if err != nil {
		return false, fmt.Errorf("look for what was removed from the ledger: %w", err)
	}
	return next.Sequence >= record.Sequence, nil
}
