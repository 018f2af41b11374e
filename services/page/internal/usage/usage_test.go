package usage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

// analytics answers from a table of teams, and counts how often it is asked.
type analytics struct {
	mu      sync.Mutex
	asked   int
	scopes  []wire.Scope
	history map[string][]int64 // by team; "" is the total
	fault   error
}

func (a *analytics) Summary(_ context.Context, r wire.SummaryRequest) (*wire.SummaryReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.fault != nil {
		return nil, a.fault
	}
	reply := &wire.SummaryReply{From: 1000, To: 4000, Zone: r.Zone}
	for _, team := range []string{"a", "", "b", "c", "d", "e", "f"} {
		reply.Teams = append(reply.Teams, wire.Slice{Name: team})
	}
	return reply, nil
}

func (a *analytics) History(_ context.Context, r wire.HistoryRequest) (*wire.HistoryReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scopes = append(a.scopes, r.Scope)
	reply := &wire.HistoryReply{Interval: r.Interval}
	for i, n := range a.history[r.Team] {
		reply.Points = append(reply.Points, wire.Point{From: wire.Time(1000 * (i + 1)), Spent: wire.Spent{TotalTokens: n, CostMicroUSD: 2 * n}})
	}
	return reply, nil
}

func (a *analytics) Forecast(_ context.Context, r wire.ForecastRequest) (*wire.ForecastReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return &wire.ForecastReply{Zone: r.Zone}, nil
}

func fixed() *analytics {
	return &analytics{history: map[string][]int64{"": {10, 20, 5}, "a": {4, 0, 0}, "b": {3, 25, 0}, "c": {0, 0, 5}}}
}

func TestSeriesAndRestAddUpToTheTotal(t *testing.T) {
	t.Parallel()
	a := fixed()
	got, err := NewDesk(a, time.Now).Ask(t.Context(), Question{"7d", "team", "Europe/Berlin"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Interval != wire.IntervalHour || got.Zone != "Europe/Berlin" || len(got.Starts) != 3 {
		t.Errorf("answer %+v", got)
	}
	sums := make([]int64, 3)
	for _, s := range got.Series {
		for i := range sums {
			sums[i] += s.Tokens[i]
			if s.Tokens[i] < 0 || s.Cost[i] != 2*s.Tokens[i] {
				t.Errorf("series %+v: negative, or cost that does not belong to it", s)
			}
		}
	}
	if !slices.Equal(sums, []int64{10, 20, 5}) {
		t.Errorf("the series add up to %v, want the total", sums)
	}
	if last := got.Series[len(got.Series)-1]; !last.Rest || !slices.Equal(last.Tokens, []int64{3, 0, 0}) {
		t.Errorf("the last is %+v, want the rest of 3, 0, 0", last)
	}
	if len(got.Series) != maxSeries+1 || len(got.Slices) != 7 {
		t.Errorf("%d series and %d slices, want %d and 7", len(got.Series), len(got.Slices), maxSeries+1)
	}
	for _, scope := range a.scopes {
		if scope.From != 1000 || scope.To != 4000 || scope.Timeframe != "" || scope.Team == "f" {
			t.Errorf("asked for %+v, want the time of the summary and the five largest that have a name", scope)
		}
	}
}

func TestTheSameQuestionIsAskedOnceWhileItIsFresh(t *testing.T) {
	t.Parallel()
	a, now := fixed(), time.Unix(0, 0)
	desk := NewDesk(a, func() time.Time { return now })
	ask := func(want int) {
		t.Helper()
		if _, err := desk.Ask(t.Context(), Question{"24h", "team", ""}); err != nil {
			t.Fatal(err)
		}
		if a.asked != want {
			t.Errorf("analytics was asked %d times, want %d", a.asked, want)
		}
	}
	ask(1)
	ask(1)
	now = now.Add(Fresh)
	ask(2)
}

// TestWhatIsBeingAskedIsNotAskedAgain: pages that ask every few seconds do not add questions to those that a slow or absent
// analytics leaves unanswered for longer.
func TestWhatIsBeingAskedIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c, answer := newCache[string, int](Fresh, time.Now), make(chan int)
		find := func(context.Context) (int, error) {
			asked.Add(1)
			return <-answer, nil
		}
		var pages sync.WaitGroup
		for range 5 {
			pages.Go(func() {
				if got, err := c.ask(t.Context(), "q", find); err != nil || got != 7 {
					t.Errorf("got %d, %v", got, err)
				}
			})
			<-time.After(2 * Fresh)
		}
		for range asked.Load() {
			answer <- 7
		}
		pages.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times at once, want once", asked.Load())
		}
	})
}

func TestAForecastIsAskedForOncePerZone(t *testing.T) {
	t.Parallel()
	a := fixed()
	desk := NewDesk(a, time.Now)
	for _, zone := range []string{"UTC", "Europe/Berlin", "UTC"} {
		if reply, err := desk.Forecast(t.Context(), zone); err != nil || reply.Zone != zone {
			t.Errorf("zone %s: %+v, %v", zone, reply, err)
		}
	}
	if a.asked != 2 {
		t.Errorf("analytics was asked %d times, want 2", a.asked)
	}
}

func TestAFaultIsNotKept(t *testing.T) {
	t.Parallel()
	a := fixed()
	a.fault = errors.New("away")
	desk := NewDesk(a, time.Now)
	if _, err := desk.Ask(t.Context(), Question{"24h", "team", ""}); !errors.Is(err, a.fault) {
		t.Errorf("error %v, want that of analytics", err)
	}
	a.fault = nil
	if _, err := desk.Ask(t.Context(), Question{"24h", "team", ""}); err != nil {
		t.Errorf("asked again: %v", err)
	}
}

func TestQuestionsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, q := range []Question{{"1h", "team", ""}, {"24h", "colour", ""}, {"", "", ""}} {
		if _, err := NewDesk(fixed(), time.Now).Ask(t.Context(), q); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("question %+v: %v, want %v", q, err, wire.ErrInvalid)
		}
	}
}

func TestEveryDimensionNarrowsByItself(t *testing.T) {
	t.Parallel()
	for name, d := range dimensions() {
		var scope wire.Scope
		d.narrow(&scope, "x")
		reply := &wire.SummaryReply{
			Providers: []wire.Slice{{Name: scope.Provider}}, Accounts: []wire.Slice{{Name: scope.Account}}, Teams: []wire.Slice{{Name: scope.Team}},
			Agents: []wire.Slice{{Name: scope.Agent}}, Models: []wire.Slice{{Name: scope.Model}}, TaskTypes: []wire.Slice{{Name: scope.TaskType}},
		}
		if got := d.slices(reply); got[0].Name != "x" {
			t.Errorf("%s: the breakdown and the filter are of two dimensions", name)
		}
	}
}
