package analytics_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
)

// TestExamplesOfTheDocsRun runs every SQL example of docs/analytics.md as an analyst and wants rows.
func TestExamplesOfTheDocsRun(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/analytics.md")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.start()
	s.fleet = fleet.New(9, time.Minute)
	s.send(2500, 2)
	_ = s.compare()
	s.awaitSums()
	analyst := chtest.Open(t, s.server, chembed.UserAnalyst)
	examples := 0
	for i, block := range strings.Split(string(raw), "```sql\n")[1:] {
		statement, _, closed := strings.Cut(block, "```")
		if !closed {
			t.Fatalf("example %d has no end", i+1)
		}
		examples++
		// The fleet lives in a time of its own: let the examples live there too.
		statement = strings.NewReplacer("now()", "toDateTime('2026-10-02 12:00:00', 'UTC')", "today()", "toDate('2026-10-02')").Replace(statement)
		t.Logf("example %d", i+1)
		chtest.Read(t, func(ctx context.Context) error {
			rows, err := analyst.Query(ctx, statement)
			if err != nil {
				return err
			}
			if !rows.Next() && rows.Err() == nil {
				t.Errorf("example %d gives no row:\n%s", i+1, statement)
			}
			return errors.Join(rows.Err(), rows.Close())
		})
	}
	if examples < 10 {
		t.Errorf("%d examples, want at least 10", examples)
	}
}

// awaitSums waits until the sums by the hour tell of the last commit.
func (s *site) awaitSums() {
	s.t.Helper()
	conn := chtest.Open(s.t, s.server, chembed.UserAnalyst)
	last := s.commits[len(s.commits)-1].Number
	await(s.t, "summed by the hour", func() bool {
		var through uint64
		err := conn.QueryRow(s.t.Context(), "SELECT max(through_commit) FROM analyst.summed").Scan(&through)
		return err == nil && through == last
	})
}
