package allocator

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestObserveAsItCame hands in what a provider said as it came: all of it is one commit, what cannot be read is told, and
// the same request gets the same answer.
func TestObserveAsItCame(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	commits := func() uint64 {
		t.Helper()
		v, err := s.operator.Verify(s.ctx)
		if err != nil || !v.OK {
			t.Fatalf("verify: %+v, %v", v, err)
		}
		return v.Commits
	}
	now := time.Now()
	request := wire.ObserveRequest{
		Identified: wire.Identified{RequestID: newID(t)}, Account: "api-1", ObservedAt: wire.TimeOf(quota.InstantOf(now)), Model: "claude-opus-5",
		Raw: &wire.RawObservation{Status: 429, Body: `{"type":"error","error":{"type":"rate_limit_error","message":"busy"}}`, Headers: map[string]string{
			"Anthropic-Ratelimit-Requests-Limit": "50", "anthropic-ratelimit-requests-remaining": "49",
			"anthropic-ratelimit-output-tokens-limit": "400000", "anthropic-ratelimit-output-tokens-remaining": "0",
			"anthropic-ratelimit-tokens-remaining": "many", "retry-after": "17", "set-cookie": "a secret", "request-id": "req_1",
		}},
	}
	before := commits()
	first, err := a.Observe(s.ctx, request)
	if err != nil || !first.Recorded || len(first.Windows) != 2 || len(first.Problems) != 1 || first.Problems[0].Field != "anthropic-ratelimit-tokens-remaining" {
		t.Fatalf("%+v, %v", first, err)
	}
	if after := commits(); after != before+1 {
		t.Errorf("%d commits", after-before)
	}
	out := first.Windows[0]
	if out.Window != "output_per_minute/claude-opus-5" && out.Window != "output_per_minute" || out.Said.Signal != "exhausted" || out.Said.RetryAfterMS != 17_000 || !out.Unknown {
		t.Errorf("output tokens: %+v", out)
	}
	again, err := a.Observe(s.ctx, request)
	if err != nil || asJSON(t, again) != asJSON(t, first) {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	accounts, err := s.operator.Accounts(s.ctx, wire.AccountsRequest{})
	if err != nil || len(accounts.Accounts) == 0 || len(accounts.Accounts[0].UnknownWindows) != 2 {
		t.Errorf("accounts: %+v, %v", accounts, err)
	}
}

// TestObserveSaysNothing: an answer that tells of no window is no commit, and a wrong account is told all the same.
func TestObserveSaysNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	for name, raw := range map[string]*wire.RawObservation{
		"no header of a limit":          {Headers: map[string]string{"content-type": "text/html"}},
		"a status line of an API key":   {StatusLine: json.RawMessage(`{"model":{"id":"m"}}`)},
		"a status line before anything": {StatusLine: json.RawMessage(`{"rate_limits":null}`)},
		"what no wait cures":            {Status: 429, Body: `{"error":{"code":"insufficient_quota"}}`},
		"a codex log without limits":    {CodexLimits: json.RawMessage(`{"primary":null}`)},
	} {
		r, err := a.Observe(s.ctx, wire.ObserveRequest{Account: "api-1", Raw: raw})
		if err != nil || r.Recorded || r.Effective || r.Account != "api-1" || r.Terminal != (raw.Status == 429) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if _, err := a.Observe(s.ctx, wire.ObserveRequest{Account: "nowhere", Raw: raw}); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s, of an account that is not there: %v", name, err)
		}
	}
}

// TestObserveRefusal closes the account by a 429 that names no window, in the raw form.
func TestObserveRefusal(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	r, err := a.Observe(s.ctx, wire.ObserveRequest{Account: "api-1", Raw: &wire.RawObservation{Status: 429, Headers: map[string]string{"retry-after": "30"}}})
	if err != nil || !r.Effective || len(r.Windows) != 1 || r.ClosedUntil == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := a.Reserve(s.ctx, reserveRequest(1)); !errors.Is(err, wire.ErrInsufficientQuota) {
		t.Errorf("while it is closed: %v", err)
	}
	busy, err := a.Observe(s.ctx, wire.ObserveRequest{Account: "api-1", Raw: &wire.RawObservation{Status: 529}})
	if err != nil || busy.Effective || !busy.Recorded {
		t.Errorf("an overloaded provider: %+v, %v", busy, err)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newID(t *testing.T) string {
	t.Helper()
	id, err := wire.NewRequestID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}
