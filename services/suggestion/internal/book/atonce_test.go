package book

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

func TestAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ jobs, want int }{{0, MaxTests}, {600, MaxTests}, {5_000, 12}, {10_000, 6}, {workload.MaxJobs, 3}, {1_000_000, 1}} {
		if got := atOnce(c.jobs); got != c.want {
			t.Errorf("%d tests of %d jobs at once, want %d", got, c.jobs, c.want)
		}
	}
}

// TestAdviceThatWaitsForItsTest has more jobs than can be replayed for all advice at once: the tests are spread over several
// Advise, all are made in the end, and what stands in the list stays while it waits for its next one.
func TestAdviceThatWaitsForItsTest(t *testing.T) {
	t.Parallel()
	prices, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	const jobs = 6_000
	b, l := New("acme", prices), scene.New(t, 1)
	b.Read(l.Commit(l.Configured()))
	for i := range jobs {
		b.Read(l.Commit(job(l, i)...))
		l.Pass(7 * quota.Day / jobs)
	}
	advise := func() (rounds int) {
		for rounds = 1; ; rounds++ {
			tests := len(b.tests)
			b.Advise(nil)
			if made := len(b.tests) - tests; made > atOnce(b.jobs.Len()) {
				t.Errorf("%d tests at once, want at most %d", made, atOnce(b.jobs.Len()))
			}
			if !b.Awaiting() || rounds == 20 {
				return rounds
			}
		}
	}
	if rounds := advise(); rounds < 2 || rounds == 20 {
		t.Errorf("%d rounds, want the tests in some", rounds)
	}
	listed := len(b.List().Suggestions)
	l.Pass(RetestAfter + quota.Minute)
	b.Read(l.Commit(job(l, jobs)...))
	ended := make(chan struct{})
	close(ended)
	b.Advise(ended)
	for key, test := range b.tests {
		if test.At == b.window.Now {
			t.Errorf("%s was tested though the service ends", key)
		}
	}
	if got := len(b.List().Suggestions); got < listed-1 || !b.Awaiting() {
		t.Errorf("%d suggestions when the service ends, want the %d of before; awaiting: %t", got, listed, b.Awaiting())
	}
	b.Advise(nil)
	if !b.Awaiting() {
		t.Error("all was tested anew at once")
	}
	if got := len(b.List().Suggestions); got < listed-1 || listed == 0 {
		t.Errorf("%d suggestions while some wait for a test, want the %d of before", got, listed)
	}
}
