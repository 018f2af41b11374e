package simulate

import (
	"fmt"
	"math"
	"time"

	"gonum.org/v1/gonum/mathext"

	"github.com/bursarhq/bursar/pkg/quota"
)

// What --check demands at each load.
const (
	// longestLow is what low-priority work waits at the 99th percentile at most, in windows of the account.
	longestLow = 2
	// longestPassed is for how long a head that does not fit is passed at most.
	longestPassed = 10 * time.Minute
	// evenly is by how much the mean utilisation may be lower and still count as equal: a thousandth of the windows.
	evenly = 0.001
	// surely is how often in 100 a one-sided statement about a mean is right.
	surely = 95
)

// Compare says in what respect a report does not dominate a baseline of the same load and seeds; nothing means that it
// does.
func Compare(baseline, r *Report) (faults []string) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("load %.1f: ", r.Load)+fmt.Sprintf(format, args...))
	}
	mean, wide := r.Against(baseline, func(r *Report) float64 { return r.Utilisation })
	if mean < -evenly {
		chance := ""
		if mean+wide >= -evenly { // it fails all the same: nothing is shown either
			chance = ", which may be chance: take more seeds"
		}
		fault("utilisation is %.2f ± %.2f points below the baseline's %.1f%%%s", -100*mean, 100*wide, 100*baseline.Utilisation, chance)
	}
	if r.Floors.Broken > 0 {
		fault("%d of %d grants took what a floor guarantees to others", r.Floors.Broken, r.Floors.Steps)
	}
	if r.Floors.Late > 0 {
		fault("%d of %d asks that a floor guarantees were not granted at once", r.Floors.Late, r.Floors.Asks)
	}
	if r.PassedMost > longestPassed.Seconds() {
		fault("a head was passed for %.1f minutes", r.PassedMost/60)
	}
	for _, w := range r.Waits {
		if w.Priority == quota.PriorityLow.String() && w.WindowsP99 > longestLow {
			fault("low priority waits %.2f windows at the 99th percentile", w.WindowsP99)
		}
	}
	return faults
}

// Against gives by how much a figure is above the baseline's, in the mean over pairs of the same seed, and how far the
// mean may be off, at 95 %.
func (r *Report) Against(baseline *Report, figure func(*Report) float64) (mean, wide float64) {
	ours, theirs := r.seeds(), baseline.seeds()
	differences := make([]float64, min(len(ours), len(theirs)))
	for i := range differences {
		differences[i] = figure(ours[i]) - figure(theirs[i])
	}
	n := float64(len(differences))
	mean = average(differences)
	if n < 2 {
		return mean, 0
	}
	var squares float64
	for _, d := range differences {
		squares += (d - mean) * (d - mean)
	}
	return mean, student(n-1) * math.Sqrt(squares/(n-1)/n)
}

// student is how many standard errors a mean may surely be off, by Student's distribution with so many degrees of freedom.
func student(nu float64) float64 {
	x := mathext.InvRegIncBeta(nu/2, 0.5, 2*(100-surely)/100.0)
	return math.Sqrt(nu * (1 - x) / x)
}

// seeds are the reports that one was merged of.
func (r *Report) seeds() []*Report {
	if len(r.each) > 0 {
		return r.each
	}
	return []*Report{r}
}
