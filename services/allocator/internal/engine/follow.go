package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/writer"
)

// FollowEvery is how often the log is looked at while somebody else leads. What is committed in between is what a
// takeover has to fold.
const FollowEvery = 250 * time.Millisecond

// order is what the engine asks of its follower.
type order int

const (
	orderLoad   order = iota + 1 // fold up to the end, hand the ledger over, and rest
	orderFollow                  // begin again
)

// follower keeps a ledger folded while this process does not lead. Its goroutine alone touches it.
type follower struct {
	log       Log
	keyframes Keyframes
	logger    *slog.Logger
	orders    chan order

	ledger *ledger.Ledger // nil while there is none
	folded int            // commits folded since its keyframe
	rests  bool
}

func newFollower(opt *Options) *follower {
	return &follower{log: opt.Log, keyframes: opt.Keyframes, logger: opt.Logger, orders: make(chan order, ordersWaiting)}
}

// run follows until ctx ends. give takes the answer to an orderLoad.
func (f *follower) run(ctx context.Context, give func(context.Context, writer.Input)) {
	tick := time.NewTicker(FollowEvery)
	defer tick.Stop()
	for {
		if !f.rests {
			f.follow(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case o := <-f.orders:
			if f.rests = o == orderLoad; f.rests {
				give(ctx, f.load(ctx))
			}
		}
	}
}

// follow folds what is new. A damaged log is left to be found by a load, which halts the ledger.
func (f *follower) follow(ctx context.Context) {
	if err := f.catchUp(ctx); err != nil && ctx.Err() == nil {
		f.rests = corrupt(err)
		f.logger.Warn("the log cannot be followed; a takeover will take longer", "error", err, "again", !f.rests)
	}
}

// load gives the ledger as of the newest commit.
func (f *follower) load(ctx context.Context) writer.Input {
	started, ahead := time.Now(), f.folded
	warm := f.ledger != nil
	if err := f.catchUp(ctx); err != nil {
		return writer.LoadFailed{Err: err, Corrupt: corrupt(err)}
	}
	p := f.ledger.Position()
	f.logger.Info("ledger loaded", "commit", p.Number, "revision", p.Revision, "warm", warm, "folded", f.folded-ahead,
		"reservations", f.ledger.State().Live(), "took", time.Since(started).Round(time.Microsecond))
	loaded := writer.Loaded{Ledger: f.ledger, SinceKeyframe: f.folded}
	f.ledger, f.folded = nil, 0
	return loaded
}

// catchUp folds up to the newest commit. A ledger that does not fold is thrown away; where it came of a keyframe, the
// keyframe may be what is wrong, and the log is folded from its beginning.
func (f *follower) catchUp(ctx context.Context) error {
	fromKeyframe := false
	if f.ledger == nil {
		restored, err := f.restore(ctx)
		if err != nil {
			return err
		}
		f.folded, f.ledger, fromKeyframe = 0, restored, restored != nil
		if restored == nil {
			f.ledger = ledger.New()
		}
	}
	err := f.fold(ctx)
	if !corrupt(err) {
		return err
	}
	f.ledger, f.folded = nil, 0
	if !fromKeyframe {
		return err
	}
	f.logger.Warn("the log does not continue the keyframe; folding it from its beginning", "error", err)
	f.ledger = ledger.New()
	if err = f.fold(ctx); corrupt(err) {
		f.ledger, f.folded = nil, 0
	}
	return err
}

// restore gives the ledger of the newest keyframe that is whole; nil when there is none.
func (f *follower) restore(ctx context.Context) (*ledger.Ledger, error) {
	restored, passedOver, err := f.keyframes.Newest(ctx)
	for _, why := range passedOver {
		f.logger.Warn("keyframe passed over", "error", why)
	}
	return restored, err
}

func (f *follower) fold(ctx context.Context) error {
	return f.log.Each(ctx, f.ledger.Position().Revision, func(e ledger.Entry) error {
		if _, err := f.ledger.ApplyEntry(e); err != nil {
			return err
		}
		f.folded++
		return nil
	})
}

// corrupt tells damage, which only an operator can mend, from what passes.
func corrupt(err error) bool {
	for _, damage := range []error{ledger.ErrCorrupt, ledger.ErrVersion, ledger.ErrSequence, ledger.ErrBroken, ledger.ErrTooLarge} {
		if errors.Is(err, damage) {
			return true
		}
	}
	return false
}
