package bench

import (
	"bytes"
	"strings"
	"testing"
)

// Runs are paired turn by turn; a system that only one build has is left out, and an old build may not know its cost.
func TestCompareTakesMediansOfPairs(t *testing.T) {
	t.Parallel()
	report := func(ratio, cost float64, extra ...Row) *Report {
		return &Report{Rows: append([]Row{{Clients: 64, Name: "bursar-page", Ratio: ratio, ProcessorUS: cost}}, extra...)}
	}
	added := Row{Clients: 64, Name: "bursar-new", Ratio: 1}
	turns := [][2]*Report{
		{report(0.25, 40), report(0.5, 20, added)}, {report(0.125, 50), report(0.1875, 40, added)}, {report(0.5, 0), report(0.5, 30, added)},
	}
	rows := compare(turns)
	if len(rows) != 1 {
		t.Fatalf("%d rows, want that of the one system that both have: %+v", len(rows), rows)
	}
	c := rows[0]
	if c.Ratio != 1.5 || c.RatioMin != 1 || c.RatioMax != 2 || c.Processor != 0.8 || c.Old.Ratio != 0.25 || c.New.Ratio != 0.5 {
		t.Errorf("compared %+v", c)
	}
	if compare(nil) != nil {
		t.Error("nothing compared gives rows")
	}
	var out bytes.Buffer
	(&Report{Against: &Against{Commit: "abc", Repetitions: 3, Rows: rows}}).Write(&out)
	for _, want := range []string{"against abc", "0.25→0.50", "1.50", "1.00–2.00", "0.80"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the comparison lacks %q:\n%s", want, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimRight(line, " \n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// A commit that there is not is named by the error.
func TestAgainstNamesACommitThatThereIsNot(t *testing.T) {
	t.Parallel()
	o := DefaultOptions()
	o.Repetitions = 1
	if _, err := MeasureAgainst(t.Context(), o, "no-such-commit", "nowhere"); err == nil || !strings.Contains(err.Error(), "no-such-commit") {
		t.Errorf("error %v, want one that names the commit", err)
	}
}
