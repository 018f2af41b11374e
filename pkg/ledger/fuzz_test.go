package ledger

import (
	"bytes"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// FuzzDecode: whatever bytes come, decoding ends with a commit or an error, and a commit that was read is written to
// bytes that read to the same again.
func FuzzDecode(f *testing.F) {
	s := newScribe(f, 12)
	s.play(10)
	for _, e := range s.log {
		f.Add(e.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Decode(data)
		if err != nil {
			return
		}
		first, err := Encode(c)
		if err != nil {
			return
		}
		back, err := Decode(first)
		if err != nil {
			t.Fatalf("a commit that was read cannot be read again: %v", err)
		}
		if second, err := Encode(back); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("equal commits have different bytes (%v)", err)
		}
	})
}

// FuzzDecodeBody gets behind the checksum: the body is what the fuzzer makes.
func FuzzDecodeBody(f *testing.F) {
	s := newScribe(f, 13)
	s.play(10)
	for _, e := range s.log {
		body, err := unpack(commitMagic, e.Data, MaxCommitBytes)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		data, err := pack(nil, commitMagic, body, MaxCommitBytes)
		if err != nil {
			return
		}
		c, err := Decode(data)
		if err != nil {
			return
		}
		l := New()
		_ = l.Apply(c, HashOf(data), 1) // must not panic, whatever the events say
		for _, e := range c.Events {
			quota.Apply(l.State(), e)
		}
	})
}

// FuzzKeyframe: manifests and their content come from a bucket that others might write to.
func FuzzKeyframe(f *testing.F) {
	s := newScribe(f, 14)
	s.play(10)
	k, err := s.ledger.Snapshot(nil).Encode()
	if err != nil {
		f.Fatal(err)
	}
	m, err := DecodeManifest(k.Manifest)
	if err != nil {
		f.Fatal(err)
	}
	content, err := unpackS2(k.Chunks[0], int(m.Size))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.Manifest, content)
	f.Fuzz(func(t *testing.T, manifest, content []byte) {
		if m, err := DecodeManifest(manifest); err == nil {
			_, _ = Restore(m, [][]byte{content})
		}
		l, err := restore(m, content)
		if err != nil {
			return
		}
		if broken := l.State().Check(); len(broken) > 0 {
			t.Fatalf("a ledger was restored that breaks invariants: %q", broken)
		}
		l.Snapshot(nil)
	})
}
