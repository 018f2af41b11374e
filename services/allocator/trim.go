package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
)

// DefaultRetention is how long commits are kept at the least.
const DefaultRetention = 30 * 24 * time.Hour

// TrimConfig says what to trim.
type TrimConfig struct {
	// NATS says how to connect, with the rights of the maintenance, which no service has. Required.
	NATS natsconn.Config
	// Workspaces to trim. Required.
	Workspaces []string
	// Retention is how long commits are kept at the least; 0 means DefaultRetention. It must be longer than request ids
	// are remembered, because their answers are read from the log.
	Retention time.Duration
	// Now is the time that Retention is counted from; zero means the present.
	Now time.Time
}

// Validate reports every fault at once.
func (c *TrimConfig) Validate() error {
	var errs []error
	if len(c.Workspaces) == 0 {
		errs = append(errs, errors.New("no workspace to trim"))
	}
	if c.Retention < 0 {
		errs = append(errs, fmt.Errorf("retention %s is negative", c.Retention))
	}
	return errors.Join(errs...)
}

// Trim removes the commits of each workspace that are older than the retention, as far as every consumer has
// acknowledged them and every commit verifies:
//
//  1. fold the log from its beginning, or from the keyframe it was trimmed to, up to the last commit to go;
//  2. store the fold as the keyframe that the log is to begin with, and restore it from there;
//  3. remove the commits before it. The commit of the keyframe stays.
//
// A death between the steps leaves a keyframe too many and loses nothing. A log that does not verify is not trimmed: its
// first violation is the error.
func Trim(ctx context.Context, cfg TrimConfig, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Retention == 0 {
		cfg.Retention = DefaultRetention
	}
	if cfg.Now.IsZero() {
		cfg.Now = time.Now()
	}
	nc, err := natsconn.Connect(ctx, cfg.NATS)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := store.NewJetStream(nc)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range cfg.Workspaces {
		logs, err := store.OpenLog(ctx, js, name, nil)
		if err != nil {
			return err
		}
		keyframes, err := store.OpenKeyframes(ctx, js, name, nil)
		if err != nil {
			return err
		}
		t := trimmer{logs, keyframes, cfg.Now.Add(-cfg.Retention), cfg.Retention, log.With("workspace", name)}
		if err := t.trim(ctx); err != nil {
			errs = append(errs, fmt.Errorf("workspace %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// trimmer trims one workspace.
type trimmer struct {
	log       *store.Log
	keyframes *store.Keyframes
	before    time.Time
	retention time.Duration
	logger    *slog.Logger
}

// errEnough ends a fold at the first commit that stays.
var errEnough = errors.New("enough")

func (t *trimmer) trim(ctx context.Context) error {
	floor, err := t.log.Floor(ctx)
	if err != nil {
		return err
	}
	l, err := (&verifier{t.log, t.keyframes}).from(ctx)
	if err != nil {
		return err
	}
	began := l.Position().Number
	err = t.log.Each(ctx, l.Position().Revision, func(e ledger.Entry) error {
		if e.Revision > floor || !e.Stored.Before(t.before) {
			return errEnough
		}
		_, err := l.ApplyEntry(e)
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("the log does not verify and is not trimmed: %w", err)
	}
	if horizon := l.Horizon(); quota.MillisOf(t.retention) <= horizon {
		return fmt.Errorf("a retention of %s is not longer than request ids are remembered, %s: choose a longer one", t.retention, horizon.Duration())
	}
	at := l.Position()
	if at.Number == began {
		t.logger.Info("nothing to trim", "older_than", t.before, "acknowledged_to", floor)
		return nil
	}
	if broken := l.State().Check(); len(broken) > 0 {
		return fmt.Errorf("the log does not verify and is not trimmed: %s", broken[0])
	}
	encoded, err := l.Snapshot(nil).Encode()
	if err != nil {
		return err
	}
	if err := t.keyframes.SaveBase(ctx, encoded); err != nil && !errors.Is(err, store.ErrSuperseded) {
		return err
	}
	if err := t.log.Trim(ctx, at.Revision); err != nil {
		return err
	}
	t.logger.Info("log trimmed", "begins_at_commit", at.Number, "commits_removed", at.Number-max(1, began), "older_than", t.before)
	return nil
}
