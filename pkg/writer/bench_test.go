package writer

import (
	"fmt"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

var t0 = quota.InstantOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

type flatPrices struct{}

func (flatPrices) Rate(string, quota.Instant, bool) (quota.Rate, bool) {
	return quota.Rate{Input: 3_000_000, Output: 15_000_000}, true
}

// bench drives a writer by hand: it plays the runtime and the store.
type bench struct {
	t       *testing.T
	w       *Writer
	now     Time
	log     []ledger.Entry
	ids     byte
	next    Token
	actions []Action
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: Time{Wall: t0, Mono: time.Hour}}
	b.w = New(Options{Name: "w", NewID: b.id, Prices: func(*quota.Config) quota.Prices { return flatPrices{} }, KeyframeCommits: 1000})
	return b
}

func (b *bench) id() ledger.ID { b.ids++; return ledger.ID{b.ids} }

// serving gives a bench whose writer serves a configured ledger.
func serving(t *testing.T, limits ...quota.Limit) *bench {
	t.Helper()
	b := newBench(t)
	b.step(Elect{})
	b.step(Loaded{Ledger: ledger.New()})
	b.ack()
	b.step(ReadOutcome{Read: find[Read](b).Read, Entries: b.log, Last: b.last()})
	find[Serve](b)
	b.submit(b.command(quota.ApplyConfig{Config: quota.Config{
		Providers: []quota.Provider{{Name: "openai"}}, Accounts: []quota.Account{{ID: "acc", Provider: "openai", Kind: quota.KindAPI}},
		Limits: limits, Unlisted: &quota.Principal{Team: "team"}, Policy: quota.DefaultPolicy(),
	}}))
	b.ack()
	return b
}

func (b *bench) step(in Input) []Action {
	b.t.Helper()
	b.actions = append([]Action(nil), b.w.Step(b.now, in)...)
	return b.actions
}

func (b *bench) wait(d time.Duration) {
	b.now.Wall, b.now.Mono = b.now.Wall.Add(quota.MillisOf(d)), b.now.Mono+d
}

func (b *bench) last() uint64 {
	if len(b.log) == 0 {
		return 0
	}
	return b.log[len(b.log)-1].Revision
}

// find gives the one action of a kind that the last step gave.
func find[A Action](b *bench) A {
	b.t.Helper()
	all := every[A](b)
	if len(all) != 1 {
		b.t.Fatalf("%d actions of type %T among %+v, want one", len(all), *new(A), b.actions)
	}
	return all[0]
}

func every[A Action](b *bench) (all []A) {
	for _, a := range b.actions {
		if a, ok := a.(A); ok {
			all = append(all, a)
		}
	}
	return all
}

// store puts what was published into the log.
func (b *bench) store(p Publish) uint64 {
	b.t.Helper()
	if p.Expected != b.last() {
		b.t.Fatalf("published after revision %d, the log is at %d", p.Expected, b.last())
	}
	b.log = append(b.log, ledger.Entry{Revision: b.last() + 3, Data: p.Data, Stored: b.now.Wall.Time()})
	return b.last()
}

// ack stores and acknowledges what the last step published.
func (b *bench) ack() []Action {
	b.t.Helper()
	p := find[Publish](b)
	return b.step(PublishOutcome{Attempt: p.Attempt, Verdict: Acked, Revision: b.store(p)})
}

func (b *bench) command(cmd quota.Command) Request {
	b.next++
	id := fmt.Sprint(b.next)
	return Request{Token: b.next, Actor: quota.Actor{Principal: "p", Agent: "a"}, Key: ledger.KeyOf("p", id), Params: ledger.ParamsOf([]byte(id)), IssuedAt: b.now.Wall, Command: cmd}
}

func (b *bench) reserve(id string, tokens int64) Request {
	return b.command(quota.Reserve{
		Actor: quota.Actor{Principal: "p", Agent: "a"}, Reservation: id, Provider: "openai", Model: "m", Amount: quota.Amount{Tokens: quota.Tokens{Output: tokens}},
	})
}

func (b *bench) read() Request {
	b.next++
	return Request{Token: b.next, Read: func(s *quota.State, _ quota.Instant) any { return s.Totals().Granted }}
}

func (b *bench) submit(requests ...Request) []Action {
	b.t.Helper()
	return b.step(Submit{requests})
}

// commitOf decodes what was published.
func commitOf(t *testing.T, p Publish) *ledger.Commit {
	t.Helper()
	c, err := ledger.Decode(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
