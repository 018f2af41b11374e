package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// t0 is a Monday noon in UTC.
var t0 = quota.InstantOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

type flatPrices struct{}

func (flatPrices) Rate(model string, _ quota.Instant, _ bool) (quota.Rate, bool) {
	if model == "unpriced" {
		return quota.Rate{}, false
	}
	return quota.Rate{Input: 3_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000, Output: 15_000_000}, true
}

func scenarioConfig() quota.Config {
	return quota.Config{
		Providers: []quota.Provider{{
			Name: "claude", ModelGroups: []quota.ModelGroup{{Name: "opus", Models: []string{"opus-*"}}},
			Tiers: []quota.Tier{{Name: "max", Capacities: map[string]int64{"session": 900_000, "weekly": 5_000_000}}},
		}, {Name: "openai"}},
		Accounts: []quota.Account{
			{ID: "max-1", Provider: "claude", Kind: quota.KindSubscription, Tier: "max"},
			{ID: "api-1", Provider: "openai", Kind: quota.KindAPI, Teams: []string{"core"}},
		},
		Limits: []quota.Limit{
			{ID: "max-1/session", Name: "session", Scope: quota.Scope{Account: "max-1"}, Unit: quota.UnitTokens, Capacity: 1_000_000, Thresholds: []int64{10, 75, 90}, Window: quota.Window{Kind: quota.WindowSession, Duration: 5 * quota.Hour}},
			{ID: "max-1/day", Name: "day", Scope: quota.Scope{Account: "max-1"}, Unit: quota.UnitTokens, Capacity: 3_000_000, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay, Zone: "Europe/Berlin"}},
			{ID: "api-1/tpm", Name: "tpm", Scope: quota.Scope{Account: "api-1"}, Unit: quota.UnitTokens, Capacity: 400_000, Window: quota.Window{Kind: quota.WindowBucket, Duration: quota.Minute}},
			{ID: "agents", Name: "agents", Unit: quota.UnitRequests, Capacity: 12, Window: quota.Window{Kind: quota.WindowConcurrent}},
			{ID: "money", Name: "money", Scope: quota.Scope{Account: "api-1"}, Unit: quota.UnitMicroUSD, Capacity: 80_000_000, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodMonth}},
		},
		Principals: []quota.Principal{{Name: "ann", Team: "core", MaxPriority: quota.PriorityCritical}},
		Unlisted:   &quota.Principal{Team: "guests", MaxPriority: quota.PriorityNormal},
		Policy:     quota.DefaultPolicy(),
		Teams: []quota.Team{{Name: "core", Weight: 2, FanOut: quota.FanOut{PerMinute: quota.MaxPerMinute}, Shares: []quota.Share{
			{Limit: "max-1/session", FloorPart: 60_000, From: quota.PriorityHigh, LendPart: 100_000},
		}}},
	}
}

// scribe writes a log the way a writer does, without a store.
type scribe struct {
	t       testing.TB
	ledger  *Ledger
	rand    *rand.Rand
	epoch   uint64
	now     quota.Instant
	issued  quota.Instant // of the next requests; 0 means now
	events  []quota.Event
	answers []Answer
	log     []Entry
	next    int
}

func newScribe(t testing.TB, seed uint64) *scribe {
	t.Helper()
	s := &scribe{t: t, ledger: New(), rand: newRand(seed), now: t0}
	s.claim()
	return s
}

func (s *scribe) id() (id ID) {
	for i := range id {
		id[i] = byte(s.rand.Uint32())
	}
	return id
}

func (s *scribe) claim() {
	s.t.Helper()
	s.epoch++
	s.event(&quota.EpochClaimed{Epoch: s.epoch, Writer: "scribe"})
	s.commit()
}

func (s *scribe) event(e quota.Event) {
	quota.Apply(s.ledger.State(), e)
	s.events = append(s.events, e)
}

// do decides one command and remembers the answer.
func (s *scribe) do(cmd quota.Command) quota.Result {
	s.t.Helper()
	for due := s.ledger.State().NextDue(); due != 0 && due <= s.now; due = s.ledger.State().NextDue() {
		s.decide(quota.Tick{})
	}
	result := s.decide(cmd)
	s.next++
	issued := s.issued
	if issued == 0 {
		issued = s.now
	}
	s.answers = append(s.answers, Answer{Key: KeyOf("ann", fmt.Sprint(s.next)), Params: ParamsOf([]byte(fmt.Sprint(s.next))), IssuedAt: issued, Result: result})
	return result
}

func (s *scribe) decide(cmd quota.Command) quota.Result {
	events, result := quota.Decide(s.ledger.State(), cmd, quota.Env{Now: s.now, Prices: flatPrices{}})
	for _, e := range events {
		s.event(e)
	}
	return result
}

// draft gives the commit that would be next.
func (s *scribe) draft() *Commit {
	p := s.ledger.Position()
	id := p.Ledger
	if id.IsZero() {
		id = s.id()
	}
	return &Commit{
		Ledger: id, Epoch: s.epoch, Number: p.Number + 1, ID: s.id(), Prev: p.Hash, At: s.now,
		Events: s.events, Answers: s.answers, Totals: s.ledger.State().Totals(),
	}
}

