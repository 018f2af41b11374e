package writer

import (
	"fmt"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// BenchmarkGroup is the whole way of a group through the writer: n reservations are submitted, decided, encoded and
// acknowledged, then released by another group, so that the state stays the same size.
func BenchmarkGroup(b *testing.B) {
	for _, n := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("requests=%d", n), func(b *testing.B) {
			g := newGroupBench(b)
			reserves, releases := make([]Request, n), make([]Request, n)
			b.ReportAllocs()
			for b.Loop() {
				for i := range reserves {
					g.made++
					id := fmt.Sprintf("01936f3e-9d7c-7e5a-8a1b-%012d", g.made)
					actor := quota.Actor{Principal: "ann", Agent: fmt.Sprintf("agent-%d", i%64)}
					reserves[i] = g.request(actor, quota.Reserve{
						Actor: actor, Reservation: id, Provider: "openai", Model: "gpt-5", TaskType: "code_review", Complexity: "medium",
						Amount: quota.Amount{Tokens: quota.Tokens{Input: 6000, Output: 2000}},
					})
					releases[i] = g.request(actor, quota.Release{Actor: actor, Reservation: id})
				}
				g.round(reserves)
				g.round(releases)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*2), "ns/request")
		})
	}
}

type groupBench struct {
	b        *testing.B
	w        *Writer
	now      Time
	made     int
	revision uint64
}

func newGroupBench(b *testing.B) *groupBench {
	b.Helper()
	g := &groupBench{b: b, now: Time{Wall: t0, Mono: time.Hour}}
	var ids uint64
	g.w = New(Options{
		NewID:  func() ledger.ID { ids++; return ledger.ID{byte(ids), byte(ids >> 8), byte(ids >> 16), 1} },
		Prices: func(*quota.Config) quota.Prices { return flatPrices{} }, KeyframeCommits: 1 << 40, KeyframeBytes: 1 << 60,
	})
	g.w.Step(g.now, Elect{})
	claim := g.w.Step(g.now, Loaded{Ledger: ledger.New()})[0].(Publish)
	read := g.w.Step(g.now, PublishOutcome{Attempt: claim.Attempt, Verdict: Acked, Revision: 1})[1].(Read)
	g.revision = 1
	g.w.Step(g.now, ReadOutcome{Read: read.Read, Entries: []ledger.Entry{{Revision: 1, Data: claim.Data, Stored: t0.Time()}}})
	limit := func(id string, unit quota.Unit, w quota.Window) quota.Limit {
		return quota.Limit{ID: id, Name: id, Scope: quota.Scope{Account: "acc"}, Unit: unit, Capacity: 1e12, Window: w}
	}
	g.round([]Request{g.request(quota.Actor{Principal: "op"}, quota.ApplyConfig{Config: quota.Config{
		Providers: []quota.Provider{{Name: "openai"}}, Accounts: []quota.Account{{ID: "acc", Provider: "openai", Kind: quota.KindAPI}},
		Limits: []quota.Limit{
			limit("acc/day", quota.UnitTokens, quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}),
			limit("acc/money", quota.UnitMicroUSD, quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodMonth}),
			limit("acc/agents", quota.UnitRequests, quota.Window{Kind: quota.WindowConcurrent}),
		},
		Unlisted: &quota.Principal{Team: "team", MaxPriority: quota.PriorityNormal}, Policy: quota.DefaultPolicy(),
	}})})
	return g
}

func (g *groupBench) request(actor quota.Actor, cmd quota.Command) Request {
	g.made++
	id := fmt.Sprintf("01936f3e-9d7c-7e5a-8a1c-%012d", g.made)
	return Request{Token: Token(g.made), Actor: actor, Key: ledger.KeyOf("ann", id), Params: ledger.ParamsOf([]byte(id)), IssuedAt: g.now.Wall, Command: cmd}
}

// round submits a group and acknowledges its commit.
func (g *groupBench) round(requests []Request) {
	g.b.Helper()
	g.now.Mono += time.Millisecond
	g.now.Wall++
	var attempt uint64
	for _, a := range g.w.Step(g.now, Submit{Requests: requests}) {
		if p, ok := a.(Publish); ok {
			attempt = p.Attempt
		}
	}
	g.revision++
	replies := 0
	for _, a := range g.w.Step(g.now, PublishOutcome{Attempt: attempt, Verdict: Acked, Revision: g.revision}) {
		if r, ok := a.(*Reply); ok {
			if replies++; !r.Result.OK() {
				g.b.Fatal(r.Result.Message)
			}
		}
	}
	if replies != len(requests) {
		g.b.Fatalf("%d replies to %d requests", replies, len(requests))
	}
}
