// Package scene writes ledgers for the tests of the suggestion service: a workspace with a subscription and an API
// account, and commits in which everything happens that a rule looks for.
package scene

import (
	"fmt"
	"testing"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Start is a Tuesday morning in 2026, the time of the first commit.
const Start = quota.Instant(1_780_387_200_000)

// Ledger makes commits that follow one another.
type Ledger struct {
	t      testing.TB
	id     ledger.ID
	number uint64
	now    quota.Instant
	prices *price.Catalogue
}

// New gives a ledger with an id made of seed.
func New(t testing.TB, seed byte) *Ledger {
	t.Helper()
	prices, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	return &Ledger{t: t, id: ledger.ID{seed, 1}, now: Start, prices: prices}
}

// Number is the number of the last commit.
func (l *Ledger) Number() uint64 { return l.number }

// Now is the time of the next commit.
func (l *Ledger) Now() quota.Instant { return l.now }

// Pass lets time pass before the next commit.
func (l *Ledger) Pass(d quota.Millis) { l.now = l.now.Add(d) }

// Commit makes the next commit of events.
func (l *Ledger) Commit(events ...quota.Event) *ledger.Commit {
	l.number++
	return &ledger.Commit{Ledger: l.id, Epoch: 1, Number: l.number, ID: ledger.ID{2, byte(l.number)}, At: l.now, Events: events}
}

// Encoded is Commit in bytes.
func (l *Ledger) Encoded(events ...quota.Event) []byte {
	l.t.Helper()
	data, err := ledger.Encode(l.Commit(events...))
	if err != nil {
		l.t.Fatal(err)
	}
	return data
}

// Configured applies a configuration with the subscription "max", with room, and the API account "api".
func (l *Ledger) Configured() quota.Event {
	return &quota.ConfigApplied{At: l.now, Config: quota.Config{
		Providers: []quota.Provider{{Name: "claude"}},
		Accounts: []quota.Account{
			{ID: "max", Provider: "claude", Kind: quota.KindSubscription},
			{ID: "api", Provider: "claude", Kind: quota.KindAPI},
		},
		Limits: []quota.Limit{{
			ID: "max/weekly", Name: "weekly", Scope: quota.Scope{Account: "max"}, Unit: quota.UnitTokens,
			Window: quota.Window{Kind: quota.WindowSession, Duration: 7 * quota.Day}, Capacity: 100_000_000,
		}},
	}}
}

// Spent is usage of the API account, output tokens of Sonnet 4.6 at 15 micro-USD each.
func (l *Ledger) Spent(tokens int64) quota.Event {
	used := quota.Tokens{Output: tokens}
	rate, _ := l.prices.Rate("claude-sonnet-4-6", l.now, false)
	return &quota.UsageRecorded{
		At: l.now, OccurredAt: l.now, Labels: quota.Labels{Principal: "ci", Agent: "w1", Team: "a", Provider: "claude", Account: "api", Model: "claude-sonnet-4-6"},
		Tokens: used, Rate: rate, Cost: rate.Cost(used),
	}
}

// Exhausted is n refusals because max/weekly ran out.
func (l *Ledger) Exhausted(n int) []quota.Event {
	events := make([]quota.Event, n)
	for i := range events {
		events[i] = &quota.ReservationDenied{
			At: l.now, Labels: quota.Labels{Principal: "ci", Agent: fmt.Sprint("w", i%2), Team: "a", Model: "claude-sonnet-4-6"},
			Amount: quota.Amount{Tokens: quota.Tokens{Output: 1000}}, Code: quota.CodeInsufficientQuota, Limit: "max/weekly",
		}
	}
	return events
}

// Oversized is n reservations that used a tenth of what they held.
func (l *Ledger) Oversized(n int) []quota.Event {
	events := make([]quota.Event, n)
	for i := range events {
		events[i] = &quota.ReservationClosed{
			At: l.now, Reservation: fmt.Sprint("r", l.number, "-", i), Labels: quota.Labels{Team: "a", TaskType: "analysis"}, Outcome: quota.OutcomeSettled,
			Granted: quota.Amount{Tokens: quota.Tokens{Output: 10_000}}, Used: quota.Amount{Tokens: quota.Tokens{Output: 1_000}},
			CostHeld: 150_000, CostUsed: 15_000,
		}
	}
	return events
}
