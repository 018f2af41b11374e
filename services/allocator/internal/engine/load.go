package engine

import (
	"context"
	"errors"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/writer"
)

// load recovers the ledger beside the engine.
func (e *Engine) load(ctx context.Context) {
	e.beside.Go(func() {
		started := time.Now()
		loaded, err := e.recover(ctx)
		if err != nil {
			e.give(ctx, writer.LoadFailed{Err: err, Corrupt: corrupt(err)})
			return
		}
		p := loaded.Ledger.Position()
		e.opt.Logger.Info("ledger recovered", "commit", p.Number, "revision", p.Revision, "folded", loaded.SinceKeyframe,
			"reservations", loaded.Ledger.State().Live(), "took", time.Since(started).Round(time.Millisecond))
		e.give(ctx, *loaded)
	})
}

// recover takes the newest keyframe that restores and folds the log after it. A keyframe that the log does not continue
// is of another log, or wrong: then the log is folded from its beginning.
func (e *Engine) recover(ctx context.Context) (*writer.Loaded, error) {
	l, rejected, err := e.opt.Keyframes.Newest(ctx)
	for _, why := range rejected {
		e.opt.Logger.Warn("keyframe passed over", "error", why)
	}
	if err != nil {
		return nil, err
	}
	if l != nil {
		loaded, err := e.fold(ctx, l)
		if err == nil || !corrupt(err) {
			return loaded, err
		}
		e.opt.Logger.Warn("the log does not continue the keyframe; folding it from its beginning", "error", err)
	}
	return e.fold(ctx, ledger.New())
}

func (e *Engine) fold(ctx context.Context, l *ledger.Ledger) (*writer.Loaded, error) {
	loaded := &writer.Loaded{Ledger: l}
	err := e.opt.Log.Each(ctx, l.Position().Revision, func(entry ledger.Entry) error {
		loaded.SinceKeyframe++
		_, err := l.ApplyEntry(entry)
		return err
	})
	if err != nil {
		return nil, err
	}
	return loaded, nil
}

// corrupt tells damage, which only an operator can mend, from what passes.
func corrupt(err error) bool {
	return errors.Is(err, ledger.ErrCorrupt) || errors.Is(err, ledger.ErrVersion) || errors.Is(err, ledger.ErrSequence) || errors.Is(err, ledger.ErrBroken)
}
