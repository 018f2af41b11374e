package ledger

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

func encoded(t testing.TB, l *Ledger) (*Manifest, [][]byte) {
	t.Helper()
	k, err := l.Snapshot(nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := DecodeManifest(k.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return m, k.Chunks
}

func TestKeyframeRestores(t *testing.T) {
	t.Parallel()
	s := newScribe(t, 5)
	s.play(300)
	half := fold(t, s.log[:len(s.log)/2])
	m, chunks := encoded(t, half)
	if m.Position() != half.Position() {
		t.Errorf("the manifest is of %+v, the ledger of %+v", m.Position(), half.Position())
	}
	restored, err := Restore(m, chunks)
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(t, restored) != digestOf(t, half) {
		t.Error("a restored ledger gives another keyframe")
	}
	for _, e := range s.log[len(s.log)/2:] {
		if _, err := restored.ApplyEntry(e); err != nil {
			t.Fatal(err)
		}
	}
	if digestOf(t, restored) != digestOf(t, s.ledger) || restored.Remembered() != s.ledger.Remembered() {
		t.Error("from the keyframe on the log folds to something else")
	}
	for _, e := range s.log {
		c, err := Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range c.Answers {
			want := Ref{Revision: e.Revision, Number: c.Number, Index: uint32(i), Params: a.Params}
			if got, ok := restored.Lookup(a.Key, a.IssuedAt); got != want || !ok {
				t.Errorf("request %d of commit %d: %v, want %v", i, c.Number, got, want)
			}
		}
	}
}

// TestKeyframeOfAWriterAhead: a writer copies the state with the commit, and the memory when that is acknowledged.
func TestKeyframeOfAWriterAhead(t *testing.T) {
	t.Parallel()
	s := newScribe(t, 6)
	s.play(20)
	want := digestOf(t, s.ledger)
	state := s.ledger.State().Snapshot()
	s.now = s.now.Add(quota.Minute)
	s.do(quota.Reserve{Actor: actor(1), Reservation: "ahead", Provider: "openai", Model: "gpt", Amount: quota.Amount{Tokens: tokens(100)}})
	k, err := s.ledger.Snapshot(state).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if HashOf(k.Manifest) != want {
		t.Error("the keyframe shows what was decided after its commit")
	}
}

func TestKeyframeInManyChunks(t *testing.T) {
	t.Parallel()
	l := bigLedger(t, 4_000, 20_000)
	m, chunks := encoded(t, l)
	if len(chunks) < 2 {
		t.Fatalf("only %d chunks, so nothing is proved", len(chunks))
	}
	if _, err := Restore(m, chunks); err != nil {
		t.Fatal(err)
	}
	swapped := append([][]byte{chunks[1], chunks[0]}, chunks[2:]...)
	for name, chunks := range map[string][][]byte{"one missing": chunks[1:], "two swapped": swapped, "none": nil} {
		if _, err := Restore(m, chunks); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bigLedger has many live reservations and remembered requests.
func bigLedger(t testing.TB, live, remembered int) *Ledger {
	t.Helper()
	s := newScribe(t, 7)
	config := scenarioConfig()
	config.Limits = config.Limits[:2]
	for i := range config.Limits {
		config.Limits[i].Capacity = quota.MaxCapacity
	}
	s.do(quota.ApplyConfig{Config: config})
	for i := range live {
		r := s.do(quota.Reserve{Actor: actor(i), Reservation: randomText(20) + actor(i).Agent, Provider: "claude", Model: "opus-4", Amount: quota.Amount{Tokens: tokens(1000)}})
		if !r.OK() {
			t.Fatal(r.Message)
		}
		if len(s.answers) == 500 {
			s.commit()
		}
	}
	s.commit()
	for i := range remembered {
		s.ledger.memory.add(KeyOf("bob", actor(i).Agent), s.now.Add(quota.Millis(i%100_000)), Ref{Revision: uint64(i)})
	}
	return s.ledger
}

func TestKeyframeRefuses(t *testing.T) {
	t.Parallel()
	s := newScribe(t, 8)
	s.play(30)
	m, chunks := encoded(t, s.ledger)
	altered := bytes.Clone(chunks[0])
	altered[len(altered)/2] ^= 1
	if _, err := Restore(m, [][]byte{altered}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an altered chunk: %v", err)
	}
	lie := *m
	lie.Size++
	if _, err := Restore(&lie, chunks); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a lie about the size: %v", err)
	}
	broken := s.ledger.Snapshot(nil)
	broken.state.Totals.Reserved += 5
	k, err := broken.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if m, err = DecodeManifest(k.Manifest); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(m, k.Chunks); !errors.Is(err, ErrBroken) {
		t.Errorf("a state that breaks an invariant: %v", err)
	}
	if _, err := DecodeManifest(s.log[0].Data); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a commit taken for a manifest: %v", err)
	}
	if _, err := Decode(k.Manifest); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a manifest taken for a commit: %v", err)
	}
}