func (s *scribe) commit() *Commit {
	s.t.Helper()
	c := s.draft()
	data, err := Encode(c)
	if err != nil {
		s.t.Fatal(err)
	}
	revision := s.ledger.Position().Revision + 1 + s.rand.Uint64N(3)
	if err := s.ledger.Accept(c, HashOf(data), revision); err != nil {
		s.t.Fatal(err)
	}
	s.log = append(s.log, Entry{Revision: revision, Data: data})
	s.events, s.answers = nil, nil
	return c
}

func actor(i int) quota.Actor {
	return quota.Actor{Principal: "ann", Agent: fmt.Sprintf("agent-%d", i)}
}

func tokens(n int64) quota.Tokens { return quota.Tokens{Input: n / 4, CacheRead: n / 2, Output: n / 4} }

// play runs a busy day with every kind of event in it.
func (s *scribe) play(commits int) {
	s.t.Helper()
	s.do(quota.ApplyConfig{Actor: quota.Actor{Principal: "op"}, Config: scenarioConfig()})
	s.commit()
	percent, capacity := int64(40_000), int64(1_200_000)
	s.do(quota.Observe{Actor: actor(0), Account: "max-1", Window: "session", PercentMilli: &percent, Capacity: &capacity, ResetAt: s.now.Add(4 * quota.Hour), Tier: "max", Source: "statusline"})
	s.do(quota.Block{Actor: quota.Actor{Principal: "op"}, Target: quota.BlockAgent, Name: "agent-9", Reason: "rogue"})
	s.do(quota.Unblock{Actor: quota.Actor{Principal: "op"}, Target: quota.BlockAgent, Name: "agent-9"})
	s.commit()
	var open []string
	for n := range commits {
		for range 1 + s.rand.IntN(4) {
			s.now = s.now.Add(quota.Millis(s.rand.IntN(90_000)))
			open = s.move(open)
		}
		if n%40 == 39 {
			s.claim()
		}
		if n%100 == 50 { // so that what waits is tried again
			s.do(quota.ApplyConfig{Actor: quota.Actor{Principal: "op"}, Config: scenarioConfig()})
		}
		s.commit()
	}
}

// move does one random thing that agents do.
func (s *scribe) move(open []string) []string {
	s.t.Helper()
	i := s.rand.IntN(4)
	pick := func() string {
		if len(open) == 0 || s.rand.IntN(8) == 0 {
			return "gone"
		}
		id := open[s.rand.IntN(len(open))]
		if r := s.ledger.State().Reservations(true, func(r *quota.Reservation) bool { return r.ID == id }); len(r) > 0 {
			if _, err := fmt.Sscanf(r[0].Labels.Agent, "agent-%d", &i); err != nil {
				panic(err)
			}
		}
		return id
	}
	items := []quota.UsageItem{{CallID: fmt.Sprintf("call-%d", s.rand.IntN(60)), Tokens: tokens(int64(s.rand.IntN(60_000)))}}
	switch s.rand.IntN(10) {
	case 0, 1, 2, 3:
		id := fmt.Sprintf("res-%d", s.next)
		c := quota.Reserve{Actor: actor(i), Reservation: id, Provider: "claude", Model: "opus-4", TaskType: "analysis", Complexity: "high", Amount: quota.Amount{Tokens: tokens(120_000)}}
		if s.rand.IntN(2) == 0 {
			c.Provider, c.Model, c.Lease = "openai", "gpt", quota.Minute*quota.Millis(1+s.rand.IntN(9))
		}
		if s.rand.IntN(5) == 0 {
			c.Priority = quota.PriorityHigh
		}
		if s.rand.IntN(3) == 0 {
			c.MaxWait, c.MinTokens, c.Preemptible = quota.Minute*quota.Millis(1+s.rand.IntN(90)), 100_000, true
		}
		if r := s.do(c); r.OK() {
			open = append(open, id)
		}
	case 4, 5:
		id := pick()
		s.do(quota.Report{Actor: actor(i), Reservation: id, Account: "max-1", Model: "opus-4", Items: items})
	case 6:
		id := pick()
		s.do(quota.Settle{Actor: actor(i), Reservation: id, Items: items})
	case 7:
		id := pick()
		s.do(quota.Extend{Actor: actor(i), Reservation: id, Amount: quota.Amount{Tokens: tokens(9_000)}, Lifetime: quota.Hour})
	case 8:
		id := pick()
		s.do(quota.Release{Actor: actor(i), Reservation: id, Reason: "done"})
	default:
		if s.rand.IntN(2) == 0 {
			s.do(quota.Revoke{Actor: quota.Actor{Principal: "op"}, Reservation: pick(), Reason: "needed elsewhere"})
		}
		var ids []uint64
		for _, n := range s.ledger.State().Notices(actor(i)) {
			ids = append(ids, n.ID)
		}
		s.do(quota.Acknowledge{Actor: actor(i), Notices: ids})
	}
	return open
}

// fold folds a log from the beginning.
func fold(t testing.TB, log []Entry) *Ledger {
	t.Helper()
	l := New()
	for _, e := range log {
		if _, err := l.ApplyEntry(e); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// digestOf stands for everything that a ledger knows.
func digestOf(t testing.TB, l *Ledger) Hash {
	t.Helper()
	k, err := l.Snapshot(nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return HashOf(k.Manifest)
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
