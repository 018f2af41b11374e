package limits

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// When sources are asked.
const (
	every       = time.Hour
	beforeReset = 5 * time.Minute
	firstPause  = time.Minute     // after a failure; it doubles up to every
	look        = 5 * time.Second // how often it is looked whether one is due
)

// Ledger is the workspace as its observations need it.
type Ledger interface {
	// Accounts gives the accounts that name a source, with the configuration; false while this process does not serve.
	Accounts(ctx context.Context) (*View, bool)
	// Observe hands in what was told; false where it was not recorded, and why.
	Observe(ctx context.Context, c quota.ObserveAll) (recorded bool, problem string)
}

// View is the configuration, and when the windows of each account reset next.
type View struct {
	Config quota.Config
	Resets map[string][]time.Time // by account
}

// Options configure a watch; everything is required but URL and Client.
type Options struct {
	Ledger Ledger
	Getenv func(string) string
	Log    *slog.Logger
	URL    string       // of the provider; empty means [DefaultURL]
	Client *http.Client // nil means one that follows no redirect
}

// Watch keeps the told limits of one workspace current.
type Watch struct {
	opt   Options
	plans map[string]*plan // by account
}

// plan is when an account's source is asked again.
type plan struct {
	source   quota.LimitsSource
	asked    time.Time
	next     time.Time
	failures int
}

// New makes a watch.
func New(opt Options) *Watch {
	if opt.URL == "" {
		opt.URL = DefaultURL
	}
	if opt.Client == nil {
		opt.Client = newClient()
	}
	return &Watch{opt: opt, plans: map[string]*plan{}}
}

// Run asks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		w.pass(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pass asks every source that is due. While another process serves nothing is planned, so that a process that takes over
// asks at once.
func (w *Watch) pass(ctx context.Context, now time.Time) {
	view, serving := w.opt.Ledger.Accounts(ctx)
	if !serving {
		clear(w.plans)
		return
	}
	seen := map[string]bool{}
	for i := range view.Config.Accounts {
		a := &view.Config.Accounts[i]
		if a.LimitsSource == nil || a.Kind != quota.KindAPI {
			continue
		}
		seen[a.ID] = true
		p := w.plans[a.ID]
		if p == nil || p.source != *a.LimitsSource {
			p = &plan{source: *a.LimitsSource}
			w.plans[a.ID] = p
		}
		if p.due(now, view.Resets[a.ID]) {
			w.refresh(ctx, &view.Config, a.ID, p, now)
		}
	}
	for id := range w.plans {
		if !seen[id] {
			delete(w.plans, id)
		}
	}
}

// due tells whether it is time: by the plan, or because a reset is near that was not near when it was asked last.
func (p *plan) due(now time.Time, resets []time.Time) bool {
	if !now.Before(p.next) {
		return true
	}
	if p.failures > 0 {
		return false // its pause holds
	}
	for _, at := range resets {
		if soon := at.Add(-beforeReset); soon.After(p.asked) && !soon.After(now) && at.After(now) {
			return true
		}
	}
	return false
}

// refresh asks one source and hands in what it told.
func (w *Watch) refresh(ctx context.Context, c *quota.Config, account string, p *plan, now time.Time) {
	p.asked = now
	groups, err := fetch(ctx, w.opt.Client, w.opt.URL, w.opt.Getenv(p.source.KeyEnv))
	problem := ""
	if err == nil {
		problem = w.handIn(ctx, c, account, groups, now)
	}
	if err == nil && problem == "" {
		if p.failures > 0 {
			w.opt.Log.Info("the source of limits answers again", "account", account)
		}
		p.failures, p.next = 0, now.Add(every)
		return
	}
	if ctx.Err() != nil {
		return
	}
	p.failures++
	p.next = now.Add(pause(p.failures))
	w.opt.Log.Warn("the source of limits is away; the last told limits stand", "account", account, "key_env", p.source.KeyEnv,
		"error", err, "problem", problem, "again_at", p.next)
}

func (w *Watch) handIn(ctx context.Context, c *quota.Config, account string, groups []group, now time.Time) (problem string) {
	said := observations(c, account, groups, quota.InstantOf(now))
	if len(said) == 0 {
		return "it tells of no limit per minute"
	}
	for len(said) > 0 {
		n := min(len(said), quota.MaxObserved)
		if recorded, problem := w.opt.Ledger.Observe(ctx, quota.ObserveAll{Account: account, Said: said[:n]}); !recorded {
			return problem
		}
		said = said[n:]
	}
	return ""
}

// pause is drawn from half of its span to all of it; the span doubles with each failure.
func pause(failures int) time.Duration {
	span := firstPause << min(failures-1, 6)
	span = min(span, every)
	return span/2 + rand.N(span/2)
}
