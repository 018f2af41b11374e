package quota

import (
	"reflect"
	"testing"
)

// all is a correction that changes nothing.
func (l *ledger) uncorrected(priorities ...Priority) {
	for _, p := range priorities {
		l.state.foresight[foresightKey{"claude", p}] = &Foresight{Provider: "claude", Priority: p, From: 1000, At: 1000, To: 1000}
	}
}

func (l *ledger) spends(units int64) {
	l.t.Helper()
	r := l.reserve(units, priority(PriorityHigh))
	l.must(Settle{Actor: ann, Reservation: r.Reservation, Items: out(units)})
}

// Of a window that is spent each entry is predicted at the reset that reaches it.
func TestGrantsArePredictedAtTheResetThatReachesThem(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.uncorrected(PriorityNormal)
	l.spends(1000)
	for i, want := range []Instant{1, 1, 2, 2, 3} { // two in a window
		r := l.queued(500, func(r *Reserve) { r.MaxWait = 2 * Day })
		want = t0.Add(Millis(want) * 5 * Hour)
		granted := fillsIn * Millis(1+i%2) / 2 // if the window is granted evenly
		to := want.Add(max(want.Sub(t0)/leastWide, granted))
		if q := r.Queue; q == nil || q.GrantAt != want || q.GrantFrom != want || q.GrantTo != to {
			t.Errorf("entry %d: %+v, want %d to %d", i, r.Queue, want, to)
		}
	}
}

// Who waits for a place only is behind those who will have taken of the window by the time that one is free.
func TestWhatThoseBeforeTakeIsForeseenWhereOnlyAPlaceIsMissing(t *testing.T) {
	t.Parallel()
	l := newTwoLimits(t)
	l.uncorrected(PriorityNormal)
	l.spends(200)
	l.reserve(100)
	l.reserve(100) // both places are taken, and 600 tokens are left
	reset := t0.Add(5 * Hour)
	for i := range 4 {
		r := l.queued(200, func(r *Reserve) { r.MaxWait = Day })
		if bounds := l.waitsFor(r.Reservation); len(bounds) != 1 || bounds[0].On != "c" {
			t.Fatalf("entry %d waits for %+v, not for a place", i, bounds)
		}
		if q := r.Queue; q == nil || q.GrantAt == 0 || (i < 3) != (q.GrantAt < reset) || i == 3 && q.GrantAt != reset {
			t.Errorf("entry %d: %+v, the reset is at %d", i, q, reset)
		}
	}
}

// Who waits while something is left, which is kept for others, waits until running work gives back what is missing.
func TestWhatIsKeptIsNotThereNow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ask  int64
		want Millis
	}{
		"a quarter of what comes back": {100, fillsIn / 4},
		"half of it":                   {200, fillsIn / 2},
		"more, of the next window":     {401, 5*Hour + fillsIn*151/250}, // granted at once are 250 of 500
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := session("s", 1000)
			limit.HoldBack = &HoldBack{Percent: 10, Priority: PriorityHigh}
			l := newLedger(t, limit)
			l.uncorrected(PriorityNormal)
			half := l.reserve(200)
			l.must(Settle{Actor: ann, Reservation: half.Reservation, Items: out(100)})
			l.reserve(800) // of which half is expected to come back; 100 are left for high priority
			r := l.queued(c.ask, func(r *Reserve) { r.MaxWait = Day })
			if want := t0.Add(c.want); r.Queue == nil || r.Queue.GrantAt != want {
				t.Errorf("%+v, want %d", r.Queue, want)
			}
		})
	}
}

// Who is reached only after the end of its wait takes nothing from those behind it.
func TestWaitsThatEndAreForeseen(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.uncorrected(PriorityNormal)
	l.spends(1000)
	for range 2 {
		l.queued(900, func(r *Reserve) { r.MaxWait = 6 * Hour })
	}
	r := l.queued(900, func(r *Reserve) { r.MaxWait = Day })
	if want := t0.Add(10 * Hour); r.Queue == nil || r.Queue.GrantAt != want {
		t.Errorf("%+v, want %d", r.Queue, want)
	}
}

// A part of each window is for owners of floors and for high priorities: who may have it is not behind those that may not.
func TestKeptPartsAreForeseen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by       Actor
		priority Priority
		ask      int64
		resets   Millis
	}{
		"others, behind others":        {bob, PriorityNormal, 100, 3},
		"the owner of a floor":         {ann, PriorityNormal, 200, 1},
		"and beyond the floor":         {ann, PriorityNormal, 400, 3},
		"what is held back, for high":  {bob, PriorityHigh, 100, 1},
		"and no more than is held":     {bob, PriorityHigh, 300, 3},
		"others who ask for very much": {bob, PriorityNormal, 650, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTeams(t)
			l.configure(func(config *Config) {
				config.Teams = []Team{core(Share{Floor: 200})}
				config.Limits[0].HoldBack = &HoldBack{Percent: 10, Priority: PriorityHigh}
				config.Principals = append(config.Principals, Principal{Name: bob.Principal, Team: "guests", MaxPriority: PriorityHigh})
			})
			l.uncorrected(PriorityLow, PriorityNormal, PriorityHigh)
			l.spends(1000)
			for range 2 { // all of two windows but for what is kept
				l.reserve(700, by(bob), func(r *Reserve) { r.MaxWait = Day })
			}
			l.wait(Hour) // now they stand before newcomers of high priority
			r := l.reserve(c.ask, by(c.by), func(r *Reserve) { r.MaxWait = Day; r.Priority = c.priority })
			if want := t0.Add(c.resets * 5 * Hour); r.Queue == nil || r.Queue.GrantAt != want {
				t.Errorf("%+v, want %d", r.Queue, want)
			}
		})
	}
}

