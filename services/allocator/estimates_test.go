package allocator

import (
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// learnedBook is of many tasks, each of which used total tokens.
func learnedBook(t *testing.T, taskType, complexity string, tasks int, total int64) []byte {
	t.Helper()
	b := learn.New(learn.DefaultTarget)
	for range tasks {
		key := learn.KeyOf(&quota.Labels{TaskType: taskType, Complexity: complexity, Model: "gpt-5", Agent: "a1"})
		used := quota.Tokens{Input: total / 10 * 3, CacheRead: total / 10 * 6, Output: total / 10}
		if err := b.Learn(key, 8000, used); err != nil {
			t.Fatal(err)
		}
	}
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// share tells that a part is some percent of a total, within a percent.
func share(part, total, percent int64) bool {
	return part >= total*(percent-1)/100 && part <= total*(percent+1)/100
}

// The table answers until something is learned, and from then on what was learned; a value that cannot be read changes
// nothing.
func TestEstimatesAreLearned(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	ask := func(conservative bool) *wire.EstimateReply {
		t.Helper()
		e, err := a.Estimate(s.ctx, wire.EstimateRequest{TaskType: "code_review", Model: "gpt-5", Conservative: conservative})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := ask(false); e.Ground != wire.GroundTable || e.TotalTokens != 8000 || e.Samples != 0 || e.TargetPercent != 0 {
		t.Errorf("before anything is learned: %+v", e)
	}
	if r, err := s.operator.Estimates(s.ctx); err != nil || r.Overall.Tasks != 0 || len(r.Types) != 0 || r.SinceAt != 0 {
		t.Errorf("before anything is learned: %+v, %v", r, err)
	}
	bucket, err := s.JetStream(natsauth.RoleSuggestion).KeyValue(s.ctx, wire.BucketEstimates)
	if err != nil {
		t.Fatal(err)
	}
	key, err := wire.EstimatesKey(site.Workspace)
	if err != nil {
		t.Fatal(err)
	}
	put := func(value []byte) {
		t.Helper()
		if _, err := bucket.Put(s.ctx, key, value); err != nil {
			t.Fatal(err)
		}
	}
	put([]byte("from the future"))
	put(learnedBook(t, "code_review", "medium", 400, 40_000))
	var e *wire.EstimateReply
	for e = ask(false); e.Ground != wire.GroundLearned; e = ask(false) {
		select {
		case <-s.ctx.Done():
			t.Fatal("what is stored is never used")
		case <-time.After(10 * time.Millisecond):
		}
	}
	near := func(n int64) bool { return n > 38_000 && n < 42_000 }
	if !near(e.TotalTokens) || !near(e.Median) || !near(e.Low) || e.High < e.TotalTokens || e.Samples != 400 || e.TargetPercent < 90_000 {
		t.Errorf("400 tasks used 40,000 tokens each, the estimate is %+v", e)
	}
	if got := quota.Tokens(e.Tokens); got.Total() != e.TotalTokens || !share(got.Input, e.TotalTokens, 30) || !share(got.CacheRead, e.TotalTokens, 60) {
		t.Errorf("the tokens must divide as those of the 400 tasks did: %+v", e)
	}
	// At 1.25 USD for a million of input, a tenth of that for what the cache gives, and 10 for output.
	if want := e.TotalTokens * (30*125 + 60*125/10 + 10*1000) / 10_000; e.CostMicroUSD < want*99/100 || e.CostMicroUSD > want*101/100 {
		t.Errorf("the cost is %d micro-USD, want that of the classes, %d", e.CostMicroUSD, want)
	}
	r, err := s.operator.Estimates(s.ctx)
	if err != nil || r.Overall.Tasks != 400 || r.Overall.UsedTokens != 16_000_000 || r.TargetPercent != 90_000 || len(r.Types) != 1 || r.Types[0].TaskType != "code_review" {
		t.Fatalf("the report is %+v, %v; want 400 tasks of 40,000 tokens", r, err)
	}
	if o := r.Overall; o.Learned.Covered < 300 || o.Table.Covered != 0 || o.Table.ShortTokens == 0 || o.Stated != nil {
		t.Errorf("the learned ones fit most, the table none: %+v", o)
	}
	if c := ask(true); c.TotalTokens <= e.TotalTokens*5/4 || c.Median != e.Median {
		t.Errorf("a conservative estimate of %d tokens has %d", e.TotalTokens, c.TotalTokens)
	}
	put(learnedBook(t, "code_review", "medium", 400, 4_000_000))
	for e = ask(false); e.Median < 1_000_000; e = ask(false) {
		select {
		case <-s.ctx.Done():
			t.Fatal("what is stored anew is never used")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if e.TotalTokens != 100_000 || e.CappedBy != "api-1/day" || quota.Tokens(e.Tokens).Total() != 100_000 || !share(e.Tokens.CacheRead, 100_000, 60) || e.High < 3_800_000 {
		t.Errorf("the day grants 100,000 tokens at most: %+v", e)
	}
}

// What a reserve says of its task stands in the reservation, and so in the ledger.
func TestReservationKeepsWhatItsEstimateRestsOn(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	r, err := a.Reserve(s.ctx, wire.ReserveRequest{
		Account: "api-1", Model: "gpt-5", TaskType: "code_review", Complexity: "medium", Files: 12, Estimated: 9600, Tokens: wire.Tokens{Output: 9600},
	})
	if err != nil {
		t.Fatal(err)
	}
	status, err := a.Status(s.ctx, wire.StatusRequest{ReservationID: r.ReservationID})
	if err != nil {
		t.Fatal(err)
	}
	if v := status.Reservations[0]; v.Files != 12 || v.Estimated != 9600 || v.TaskType != "code_review" {
		t.Errorf("the reservation is %+v", v)
	}
}
