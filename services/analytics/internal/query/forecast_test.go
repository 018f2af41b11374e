package query

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

// growingWorld is a world that goes on.
type growingWorld struct {
	world
	fleet    *fleet.Fleet
	store    *store.Store
	progress *rollup.Progress
	sums     *rollup.Builder
	stored   uint64
}

func newGrowingWorld(t *testing.T) *growingWorld {
	t.Helper()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := schema.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	w := &growingWorld{world: world{reader: NewReader(conn)}, fleet: fleet.New(5, 2*time.Minute), store: store.New(conn), progress: rollup.NewProgress()}
	var err error
	if w.sums, err = rollup.New(conn, w.progress, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return w
}

// sum sums all that is stored but the last commits.
func (w *growingWorld) sum(t *testing.T, but uint64) {
	t.Helper()
	w.progress.Stored(rollup.Ledger{Workspace: "acme", ID: w.fleet.Ledger().String()}, w.stored-but)
	if err := w.sums.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// grow adds commits.
func (w *growingWorld) grow(t *testing.T, commits int) {
	t.Helper()
	batch := record.NewBatch()
	flush := func() {
		if err := w.store.Insert(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		batch.Reset()
	}
	for range commits {
		commit, _, err := w.fleet.Next(2)
		if err != nil {
			t.Fatal(err)
		}
		if !batch.Fits(commit) {
			flush()
		}
		batch.Add("acme", commit)
		w.now, w.stored = commit.At.Time(), commit.Number
		for _, event := range commit.Events {
			if u, ok := event.(*quota.UsageRecorded); ok {
				w.usage = append(w.usage, u)
			}
		}
	}
	flush()
}

// TestForecastReadsWindowsAsTheLedgerHasThem compares what the events in ClickHouse tell of each limit with the state that
// they were decided on: at every tenth of the life of a fleet that observes, rolls windows and is configured anew.
func TestForecastReadsWindowsAsTheLedgerHasThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		summed bool
		but    uint64
	}{"nothing is summed": {}, "most is summed": {true, 70}, "all is summed": {true, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newGrowingWorld(t)
			testWindows(t, w, func() {
				if c.summed {
					w.sum(t, c.but)
				}
			}, c.summed && c.but == 0)
		})
	}
}

func testWindows(t *testing.T, w *growingWorld, sum func(), viewed bool) {
	t.Helper()
	outside, open, earlier := 0, 0, 0
	for range 10 {
		w.grow(t, 150)
		sum()
		reply, err := w.reader.Forecast(t.Context(), "acme", &wire.ForecastRequest{}, w.now)
		if err != nil {
			t.Fatal(err)
		}
		views := w.fleet.Limits()
		if viewed {
			checkLimitsView(t, w, views)
		}
		for _, f := range reply.Limits {
			v := views[f.LimitID]
			if v == nil {
				t.Fatalf("no limit %q in the ledger", f.LimitID)
			}
			type standing struct {
				starts, resets          wire.Time
				capacity, used, outside int64
			}
			got := standing{f.StartsAt, f.ResetsAt, f.Capacity, f.Used, f.Outside}
			if want := (standing{wire.TimeOf(v.Began), wire.TimeOf(v.End), v.Capacity, v.Used, v.Outside}); got != want {
				t.Errorf("%s at %v: %+v, want %+v", f.LimitID, w.now, got, want)
			}
			if f.Outside > 0 {
				outside++
			}
			if v.Began < v.Start {
				earlier++
			}
			if f.StartsAt != 0 {
				open++
			}
		}
		want := 0
		for _, v := range views {
			if kind := v.Limit.Window.Kind; kind == quota.WindowSession || kind == quota.WindowCalendar {
				want++
			}
		}
		if len(reply.Limits) != want {
			t.Errorf("%d limits, want the %d that count spending in windows", len(reply.Limits), want)
		}
	}
	if outside == 0 || open == 0 || earlier == 0 {
		t.Errorf("%d with use outside, %d open, %d in use before they were heard of: the fleet does not test it", outside, open, earlier)
	}
}

