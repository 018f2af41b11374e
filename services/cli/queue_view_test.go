package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// TestTheQueueIsShown: the interval that is promised, what a floor owes, and all of it within a screen.
func TestTheQueueIsShown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)
	place := func(n int64, from, at, to time.Duration) wire.QueuePlace {
		p := wire.QueuePlace{Position: n, QueuedAt: wireTime(now.Add(-25 * time.Hour)), WaitUntil: wireTime(now.Add(time.Hour))}
		if at != 0 {
			p.GrantFrom, p.GrantAt, p.GrantTo = wireTime(now.Add(from)), wireTime(now.Add(at)), wireTime(now.Add(to))
		}
		return p
	}
	on := func(limit string, owed int64) []wire.WaitsFor {
		return []wire.WaitsFor{{LimitID: limit, Units: 900_000, Owed: owed}}
	}
	var out bytes.Buffer
	a := &app{screen: screen.New(&out, narrow)}
	a.showQueue([]wire.WaitingView{
		{Agent: "a-long-name-of-an-agent-1", Team: "platform-engineering", Priority: "critical", Queue: place(1, 67*time.Second, 2*time.Minute, 1801*time.Second), WaitsFor: on("anthropic-api/output_per_minute/sonnet-5", 0), MinTokens: 180_000, Wanted: wire.Amount{Tokens: wire.Tokens{Output: 677_000}}},
		{Agent: "b", Team: "core", Queue: place(2, -time.Minute, 9*time.Second, 9500*time.Millisecond), WaitsFor: on("sub/session", 350_000)},
		{Agent: "c", Queue: place(3, 7*time.Second, 7*time.Second, 7*time.Second), WaitsFor: on("sub/session", 0)},
		{Agent: "d", Queue: place(4, -9*time.Second, -8*time.Second, -7*time.Second), WaitsFor: on("sub/session", 0)},
		{Agent: "e", Queue: place(5, 0, 0, 0), WaitsFor: on("sub/session", 0)},
	}, 7, now)
	text := out.String()
	for _, want := range []string{"  1m 7s–30m 1s\n", "  within 9s\n", "  in 7s\n", "  within 1s\n", "  unknown\n", "b: the floor of team core on sub/session guarantees 350k of it, and others give\nthat back\n", "and 2 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	fits(t, text)
}

// TestNoticesTellTheirTerms: who is preempted reads how much goes back, and when.
func TestNoticesTellTheirTerms(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)
	soon, part := wireTime(now.Add(45*time.Second)), &wire.Amount{Tokens: wire.Tokens{Output: 250_000}}
	for _, c := range []struct {
		notice wire.Notice
		want   string
	}{
		{wire.Notice{Kind: "preempting", ExpiresAt: soon, Amount: part}, ", gives 250,000 tokens back in 45s"},
		{wire.Notice{Kind: "preempting", ExpiresAt: soon}, ", is closed in 45s"},
		{wire.Notice{Kind: "preempting", ExpiresAt: wireTime(now.Add(-time.Second)), Amount: part}, ", gives 250,000 tokens back"},
		{wire.Notice{Kind: "shrunk", ExpiresAt: soon, Amount: part}, ", gave 250,000 tokens back"},
		{wire.Notice{Kind: "expiring", ExpiresAt: soon}, " in 45s"},
		{wire.Notice{Kind: "granted", ExpiresAt: soon}, ""},
		{wire.Notice{Kind: "revoked"}, ""},
	} {
		if got := noticeTerms(&c.notice, now); got != c.want {
			t.Errorf("%s tells %q, want %q", c.notice.Kind, got, c.want)
		}
	}
}

// TestAlternativesAreWorded: also where the agent has to choose a model.
func TestAlternativesAreWorded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)
	got := strings.Join(alternativesText([]wire.Alternative{
		{Kind: "provider", Provider: "openai", Account: "o1", Tokens: 1},
		{Kind: "smaller", Provider: "claude", Account: "m1", Model: "opus", Tokens: 2000},
		{Kind: "later", Provider: "claude", Account: "m1", Model: "opus", Tokens: 3000, At: wireTime(now.Add(time.Minute))},
	}, now), "; ")
	if want := "1 token, a model of openai on o1, now; 2,000 tokens, opus on m1, now; 3,000 tokens, opus on m1, in 1m"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestMoreThanIsListed: what is advised to see more of the queue is what a request may ask for.
func TestMoreThanIsListed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shown int
		total int64
		want  string
	}{
		{2, 7, "and 5 more (`bursar queue --limit 7` shows more)\n"},
		{100, 9000, fmt.Sprintf("and 8,900 more (`bursar queue --limit %d` shows more)\n", wire.MaxListLimit)},
		{wire.MaxListLimit, 9000, "and 8,500 more\n"},
	} {
		var out bytes.Buffer
		(&app{screen: screen.New(&out, narrow)}).showQueue(make([]wire.WaitingView, c.shown), c.total, time.Now())
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("of %d: %q, want %q", c.total, out.String()[max(0, out.Len()-90):], c.want)
		}
	}
}
