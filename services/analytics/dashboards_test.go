package analytics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/dashboards"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
)

// TestEveryPanelOfTheDashboardsHasRows runs every query of the dashboards that goes to ClickHouse, variables included, as the
// analyst that Grafana is, on a fleet of which everything has happened.
func TestEveryPanelOfTheDashboardsHasRows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start()
	s.fleet = fleet.New(9, time.Minute)
	s.send(2500, 2)
	_ = s.compare()
	s.awaitSums()
	analyst := chtest.Open(t, s.server, chembed.UserAnalyst)
	g := dashboards.Grafana{From: s.commits[0].At.Time(), To: s.commits[len(s.commits)-1].At.Time(), Interval: time.Hour, Variables: map[string]string{"workspace": "acme"}}
	queries, err := dashboards.Read("../../deployments/grafana/dashboards")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		runPanel(t, analyst, g, q)
	}
	if len(queries) < 20 {
		t.Errorf("%d queries: the test looks in the wrong place", len(queries))
	}
}

// runPanel wants rows of a query; of a series its first column must be a time, and of each column some row must have a value.
func runPanel(t *testing.T, conn driver.Conn, g dashboards.Grafana, q dashboards.Query) {
	t.Helper()
	what := q.Dashboard + ": " + q.Panel
	statement, err := g.Expand(q.SQL)
	if err != nil {
		t.Errorf("%s: %v\n%s", what, err, q.SQL)
		return
	}
	chtest.Read(t, func(ctx context.Context) error {
		rows, err := conn.Query(ctx, statement)
		if err != nil {
			t.Logf("%s:\n%s", what, statement)
			return err
		}
		types := rows.ColumnTypes()
		if q.Series && !strings.HasPrefix(types[0].DatabaseTypeName(), "DateTime") {
			t.Errorf("%s: its first column is a %s, want a time", what, types[0].DatabaseTypeName())
		}
		n := 0
		for rows.Next() {
			n++
		}
		if n == 0 {
			t.Errorf("%s gives no row:\n%s", what, statement)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
}
