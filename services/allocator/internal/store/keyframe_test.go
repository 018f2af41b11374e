package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// chain makes commits that follow each other and fold.
type chain struct {
	t      *testing.T
	ledger *ledger.Ledger
}

func newChain(t *testing.T) *chain { return &chain{t, ledger.New()} }

// next encodes a commit with one event and folds it as if it were stored.
func (c *chain) next() []byte {
	c.t.Helper()
	p := c.ledger.Position()
	commit := &ledger.Commit{
		Ledger: ledger.ID{1}, Epoch: p.Number + 1, Number: p.Number + 1, ID: ledger.ID{byte(p.Number + 1)}, Prev: p.Hash,
		At: quota.Instant(p.Number), Events: []quota.Event{&quota.EpochClaimed{Epoch: p.Number + 1, Writer: strings.Repeat("w", 200)}},
	}
	data, err := ledger.Encode(commit)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.ledger.Apply(commit, ledger.HashOf(data), p.Revision+1); err != nil {
		c.t.Fatal(err)
	}
	return data
}

// keyframe encodes the ledger as it is, in chunks small enough to have several.
func (c *chain) keyframe() *ledger.EncodedKeyframe {
	c.t.Helper()
	f, err := c.ledger.Snapshot(nil).Encode()
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

func openKeyframes(t *testing.T, js jetstream.JetStream, points *failpoint.Set) *Keyframes {
	t.Helper()
	k, err := OpenKeyframes(t.Context(), js, "acme", points)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func points(t *testing.T, spec string) *failpoint.Set {
	t.Helper()
	set, err := failpoint.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// expectNewest fails the test unless the newest keyframe that restores is as of a commit; 0 for none.
func expectNewest(t *testing.T, k *Keyframes, number uint64, passedOver int) {
	t.Helper()
	l, rejected, err := k.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := uint64(0)
	if l != nil {
		got = l.Position().Number
	}
	if got != number || len(rejected) != passedOver {
		t.Fatalf("the newest keyframe is of commit %d with %v passed over, want commit %d and %d", got, rejected, number, passedOver)
	}
}

func (k *Keyframes) keys(t *testing.T) []string {
	t.Helper()
	lister, err := k.kv.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := slices.Collect(func(yield func(string) bool) {
		for key := range lister.Keys() {
			if !yield(key) {
				return
			}
		}
	})
	slices.Sort(keys)
	return keys
}

func TestTwoKeyframesAreKept(t *testing.T) {
	t.Parallel()
	k, c := openKeyframes(t, provisioned(t), nil), newChain(t)
	expectNewest(t, k, 0, 0)
	for number := range uint64(5) {
		c.next()
		if err := k.Save(t.Context(), c.keyframe()); err != nil {
			t.Fatal(err)
		}
		expectNewest(t, k, number+1, 0)
	}
	want := []string{"acme.4.0", "acme.5.0", "acme.a", "acme.b"}
	if got := k.keys(t); !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	if l, err := k.From(t.Context(), 3); err != nil || l.Position().Number != 4 {
		t.Errorf("the oldest keyframe from commit 3 on: %v, %v", l, err)
	}
	if l, err := k.From(t.Context(), 6); err != nil || l != nil {
		t.Errorf("a keyframe from commit 6 on: %v, %v", l, err)
	}
}

func TestABadKeyframeFallsBackToTheOlderOne(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(k *Keyframes) error
		want  uint64
		over  int
	}{
		{"an altered chunk", func(k *Keyframes) error {
			_, err := k.kv.Put(context.Background(), "acme.2.0", []byte("no"))
			return err
		}, 1, 1},
		{"a missing chunk", func(k *Keyframes) error { return k.kv.Purge(context.Background(), "acme.2.0") }, 1, 1},
		{"an unreadable manifest", func(k *Keyframes) error { _, err := k.kv.Put(context.Background(), "acme.a", []byte("no")); return err }, 1, 0},
		{"both bad", func(k *Keyframes) error {
			_, err := k.kv.Put(context.Background(), "acme.1.0", []byte("no"))
			return errors.Join(err, k.kv.Purge(context.Background(), "acme.2.0"))
		}, 0, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k, c := openKeyframes(t, provisioned(t), nil), newChain(t)
			for range 2 {
				c.next()
				if err := k.Save(t.Context(), c.keyframe()); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.spoil(k); err != nil {
				t.Fatal(err)
			}
			expectNewest(t, k, tt.want, tt.over)
			c.next()
			if err := k.Save(t.Context(), c.keyframe()); err != nil {
				t.Fatal(err)
			}
			expectNewest(t, k, 3, 0)
		})
	}
}

// A process that fails in the middle of a keyframe, or is paused there until others have stored theirs, spoils nothing.
func TestAKeyframeThatIsLeftInTheMiddle(t *testing.T) {
	t.Parallel()
	js, c := provisioned(t), newChain(t)
	k := openKeyframes(t, js, nil)
	c.next()
	if err := k.Save(t.Context(), c.keyframe()); err != nil {
		t.Fatal(err)
	}
	c.next()
	late := c.keyframe()
	broken := openKeyframes(t, js, points(t, "mid-keyframe=error(no)"))
	if err := broken.Save(t.Context(), late); !errors.Is(err, failpoint.ErrInjected) {
		t.Fatalf("save: %v", err)
	}
	expectNewest(t, k, 1, 0)
	for range 2 {
		c.next()
		if err := k.Save(t.Context(), c.keyframe()); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Save(t.Context(), late); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("a keyframe that is too late was stored: %v", err)
	}
	expectNewest(t, k, 4, 0)
	if got, want := k.keys(t), []string{"acme.3.0", "acme.4.0", "acme.a", "acme.b"}; !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
}

// While one process stores a keyframe another one stores a newer one in the same slot: the slower one is refused.
func TestTwoProcessesStoreKeyframesAtOnce(t *testing.T) {
	t.Parallel()
	js, c := provisioned(t), newChain(t)
	fast, slow := openKeyframes(t, js, nil), openKeyframes(t, js, points(t, "mid-keyframe=sleep(300ms)"))
	c.next()
	late := c.keyframe()
	c.next()
	done := make(chan error, 1)
	go func() { done <- slow.Save(t.Context(), late) }()
	if err := fast.Save(t.Context(), c.keyframe()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil {
			t.Log("the slow one found the other slot")
		}
	case <-time.After(time.Minute):
		t.Fatal("the slow one did not end")
	}
	expectNewest(t, fast, 2, 0)
}
