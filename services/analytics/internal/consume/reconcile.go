package consume

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/wire"
)

// maxUnreadableRun is how many commits in a row that cannot be read are passed over to find one that can.
const maxUnreadableRun = 1000

// ErrBranch says that ClickHouse holds commits that the ledger does not have: somebody brought an older ledger back. Nothing
// may be stored then, since what the ledger commits from now on has the numbers of what is stored.
var ErrBranch = errors.New("ClickHouse holds commits that the ledger does not have, as after a restore of an older ledger: " +
	"bring back a ClickHouse of the same time, or let its tables be made anew, see Backups in docs/operating.md")

// place is where a commit stands in the stream.
type place struct {
	sequence uint64
	ledgerID string
	number   uint64
	// commitID is empty where the commit cannot be read.
	commitID string
}

// reconcile sets the consumer back if it acknowledged commits that ClickHouse does not hold. Errors: ErrBranch.
func (c *Consumer) reconcile(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	stream, err := c.JetStream.Stream(asking, c.Stream)
	if err != nil {
		return err
	}
	info, err := stream.Info(asking, jetstream.WithSubjectFilter(wire.FilterLedger))
	if err != nil {
		return err
	}
	consumer, err := c.JetStream.Consumer(asking, c.Stream, c.Name)
	if err != nil {
		return err
	}
	floor := consumer.CachedInfo().AckFloor.Stream
	lowest := uint64(0)
	for subject := range info.State.Subjects {
		s := search{stream: stream, subject: subject, first: info.State.FirstSeq, floor: floor}
		if err := c.onBranch(ctx, s, info.State.LastSeq); err != nil {
			return fmt.Errorf("subject %s: %w", subject, err)
		}
		sequence, err := c.firstMissing(ctx, s)
		if err != nil {
			return fmt.Errorf("subject %s: %w", subject, err)
		}
		if sequence != 0 && (lowest == 0 || sequence < lowest) {
			lowest = sequence
		}
	}
	if lowest == 0 {
		return nil
	}
	c.Log.Warn("ClickHouse lacks commits that were acknowledged: reading them again", "from_revision", lowest)
	resetting, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	_, err = c.JetStream.ResetConsumerToSequence(resetting, c.Stream, c.Name, lowest)
	return err
}

// onBranch returns ErrBranch unless the last commit of a workspace that both have is one and the same, and nothing is stored
// beyond the ledger's end.
func (c *Consumer) onBranch(ctx context.Context, s search, end uint64) error {
	raw, err := s.stream.GetLastMsgForSubject(ctx, s.subject)
	if err != nil {
		return err
	}
	last, unreadable := ledger.Decode(raw.Data)
	if unreadable != nil {
		return nil //nolint:nilerr // it is kept raw, and does not tell which commits there are
	}
	stored := c.Writer.Stored(last.Ledger.String())
	if stored == 0 {
		return nil
	}
	s.floor = end
	both, ok, err := s.find(ctx, min(stored, last.Number))
	if err != nil || !ok {
		return err
	}
	if both.number == min(stored, last.Number) && both.commitID != "" {
		workspace, err := wire.WorkspaceOfLedgerSubject(s.subject)
		if err != nil {
			return err
		}
		id, err := c.Writer.storage.CommitID(ctx, workspace, both.ledgerID, both.number)
		if err != nil {
			return err
		}
		if id != "" && id != both.commitID {
			return fmt.Errorf("%w; ledger %s has another commit %d", ErrBranch, both.ledgerID, both.number)
		}
	}
	if stored > last.Number {
		return fmt.Errorf("%w; ledger %s ends at commit %d, %d is stored", ErrBranch, both.ledgerID, last.Number, stored)
	}
	return nil
}

// firstMissing returns the place in the stream of the first commit of a workspace that was acknowledged
// and is missing in ClickHouse; 0 if there is none. Commits that the stream does not hold either are
// given up.
func (c *Consumer) firstMissing(ctx context.Context, s search) (uint64, error) {
	oldest, ok, err := s.next(ctx, s.first)
	if err != nil || !ok {
		return 0, err
	}
	id := oldest.ledgerID
	c.giveUp(id, oldest.number)
	for {
		needed := c.Writer.Stored(id) + 1
		found, ok, err := s.find(ctx, needed)
		if err != nil || !ok || found.sequence > s.floor {
			return 0, err
		}
		if found.number == needed {
			return found.sequence, nil
		}
		c.giveUp(id, found.number)
	}
}

// giveUp moves the position up to the commit before number: what lies between is in neither place.
func (c *Consumer) giveUp(id string, number uint64) {
	stored := c.Writer.Stored(id)
	if number <= stored+1 {
		return
	}
	c.Log.Error("commits are neither in ClickHouse nor in the ledger any more: what they spent is missing in history", "ledger", id, "first", stored+1, "last", number-1)
	c.Metrics.Lost.Add(float64(number - stored - 1))
	c.Writer.Accept(id, number-1)
}

// search looks for commits of one workspace in the stream.
type search struct {
	stream  jetstream.Stream
	subject string
	// first is where the stream begins, floor where what was acknowledged ends.
	first, floor uint64
}

// find returns the place of the commit of a number, or of the next one there is; ok is false if there
// is none at or below the floor.
func (s search) find(ctx context.Context, number uint64) (found place, ok bool, err error) {
	if s.floor < s.first {
		return place{}, false, nil
	}
	var failed error
	offset := sort.Search(int(s.floor-s.first)+1, func(i int) bool {
		if failed != nil {
			return true
		}
		p, ok, err := s.next(ctx, s.first+uint64(i))
		if err != nil {
			failed = err
		}
		return !ok || p.number >= number
	})
	if failed != nil || offset > int(s.floor-s.first) {
		return place{}, false, failed
	}
	return s.next(ctx, s.first+uint64(offset))
}

// next returns the place of the first commit at or after a place in the stream; ok is false if there is
// none. The number of one that cannot be read follows from the next one that can.
func (s search) next(ctx context.Context, sequence uint64) (p place, ok bool, err error) {
	for skipped := range uint64(maxUnreadableRun) {
		raw, err := s.message(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return place{}, false, nil
		}
		if err != nil {
			return place{}, false, err
		}
		if skipped == 0 {
			p.sequence = raw.Sequence
		}
		if commit, err := ledger.Decode(raw.Data); err == nil && commit.Number > skipped {
			p.ledgerID, p.number = commit.Ledger.String(), commit.Number-skipped
			if skipped == 0 {
				p.commitID = commit.ID.String()
			}
			return p, true, nil
		}
		sequence = raw.Sequence + 1
	}
	return place{}, false, fmt.Errorf("no commit can be read among %d up to revision %d", maxUnreadableRun, sequence)
}

func (s search) message(ctx context.Context, sequence uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	return s.stream.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject(s.subject))
}
