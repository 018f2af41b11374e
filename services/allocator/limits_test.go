package allocator

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// TestActiveSource: an allocator asks the source that an account names, what it tells decides where it is stricter, and it
// is one of the books.
func TestActiveSource(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() || r.Header.Get("x-api-key") != "the key" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"group_type":"model_group","models":["claude-opus-5"],"limits":[{"type":"requests_per_minute","value":3},{"type":"output_tokens_per_minute","value":9000000}]}],"next_page":null}`)
	}))
	defer server.Close()
	s := &served{Site: site.Start(t, []string{"ann"}), t: t}
	cfg := serviceConfigOf(t, s.Site, `version: 1
teams: [core]
accounts:
  - {id: api, provider: claude, tier: start, limits_source: {type: anthropic_rate_limits, admin_key_env: ADMIN_KEY}}
principals:
  - {name: ann, team: core}
  - {name: root, admin: true}
`)
	cfg.LimitsURL = server.URL
	cfg.Getenv = func(name string) string { return map[string]string{"ADMIN_KEY": "the key"}[name] }
	start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s.ctx, s.operator = ctx, s.Operator()
	told := func() map[string]wire.Limit {
		t.Helper()
		r, err := s.operator.Accounts(ctx, wire.AccountsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]wire.Limit{}
		for _, l := range r.Accounts[0].Limits {
			if l.Told != nil {
				found[l.LimitID] = l
			}
		}
		return found
	}
	var limits map[string]wire.Limit
	for len(limits) == 0 {
		if limits = told(); ctx.Err() != nil {
			t.Fatal("nothing was told")
		}
	}
	requests, output := limits["api/requests_per_minute/opus-5"], limits["api/output_per_minute/opus-5"]
	if len(limits) != 2 || requests.Capacity != 3 || requests.Told.Capacity != 3 || requests.Told.Source != "rate_limits_api" || requests.Told.Stale {
		t.Errorf("told %+v", limits)
	}
	if output.Capacity != 400_000 || output.Told.Capacity != 9_000_000 {
		t.Errorf("the configured limit is the stricter one: %+v", output)
	}
	away.Store(true)
	granted := 0
	for range 5 {
		if _, err := s.agent("a").Reserve(ctx, wire.ReserveRequest{Provider: "claude", Model: "claude-opus-5", Tokens: wire.Tokens{Output: 10}}); err == nil {
			granted++
		}
	}
	if granted != 3 {
		t.Errorf("%d of 5 granted, want 3", granted)
	}
	if v, err := s.operator.Verify(ctx); err != nil || !v.OK {
		t.Errorf("verify: %+v, %v", v, err)
	}
}

// TestResetsOfAccounts: a source is asked before the windows of its account reset, of which the view tells those that have an
// end; without a source nothing is looked up.
func TestResetsOfAccounts(t *testing.T) {
	t.Parallel()
	state, now := quota.NewState(), quota.InstantOf(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	config := quota.Config{
		Accounts: []quota.Account{{ID: "api", Provider: "claude", Kind: quota.KindAPI, LimitsSource: &quota.LimitsSource{Type: "anthropic_rate_limits", KeyEnv: "K"}}},
		Limits: []quota.Limit{
			{ID: "api/month", Name: "month", Scope: quota.Scope{Account: "api"}, Unit: quota.UnitTokens, Capacity: 9, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodMonth}},
			{ID: "api/minute", Name: "minute", Scope: quota.Scope{Account: "api"}, Unit: quota.UnitTokens, Capacity: 9, Window: quota.Window{Kind: quota.WindowBucket, Duration: quota.Minute}},
			{ID: "team/day", Unit: quota.UnitTokens, Capacity: 9, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}},
		},
		Policy: quota.DefaultPolicy(),
	}
	apply := func() {
		events, r := quota.Decide(state, quota.ApplyConfig{Config: config}, quota.Env{Now: now})
		if !r.OK() {
			t.Fatal(r.Message)
		}
		for _, e := range events {
			quota.Apply(state, e)
		}
	}
	apply()
	if got := viewOf(state, now).Resets; len(got) != 1 || len(got["api"]) != 1 || !got["api"][0].Equal(time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("resets %v", got)
	}
	config.Accounts[0].LimitsSource = nil
	apply()
	if got := viewOf(state, now).Resets; len(got) != 0 {
		t.Errorf("without a source %v", got)
	}
}
