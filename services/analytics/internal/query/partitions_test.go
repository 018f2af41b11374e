package query

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

// The same events give the same sums and the same answers, whatever partitions they lie in: over some months, partly summed.
func TestPartitionsAnswerAlike(t *testing.T) {
	t.Parallel()
	w := newGrowingWorld(t)
	w.fleet = fleet.New(5, time.Hour)
	w.grow(t, 2000)
	w.sum(t, 600)
	want := answers(t, w)
	for _, p := range []schema.Partitions{schema.ByDay, schema.ByWeek} {
		w.store.Partitions = p
		if has, err := w.store.Partition(t.Context()); err != nil || has != p {
			t.Fatalf("partitions by %q, %v; want %q", has, err, p)
		}
		if got := answers(t, w); !reflect.DeepEqual(got, want) {
			t.Errorf("by %s: %+v\nby month: %+v", p, got, want)
		}
		for _, sums := range []string{"hourly", "margins", "charges", "waits", "limit_log"} {
			if err := w.reader.conn.Exec(t.Context(), "TRUNCATE TABLE bursar."+sums+" SYNC"); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if w.sums, err = rollup.New(w.reader.conn, w.progress, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		w.sum(t, 600)
		if got := answers(t, w); !reflect.DeepEqual(got, want) {
			t.Errorf("by %s, summed anew: %+v\nby month: %+v", p, got, want)
		}
	}
}

// answers are what is said of the last day, week and months.
func answers(t *testing.T, w *growingWorld) (all []any) {
	t.Helper()
	add := func(reply any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, reply)
	}
	for _, scope := range []wire.Scope{{Timeframe: "24h"}, {Timeframe: "7d"}, {Timeframe: "90d"}, {Timeframe: "last-month", Team: "research"}} {
		summary, err := w.reader.Summary(t.Context(), "acme", &wire.SummaryRequest{Scope: scope}, w.now)
		add(summary, err)
		if scope.Team == "" && summary.Totals.TotalTokens == 0 {
			t.Errorf("nothing was used in %s", scope.Timeframe)
		}
		add(w.reader.History(t.Context(), "acme", &wire.HistoryRequest{Scope: scope}, w.now))
		add(w.reader.Peaks(t.Context(), "acme", &wire.PeaksRequest{Scope: scope}, w.now))
	}
	add(w.reader.Forecast(t.Context(), "acme", &wire.ForecastRequest{}, w.now))
	return all
}
