//go:build testdata

package forecast

import (
	"encoding/csv"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/realdata"
)

// table reads the numbers of a file of the traces, without its heading.
func table(t *testing.T, elements ...string) [][]float64 {
	t.Helper()
	f, err := os.Open(realdata.Path(t, append([]string{"traces"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	var numbers [][]float64
	for _, row := range rows[1:] {
		var line []float64
		for _, field := range row {
			n, err := strconv.ParseFloat(field, 64)
			if err != nil {
				n = 0 // no request in that time, or a text
			}
			line = append(line, n)
		}
		numbers = append(numbers, line)
	}
	return numbers
}

// burstGPT is the requests of 40 days of one campus, in steps.
func burstGPT(t *testing.T, step time.Duration) *History {
	t.Helper()
	file := map[time.Duration]string{FineStep: "requests_per_15m.dev.csv", CoarseStep: "requests_per_60m.dev.csv"}[step]
	rows := table(t, "burstgpt_derived", file)
	used := make([]float64, int(rows[len(rows)-1][0]/step.Seconds())+1)
	for _, row := range rows {
		used[int(row[0]/step.Seconds())] += row[1]
	}
	return NewHistory(monday, step, used)
}

// half of the clients of a trace: the constants of widen.go were chosen on the one, and not on the other.
type half int

const (
	chosenOn half = iota
	heldOut
)

// serveGen is the tokens of a week of half of the production clients, dealt out to accounts, in fine steps.
func serveGen(t *testing.T, of half, accounts int) []*History {
	t.Helper()
	const sixHours, tenMinutes = 6 * 3600, 600
	tokens := map[[2]int]float64{}
	for _, row := range table(t, "servegen", "m-large_client_tokens.dev.csv") {
		tokens[[2]int{int(row[0]), int(row[1]) / sixHours}] = row[2] + row[6] // mean input and output of a request
	}
	used := make([][]float64, accounts)
	for i := range used {
		used[i] = make([]float64, Week/FineStep)
	}
	for _, row := range table(t, "servegen", "m-large_client_windows.dev.csv") {
		client, second, rate := int(row[0]), int(row[1]), row[2]
		if client%2 != int(of) {
			continue
		}
		// A window of ten minutes lies in one quarter of an hour or in two.
		for minute := range tenMinutes / 60 {
			step := (second + minute*60) / int(FineStep.Seconds())
			if account := used[client/2%accounts]; step < len(account) {
				account[step] += rate * 60 * tokens[[2]int{client, second / sixHours}]
			}
		}
	}
	var histories []*History
	for _, u := range used {
		if h := NewHistory(monday, FineStep, u); h.Used(Week) > 0 {
			histories = append(histories, h)
		}
	}
	return histories
}

// TestRealTraces tests windows and weeks of real traces. They have no known truth but what followed, and a past that is
// short for weeks; docs/forecasts.md has the figures.
func TestRealTraces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		length  time.Duration
		session bool
		past    []*History
	}{
		{"BurstGPT, sessions of 5 h", 5 * time.Hour, true, []*History{burstGPT(t, FineStep)}},
		{"BurstGPT, days", 24 * time.Hour, false, []*History{burstGPT(t, FineStep)}},
		{"BurstGPT, weeks", Week, false, []*History{burstGPT(t, CoarseStep)}},
		{"ServeGen, chosen on, 10 accounts, sessions of 5 h", 5 * time.Hour, true, serveGen(t, chosenOn, 10)},
		{"ServeGen, chosen on, 10 accounts, days", 24 * time.Hour, false, serveGen(t, chosenOn, 10)},
		{"ServeGen, chosen on, 80 accounts, sessions of 5 h", 5 * time.Hour, true, serveGen(t, chosenOn, 80)},
		{"ServeGen, chosen on, 80 accounts, days", 24 * time.Hour, false, serveGen(t, chosenOn, 80)},
		{"ServeGen, held out, 10 accounts, sessions of 5 h", 5 * time.Hour, true, serveGen(t, heldOut, 10)},
		{"ServeGen, held out, 10 accounts, days", 24 * time.Hour, false, serveGen(t, heldOut, 10)},
		{"ServeGen, held out, 80 accounts, sessions of 5 h", 5 * time.Hour, true, serveGen(t, heldOut, 80)},
		{"ServeGen, held out, 80 accounts, days", 24 * time.Hour, false, serveGen(t, heldOut, 80)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sum := &windowTrials{}
			for _, h := range c.past {
				r, err := h.TestWindows(c.length, c.session)
				if err != nil {
					t.Fatal(err)
				}
				sum.add(r)
			}
			sum.log(t)
			if sum.cases < 10 {
				t.Errorf("%d forecasts prove nothing", sum.cases)
			}
			if covered := part(sum.covered, sum.cases); covered < 0.8 {
				t.Errorf("%.2f of the intervals held, 0.8 is promised", covered)
			}
			if covered := part(sum.ranOutCovered, sum.ranOut); covered < 0.68 {
				t.Errorf("%.2f of the intervals of %d windows that ran out held, want 0.8 or nearly so", covered, sum.ranOut)
			}
		})
	}
	weeks, err := burstGPT(t, CoarseStep).TestNeed()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("BurstGPT, need of weeks: %+v", weeks)
	hourly := func(e NeedErrors) float64 { return e.Hourly }
	if ours, naive := hourly(weeks.Methods[0]), slices.MinFunc(weeks.Methods[1:], func(a, b NeedErrors) int { return int(1000 * (a.Hourly - b.Hourly)) }); ours > naive.Hourly*1.1 {
		t.Errorf("an hour is off by %.2f of the usual one, %s by %.2f", ours, naive.Method, naive.Hourly)
	}
}
