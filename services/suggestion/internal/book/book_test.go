package book

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/rules"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
)

func catalogue(t testing.TB) *price.Catalogue {
	t.Helper()
	c, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func rulesOf(b *Book) []string {
	var names []string
	for _, s := range b.List().Suggestions {
		names = append(names, s.Rule)
	}
	return names
}

func TestAdviceIsToldOnceAWeek(t *testing.T) {
	t.Parallel()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	b.Read(l.Commit(&quota.EpochClaimed{Epoch: 1, Writer: "w"}))
	if at := b.List().AsOf; at != wire.TimeOf(scene.Start) {
		t.Errorf("as of %s, want the commit's time", at)
	}
	b.Read(l.Commit(l.Configured()))
	if n := b.Advise(nil); n != 0 || len(b.List().Suggestions) != 0 {
		t.Fatalf("%d pieces of advice on nothing", n)
	}
	b.Read(l.Commit(l.Exhausted(6)...))
	if n := b.Advise(nil); n != 1 {
		t.Fatalf("got %d, want the first advice", n)
	}
	first := b.List().Suggestions[0]
	l.Pass(quota.Hour)
	b.Read(l.Commit(l.Exhausted(6)...))
	if n := b.Advise(nil); n != 0 {
		t.Fatalf("got %d, want none: it was told", n)
	}
	now := b.List().Suggestions[0]
	if now.SuggestionID != first.SuggestionID || now.MadeAt != first.MadeAt || now.UpdatedAt == first.UpdatedAt || now.Evidence[0].Value != 12 {
		t.Errorf("the figures must be current under the same id:\n%+v\n%+v", first, now)
	}
	if out := b.Outbox(); len(out) != 1 || out[0].Evidence[0].Value != 6 {
		t.Errorf("what is to be told must not change any more: %+v", out)
	}
	b.Published(1)
	for range 6 { // until Monday
		l.Pass(quota.Day)
		b.Read(l.Commit(l.Exhausted(1)...))
	}
	if n := b.Advise(nil); n != 1 || b.List().Suggestions[0].SuggestionID == first.SuggestionID {
		t.Errorf("got %d, want it told again in the new week", n)
	}
	l.Pass(20 * quota.Day)
	b.Read(l.Commit(l.Exhausted(1)...))
	if n := b.Advise(nil); n != 0 || len(b.List().Suggestions) != 0 || len(b.made) != 0 {
		t.Errorf("got %d, list %v, remembered %v; want it all to be over", n, rulesOf(b), b.made)
	}
}

func TestAdviceThatReturnsIsNotToldAgain(t *testing.T) {
	t.Parallel()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	b.Read(l.Commit(l.Configured(), l.Spent(1_000_000)))
	if b.Advise(nil) != 1 || !reflect.DeepEqual(rulesOf(b), []string{rules.RuleProviderSwitch}) {
		t.Fatalf("got %v", rulesOf(b))
	}
	gone := l.Configured().(*quota.ConfigApplied)
	gone.Config.Accounts = gone.Config.Accounts[1:]
	b.Read(l.Commit(gone))
	if b.Advise(nil) != 0 || len(rulesOf(b)) != 0 {
		t.Fatalf("without a subscription there is nothing to switch to: %v", rulesOf(b))
	}
	b.Read(l.Commit(l.Configured()))
	if b.Advise(nil) != 0 || len(rulesOf(b)) != 1 {
		t.Fatalf("it must return to the list, untold: %v", rulesOf(b))
	}
}

func TestReading(t *testing.T) {
	t.Parallel()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	first, second := l.Commit(l.Configured()), l.Commit(l.Exhausted(3)...)
	l.Commit()
	fourth := l.Commit(l.Exhausted(3)...)
	for _, row := range []struct {
		name string
		want Reading
		got  Reading
	}{
		{"first", Reading{}, b.Read(first)},
		{"second", Reading{}, b.Read(second)},
		{"second again", Reading{Repeated: true}, b.Read(second)},
		{"first again", Reading{Repeated: true}, b.Read(first)},
		{"a hole", Reading{Missed: 1}, b.Read(fourth)},
		{"another ledger", Reading{Replaced: true}, b.Read(scene.New(t, 9).Commit())},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.name, row.got, row.want)
		}
	}
	if b.Number() != 1 || b.window.Config.Accounts != nil {
		t.Error("another ledger must begin anew")
	}
	if r := New("acme", catalogue(t)).Read(fourth); r.Missed != 0 {
		t.Errorf("who begins in the middle has missed nothing: %+v", r)
	}
	bad := l.Configured().(*quota.ConfigApplied)
	bad.Config.Prices = []quota.PriceOverride{{Model: "x", Rate: quota.Rate{Input: -1}}}
	if r := b.Read(scene.New(t, 7).Commit(bad)); r.Fault == nil || b.prices != b.base {
		t.Errorf("prices that cannot be used: %+v", r)
	}
}

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	prices := catalogue(t)
	b, l := New("acme", prices), scene.New(t, 1)
	read := []*ledger.Commit{l.Commit(l.Configured(), l.Spent(1_000_000))}
	read = append(read, l.Commit(append(l.Exhausted(8), l.Oversized(9)...)...))
	for _, c := range read {
		b.Read(c)
	}
	b.Advise(nil)
	b.Published(1)
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data, prices)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Encode()
	if err != nil || !bytes.Equal(data, again) {
		t.Fatalf("not the same bytes again, %v", err)
	}
	for _, c := range read {
		back.Recall(c)
	}
	l.Pass(quota.Hour)
	next := l.Commit(append(l.Exhausted(4), l.Spent(5))...)
	for _, one := range []*Book{b, back} {
		one.Read(next)
		one.Advise(nil)
	}
	if !reflect.DeepEqual(b.List(), back.List()) || !reflect.DeepEqual(b.Outbox(), back.Outbox()) || len(b.Outbox()) != 2 {
		t.Errorf("a restored book goes another way:\n%+v\n%+v", b.List(), back.List())
	}
}

