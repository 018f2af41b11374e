package quota

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

// learnedRow is a row of the page's table of learned capacities: each figure after few and after many observations, in
// percent; those that a row has not are NaN.
type learnedRow struct {
	covered, half, ninety, told, toldHalf, toldNinety [2]float64
}

// learnedTable reads the table, whose rows stand in the order of the cases.
func learnedTable(t *testing.T) []learnedRow {
	t.Helper()
	cells := tableOf(t, "| case | the interval covers the truth | half width p50 | p90 | identifiable | half width p50 of these | p90 |")
	if len(cells) != len(learningCases()) {
		t.Fatalf("the page has %d cases, the simulation %d", len(cells), len(learningCases()))
	}
	rows := make([]learnedRow, len(cells))
	for i, row := range cells {
		for column, into := range []*[2]float64{&rows[i].covered, &rows[i].half, &rows[i].ninety, &rows[i].told, &rows[i].toldHalf, &rows[i].toldNinety} {
			few, many, ok := strings.Cut(strings.TrimSuffix(row[column+1], " %"), " / ")
			if !ok {
				t.Fatalf("%q of %s has no figure after few and after many observations", row[column+1], row[0])
			}
			for k, text := range []string{few, many} {
				n, err := strconv.ParseFloat(text, 64)
				if text == "–" {
					n, err = math.NaN(), nil
				}
				if err != nil {
					t.Fatalf("%q of %s is no number", text, row[0])
				}
				into[k] = n
			}
		}
	}
	return rows
}

// TestThePagesLearnedSentences works out what the page says of its table.
func TestThePagesLearnedSentences(t *testing.T) {
	t.Parallel()
	rows := learnedTable(t)
	const few, many = 0, 1
	of := func(figure func(learnedRow) float64, cases ...outsideKind) string {
		low, high := math.Inf(1), math.Inf(-1)
		for i, c := range learningCases() {
			for _, kind := range cases {
				if c.outside == kind && c.pace > 5 { // the others are of light use
					low, high = min(low, math.Round(figure(rows[i]))), max(high, math.Round(figure(rows[i])))
				}
			}
		}
		if low == high {
			return fmt.Sprintf("±%.0f %%", low)
		}
		return fmt.Sprintf("±%.0f to %.0f %%", low, high)
	}
	says(t,
		"nine in ten are known to "+of(func(r learnedRow) float64 { return r.toldNinety[few] }, outsideNone)+" after 30 observations, half of them to "+
			of(func(r learnedRow) float64 { return r.toldHalf[few] }, outsideNone)+"; after 100 nine in ten to "+of(func(r learnedRow) float64 { return r.toldNinety[many] }, outsideNone),
		"nine in ten are known to "+of(func(r learnedRow) float64 { return r.ninety[few] }, outsideNone)+" after 30.",
		"the identifiable are near the bound: "+of(func(r learnedRow) float64 { return r.toldHalf[few] }, outsideSteady)+" in the median and "+
			of(func(r learnedRow) float64 { return r.toldNinety[few] }, outsideSteady)+" for nine in ten after 30",
		of(func(r learnedRow) float64 { return r.half[few] }, outsideBursts)+" in the median after 30 observations, "+
			of(func(r learnedRow) float64 { return r.half[many] }, outsideBursts)+" after 100",
		"are as large as the rounding: "+of(func(r learnedRow) float64 { return r.half[many] }, outsideCalls)+" remain after 100",
	)
	for i, c := range learningCases() {
		for k, covered := range rows[i].covered {
			if covered < 95 {
				t.Errorf("%s: the interval covers the truth %.1f %% of the time after %d observations", c.name, covered, []int{fewObservations, manyObservations}[k])
			}
		}
		if c.outside == outsideNone && c.pace > 5 && rows[i].told[many] < 100 {
			t.Errorf("%s: %.0f %% are identifiable after 100 observations, the page says all", c.name, rows[i].told[many])
		}
	}
}

// seedOfThePage is the first of the subscriptions that the page's table is made of.
const seedOfThePage = 8_000_000

// asThePageSays compares what was learned of some of these subscriptions, case by case, with the page's table. Half of the
// widths have to lie below the medians of their rows, and nine in ten below the other column, as far as a sample can tell: a
// fit that tells more or less than the page says is found.
func asThePageSays(t *testing.T, came []learned) {
	t.Helper()
	says(t, fmt.Sprintf("LEARNED_SEED=%d", seedOfThePage))
	rows := learnedTable(t)
	claimed, belowHalf, belowNinety := 0, 0, 0
	for i := range came {
		claimed += came[i].claimed
		for _, width := range came[i].widths {
			if width <= rows[i].half[0] {
				belowHalf++
			}
			if width <= rows[i].ninety[0] {
				belowNinety++
			}
		}
	}
	half, ninety := 100*float64(belowHalf)/float64(max(1, claimed)), 100*float64(belowNinety)/float64(max(1, claimed))
	if math.Abs(half-50) > 15 || math.Abs(ninety-90) > 8 {
		t.Errorf("of %d subscriptions %.0f %% are narrower than the medians of the page, %.0f %% than what it says of nine in ten", claimed, half, ninety)
	}
}
