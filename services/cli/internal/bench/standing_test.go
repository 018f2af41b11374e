package bench

import "testing"

// Every row is measured, with what it says standing; how flat they are is for the benchmark to tell.
func TestStandingIsMeasured(t *testing.T) {
	t.Parallel()
	o := DefaultOptions()
	o.Repetitions = 1
	rows, err := MeasureStanding(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 7 || rows[5].Lent != 1000 || rows[6].Lent != 10_000 || rows[2].Live != 10_000 || rows[4].Queued != 1000 || rows[0].Relative != 1 {
		t.Errorf("rows %+v", rows)
	}
	for _, row := range rows {
		if row.ProcessorUS <= 0 || row.Allocations <= 0 || row.Relative <= 0 {
			t.Errorf("row %+v has a hole", row)
		}
	}
}
