package work

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/cli/internal/trace"
)

func TestDayIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	if !reflect.DeepEqual(Day(7, 300, "run"), Day(7, 300, "run")) {
		t.Error("the same seed gave two days")
	}
	if reflect.DeepEqual(Day(7, 300, "run"), Day(8, 300, "run")) {
		t.Error("two seeds gave the same day")
	}
}

// TestDayHasThePublishedShape compares the generator with the measurements it is made after.
func TestDayHasThePublishedShape(t *testing.T) {
	t.Parallel()
	var calls, output []int64
	principals := map[string]bool{}
	types := map[estimate.Type]bool{}
	for _, j := range Day(1, 4000, "run") {
		principals[j.Principal], types[j.TaskType] = true, true
		if j.TaskType == estimate.CodeReview && j.Agent != "nightly-audit-01" {
			calls = append(calls, int64(len(j.Calls)))
			for _, c := range j.Calls {
				output = append(output, c.Tokens.Output)
			}
		}
	}
	tests := []struct {
		name       string
		values     []int64
		percentile float64
		low, high  int64
	}{
		{"calls, median", calls, 0.5, 2, 4},
		{"calls, 90th", calls, 0.9, 14, 26},
		{"output, median", output, 0.5, 190, 240},
		{"output, 90th", output, 0.9, 1450, 1950},
	}
	for _, tt := range tests {
		slices.Sort(tt.values)
		if got := tt.values[int(tt.percentile*float64(len(tt.values)))]; got < tt.low || got > tt.high {
			t.Errorf("%s is %d, want %d to %d", tt.name, got, tt.low, tt.high)
		}
	}
	if len(principals) < 3 || len(types) < 5 {
		t.Errorf("%d principals and %d task types, want at least 3 and 5", len(principals), len(types))
	}
}

func TestDayIsInOrderAndEachCallHasItsID(t *testing.T) {
	t.Parallel()
	jobs := Day(3, 500, "run")
	ids := map[string]bool{}
	for i, j := range jobs {
		if i > 0 && j.At < jobs[i-1].At {
			t.Fatalf("job %d is before the one before it", i)
		}
		if j.At < 0 || j.At >= 24*time.Hour || len(j.Calls) == 0 {
			t.Errorf("job %d is at %s with %d calls", i, j.At, len(j.Calls))
		}
		for _, c := range j.Calls {
			if ids[c.ID] {
				t.Errorf("call id %s twice", c.ID)
			}
			ids[c.ID] = true
		}
	}
}

func TestFromTrace(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	tr := &trace.Trace{Calls: []trace.Call{
		{Session: "a", ID: "x", Tokens: quota.Tokens{Input: 1}},
		{At: start, Session: "a", Model: "claude-opus-5", Tokens: quota.Tokens{Input: 2}},
		{At: start.Add(time.Minute), Session: "b", Tokens: quota.Tokens{Output: 3}},
		{At: start.Add(time.Hour), Tokens: quota.Tokens{Output: 4}},
	}}
	pattern := PatternOf(trace.ClaudeCode)
	pattern.Agents = 3
	jobs := FromTrace(tr, pattern)
	want := []struct {
		at    time.Duration
		agent string
		model string
	}{
		{0, "agent-01", "claude-sonnet-5"}, {0, "agent-01", "claude-opus-5"},
		{time.Minute, "agent-02", "claude-sonnet-5"}, {time.Hour, "agent-01", "claude-sonnet-5"},
	}
	for i, w := range want {
		j := jobs[i]
		if j.At != w.at || j.Agent != w.agent || j.Model != w.model || j.Used() != tr.Calls[i].Tokens || j.Calls[0].ID != tr.Calls[i].ID {
			t.Errorf("job %d is %+v, want %+v", i, j, w)
		}
	}
}

// The week is the same for a seed but for the ids, lies before the day, and has calls on each day of it.
func TestWeek(t *testing.T) {
	t.Parallel()
	week, again := Week(1, 600, "a", "api"), Week(1, 600, "b", "api")
	days := map[time.Duration]bool{}
	for i, c := range week.Calls {
		if other := again.Calls[i]; c.ID == other.ID || c.Before != other.Before || c.Tokens != other.Tokens {
			t.Fatalf("call %d: %+v and %+v", i, c, other)
		}
		if c.Before < 0 || i > 0 && c.Before > week.Calls[i-1].Before {
			t.Fatalf("call %d is out of order", i)
		}
		days[(c.Before-1)/(24*time.Hour)] = true
	}
	if len(days) != pastDays || week.Account != "api" {
		t.Errorf("calls on %d days", len(days))
	}
}
