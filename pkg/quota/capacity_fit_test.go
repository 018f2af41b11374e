package quota

import "testing"

// handMade is stretches of ten minutes each: so many percent of a window of 2,000,000 tokens are ours, so many are not.
func handMade(percents ...[2]int64) (stretches []Stretch) {
	const capacity = 2_000_000
	for i, p := range percents {
		from := t0.Add(Millis(i) * 10 * Minute)
		stretches = append(stretches, Stretch{
			From: from, To: from.Add(10 * Minute), Moved: (p[0] + p[1]) * 1000, Step: 1000, FromStep: 1000,
			Tokens: Tokens{Input: p[0] * capacity / 100}, Late: Tokens{Input: 1},
		})
	}
	return stretches
}

func repeated(n int, percents ...[2]int64) (all [][2]int64) {
	for range n {
		all = append(all, percents...)
	}
	return all
}

// What stretches tell follows from what was ours in them, and from what was not.
func TestWhatStretchesTell(t *testing.T) {
	t.Parallel()
	l := session("s", 1_000_000)
	const truth = 2_000_000
	for name, c := range map[string]struct {
		percents      [][2]int64
		widest, least int64 // half of the interval, in percent of the truth
		outside       [2]int64
	}{
		"all is ours":                           {repeated(6, [2]int64{1, 0}, [2]int64{8, 0}), 7, 0, [2]int64{0, 2_000}},
		"another one spends steadily":           {repeated(6, [2]int64{1, 1}, [2]int64{8, 1}), 12, 2, [2]int64{6_000, 18_000}},
		"another one spends now and then":       {repeated(4, [2]int64{1, 0}, [2]int64{8, 6}, [2]int64{5, 0}), 25, 1, [2]int64{18_000, 30_000}},
		"even use is like anybody else's":       {repeated(12, [2]int64{5, 0}), 60, 8, [2]int64{0, 20_000}},
		"a provider that corrects itself, once": {append(repeated(6, [2]int64{1, 0}, [2]int64{8, 0}), [2]int64{5, -7}), 10, 0, [2]int64{0, 8_000}},
		"a tenth of the window says little":     {repeated(2, [2]int64{1, 0}, [2]int64{4, 0}), 100, 8, [2]int64{0, 5_000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := estimate(&l, handMade(c.percents...), t0)
			half := (e.High - e.Low) * 50 / truth
			if e.Low > truth || e.High < truth || half > c.widest || half < c.least {
				t.Errorf("%d (%d to %d), ±%d %%, want %d within and ±%d to %d %%", e.Likely, e.Low, e.High, half, truth, c.least, c.widest)
			}
			if e.Outside < c.outside[0] || e.Outside > c.outside[1] {
				t.Errorf("%d thousandths of a percent outside, want %d to %d", e.Outside, c.outside[0], c.outside[1])
			}
		})
	}
}

// Whoever else spends, a window holds at least what we had of it for the percent that it moved.
func TestTheLowEndIsProven(t *testing.T) {
	t.Parallel()
	l := session("s", 1_000_000)
	for name, c := range map[string]struct {
		percents [][2]int64
		late     int64   // percent of ours that the last observation may not have seen
		proven   float64 // percent that moved at the most, for each that was ours
	}{
		"all is ours":    {repeated(10, [2]int64{5, 0}), 0, 51.0 / 50},
		"half is ours":   {repeated(10, [2]int64{5, 5}), 0, 101.0 / 50},
		"little is seen": {repeated(1, [2]int64{5, 0}), 0, 6.0 / 5},
		"some is late":   {repeated(10, [2]int64{5, 0}), 2, 51.0 / 48},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stretches := handMade(c.percents...)
			stretches[len(stretches)-1].Late = Tokens{Input: c.late * 20_000}
			v, ok := evidenceOf(&l, stretches)
			if !ok {
				t.Fatal("the stretches say nothing")
			}
			got := v.proven(&l, stretches) * v.scale * 20_000 // tokens to a percent
			if got < c.proven*0.999 || got > c.proven*1.001 {
				t.Errorf("%.4f percent for each of ours at the most, want %.4f", got, c.proven)
			}
		})
	}
}

// Near its end a window says nothing of its capacity: work that is larger than what is left is not begun.
func TestNothingIsLearnedOfAWindowThatIsNearlyFull(t *testing.T) {
	t.Parallel()
	s := NewState()
	l := session("s", 1_000_000)
	s.Config = testConfig(l)
	s.index = newLimitIndex(&s.Config)
	n := &Learner{Limit: "s", From: t0, Percent: 90_000, Step: 1000}
	for percent, ends := range map[int64]bool{97_000: true, 98_000: true, 99_000: false, 100_000: false, 104_000: false} {
		o := &Observation{At: t0.Add(Hour), PercentMilli: percent}
		if lesson := s.teach(&l, &Counter{Limit: "s"}, n, o); lesson == nil || lesson.End != ends || lesson.Begin == ends {
			t.Errorf("at %d thousandths of a percent: %+v, want that a stretch ends: %v", percent, lesson, ends)
		}
	}
}

// BenchmarkEstimate is what a stretch that ends costs the decider.
func BenchmarkEstimate(b *testing.B) {
	l := session("s", 1_000_000)
	for name, rounds := range map[string]int{"30 stretches": 10, "60 stretches": 20} {
		stretches := handMade(repeated(rounds, [2]int64{1, 0}, [2]int64{8, 6}, [2]int64{5, 0})...)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if estimate(&l, stretches, t0) == nil {
					b.Fatal("the stretches say nothing")
				}
			}
		})
	}
}
