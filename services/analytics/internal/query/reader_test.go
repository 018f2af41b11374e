package query

import (
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
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

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

// world is a ClickHouse with one busy workspace, and the events that are in it.
type world struct {
	reader *Reader
	usage  []*quota.UsageRecorded
	events []quota.Event
	now    time.Time
}

// worldCommits is how many commits newWorld makes.
const worldCommits = 2000

// newWorld makes a world in which the first commits are summed by the hour: some of them twice, so that rows are there
// again.
func newWorld(t *testing.T, summed int) *world {
	t.Helper()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := schema.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	w := &world{reader: NewReader(conn)}
	s := store.New(conn)
	batch := record.NewBatch()
	flush := func() {
		if err := s.Insert(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		batch.Reset()
	}
	f := fleet.New(5, 2*time.Minute)
	progress := rollup.NewProgress()
	sums, err := rollup.New(conn, progress, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range worldCommits {
		commit, _, err := f.Next(2)
		if err != nil {
			t.Fatal(err)
		}
		if !batch.Fits(commit) {
			flush()
		}
		batch.Add("acme", commit)
		w.now = commit.At.Time()
		for _, event := range commit.Events {
			w.events = append(w.events, event)
			if u, ok := event.(*quota.UsageRecorded); ok {
				w.usage = append(w.usage, u)
			}
		}
		if i+1 == summed || i+1 == summed/2 {
			flush()
			progress.Stored(rollup.Ledger{Workspace: "acme", ID: f.Ledger().String()}, commit.Number)
			if err := sums.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if batch.Rows() > 0 {
		flush()
	}
	return w
}

// spent sums usage in Go.
func spent(usage []*quota.UsageRecorded, match func(*quota.UsageRecorded) bool) (s wire.Spent) {
	for _, u := range usage {
		if !match(u) {
			continue
		}
		s = plus(s, wire.Spent{Tokens: wire.Tokens(u.Tokens), Requests: u.Requests, CostMicroUSD: u.Cost})
		if u.Unpriced {
			s.UnpricedTokens += u.Tokens.Total()
		}
	}
	s.TotalTokens = s.Tokens.Total()
	return s
}

func within(u *quota.UsageRecorded, from, to wire.Time) bool {
	return u.OccurredAt >= from.Instant() && u.OccurredAt < to.Instant()
}

func TestAnswersEqualSumsInGo(t *testing.T) {
	t.Parallel()
	for name, summed := range map[string]int{"nothing is summed": 0, "half is summed": worldCommits / 2, "all is summed": worldCommits} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testAnswers(t, newWorld(t, summed))
		})
	}
}

func testAnswers(t *testing.T, w *world) {
	t.Helper()
	if w.inVain(wire.Point{To: wire.Time(w.now.UnixMilli())}, wire.Scope{Team: "core"}) == 0 {
		t.Error("nobody of the team waits in vain: the fleet does not test it")
	}
	for name, scope := range map[string]wire.Scope{
		"a day":            {},
		"a week":           {Timeframe: "7d"},
		"yesterday":        {Timeframe: "yesterday", Zone: "Europe/Berlin"},
		"a half-hour zone": {Timeframe: "36h", Zone: "Asia/Kolkata"},
		"whole hours":      {From: wire.TimeOf(quota.InstantOf(w.now.Truncate(time.Hour).Add(-30 * time.Hour))), To: wire.TimeOf(quota.InstantOf(w.now.Truncate(time.Hour)))},
		"within an hour":   {From: wire.TimeOf(quota.InstantOf(w.now.Truncate(time.Hour).Add(-5*time.Hour))) + 60_000, To: wire.TimeOf(quota.InstantOf(w.now.Truncate(time.Hour).Add(-4 * time.Hour)))},
		"one team":         {Timeframe: "7d", Team: "core"},
		"one agent, model": {Timeframe: "7d", Agent: "agent-3", Model: "gpt-5"},
		"one account":      {Timeframe: "7d", Account: "max-1", Provider: "claude", TaskType: "analysis"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			summary, err := w.reader.Summary(t.Context(), "acme", &wire.SummaryRequest{Scope: scope}, w.now)
			if err != nil {
				t.Fatal(err)
			}
			matches := func(u *quota.UsageRecorded) bool {
				return within(u, summary.From, summary.To) && inScope(&u.Labels, scope)
			}
			if want := spent(w.usage, matches); summary.Totals != want || want.TotalTokens == 0 {
				t.Errorf("totals %+v, want %+v", summary.Totals, want)
			}
			checkSlices(t, w, summary, matches)
			checkDecisions(t, w, summary, scope)
			w.checkHistory(t, scope, summary)
			w.checkPeaks(t, scope, summary, matches)
			if got := summary.Through.Instant(); got != quota.InstantOf(w.now) {
				t.Errorf("complete through %v, want %v", got.Time(), w.now)
			}
		})
	}
}

func inScope(l *quota.Labels, s wire.Scope) bool {
	matches := func(want, have string) bool { return want == "" || want == have }
	return matches(s.Provider, l.Provider) && matches(s.Account, l.Account) && matches(s.Team, l.Team) &&
		matches(s.Agent, l.Agent) && matches(s.TaskType, l.TaskType) && matches(s.Model, l.Model)
}

func checkSlices(t *testing.T, w *world, summary *wire.SummaryReply, matches func(*quota.UsageRecorded) bool) {
	t.Helper()
	for name, c := range map[string]struct {
		slices []wire.Slice
		of     func(*quota.Labels) string
	}{
		"providers":  {summary.Providers, func(l *quota.Labels) string { return l.Provider }},
		"accounts":   {summary.Accounts, func(l *quota.Labels) string { return l.Account }},
		"teams":      {summary.Teams, func(l *quota.Labels) string { return l.Team }},
		"agents":     {summary.Agents, func(l *quota.Labels) string { return l.Agent }},
		"task types": {summary.TaskTypes, func(l *quota.Labels) string { return l.TaskType }},
		"models":     {summary.Models, func(l *quota.Labels) string { return l.Model }},
	} {
		var sum wire.Spent
		var percent float64
		for _, slice := range c.slices {
			want := spent(w.usage, func(u *quota.UsageRecorded) bool { return matches(u) && c.of(&u.Labels) == slice.Name })
			if slice.Spent != want {
				t.Errorf("%s %q: %+v, want %+v", name, slice.Name, slice.Spent, want)
			}
			sum = plus(sum, slice.Spent)
			percent += float64(slice.TokensPercent) / 1000
		}
		if sum != summary.Totals || math.Abs(percent-100) > 0.1 {
			t.Errorf("%s add up to %+v and %.3f %%, want the totals %+v", name, sum, percent, summary.Totals)
		}
		if !slices.IsSortedFunc(c.slices, func(a, b wire.Slice) int { return int(b.TotalTokens - a.TotalTokens) }) {
			t.Errorf("%s are not sorted", name)
		}
	}
}

func checkDecisions(t *testing.T, w *world, summary *wire.SummaryReply, scope wire.Scope) {
	t.Helper()
	var want wire.Decisions
	inTime := func(at quota.Instant) bool { return at >= summary.From.Instant() && at < summary.To.Instant() }
	for _, event := range w.events {
		switch e := event.(type) {
		case *quota.ReservationGranted:
			if inTime(e.At) && inScope(&e.Labels, scope) {
				want.Granted++
				want.ReservedTokens += e.Amount.Tokens.Total()
			}
		case *quota.ReservationExtended:
			if inTime(e.At) && inScope(&e.Labels, scope) {
				want.ReservedTokens += e.Amount.Tokens.Total()
			}
		case *quota.ReservationShrunk:
			if inTime(e.At) && inScope(&e.Labels, scope) {
				want.ReturnedTokens += e.Amount.Tokens.Total()
			}
		case *quota.ReservationDenied:
			if inTime(e.At) && inScope(&e.Labels, scope) {
				want.Denied++
				if (e.Code == quota.CodeInsufficientQuota || e.Code == quota.CodeConcurrentLimitExceeded) && e.Reason != quota.ReasonHeldBack {
					want.Exhausted++
				}
			}
		case *quota.ReservationDequeued:
			if inTime(e.At) && inScope(&e.Labels, scope) {
				if e.Outcome == quota.QueueGranted {
					want.QueueGranted++
				} else {
					want.QueueEnded++
				}
			}
		case *quota.ReservationClosed:
			if inTime(e.At) && inScope(&e.Labels, scope) {
				*map[quota.Outcome]*int64{
					quota.OutcomeSettled: &want.Settled, quota.OutcomeReleased: &want.Released,
					quota.OutcomeExpired: &want.Expired, quota.OutcomeRevoked: &want.Revoked, quota.OutcomePreempted: &want.Preempted,
				}[e.Outcome]++
				want.ReturnedTokens += max(0, e.Granted.Tokens.Total()-e.Used.Tokens.Total())
			}
		case *quota.UsageRecorded:
			if inTime(e.At) && inScope(&e.Labels, scope) {
				want.OverrunTokens += e.Overrun
			}
		}
	}
	if summary.Decisions != want {
		t.Errorf("decisions %+v, want %+v", summary.Decisions, want)
	}
}

func (w *world) checkHistory(t *testing.T, scope wire.Scope, summary *wire.SummaryReply) {
	t.Helper()
	for _, interval := range []string{wire.IntervalHour, wire.IntervalDay} {
		history, err := w.reader.History(t.Context(), "acme", &wire.HistoryRequest{Scope: scope, Interval: interval, Waits: true}, w.now)
		if err != nil {
			t.Fatal(err)
		}
		if history.Totals != summary.Totals {
			t.Errorf("history by %s: totals %+v, want %+v", interval, history.Totals, summary.Totals)
		}
		next := history.From
		var granted, denied, inVain int64
		for _, point := range history.Points {
			if point.From != next {
				t.Errorf("history by %s: a point begins at %s, want %s", interval, point.From, next)
			}
			next = point.To
			want := spent(w.usage, func(u *quota.UsageRecorded) bool { return within(u, point.From, point.To) && inScope(&u.Labels, scope) })
			if point.Spent != want {
				t.Errorf("history by %s: from %s: %+v, want %+v", interval, point.From, point.Spent, want)
			}
			granted += point.Granted
			denied += point.Denied
			inVain += point.QueueEnded
			if want := w.inVain(point, scope); point.QueueEnded != want {
				t.Errorf("history by %s: from %s: %d waits in vain, want %d", interval, point.From, point.QueueEnded, want)
			}
		}
		want := &summary.Decisions
		if next != history.To || granted != want.Granted || denied != want.Denied || inVain != want.QueueEnded {
			t.Errorf("history by %s ends at %s with %d grants, %d denials and %d waits in vain, want %s, %d, %d, %d",
				interval, next, granted, denied, inVain, history.To, want.Granted, want.Denied, want.QueueEnded)
		}
	}
}

// inVain counts the waits that ended without a grant in an interval.
func (w *world) inVain(p wire.Point, scope wire.Scope) (n int64) {
	for _, event := range w.events {
		e, ok := event.(*quota.ReservationDequeued)
		if ok && e.Outcome != quota.QueueGranted && e.At >= p.From.Instant() && e.At < p.To.Instant() && inScope(&e.Labels, scope) {
			n++
		}
	}
	return n
}

func (w *world) checkPeaks(t *testing.T, scope wire.Scope, summary *wire.SummaryReply, matches func(*quota.UsageRecorded) bool) {
	t.Helper()
	peaks, err := w.reader.Peaks(t.Context(), "acme", &wire.PeaksRequest{Scope: scope, Limit: wire.DefaultPeaks}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(peaks.Peaks, summary.Peaks) || len(peaks.Peaks) == 0 {
		t.Errorf("peaks %+v, want those of the summary %+v", peaks.Peaks, summary.Peaks)
	}
	for _, peak := range peaks.Peaks {
		want := spent(w.usage, func(u *quota.UsageRecorded) bool { return matches(u) && within(u, peak.From, peak.To) })
		if peak.Spent != want {
			t.Errorf("peak from %s: %+v, want %+v", peak.From, peak.Spent, want)
		}
	}
}

func TestAnswersWithoutData(t *testing.T) {
	t.Parallel()
	conn := chtest.Open(t, chtest.Start(t), chembed.UserWriter)
	if err := schema.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	r := NewReader(conn)
	now := time.Date(2026, 3, 4, 15, 30, 0, 0, time.UTC)
	summary, err := r.Summary(t.Context(), "nobody", &wire.SummaryRequest{}, now)
	checkEmpty(t, summary, err)
	history, err := r.History(t.Context(), "nobody", &wire.HistoryRequest{}, now)
	checkEmpty(t, history, err)
	if len(history.Points) != 25 {
		t.Errorf("%d points of a day by the hour from 15:30 on, want 25", len(history.Points))
	}
	peaks, err := r.Peaks(t.Context(), "nobody", &wire.PeaksRequest{}, now)
	checkEmpty(t, peaks, err)
}

// checkEmpty fails the test unless a reply is sound JSON without null or NaN.
func checkEmpty(t *testing.T, reply any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(reply)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(encoded); strings.Contains(text, "null") || strings.Contains(text, "NaN") {
		t.Errorf("without data: %s", text)
	}
}
