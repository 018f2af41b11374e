package replay

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Summary is what came of a replay. Every reservation keeps granted + overrun = used + returned, so the sums do.
type Summary struct {
	Requests       int64            `json:"requests"` // jobs that asked for quota
	Granted        int64            `json:"granted"`
	Shrunk         int64            `json:"shrunk"`           // granted less than asked for
	Denied         map[string]int64 `json:"denied"`           // by error code, those that waited in vain included
	Queued         int64            `json:"queued"`           // had to wait
	FromQueue      int64            `json:"granted_by_queue"` // of those that waited
	Settled        int64            `json:"settled"`
	Extended       int64            `json:"extended"` // extensions that were granted
	ReservedTokens int64            `json:"reserved_tokens"`
	UsedTokens     int64            `json:"used_tokens"`
	ReturnedTokens int64            `json:"returned_tokens"`
	OverrunTokens  int64            `json:"overrun_tokens"`
	LatencyMS      Latency          `json:"latency_ms"` // of the answer to reserve
	DurationS      float64          `json:"duration_s"`
	PastCalls      int64            `json:"past_calls"` // of the days before, recorded without a reservation
}

// Latency is how long requests took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Recorder gathers latencies and outcomes of many goroutines.
type Recorder struct {
	mu      sync.Mutex
	summary Summary
	took    []time.Duration
}

// NewRecorder gives an empty one.
func NewRecorder() *Recorder {
	return &Recorder{summary: Summary{Denied: map[string]int64{}}}
}

// Answered notes one reserve that was answered, whatever the answer, and how long that took.
func (r *Recorder) Answered(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Requests++
	r.took = append(r.took, took)
}

// Queued notes one that has to wait.
func (r *Recorder) Queued() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Queued++
}

// Granted notes a grant: how much of what was asked for, and whether it came after waiting.
func (r *Recorder) Granted(granted, asked int64, waited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Granted++
	if granted < asked {
		r.summary.Shrunk++
	}
	if waited {
		r.summary.FromQueue++
	}
}

// Denied notes a refusal, at once or after waiting in vain.
func (r *Recorder) Denied(code quota.Code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Denied[string(code)]++
}

// Extended notes an extension.
func (r *Recorder) Extended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Extended++
}

// Settled notes how one reservation ended. Classes of tokens make up for one another, as in the ledger's sums.
func (r *Recorder) Settled(v *wire.Reservation) {
	granted, used := tokens(v.Granted), tokens(v.Used)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Settled++
	r.summary.ReservedTokens += granted
	r.summary.UsedTokens += used
	r.summary.ReturnedTokens += max(0, granted-used)
	r.summary.OverrunTokens += max(0, used-granted)
}

// Summary gives what was noted so far; took is the length of the whole.
func (r *Recorder) Summary(took time.Duration) Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.summary
	slices.Sort(r.took)
	s.LatencyMS = Latency{P50: percentile(r.took, 0.50), P99: percentile(r.took, 0.99)}
	const millisPerSecond = 1000
	s.DurationS = math.Round(took.Seconds()*millisPerSecond) / millisPerSecond
	return s
}

// percentile gives the value below which a part of the sorted spans lies, in milliseconds; 0 where there are none.
func percentile(sorted []time.Duration, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := max(0, int(math.Ceil(part*float64(len(sorted))))-1)
	return float64(sorted[at].Microseconds()) / 1000 // the resolution of the clock is no finer
}

func tokens(a wire.Amount) int64 { return quota.Tokens(a.Tokens).Total() }
