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

// Configured applies a configuration with the subscription "max", with room, the API account "api", and a team "b" that may
// use 500 tokens a day.
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
		}, {
			ID: "b/day", Scope: quota.Scope{Team: "b"}, Unit: quota.UnitTokens,
			Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}, Capacity: 500,
		}},
		Principals: []quota.Principal{{Name: "ci", Team: "a"}, {Name: "ops", Team: "b"}},
		Policy:     quota.DefaultPolicy(),
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

// Exhausted is n refusals because b/day has too little.
func (l *Ledger) Exhausted(n int) []quota.Event {
	events := make([]quota.Event, n)
	for i := range events {
		events[i] = &quota.ReservationDenied{
			At: l.now, Labels: quota.Labels{Principal: "ops", Agent: fmt.Sprint("w", i%2), Team: "b", Provider: "claude", Model: "claude-sonnet-4-6"},
			Amount: quota.Amount{Tokens: quota.Tokens{Output: 10_000}}, Code: quota.CodeInsufficientQuota, Limit: "b/day",
		}
	}
	return events
}

// Oversized is n reservations that used a tenth of what they held.
func (l *Ledger) Oversized(n int) []quota.Event {
	labels := quota.Labels{Principal: "ci", Agent: "w", Team: "a", Provider: "claude", Account: "max", Model: "claude-sonnet-4-6", TaskType: "analysis"}
	held, used := quota.Tokens{Output: 10_000}, quota.Tokens{Output: 1_000}
	rate, _ := l.prices.Rate(labels.Model, l.now, false)
	var events []quota.Event
	for i := range n {
		id := fmt.Sprint("r", l.number, "-", i)
		events = append(events, &quota.ReservationGranted{
			At: l.now, Reservation: id, Labels: labels, Amount: quota.Amount{Tokens: held}, Rate: rate, CostHeld: rate.CostCeil(held),
		}, &quota.UsageRecorded{
			At: l.now, OccurredAt: l.now, Reservation: id, Standing: quota.StandingOpen, Labels: labels, Tokens: used, Rate: rate, Cost: rate.Cost(used),
		}, &quota.ReservationClosed{
			At: l.now, Reservation: id, Labels: labels, Outcome: quota.OutcomeSettled, Granted: quota.Amount{Tokens: held}, Used: quota.Amount{Tokens: used},
			CostHeld: rate.CostCeil(held), CostUsed: rate.Cost(used), GrantedAt: l.now,
		})
	}
	return events
}
