package forecast

import (
	"testing"
	"time"
)

// windowTrials adds up back-tests of several pasts.
type windowTrials struct {
	cases, ranOut, covered, ranOutCovered int
	called                                map[string]float64       // cases
	median, p90                           map[string]time.Duration // weighted by cases
}

func (s *windowTrials) add(r *WindowTest) {
	if s.called == nil {
		s.called, s.median, s.p90 = map[string]float64{}, map[string]time.Duration{}, map[string]time.Duration{}
	}
	s.cases += r.Cases
	s.ranOut += r.RanOut
	s.covered += int(r.Covered*float64(r.Cases) + 0.5)
	s.ranOutCovered += int(r.RanOutCovered*float64(r.RanOut) + 0.5)
	for _, m := range r.Methods {
		s.called[m.Method] += m.Called * float64(r.Cases)
		s.median[m.Method] += m.Median * time.Duration(r.Cases)
		s.p90[m.Method] += m.P90 * time.Duration(r.Cases)
	}
}

// off is the mean over the pasts of how far off a method was.
func (s *windowTrials) off(method string) (median, p90 time.Duration, called float64) {
	n := time.Duration(max(1, s.cases))
	return s.median[method] / n, s.p90[method] / n, s.called[method] / float64(n)
}

func (s *windowTrials) log(t *testing.T) {
	t.Helper()
	t.Logf("%d forecasts, %d ran out; %.0f %% of the intervals held, %.0f %% where it ran out", s.cases, s.ranOut,
		100*part(s.covered, s.cases), 100*part(s.ranOutCovered, s.ranOut))
	for _, m := range windowMethods() {
		median, p90, called := s.off(m.name)
		t.Logf("%-15s off by %v in the median, %v at the 90th percentile; right whether in %.0f %%", m.name, median.Round(time.Minute), p90.Round(time.Minute), 100*called)
	}
}
