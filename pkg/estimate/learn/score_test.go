package learn_test

import (
	"fmt"
	"testing"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// diary makes the commits of one ledger.
type diary struct {
	t      *testing.T
	book   *learn.Book
	number uint64
	at     quota.Instant
}

func newDiary(t *testing.T) *diary {
	t.Helper()
	return &diary{t: t, book: learn.New(learn.DefaultTarget), at: 1_780_387_200_000}
}

func (d *diary) read(events ...quota.Event) bool {
	d.t.Helper()
	d.number++
	return read(d.t, d.book, &ledger.Commit{Ledger: ledger.ID{1}, Number: d.number, At: d.at, Events: events})
}

func review(told int64) quota.Labels {
	return quota.Labels{TaskType: "code_review", Complexity: "medium", Model: "m", Agent: "a", Estimated: told}
}

func (d *diary) grant(id string, told, granted int64) {
	d.t.Helper()
	d.read(&quota.ReservationGranted{At: d.at, Reservation: id, Labels: review(told), Amount: quota.Amount{Tokens: quota.Tokens{Output: granted}}})
}

func (d *diary) close(id string, outcome quota.Outcome, told, granted, used int64) bool {
	d.t.Helper()
	return d.read(&quota.ReservationClosed{
		At: d.at, Reservation: id, Labels: review(told), Outcome: outcome,
		Granted: quota.Amount{Tokens: quota.Tokens{Output: granted}}, Used: quota.Amount{Tokens: quota.Tokens{Output: used}},
	})
}

// What counts is the estimate of when a reservation was granted, also across a restart, and what its agent was told.
func TestScoresTheEstimateThatStood(t *testing.T) {
	t.Parallel()
	d := newDiary(t)
	d.grant("early", 10_000, 9_000) // the table stands: 8,000, and ×1.3 of it at the target
	for i := range 200 {
		d.close(fmt.Sprint("other-", i), quota.OutcomeSettled, 0, 0, 800_000)
	}
	before := d.book.Report()["code_review"]
	d.close("early", quota.OutcomeSettled, 10_000, 60_000, 50_000) // it was extended
	stored, err := d.book.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if d.book, err = learn.Decode(stored); err != nil {
		t.Fatal(err)
	}
	s := d.book.Report()["code_review"]
	if got := s.Learned.Covered - before.Learned.Covered; got != 0 || s.Learned.Short-before.Learned.Short < 39_000 {
		t.Errorf("an estimate of about 10,400 covered 50,000 tokens: %+v after %+v", s, before)
	}
	if w := s.Stated; w.Tasks != 1 || w.Used != 50_000 || w.Estimated != 10_000 || w.Granted != 9_000 || w.Extended != 1 ||
		w.Estimate != (learn.Count{Short: 40_000}) || w.Grant != (learn.Count{Short: 41_000}) {
		t.Errorf("the agent was told 10,000, granted 9,000, and used 50,000: %+v", w)
	}
	d.grant("late", 900_000, 900_000)
	d.close("late", quota.OutcomeSettled, 900_000, 900_000, 100_000)
	after := d.book.Report()["code_review"]
	if w := after.Stated; w.Tasks != 2 || w.Extended != 1 || w.Estimate.Covered != 1 || w.Estimate.Waste != 800_000 || w.Grant.Waste != 800_000 {
		t.Errorf("the second was covered: %+v", w)
	}
	if after.Learned.Covered != s.Learned.Covered+1 || after.Learned.Waste <= s.Learned.Waste || after.Tasks != 202 {
		t.Errorf("the second was covered: %+v after %+v", after, s)
	}
}

// Only grants and what ends them change what is kept; a reservation that is not settled is no evidence.
func TestReservationsThatEndOtherwise(t *testing.T) {
	t.Parallel()
	d := newDiary(t)
	d.grant("x", 0, 1000)
	if !d.close("x", quota.OutcomeExpired, 0, 1000, 1000) || d.close("x", quota.OutcomeExpired, 0, 1000, 1000) {
		t.Error("the estimate that stood must go once")
	}
	if d.read(&quota.WindowOpened{At: d.at}) || len(d.book.Report()) != 0 {
		t.Error("nothing was settled")
	}
}

func TestReportIsOfTheLastDays(t *testing.T) {
	t.Parallel()
	d := newDiary(t)
	for day := range int64(10) {
		d.close(fmt.Sprint(day), quota.OutcomeSettled, 0, 0, 1000+day)
		if got, want := d.book.Report()["code_review"].Tasks, min(day+1, learn.ReportDays); got != want {
			t.Errorf("day %d: the report is of %d tasks, want %d", day, got, want)
		}
		d.at = d.at.Add(quota.Day)
	}
	if since := d.book.Since(); since > d.at.Add(-6*quota.Day) || since < d.at.Add(-8*quota.Day) {
		t.Errorf("since %d, it is %d", since, d.at)
	}
	if all := d.book.Scores()["code_review"].Tasks; all != 10 {
		t.Errorf("in all %d tasks, want 10", all)
	}
}

// However many reservations stay open, what is kept of them fits a message.
func TestStandingEstimatesAreBounded(t *testing.T) {
	t.Parallel()
	d := newDiary(t)
	var events []quota.Event
	for i := range 3 * learn.MaxStanding {
		events = append(events, &quota.ReservationGranted{Reservation: fmt.Sprintf("0195f3c2-7b1e-7a44-9d0b-%012x", i*7919), Labels: review(0)})
	}
	d.read(events...)
	stored, err := d.book.Encode()
	if err != nil || len(stored) > learn.MaxBytes/2 {
		t.Errorf("%d bytes, %v; want half a message", len(stored), err)
	}
}

// The classes of an estimate are those of what was used; the table's where nothing is known.
func TestDividesAsTasksDid(t *testing.T) {
	t.Parallel()
	d := newDiary(t)
	labels := review(0)
	table := estimate.Estimate{InputTokens: 6000, OutputTokens: 2000, TotalTokens: 8000}
	e, _ := d.book.Estimate(learn.KeyOf(&labels), 8000)
	if got := e.Shares.Divide(80_001, table); got != (quota.Tokens{Input: 60_001, Output: 20_000}) {
		t.Errorf("with no evidence %+v, want as the table", got)
	}
	used := quota.Tokens{Input: 5_000, CacheRead: 80_000, CacheWrite5m: 10_000, CacheWrite1h: 1_000, Output: 4_000}
	for range 300 {
		if err := d.book.Learn(learn.KeyOf(&labels), 8000, used); err != nil {
			t.Fatal(err)
		}
	}
	e, _ = d.book.Estimate(learn.KeyOf(&labels), 8000)
	got := e.Shares.Divide(1_000_000, table)
	near := func(n, want int64) bool { return n > want-1000 && n < want+1000 }
	if got.Total() != 1_000_000 || !near(got.Input, 50_000) || !near(got.CacheRead, 800_000) || !near(got.CacheWrite5m, 100_000) ||
		!near(got.CacheWrite1h, 10_000) || !near(got.Output, 40_000) {
		t.Errorf("a million tokens divide as %+v, want as the tasks did", got)
	}
	other := quota.Labels{TaskType: "analysis"} // never worked on: as other types did, with a grain of the table
	e, _ = d.book.Estimate(learn.KeyOf(&other), 12_000)
	if got := e.Shares.Divide(1000, table); got.CacheRead < 780 || got.CacheRead > 800 || got.Total() != 1000 {
		t.Errorf("an unknown type divides as %+v", got)
	}
	if got := (&learn.Shares{}).Divide(7, estimate.Estimate{}); got.Total() != 7 {
		t.Errorf("with nothing known %+v, want 7 in all", got)
	}
}

// A kind that wastes more for one more task that fits is aimed at less, within the bounds, and all together at the target.
func TestCostlyKindsAreAimedAtLess(t *testing.T) {
	t.Parallel()
	d := newDiary(t)
	for i := range 600 {
		for name, size := range map[string]int64{"code_review": 1, "analysis": 100} {
			labels := quota.Labels{TaskType: name, Model: "m"}
			spread := int64(1 + (i*37)%50) // 1 to 50
			if err := d.book.Learn(learn.KeyOf(&labels), learn.Table(&labels), quota.Tokens{Output: 1000 * size * spread}); err != nil {
				t.Fatal(err)
			}
		}
	}
	aim := func(name string) float64 {
		labels := quota.Labels{TaskType: name, Model: "m"}
		e, ok := d.book.Estimate(learn.KeyOf(&labels), learn.Table(&labels))
		if !ok {
			t.Fatal("nothing is known of ", name)
		}
		return e.Aim
	}
	cheap, dear := aim("code_review"), aim("analysis")
	if cheap < 0.95 || dear > 0.86 || dear < 0.8 || cheap+dear < 1.78 || cheap+dear > 1.82 {
		t.Errorf("the cheap kind is aimed at %.3f, the dear one at %.3f", cheap, dear)
	}
}

// Tasks that are all alike fit: no rounding of the figures may lie below them.
func TestTasksAllAlikeFit(t *testing.T) {
	t.Parallel()
	for size := int64(9_000); size < 11_000; size += 250 {
		d := newDiary(t)
		for range 100 {
			labels := review(0)
			if err := d.book.Learn(learn.KeyOf(&labels), 8000, quota.Tokens{Output: size}); err != nil {
				t.Fatal(err)
			}
		}
		if s := d.book.Scores()["code_review"].Learned; s.Covered < 97 || s.Waste > 100*size/10 {
			t.Errorf("100 tasks of %d tokens: %+v", size, s)
		}
	}
}
