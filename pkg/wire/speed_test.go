package wire

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// The four documents of a grant and its release, as the benchmark of the whole sends them.
func benchmarkResult() *quota.Result {
	return &quota.Result{
		Reservation: "0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10", Provider: "claude", Account: "bench", Model: "claude-haiku-4-5", Priority: quota.PriorityNormal,
		Granted:  quota.Amount{Tokens: quota.Tokens{Input: 500, Output: 500}, Requests: 1},
		CostHeld: 3000, Expires: 1_772_357_400_000, Version: 1,
	}
}

func BenchmarkReserve(b *testing.B) {
	request := &ReserveRequest{
		Identified: Identified{"0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10"}, Account: "bench", Model: "claude-haiku-4-5", TaskType: "code_review",
		Tokens: Tokens{Input: 500, Output: 500},
	}
	body := request.Append(nil)
	reply := AppendResult(nil, request, benchmarkResult(), nil)
	room := make([]byte, 0, 1024)
	b.Run("append request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			request.Append(room)
		}
	})
	b.Run("decode request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeRequest(KindAgent, VerbReserve, body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			request.ParamsHash()
		}
	})
	b.Run("append reply", func(b *testing.B) {
		b.ReportAllocs()
		result := benchmarkResult()
		for b.Loop() {
			AppendResult(room, request, result, nil)
		}
	})
	b.Run("decode reply", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(reply)))
		for b.Loop() {
			var r ReservationReply
			if _, err := DecodeReply(reply, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("request id", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := NewRequestID(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Logf("%d bytes %s\n%d bytes %s", len(body), body, len(reply), reply)
}
