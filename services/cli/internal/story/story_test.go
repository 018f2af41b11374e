package story

import (
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

const t0 = quota.Instant(1_795_000_000_000)

type free struct{}

func (free) Rate(string, quota.Instant, bool) (quota.Rate, bool) { return quota.Rate{}, true }

// books decide commands and hand the commits to a reader.
type books struct {
	t       *testing.T
	state   *quota.State
	now     quota.Instant
	commits []*ledger.Commit
	ids     map[string]string // of requests, by name
}

func newBooks(t *testing.T) *books {
	b := &books{t: t, state: quota.NewState(), now: t0, ids: map[string]string{}}
	b.do("config", quota.ApplyConfig{Config: quota.Config{
		Providers: []quota.Provider{{Name: "claude"}},
		Accounts:  []quota.Account{{ID: "max", Provider: "claude", Kind: quota.KindAPI}},
		Limits: []quota.Limit{{ID: "max/day", Name: "day", Scope: quota.Scope{Account: "max"}, Unit: quota.UnitTokens, Capacity: 1000,
			Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}}},
		Principals: []quota.Principal{{Name: "ann", Team: "core", MaxPriority: quota.PriorityHigh}},
		Policy:     quota.DefaultPolicy(),
	}})
	return b
}

func (b *books) do(request string, c quota.Command) quota.Result {
	b.t.Helper()
	commit := &ledger.Commit{Number: uint64(len(b.commits) + 1), At: b.now}
	apply := func(c quota.Command) quota.Result {
		events, result := quota.Decide(b.state, c, quota.Env{Now: b.now, Prices: free{}})
		for _, e := range events {
			quota.Apply(b.state, e)
		}
		commit.Events = append(commit.Events, events...)
		return result
	}
	for due := b.state.NextDue(); due != 0 && due <= b.now; due = b.state.NextDue() {
		apply(quota.Tick{})
	}
	result := apply(c)
	id, err := wire.NewRequestID()
	if err != nil {
		b.t.Fatal(err)
	}
	b.ids[request] = id
	raw, err := wire.ParseRequestID(id)
	if err != nil {
		b.t.Fatal(err)
	}
	commit.Answers = []ledger.Answer{{Key: ledger.KeyOf("ann", string(raw[:])), Result: result}}
	b.commits = append(b.commits, commit)
	return result
}

func (b *books) reserve(id string, tokens int64, terms ...func(*quota.Reserve)) quota.Result {
	b.t.Helper()
	c := quota.Reserve{Actor: quota.Actor{Principal: "ann", Agent: "a1"}, Reservation: id, Provider: "claude", Model: "m", Amount: quota.Amount{Tokens: quota.Tokens{Output: tokens}}}
	for _, f := range terms {
		f(&c)
	}
	return b.do("request-"+id, c)
}

func (b *books) story(id string) *Story {
	if request, ok := b.ids[id]; ok {
		id = request
	}
	r := NewReader(id, &quota.Config{}, time.UTC)
	for _, c := range b.commits {
		r.Add(c)
	}
	return r.Story()
}

// all is the whole story as one text.
func (s *Story) all() string {
	text := s.Verdict + "\n"
	for _, l := range s.Lines {
		text += l.Text + "\n" + strings.Join(l.Why, "\n") + "\n"
	}
	return text + strings.Join(s.Helpful, "\n")
}

func TestStories(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	agent := quota.Actor{Principal: "ann", Agent: "a1"}
	b.reserve("r1", 700)
	b.reserve("r2", 600)
	b.reserve("r3", 5000)
	b.reserve("r4", 500, func(c *quota.Reserve) { c.MinTokens = 100 })
	b.reserve("r5", 600, func(c *quota.Reserve) { c.MaxWait = quota.Hour })
	b.reserve("r6", 600, func(c *quota.Reserve) { c.MaxWait = quota.Minute })
	b.do("x", quota.Release{Actor: agent, Reservation: "r4"})
	b.now = b.now.Add(2 * quota.Minute)
	b.do("y", quota.Settle{Actor: agent, Reservation: "r1", Items: []quota.UsageItem{{Tokens: quota.Tokens{Output: 50}}}})
	b.do("z", quota.Report{Actor: agent, Reservation: "r5"})
	b.do("v", quota.Report{Actor: agent, Reservation: "r77", Items: []quota.UsageItem{{Tokens: quota.Tokens{Output: 5}}}})
	b.do("w", quota.Revoke{Actor: quota.Actor{Principal: "boss"}, Reservation: "r5", Reason: "enough"})
	tests := []struct {
		name, id, verdict string
		says              []string
	}{
		{"settled", "r1", "settled", []string{"granted 700 tokens on max", "holds 700 on max/day", "used 50 tokens", "returned 650 to max/day"}},
		{"by its request", "request-r1", "settled", []string{"granted 700 tokens", "used 50 tokens"}},
		{"refused", "request-r2", "refused", []string{"max/day", "300 were free", "asking again"}},
		{"refused for good", "request-r3", "refused", []string{"5,000", "waiting would not have helped"}},
		{"shrunk", "r4", "released", []string{"granted 300 tokens", "full on max: max/day has 300 of 500", "smaller on max: granted"}},
		{"queued, granted, revoked", "r5", "revoked", []string{"queued at place 1", "from the queue, after 2m0s", "taken back by boss: enough"}},
		{"never reserved", "r77", "unknown", []string{"used 5 tokens, 5 of them beyond", "as the agent that reserved"}},
		{"timed out", "r6", "timed_out", []string{"its max_wait was over after", "a longer max_wait"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := b.story(tt.id)
			text := s.all()
			if s.Verdict != tt.verdict {
				t.Errorf("verdict %q, want %q", s.Verdict, tt.verdict)
			}
			for _, want := range tt.says {
				if !strings.Contains(text, want) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
		})
	}
	if s := b.story("r99"); len(s.Lines) != 0 || s.Verdict != "" {
		t.Errorf("a story of nothing: %+v", s)
	}
}

// A money limit is told in dollars, also where its configuration stands before the kept log.
func TestMoneyIsToldInDollars(t *testing.T) {
	t.Parallel()
	config := &quota.Config{Limits: []quota.Limit{{ID: "api/month", Unit: quota.UnitMicroUSD}}}
	r := NewReader("r1", config, time.UTC)
	r.Add(&ledger.Commit{Number: 7, At: t0, Events: []quota.Event{
		&quota.ReservationGranted{
			At: t0, Reservation: "r1", Amount: quota.Amount{Tokens: quota.Tokens{Output: 500}},
			Holds: []quota.LimitAmount{{Limit: "api/month", Amount: 2500}, {Limit: "api/output", Amount: 1500}, {Limit: "api/input", Amount: 0}},
		},
		&quota.ReservationClosed{At: t0, Reservation: "r1", Outcome: quota.OutcomeReleased, Returned: []quota.LimitAmount{{Limit: "api/month", Amount: 2500}}},
	}})
	text := r.Story().all()
	for _, want := range []string{"holds $0.0025 on api/month", "holds 1,500 on api/output", "returned $0.0025 to api/month"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "api/input") {
		t.Errorf("tells of a limit that nothing is held on:\n%s", text)
	}
}
