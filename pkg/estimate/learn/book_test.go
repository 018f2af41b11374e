package learn_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
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
	if e, _ := b.Estimate(k, 8000); e.Target < 780_000 || e.Target > 840_000 || e.Ground.Prior > 0.01 || e.Ground.N != 100 {
		t.Errorf("got %+v, want what 100 tasks used", e)
	}
	if e, _ := b.Estimate(learn.Key{TaskType: "analysis", Level: learn.Levels}, 12_000); e.Median < 1_150_000 || e.Median > 1_250_000 || e.Target < e.Median || e.Target > 1_700_000 || e.Ground.Key.Level != 0 {
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
		if err := b.Learn(x.key, tableOf(t, x.key), quota.Tokens{Output: x.used}); err != nil {
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

// The number of files that a reservation carries is learned by, and so is each way to write a complexity.
func TestLearnsByFiles(t *testing.T) {
	t.Parallel()
	b := learn.New(learn.DefaultTarget)
	work := func(files int64) *quota.Labels {
		return &quota.Labels{TaskType: "code_review", Complexity: []string{"", "medium", "normal"}[files%3], Model: "m", Agent: "a", Files: files}
	}
	for n := range uint64(400) {
		files := []int64{1, 60}[n%2]
		read(t, b, &ledger.Commit{Ledger: ledger.ID{1}, Number: n + 1, Events: []quota.Event{&quota.ReservationClosed{
			Labels: *work(files), Outcome: quota.OutcomeSettled, Used: quota.Amount{Tokens: quota.Tokens{Output: 10_000 * files}},
		}}})
	}
	for files, want := range map[int64]int64{1: 10_000, 60: 600_000, 70: 600_000} {
		if e, _ := b.Estimate(learn.KeyOf(work(files)), 8000); e.Ground.Key.Level != learn.Levels || e.Median < want*97/100 || e.Median > want*103/100 {
			t.Errorf("%d files: %+v, want %d tokens", files, e, want)
		}
	}
	if e, _ := b.Estimate(learn.KeyOf(work(0)), 8000); e.Ground.Key.Level == learn.Levels || e.Low > 11_000 || e.Target < 500_000 {
		t.Errorf("no files told: %+v, want what all used", e)
	}
}

// A complexity that is usual for its type scales nothing, however it is written.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		labels quota.Labels
		want   int64
	}{
		{quota.Labels{TaskType: "analysis"}, 12_000}, {quota.Labels{TaskType: "analysis", Complexity: "high"}, 12_000},
		{quota.Labels{TaskType: "analysis", Complexity: "complex", Files: 20}, 24_000}, {quota.Labels{TaskType: "code_review", Complexity: "high"}, 12_000},
		{quota.Labels{TaskType: "poetry"}, 0}, {quota.Labels{TaskType: "analysis", Complexity: "odd"}, 0},
	} {
		if got := learn.Table(&row.labels); got != row.want {
			t.Errorf("%+v: %d, want %d", row.labels, got, row.want)
		}
	}
}

// A book that the first version kept gives the same estimates.
func TestReadsTheBookOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	stored, err := os.ReadFile("testdata/book-v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	b, err := learn.Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := b.Estimate(learn.KeyOf(&quota.Labels{TaskType: "analysis", Complexity: "medium", Model: "claude-sonnet-5", Agent: "a"}), 12_000)
	if !ok || e.Low < 24_000 || e.Low > 24_700 || e.Median < 47_600 || e.Median > 48_600 || e.Target < 77_754 || e.Ground.N != 30 || e.Aim != learn.DefaultTarget {
		t.Errorf("got %+v, it was 24,371 and 48,110 of 30 tasks", e)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := learn.New(learn.DefaultTarget)
	for i := range learn.MaxKeys {
		k := learn.KeyOf(&quota.Labels{TaskType: "code_review", Agent: fmt.Sprint(i), Files: int64(i)})
		if err := b.Learn(k, 8000, quota.Tokens{Output: int64(1 + i*i*i)}); err != nil {
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