// Preemptible work is predicted to have what floors lend to it, and no team to have more of a window than its ceiling.
func TestCeilingsAndLoansAreForeseen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		preemptible bool
		ceiling     int64
		resets      Millis // of the third
	}{
		"two find room beside the floor":         {false, 0, 2},
		"three with what it lends":               {true, 0, 1},
		"one below the ceiling":                  {false, 300, 3},
		"two of preemptible work, below another": {true, 500, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTeams(t)
			l.configure(func(config *Config) {
				config.Teams = []Team{core(Share{Floor: 400, LendPart: wholePart / 2}), {Name: "guests"}}
				if c.ceiling > 0 {
					config.Teams[1].Shares = []Share{{Limit: "s", Most: c.ceiling}}
				}
				config.Principals = append(config.Principals, Principal{Name: bob.Principal, Team: "guests", MaxPriority: PriorityHigh})
			})
			l.uncorrected(PriorityNormal)
			l.spends(1000)
			var asked [3]Result
			for i := range asked {
				asked[i] = l.reserve(250, by(bob), func(r *Reserve) { r.MaxWait, r.Preemptible = Day, c.preemptible })
			}
			last := asked[2]
			if want := t0.Add(c.resets * 5 * Hour); last.Queue == nil || last.Queue.GrantAt != want {
				t.Fatalf("%+v, want %d", last.Queue, want)
			}
			for reset := Millis(1); reset <= c.resets; reset++ {
				l.wait(t0.Add(reset * 5 * Hour).Sub(l.now))
				if granted := l.live(last.Reservation); granted != (reset == c.resets) {
					t.Errorf("at reset %d granted is %v", reset, granted)
				}
				for _, r := range asked {
					if l.live(r.Reservation) {
						l.must(Settle{Actor: bob, Reservation: r.Reservation, Items: out(250)})
					}
				}
			}
		})
	}
}

// A multiplier settles where it is exceeded as often as it is to be.
func TestACorrectionSettles(t *testing.T) {
	t.Parallel()
	for _, percent := range []int64{10, 40, 90} {
		times, later := int64(500), 0
		const n, warm = 40_000, 10_000
		for i := range int64(n) {
			truth := (i * 7919 % 1000) * 2 // evenly from 0 to 2
			late := truth > times
			if times = stepped(times, percent, late); late && i >= warm {
				later++
			}
		}
		if got := 100 - float64(later)*100/(n-warm); got < float64(percent)-2 || got > float64(percent)+2 {
			t.Errorf("%.1f %% come sooner than predicted, want %d", got, percent)
		}
	}
	if stepped(0, 10, false) != 0 || stepped(mostTimes, 90, true) != mostTimes {
		t.Error("a correction leaves its bounds")
	}
}

// Grants of one burst were all said with the same multipliers: what comes of them moves these no farther than a bound, and what
// is said with the new ones moves them on. Lessons of an older ledger count each.
func TestABurstTeachesOneLesson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		old    bool // said by an older version
		bursts int
		want   Foresight // after grants that came later than all that was said
	}{
		"one burst":              {false, 1, Foresight{From: 450, At: 852, To: 1254}},
		"another one after it":   {false, 2, Foresight{From: 500, At: 904, To: 1308}},
		"one of an older ledger": {true, 1, Foresight{From: 600, At: 1600, To: 3000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewState()
			labels := Labels{Provider: "claude", Priority: PriorityNormal}
			for range c.bursts {
				w := Waiting{Labels: labels, SaidFrom: t0, SaidAt: t0, SaidTo: t0, Since: t0, SaidBy: s.foresightOf(&labels).correction()}
				if c.old {
					w.SaidBy = Correction{}
				}
				for range 200 {
					s.foresaw(&w, t0.Add(Hour))
				}
			}
			c.want.Provider, c.want.Priority = labels.Provider, labels.Priority
			if got := s.foresightOf(&labels); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// What came of a prediction moves the next ones, and is in the snapshot.
func TestPredictionsLearn(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 1000))
	l.spends(1000)
	for range 3 {
		l.queued(400, func(r *Reserve) { r.MaxWait = 2 * Day })
	}
	before := l.state.foresightOf(&Labels{Provider: "claude", Priority: PriorityNormal})
	l.wait(5*Hour - 1)
	if w := l.state.queue.entries["r2"]; w == nil || w.SaidAt != t0.Add(5*Hour) || w.SaidBy != before.correction() {
		t.Fatalf("what was said, and how it was corrected, is not kept: %+v", w)
	}
	l.wait(1) // the first two are granted when it was said, the third waits on
	after := l.state.foresightOf(&Labels{Provider: "claude", Priority: PriorityNormal})
	if after.From >= before.From || after.At >= before.At || after.To >= before.To {
		t.Fatalf("%+v after %+v", after, before)
	}
	restored, err := Restore(l.state.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if got := restored.foresightInOrder(); !reflect.DeepEqual(got, []Foresight{after}) {
		t.Errorf("restored %+v, want %+v", got, after)
	}
	c := testConfig(session("s", 1000))
	c.Providers, c.Accounts, c.Limits = c.Providers[1:], c.Accounts[1:], nil
	l.must(ApplyConfig{Config: c})
	if len(l.state.foresight) != 0 {
		t.Error("what was learned of a provider that is gone is kept")
	}
}
