package ledger

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/bursarhq/bursar/pkg/quota"
)

// group gives a commit of n granted reservations with their answers: what a busy writer sends.
func group(b *testing.B, n int) *Commit {
	b.Helper()
	s := newScribe(b, 15)
	config := scenarioConfig()
	config.Limits[2].Capacity, config.Limits[3].Capacity, config.Limits[4].Capacity = 9e9, quota.MaxCapacity, quota.MaxCapacity
	s.do(quota.ApplyConfig{Config: config})
	s.commit()
	for i := range n {
		id := s.id().String()
		r := s.do(quota.Reserve{Actor: actor(i % 64), Reservation: id, Provider: "openai", Model: "gpt-5", TaskType: "code_review", Complexity: "medium", Amount: quota.Amount{Tokens: tokens(8000 + int64(i))}})
		if !r.OK() {
			b.Fatal(r.Message)
		}
	}
	return s.draft()
}

var groupSizes = []int{1, 16, 64, 256}

func BenchmarkEncode(b *testing.B) {
	for _, n := range groupSizes {
		b.Run(fmt.Sprintf("reservations=%d", n), func(b *testing.B) {
			c := group(b, n)
			var builder Builder
			var size int
			b.ReportAllocs()
			for b.Loop() {
				builder.Reset()
				for _, e := range c.Events {
					if err := builder.AddEvent(e); err != nil {
						b.Fatal(err)
					}
				}
				for i := range c.Answers {
					builder.AddAnswer(&c.Answers[i])
				}
				data, err := builder.Seal(c)
				if err != nil {
					b.Fatal(err)
				}
				HashOf(data)
				size = len(data)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
			b.ReportMetric(float64(size)/float64(n), "bytes/request")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range groupSizes {
		b.Run(fmt.Sprintf("reservations=%d", n), func(b *testing.B) {
			data, err := Encode(group(b, n))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
		})
	}
}

// BenchmarkCompression compares what could compress a body.
func BenchmarkCompression(b *testing.B) {
	data, err := Encode(group(b, 64))
	if err != nil {
		b.Fatal(err)
	}
	body, err := unpack(commitMagic, data, MaxCommitBytes)
	if err != nil {
		b.Fatal(err)
	}
	zstdAt := func(level zstd.EncoderLevel) func([]byte) []byte {
		w := must(zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1)))
		return func(in []byte) []byte { return w.EncodeAll(in, nil) }
	}
	for name, compress := range map[string]func([]byte) []byte{
		"s2": func(in []byte) []byte { return s2.Encode(nil, in) }, "s2better": func(in []byte) []byte { return s2.EncodeBetter(nil, in) },
		"zstd1": zstdAt(zstd.SpeedFastest), "zstd2": zstdAt(zstd.SpeedDefault),
	} {
		b.Run(name, func(b *testing.B) {
			var out []byte
			for b.Loop() {
				out = compress(body)
			}
			b.ReportMetric(float64(len(out))/float64(len(body)), "ratio")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64), "ns/request")
		})
	}
}

// BenchmarkMemory looks for a new id and remembers it, of 25,000 a second.
func BenchmarkMemory(b *testing.B) {
	m := newMemory()
	var n uint64
	for b.Loop() {
		n++
		var k Key
		binary.LittleEndian.PutUint64(k[:], n*0x9e3779b97f4a7c15) // keys are hashes: spread
		at := t0.Add(quota.Millis(n / 25))
		if _, known := m.lookup(k, at); known {
			b.Fatal("a new id is known")
		}
		m.add(k, at, Ref{Revision: n})
		if n%64 == 0 {
			m.trim(at, quota.Day)
		}
	}
}

func BenchmarkKeyOf(b *testing.B) {
	for b.Loop() {
		KeyOf("ann", "01936f3e-9d7c-7e5a-8a1b-3c4d5e6f7081")
	}
}

func BenchmarkKeyframe(b *testing.B) {
	for _, live := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			l := bigLedger(b, live, live*8)
			var bytes int
			b.Run("copy", func(b *testing.B) {
				for b.Loop() {
					l.Snapshot(nil)
				}
			})
			b.Run("encode", func(b *testing.B) {
				s := l.Snapshot(nil)
				for b.Loop() {
					k, err := s.Encode()
					if err != nil {
						b.Fatal(err)
					}
					bytes = 0
					for _, c := range k.Chunks {
						bytes += len(c)
					}
				}
				b.ReportMetric(float64(bytes), "bytes")
			})
			m, chunks := encoded(b, l)
			b.Run("restore", func(b *testing.B) {
				for b.Loop() {
					if _, err := Restore(m, chunks); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