func FuzzDecode(f *testing.F) {
	prices := catalogue(f)
	l := scene.New(f, 1)
	b := New("acme", prices)
	b.Read(l.Commit(append(l.Exhausted(8), l.Configured(), l.Spent(1_000_000))...))
	b.Advise(nil)
	data, err := b.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("BSG\x01"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Decode(data, prices)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("got %v, want an ErrState", err)
			}
			return
		}
		b.Advise(nil)
	})
}

// A fleet: 28 slots with usage in 60 series each, refusals of 20 agents, reservations of 15 kinds.
func fleet(t testing.TB) *Book {
	t.Helper()
	b, l := New("acme", catalogue(t)), scene.New(t, 1)
	b.Read(l.Commit(l.Configured()))
	noise := rand.New(rand.NewPCG(1, 2)) // figures that compress as badly as real ones
	for range rules.Slots {
		var events []quota.Event
		for i := range 60 {
			labels := quota.Labels{Account: []string{"max", "api"}[i%2], Team: fmt.Sprint("team", i%5), Model: fmt.Sprint("claude-model-", i%6), TaskType: fmt.Sprint("task", i%3)}
			events = append(events, &quota.UsageRecorded{
				At: l.Now(), OccurredAt: l.Now(), Labels: labels, Cost: noise.Int64N(50_000_000),
				Tokens: quota.Tokens{Input: noise.Int64N(1_000_000), CacheRead: noise.Int64N(50_000_000), Output: noise.Int64N(200_000)},
			})
		}
		for i := range 20 {
			events = append(events, &quota.ReservationDenied{
				At: l.Now(), Labels: quota.Labels{Principal: "ci", Agent: fmt.Sprint("agent", i), Team: "a", Model: "claude-sonnet-4-6"},
				Amount: quota.Amount{Tokens: quota.Tokens{Output: 1000}}, Code: quota.CodeInsufficientQuota, Limit: "max/weekly",
			})
		}
		for i := range 15 {
			events = append(events, &quota.ReservationClosed{
				At: l.Now(), Labels: quota.Labels{Team: fmt.Sprint("team", i%5), TaskType: fmt.Sprint("task", i%3)}, Outcome: quota.OutcomeSettled,
				Granted: quota.Amount{Tokens: quota.Tokens{Output: 10_000}}, Used: quota.Amount{Tokens: quota.Tokens{Output: 1_000}}, CostHeld: 150_000, CostUsed: 15_000,
			})
		}
		b.Read(l.Commit(events...))
		l.Pass(rules.SlotLength)
	}
	return b
}

func BenchmarkAdviseAndEncode(bench *testing.B) {
	b, size := fleet(bench), 0
	for bench.Loop() {
		b.Advise(nil)
		data, err := b.Encode()
		if err != nil {
			bench.Fatal(err)
		}
		size = len(data)
	}
	bench.ReportMetric(float64(size), "stored_bytes")
}

func BenchmarkDecode(bench *testing.B) {
	b, prices := fleet(bench), catalogue(bench)
	data, err := b.Encode()
	if err != nil {
		bench.Fatal(err)
	}
	for bench.Loop() {
		if _, err := Decode(data, prices); err != nil {
			bench.Fatal(err)
		}
	}
}

// A book that the first version kept can still be read.
func TestReadsTheBookOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	stored, err := os.ReadFile("testdata/book-v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Decode(stored, catalogue(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := rulesOf(b); b.Workspace() != "acme" || b.Number() != 3 || len(b.Outbox()) != 2 ||
		!slices.Equal(got, []string{"reservation_size", "quota_management"}) {
		t.Errorf("workspace %q as of %d, advice %v, %d to be told", b.Workspace(), b.Number(), got, len(b.Outbox()))
	}
}