// checkLimitsView compares the analysts' view of limits with the state that was decided on.
func checkLimitsView(t *testing.T, w *growingWorld, views map[string]*quota.LimitView) {
	t.Helper()
	rows, err := w.reader.conn.Query(t.Context(), `SELECT limit_id, unit, window, ifNull(capacity, 0), toUnixTimestamp64Milli(ifNull(window_start, toDateTime64(0, 3, 'UTC'))),
		toUnixTimestamp64Milli(ifNull(window_end, toDateTime64(0, 3, 'UTC'))) FROM analyst.limits WHERE workspace = 'acme'`)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		var id, unit, window string
		var capacity, start, end int64
		if err := rows.Scan(&id, &unit, &window, &capacity, &start, &end); err != nil {
			t.Fatal(err)
		}
		n++
		v := views[id]
		if v == nil || unit != string(v.Limit.Unit) || window != string(v.Limit.Window.Kind) || capacity != v.Capacity || start != int64(v.Start) || end != int64(v.End) {
			t.Errorf("limit %s of %s in %s: capacity %d, from %d to %d; want %+v", id, unit, window, capacity, start, end, v)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != len(views) {
		t.Errorf("%d limits, want %d, %v", n, len(views), err)
	}
}

func TestForecastWithoutData(t *testing.T) {
	t.Parallel()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := schema.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 4, 15, 30, 0, 0, time.UTC)
	reply, err := NewReader(conn).Forecast(t.Context(), "nobody", &wire.ForecastRequest{Backtest: true}, now)
	checkEmpty(t, reply, err)
	for _, bad := range []wire.ForecastRequest{{Zone: "Mars"}, {LimitID: "none"}} {
		if _, err := NewReader(conn).Forecast(t.Context(), "nobody", &bad, now); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%+v: %v, want it invalid", bad, err)
		}
	}
}

