package learn_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// settled makes a commit that settles one reservation.
func settled(id byte, number uint64, outcome quota.Outcome, tokens int64) *ledger.Commit {
	return &ledger.Commit{Ledger: ledger.ID{id}, Epoch: 1, Number: number, Events: []quota.Event{&quota.ReservationClosed{
		Labels:  quota.Labels{TaskType: "code_review", Complexity: "medium", Model: "claude-sonnet-5", Agent: "a"},
		Outcome: outcome, Used: quota.Amount{Tokens: quota.Tokens{Output: tokens}},
	}}}
}

func read(t *testing.T, b *learn.Book, c *ledger.Commit) bool {
	t.Helper()
	learned, err := b.Read(c)
	if err != nil {
		t.Fatal(err)
	}
	return learned
}

func TestWithoutEvidenceTheTableStands(t *testing.T) {
	t.Parallel()
	e, ok := learn.New(learn.DefaultTarget).Estimate(learn.Key{TaskType: "code_review", Level: learn.Levels}, 8000)
	if !ok || e.Ground.Prior != 1 || e.Median < 7800 || e.Median > 8200 || e.Target < 10_000 || e.Target > 10_800 {
		t.Fatalf("got %+v, %t; want the table's 8,000 in the median and ×1.3 at the target", e, ok)
	}
	if _, ok := learn.New(learn.DefaultTarget).Estimate(learn.Key{TaskType: "poetry", Level: learn.Levels}, 0); ok {
		t.Error("an estimate out of nothing")
	}
}

// Another type is learned from too: the scale of the table.
func TestEvidenceOutweighsTheTable(t *testing.T) {
	t.Parallel()
	b := learn.New(learn.DefaultTarget)
	for n := range uint64(100) {
		read(t, b, settled(1, n+1, quota.OutcomeSettled, 800_000))
	}
	k := learn.Key{TaskType: "code_review", Complexity: "medium", Model: "claude-sonnet-5", Agent: "a", Level: learn.Levels}
	if e, _ := b.Estimate(k, 8000); e.Target < 780_000 || e.Target > 820_000 || e.Ground.Prior > 0.01 || e.Ground.N != 100 {
		t.Errorf("got %+v, want what 100 tasks used", e)
	}
	if e, _ := b.Estimate(learn.Key{TaskType: "analysis", Level: learn.Levels}, 12_000); e.Target < 1_150_000 || e.Target > 1_250_000 || e.Ground.Key.Level != 0 {
		t.Errorf("got %+v, want the table's ratio at the learned scale", e)
	}
}

func TestEachCommitCountsOnce(t *testing.T) {
	t.Parallel()
	b := learn.New(learn.DefaultTarget)
	first := settled(1, 7, quota.OutcomeSettled, 1000)
	if !read(t, b, first) || read(t, b, first) || read(t, b, settled(1, 6, quota.OutcomeSettled, 1000)) {
		t.Fatal("a commit that was read before was learned from")
	}
	stored, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	restarted, err := learn.Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	if read(t, restarted, first) || restarted.Scores()["code_review"].Tasks != 1 {
		t.Fatal("after a restart a commit counted twice")
	}
	for _, outcome := range []quota.Outcome{quota.OutcomeReleased, quota.OutcomeExpired, quota.OutcomeRevoked} {
		if read(t, b, settled(1, b.Number()+1, outcome, 1000)) {
			t.Errorf("learned from a reservation that was %s", outcome)
		}
	}
	if read(t, b, settled(2, 1, quota.OutcomeReleased, 1)); b.Number() != 1 || len(b.Scores()) != 0 {
		t.Error("another ledger did not begin anew")
	}
}

func TestStoredBookGivesTheSame(t *testing.T) {
	t.Parallel()
	b := learn.New(learn.DefaultTarget)
	for i, x := range traceLab(rand.New(rand.NewPCG(5, 1)), 600) {
		if err := b.Learn(x.key, tableOf(t, x.key), x.used); err != nil {
			t.Fatal(i, err)
		}
	}
	stored, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := learn.Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	restored, err := again.Encode()
	if err != nil || !bytes.Equal(stored, restored) {
		t.Fatalf("the bytes differ after a restart: %d and %d, %v", len(stored), len(restored), err)
	}
	for _, x := range traceLab(rand.New(rand.NewPCG(6, 1)), 50) {
		before, _ := b.Estimate(x.key, tableOf(t, x.key))
		if after, _ := again.Estimate(x.key, tableOf(t, x.key)); before != after {
			t.Fatalf("%+v before, %+v after", before, after)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := learn.New(learn.DefaultTarget)
	for i := range learn.MaxKeys {
		k := learn.KeyOf(&quota.Labels{TaskType: "code_review", Agent: fmt.Sprint(i)}, int64(i))
		if err := b.Learn(k, 8000, int64(1+i*i*i)); err != nil {
			t.Fatal(err)
		}
	}
	const maxMessage = 1 << 20
	stored, err := b.Encode()
	if err != nil || len(stored) > maxMessage {
		t.Fatalf("%d bytes, %v; want a message", len(stored), err)
	}
	if e, ok := b.Estimate(learn.Key{TaskType: "code_review", Level: learn.Levels}, 8000); !ok || e.Ground.N < 1000 {
		t.Errorf("the type itself was forgotten: %+v", e)
	}
}

func FuzzDecode(f *testing.F) {
	stored, err := learn.New(learn.DefaultTarget).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add([]byte("BES"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := learn.Decode(data); err != nil && !errors.Is(err, learn.ErrState) {
			t.Fatalf("%v is not ErrState", err)
		}
	})
}
