package bench

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEverySystemIsMeasuredOrNamed runs the whole benchmark, very short, against the real servers.
func TestEverySystemIsMeasuredOrNamed(t *testing.T) {
	t.Parallel()
	o := DefaultOptions()
	o.Clients, o.Repetitions = []int{1, 8}, 1
	o.Duration, o.WarmUp = 400*time.Millisecond, 50*time.Millisecond
	var calls int
	o.Progress = func(done, total int, _ string) {
		if calls++; done >= total {
			t.Errorf("progress %d of %d", done, total)
		}
	}
	report, err := Throughput(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if calls == 0 {
		t.Error("progress was never reported")
	}
	for _, system := range []string{"echo", "bursar", "stored", "redis", "postgres"} {
		checkSystem(t, report, system, 2*len(o.Clients)) // of two durability classes each
	}
	checkSystem(t, report, "answered", len(o.Clients))
	for _, row := range report.Rows {
		if row.PerSecond <= 0 || row.Ratio <= 0 || row.P50MS <= 0 || row.P99MS < row.P50MS {
			t.Errorf("row %+v has a hole", row)
		}
		if elsewhere := strings.HasPrefix(row.Name, "redis") || strings.HasPrefix(row.Name, "postgres"); elsewhere == (row.ProcessorUS > 0 && row.Allocations > 0 && row.AllocatedBytes > 0) {
			t.Errorf("row %+v has a cost where none is known, or none", row)
		}
		if strings.HasPrefix(row.Name, "echo") && row.Ratio != 1 {
			t.Errorf("the echo is %v of itself", row.Ratio)
		}
	}
	var out bytes.Buffer
	report.Write(&out)
	for _, want := range []string{"of echo", "per s", "connections: 4 shared"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

// checkSystem wants at least so many rows for a system, or its absence because it is not installed; any other absence is a
// fault.
func checkSystem(t *testing.T, report *Report, system string, want int) {
	t.Helper()
	for _, absence := range report.Absent {
		if strings.HasPrefix(strings.ToLower(absence.System), system) {
			t.Logf("%s: %s", absence.System, absence.Reason)
			if absence.Reason != errNotInstalled.Error() {
				t.Errorf("%s failed: %s", absence.System, absence.Reason)
			}
			return
		}
	}
	rows := 0
	for _, row := range report.Rows {
		if strings.HasPrefix(row.Name, system) {
			rows++
		}
	}
	if rows < want {
		t.Errorf("%d rows for %s, want at least %d", rows, system, want)
	}
}

func TestOptionsReportEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Throughput(t.Context(), Options{Clients: []int{0}, WarmUp: -1})
	for _, want := range []string{"0 clients", "0 repetitions", "duration", "warm-up", "0 connections"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

// scripted is a session that fails at its n-th reserve.
type scripted struct{ failAt, calls int }

var errScripted = errors.New("scripted")

func (s *scripted) reserve(context.Context, int) error {
	if s.calls++; s.calls == s.failAt {
		return errScripted
	}
	return nil
}
func (s *scripted) release(context.Context, int) error { return nil }
func (s *scripted) close() error                       { return nil }

func TestAFailedClientEndsTheMeasurement(t *testing.T) {
	t.Parallel()
	_, err := load{clients: 1, duration: time.Minute}.run(t.Context(), &scripted{failAt: 3})
	if !errors.Is(err, errScripted) || !strings.Contains(err.Error(), "client 0: reserve") {
		t.Errorf("error %v, want the client's", err)
	}
}

// A side that fails is named with the reason, and the others go on.
func TestASideThatFailsIsNamed(t *testing.T) {
	t.Parallel()
	o := DefaultOptions()
	o.Clients, o.Repetitions, o.Duration, o.WarmUp = []int{1}, 2, 10*time.Millisecond, 0
	good := side{description: description{Name: "echo"}, echo: 0,
		connect: func(context.Context, int) (session, error) { return &scripted{}, nil }}
	bad := side{description: description{Name: "bad"}, echo: 0,
		connect: func(context.Context, int) (session, error) { return nil, errScripted }}
	r := &run{options: o, sides: []side{good, bad}, samples: map[cell][]sample{}, failed: map[int]bool{}}
	if err := r.measureAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := r.report()
	if len(report.Rows) != 1 || len(report.Absent) != 1 || !strings.Contains(report.Absent[0].Reason, "scripted") {
		t.Errorf("report %+v, want one row and one named absence", report)
	}
}

func TestOrderTurnsWithEachRepetition(t *testing.T) {
	t.Parallel()
	o := DefaultOptions()
	o.Clients, o.Repetitions, o.Duration, o.WarmUp = []int{1}, 3, time.Millisecond, 0
	var order []string
	o.Progress = func(_, _ int, what string) { order = append(order, what[:1]) }
	r := &run{options: o, samples: map[cell][]sample{}, failed: map[int]bool{}}
	for _, name := range []string{"a", "b", "c"} {
		r.sides = append(r.sides, side{description: description{Name: name},
			connect: func(context.Context, int) (session, error) { return &scripted{}, nil }})
	}
	if err := r.measureAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "abcbcacab" {
		t.Errorf("order %s, want abcbcacab", got)
	}
}

func TestSummariseTakesMediansAndRatiosWithinARepetition(t *testing.T) {
	t.Parallel()
	echoes := []sample{{perSecond: 100}, {perSecond: 1000}, {perSecond: 10}}
	samples := []sample{
		{perSecond: 80, p50: time.Millisecond, p99: 9 * time.Millisecond},
		{perSecond: 700, p50: 3 * time.Millisecond, p99: 7 * time.Millisecond},
		{perSecond: 9, p50: 2 * time.Millisecond, p99: 8 * time.Millisecond},
	}
	got := summarise("s", 64, samples, echoes)
	want := Row{
		Clients: 64, Name: "s",
		PerSecond: 80, Ratio: 0.8, RatioMin: 0.7, RatioMax: 0.9, P50MS: 2, P99MS: 8,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	tests := []struct {
		name    string
		values  []time.Duration
		percent int
		want    time.Duration
	}{
		{"none", nil, 99, 0},
		{"one", []time.Duration{7}, 50, 7},
		{"median of a hundred", hundred, 50, 50},
		{"p99 of a hundred", hundred, 99, 99},
		{"p99 of three is the highest", []time.Duration{1, 2, 3}, 99, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if !slices.IsSorted(tt.values) {
				t.Fatal("values are not sorted")
			}
			if got := percentile(tt.values, tt.percent); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// Only what is asked for is measured, with the bare reply that it is compared with.
func TestSystemsAreChosen(t *testing.T) {
	t.Parallel()
	sides := []side{
		{description: description{Name: "echo-fsync"}, echo: 0}, {description: description{Name: "bursar-fsync"}, echo: 0},
		{description: description{Name: "echo-page"}, echo: 2}, {description: description{Name: "bursar-page"}, echo: 2},
	}
	for _, tt := range []struct {
		name    string
		systems []string
		want    []string
	}{
		{"all", nil, []string{"echo-fsync", "bursar-fsync", "echo-page", "bursar-page"}},
		{"one", []string{"bursar-page"}, []string{"echo-page", "bursar-page"}},
		{"by what it begins with", []string{"bursar"}, []string{"echo-fsync", "bursar-fsync", "echo-page", "bursar-page"}},
		{"by its whole name", []string{"bursar-fsync.", "bursar."}, []string{"echo-fsync", "bursar-fsync"}},
		{"none such", []string{"oracle"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &run{options: Options{Systems: tt.systems}, sides: slices.Clone(sides)}
			r.choose()
			var got []string
			for _, s := range r.sides {
				got = append(got, s.Name)
				if want := "echo-" + strings.SplitAfter(s.Name, "-")[1]; r.sides[s.echo].Name != want {
					t.Errorf("%s is compared with %s, want %s", s.Name, r.sides[s.echo].Name, want)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("measures %v, want %v", got, tt.want)
			}
		})
	}
}

// The echo tells a release from a reserve by its size, and answers either with as much as Bursar does.
func TestEchoSizes(t *testing.T) {
	t.Parallel()
	if s := echoSizes(); s.reserve == s.release || min(s.reserve, s.reserved, s.release, s.released) < 100 {
		t.Errorf("sizes %+v", s)
	}
}