// TestForecastOfAFleet asks for everything of a fleet that has two weeks behind it.
func TestForecastOfAFleet(t *testing.T) {
	t.Parallel()
	w := newGrowingWorld(t)
	w.fleet.SetStep(12 * time.Minute)
	w.grow(t, 16*24*5)
	w.sum(t, 40)
	reply, err := w.reader.Forecast(t.Context(), "acme", &wire.ForecastRequest{Backtest: true}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, f := range reply.Limits {
		checkForecast(t, w, &f)
		if f.Used > 0 {
			used++
		}
	}
	if used == 0 {
		t.Error("nothing was used: the fleet does not test it")
	}
	one, err := w.reader.Forecast(t.Context(), "acme", &wire.ForecastRequest{LimitID: "api-1/day", Zone: "Europe/Berlin"}, w.now)
	if err != nil || len(one.Limits) != 1 {
		t.Fatalf("%+v, %v, want the one limit", one, err)
	}
	need := one.Limits[0].NextWeek
	if len(need.Hours) != 168 || need.Hours[0].From != need.From {
		t.Fatalf("%d hours from %v, want those of a week", len(need.Hours), need.From)
	}
	sum := int64(0)
	for _, h := range need.Hours {
		sum += h.Expected
	}
	if sum < need.Low/2 || sum > 2*need.High {
		t.Errorf("the hours need %d, the week %d to %d", sum, need.Low, need.High)
	}
}

// checkForecast compares figures with the usage in Go and wants times in order.
func checkForecast(t *testing.T, w *growingWorld, f *wire.LimitForecast) {
	t.Helper()
	var hour, first int64
	first = math.MaxInt64
	for _, u := range w.usage {
		for _, c := range u.Charges {
			if c.Limit == f.LimitID {
				first = min(first, int64(u.OccurredAt))
				if u.OccurredAt >= quota.InstantOf(w.now.Add(-time.Hour)) {
					hour += c.Amount
				}
			}
		}
	}
	if first == math.MaxInt64 { // nothing was used of it: nothing can be said
		if f.Used != 0 || f.HistoryHours != 0 || f.NeedsHours == 0 || f.NextWeek != nil || f.Exhaustion != nil {
			t.Errorf("%s was never used, and %+v is told of it", f.LimitID, f)
		}
		return
	}
	if f.BurnPerHour != hour {
		t.Errorf("%s: %d burned in an hour, want %d", f.LimitID, f.BurnPerHour, hour)
	}
	if past := quota.InstantOf(w.now).Sub(quota.Instant(first)); f.HistoryHours < int64(past/quota.Hour)-1 || f.HistoryHours > int64(past/quota.Hour)+1 {
		t.Errorf("%s: %d hours of history, want about %d", f.LimitID, f.HistoryHours, past/quota.Hour)
	}
	if f.NeedsHours != 0 || f.NextWeek == nil || f.Backtest == nil || f.Backtest.Windows == nil || f.Backtest.Weeks == nil {
		t.Fatalf("%s has too little history: %+v", f.LimitID, f)
	}
	if n := f.NextWeek; n.Low <= 0 || n.Low > n.Likely || n.Likely > n.High {
		t.Errorf("%s: a need of %+v", f.LimitID, n)
	}
	if f.StartsAt == 0 {
		return
	}
	e := f.Exhaustion
	order := []wire.Time{wire.TimeOf(quota.InstantOf(w.now)), e.EarlyAt, e.LikelyAt, e.LateAt, f.ResetsAt}
	for i, at := range order[1:] {
		if at != 0 && at < order[i] || order[i] == 0 && i < 3 && at != 0 {
			t.Errorf("%s runs out at %v, not in order", f.LimitID, order)
		}
	}
}

// TestNeedsAreSharedByEqualPasts forecasts limits together and alone: of two that the same usage is charged to, the need is worked
// out once, and nothing that is told differs.
func TestNeedsAreSharedByEqualPasts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 29, 11, 30, 0, 0, time.UTC)
	charged := func(id string, window wire.WindowSpec, factor int64) *limitUse {
		l := &limitUse{spec: wire.LimitSpec{LimitID: id, Unit: "tokens", Window: window, Capacity: 100_000}, byAge: map[int64]float64{}, byHour: map[int64]int64{}}
		c := &charging{now: now.UnixMilli()}
		for n := range int64(20 * 24 * 4) {
			c.add(l, now.UnixMilli()/quarterMS*quarterMS-n*quarterMS, factor*(1+n*n%97))
		}
		return l
	}
	session, week := wire.WindowSpec{Kind: "session", DurationMS: 5 * hourMS}, wire.WindowSpec{Kind: "calendar", Period: "week"}
	made := func() []*limitUse {
		return []*limitUse{charged("a/session", session, 1), charged("b/session", session, 3), charged("a/week", week, 1), charged("b/week", week, 3)}
	}
	limits := made()
	together, err := forecastAll(t.Context(), limits, &wire.ForecastRequest{}, now)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range limits {
		if want := i >= 2; l.hours.shared != want || want && l.hours.past != limits[i-2].hours.past {
			t.Errorf("%s shares: %v, want %v, with the limit of the same account", l.spec.LimitID, l.hours.shared, want)
		}
	}
	for i, l := range made() {
		alone, err := forecastAll(t.Context(), []*limitUse{l}, &wire.ForecastRequest{}, now)
		if err != nil || alone[0].NextWeek == nil || !reflect.DeepEqual(alone[0], together[i]) {
			t.Errorf("%s alone: %+v, %v; together: %+v", l.spec.LimitID, alone, err, together[i])
		}
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		backtest bool
		limits   int
		err      error
		invalid  bool
	}{{true, 50, context.DeadlineExceeded, true}, {true, 50, context.Canceled, false}, {true, 1, context.DeadlineExceeded, false}, {false, 50, context.DeadlineExceeded, false}} {
		err := tooLong(&wire.ForecastRequest{Backtest: c.backtest}, c.limits, c.err)
		if errors.Is(err, wire.ErrInvalid) != c.invalid || !c.invalid && !errors.Is(err, c.err) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestMostUsedKeepsTheOrder(t *testing.T) {
	t.Parallel()
	var limits []*limitUse
	for i := range wire.MaxForecastLimits + 50 {
		limits = append(limits, &limitUse{total: int64(i * 37 % 100)})
	}
	kept, more := mostUsed(limits)
	if len(kept) != wire.MaxForecastLimits || !more {
		t.Fatalf("%d kept, %v", len(kept), more)
	}
	least, at := int64(math.MaxInt64), 0
	for _, l := range kept {
		least = min(least, l.total)
		for limits[at] != l { // panics where the order is another
			at++
		}
	}
	for _, l := range limits {
		if l.total > least && !slices.Contains(kept, l) {
			t.Errorf("one with %d is left out, one with %d kept", l.total, least)
		}
	}
	if kept, more := mostUsed(limits[:3]); len(kept) != 3 || more {
		t.Errorf("%d kept of 3, %v", len(kept), more)
	}
}
