package bench

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/dashboards"
	"github.com/bursarhq/bursar/services/analytics/internal/examples"
)

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

// A small run: every documented query and every question over NATS is asked, of rows in unmerged parts.
func TestRun(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/analytics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, err := examples.Read(string(page))
	if err != nil {
		t.Fatal(err)
	}
	panels, err := dashboards.Read("../../../../deployments/grafana/dashboards")
	if err != nil {
		t.Fatal(err)
	}
	server := chtest.Start(t)
	b := New(chtest.Open(t, server, chembed.UserWriter), chtest.Open(t, server, chembed.UserAnalyst), slog.New(slog.DiscardHandler))
	var out bytes.Buffer
	err = b.Run(t.Context(), Options{
		Shape: Shape{UsageRows: 60_000, Workspaces: 3, Parts: 3}, Asked: 1, Examples: documented, Panels: panels, Out: &out,
	})
	// How fast the answers are says nothing on a machine that tests.
	if err != nil && !errors.Is(err, ErrSlow) {
		t.Fatal(err)
	}
	for _, want := range []string{"ingest by the path", "with the copies: ", "in 3 parts", "bytes a row", "every workspace: ", "summary of 4w", "Who spent what, and why", "forecast of all limits", "Grafana windows: Fullest windows", "page: 7d of one agent"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not told: %s\n%s", want, out.String())
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines < 12+len(documented)+len(panels) {
		t.Errorf("%d lines for %d queries:\n%s", lines, len(documented), out.String())
	}
	checkParts(t, b, false)
	usage, err := one[uint64](t.Context(), b.conn, "SELECT count() FROM bursar.ledger_events FINAL WHERE kind = 'usage.recorded'")
	if err != nil || usage < 54_000 || usage > 66_000 {
		t.Errorf("%d usage rows, %v; want some 60,000", usage, err)
	}
}

// TestFillScattered wants each part to have commits from all of the time, and the copies to be copies all the same.
func TestFillScattered(t *testing.T) {
	t.Parallel()
	server := chtest.Start(t)
	b := New(chtest.Open(t, server, chembed.UserWriter), chtest.Open(t, server, chembed.UserAnalyst), slog.New(slog.DiscardHandler))
	var out bytes.Buffer
	if err := b.Run(t.Context(), Options{Shape: Shape{UsageRows: 30_000, Workspaces: 3, Parts: 3, Scattered: true}, Asked: 1, Out: &out}); err != nil && !errors.Is(err, ErrSlow) {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "every workspace: ") {
		t.Errorf("not told that the copies were checked:\n%s", out.String())
	}
	checkParts(t, b, true)
}

// checkParts tells whether there are three parts that have commits of each workspace, of their own time or of all of it.
func checkParts(t *testing.T, b *Bench, scattered bool) {
	t.Helper()
	rows, err := b.conn.Query(t.Context(), "SELECT min(commit), max(commit), uniqExact(workspace) FROM bursar.ledger_events GROUP BY _part ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	n, last := 0, uint64(0)
	for ; rows.Next(); n++ {
		var first, end, workspaces uint64
		if err := rows.Scan(&first, &end, &workspaces); err != nil {
			t.Fatal(err)
		}
		if n > 0 && (first < last) != scattered || workspaces != 3 {
			t.Errorf("a part has commits %d to %d of %d workspaces after one up to %d; scattered: %v", first, end, workspaces, last, scattered)
		}
		last = end
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != 3 {
		t.Errorf("%d parts, %v; want 3", n, err)
	}
}
