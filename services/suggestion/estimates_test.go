package suggestion

import (
	"fmt"
	"testing"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
)

// awaitLearned waits until what is stored, as the allocator may read it, is as of a commit.
func (s *site) awaitLearned(workspace string, commit uint64) (b *learn.Book) {
	s.t.Helper()
	kv, err := s.store.KeyValue(s.t.Context(), wire.BucketEstimates)
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := wire.EstimatesKey(workspace)
	if err != nil {
		s.t.Fatal(err)
	}
	s.await(fmt.Sprintf("the estimates of %s as of commit %d", workspace, commit), func() error {
		entry, err := kv.Get(s.t.Context(), key)
		if err != nil {
			return err
		}
		if b, err = learn.Decode(entry.Value()); err != nil {
			return err
		}
		if b.Number() < commit {
			return fmt.Errorf("they are as of commit %d", b.Number())
		}
		return nil
	})
	return b
}

// However often the service starts anew, each settled task is learned from once.
func TestEstimatesAcrossRestarts(t *testing.T) {
	t.Parallel()
	s, l := newSite(t), scene.New(t, 1)
	s.commit("acme", l.Encoded(l.Configured()))
	const rounds, perRound = 4, 10
	for range rounds {
		stop := s.start()
		for range perRound {
			s.commit("acme", l.Encoded(l.Oversized(1)...))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	stop := s.start()
	b := s.awaitLearned("acme", l.Number())
	if got := b.Scores()["analysis"]; got.Tasks != rounds*perRound || got.Used != rounds*perRound*1000 {
		t.Errorf("learned from %+v, want %d tasks of 1,000 tokens", got, rounds*perRound)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
