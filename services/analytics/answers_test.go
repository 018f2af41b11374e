package analytics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// answer is what an example must answer: groups by their labels, each with its sums. Columns names both, as the example's
// first columns; what comes after them follows from them.
type answer struct {
	columns []string
	groups  map[string][]int64
	// most is how many groups the example shows, those with the largest first sum; 0 is all.
	most int
}

func (a answer) check(t *testing.T, question string, got []string) {
	t.Helper()
	type row struct {
		text  string
		first int64
	}
	rows := make([]row, 0, len(a.groups))
	for labels, sums := range a.groups {
		rows = append(rows, row{labels + "|" + strings.Trim(strings.ReplaceAll(fmt.Sprint(sums), " ", "|"), "[]"), sums[0]})
	}
	slices.SortFunc(rows, func(a, b row) int { return int(b.first - a.first) })
	if a.most > 0 {
		rows = rows[:min(a.most, len(rows))]
	}
	want := make([]string, len(rows))
	for i, r := range rows {
		want[i] = r.text
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("%s (%v):\n%s\nthe ledger says:\n%s", question, a.columns, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// add adds to the sums of a group.
func (a answer) add(labels []string, sums ...int64) {
	key := strings.Join(labels, "|")
	if a.groups[key] == nil {
		a.groups[key] = make([]int64, len(sums))
	}
	for i, n := range sums {
		a.groups[key][i] += n
	}
}

// asked is what the documented questions with a known answer are about.
type asked struct {
	spent, bound, vain, overrun, estimates, cache, cost, peaks, waits answer
}

// answers computes in Go, from the events alone, what the examples ask in SQL.
func answers(commits []*ledger.Commit) map[string]answer {
	of := func(columns string) answer {
		return answer{columns: strings.Split(columns, ", "), groups: map[string][]int64{}}
	}
	a := &asked{
		spent: of("team, project, task_type, model, tokens"),
		bound: of("hour, limit_id, decision, times, wanted_tokens"), vain: of("team, task_type, granted, in_vain"),
		overrun: of("task_type, complexity, settled, overran, over"), estimates: of("task_type, files, settled, estimated, beyond, in_vain"), cache: of("model, hit, of"),
		cost: of("task_type, model, settled, cost"), peaks: of("hour, tokens, calls"), waits: of("priority, outcome, waits, ms"),
	}
	a.peaks.most = 10
	tasks := map[string]*task{}
	for _, commit := range commits {
		for _, event := range commit.Events {
			a.take(event)
			follow(tasks, event)
		}
	}
	for _, t := range tasks {
		if !t.settled {
			continue
		}
		over := max(0, t.used-t.granted)
		a.overrun.add([]string{t.labels.TaskType, t.labels.Complexity}, 1, min(1, over), over)
		if told := t.labels.Estimated; told > 0 {
			a.estimates.add([]string{t.labels.TaskType, fmt.Sprint(t.labels.Files)}, 1, told, min(1, max(0, t.used-told)), max(0, told-t.used))
		}
	}
	return map[string]answer{
		"Who spent what, and why":       a.spent,
		"Which limit bound, and when":   a.bound,
		"How much was reserved in vain": a.vain,
		"How far off estimates are, by the files of a task: how often one was too small, and what was reserved in vain where it was too large": a.estimates,
		"How often the cache is hit, of all input":                                    a.cache,
		"When the peaks are":                                                          a.peaks,
		"Which tasks overrun what they reserve, how often and by how much":            a.overrun,
		"What a settled task costs, by type and model":                                a.cost,
		"How long reserves waited in the queue, by priority, and how the waits ended": a.waits,
	}
}

func (a *asked) take(event quota.Event) {
	hour := func(at quota.Instant) string { return at.Time().UTC().Truncate(time.Hour).Format(time.DateTime) }
	switch e := event.(type) {
	case *quota.UsageRecorded:
		total := e.Tokens.Total()
		a.spent.add([]string{e.Labels.Team, e.Project, e.Labels.TaskType, e.Labels.Model}, total)
		a.cache.add([]string{e.Labels.Model}, e.Tokens.CacheRead, total-e.Tokens.Output)
		a.peaks.add([]string{hour(e.OccurredAt)}, total, e.Requests)
	case *quota.ReservationDenied:
		if e.Limit != "" {
			a.bound.add([]string{hour(e.At), e.Limit, "denied"}, 1, e.Amount.Tokens.Total())
		}
	case *quota.ReservationQueued:
		if e.Limit != "" {
			a.bound.add([]string{hour(e.At), e.Limit, "queued"}, 1, e.Wish.Amount.Tokens.Total())
		}
	case *quota.ReservationClosed:
		granted := e.Granted.Tokens.Total()
		a.vain.add([]string{e.Labels.Team, e.Labels.TaskType}, granted, max(0, granted-e.Used.Tokens.Total()))
		if e.Outcome == quota.OutcomeSettled {
			a.cost.add([]string{e.Labels.TaskType, e.Labels.Model}, 1, e.CostUsed)
		}
	case *quota.ReservationDequeued:
		a.waits.add([]string{e.Labels.Priority.String(), string(e.Outcome)}, 1, int64(e.At-e.QueuedAt))
	}
}

// task is what became of a reservation.
type task struct {
	labels        quota.Labels
	granted, used int64
	settled       bool
}

func follow(tasks map[string]*task, event quota.Event) {
	switch e := event.(type) {
	case *quota.ReservationGranted:
		tasks[e.Reservation] = &task{labels: e.Labels, granted: e.Amount.Tokens.Total()}
	case *quota.ReservationExtended:
		tasks[e.Reservation].granted += e.Amount.Tokens.Total()
	case *quota.UsageRecorded:
		if t := tasks[e.Reservation]; t != nil {
			t.used += e.Tokens.Total()
		}
	case *quota.ReservationClosed:
		tasks[e.Reservation].settled = e.Outcome == quota.OutcomeSettled
	}
}
