package writer

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

func TestClock(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mono time.Duration
		wall quota.Millis
		want quota.Millis
	}{
		"it follows the wall":                {500 * time.Millisecond, 500, 500},
		"a small step on is taken":           {100 * time.Millisecond, 600, 600},
		"a jump on is taken in part":         {100 * time.Millisecond, 3_600_000, 1100},
		"after a jump back it goes slowly":   {100 * time.Millisecond, -3_600_000, 50},
		"a clock that stands still is slow":  {100 * time.Millisecond, 0, 50},
		"nothing elapsed, nothing goes back": {0, -5, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c clock
			c.start(Time{Wall: t0, Mono: time.Hour}, 0)
			c.advance(Time{Wall: t0.Add(test.wall), Mono: time.Hour + test.mono})
			if got := c.now.Sub(t0); got != test.want {
				t.Errorf("it shows %d ms later, want %d", got, test.want)
			}
		})
	}
}

// TestClockProperties: whatever the wall clock does, ledger time never goes back and stays near the monotonic clock.
func TestClockProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c clock
		at := Time{Wall: t0, Mono: time.Minute}
		c.start(at, 0)
		var elapsed time.Duration
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			d := time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "elapsed"))
			elapsed += d
			at.Mono += d
			at.Wall = at.Wall.Add(quota.Millis(rapid.Int64Range(-10_000, 10_000).Draw(t, "wall")))
			before, last := c.now, c.mono
			c.advance(at)
			step := c.now.Sub(before)
			if step < 0 || step > quota.MillisOf(at.Mono-last)+MaxClockStep {
				t.Fatalf("it moved by %d ms in %s", step, at.Mono-last)
			}
		}
		gained := c.now.Sub(t0)
		if most := 2*quota.MillisOf(elapsed) + MaxClockStep; gained > most || gained < quota.MillisOf(elapsed)/2-1 {
			t.Fatalf("%d ms gained in %s", gained, elapsed)
		}
	})
}

func TestLeasesEnd(t *testing.T) {
	t.Parallel()
	b := serving(t)
	r := b.reserve("r1", 10)
	c := r.Command.(quota.Reserve)
	c.Lease = 10 * quota.Second
	r.Command = c
	b.submit(r)
	b.ack()
	if due := b.w.timer - b.now.Mono; due <= 0 || due > 10*time.Second {
		t.Fatalf("the timer is set for %s from now", due)
	}
	b.wait(10 * time.Second)
	b.step(Wake{})
	c2 := commitOf(t, find[Publish](b))
	if closed, ok := c2.Events[0].(*quota.ReservationClosed); !ok || closed.Outcome != quota.OutcomeExpired || len(c2.Answers) != 0 {
		t.Errorf("the commit has %+v", c2.Events)
	}
}

// TestLeasesEndInTimeWhenTheClockIsSetRight: a timer that was computed by a wrong clock must not decide when a lease ends.
func TestLeasesEndInTimeWhenTheClockIsSetRight(t *testing.T) {
	t.Parallel()
	b := serving(t)
	r := b.reserve("r1", 10)
	c := r.Command.(quota.Reserve)
	c.Lease = 30 * quota.Second
	r.Command = c
	b.submit(r)
	b.ack()
	right := b.now.Wall
	for waited := time.Duration(0); waited < 30*time.Second; {
		d := max(b.w.timer-b.now.Mono, time.Millisecond)
		if d > time.Second {
			t.Fatalf("it does not look at the clock for %s", d)
		}
		waited += d
		b.now.Mono += d
		if b.now.Wall = right.Add(quota.MillisOf(waited)); waited < 20*time.Second {
			b.now.Wall = b.now.Wall.Add(-quota.Hour)
		}
		b.step(Wake{})
	}
	if c := commitOf(t, find[Publish](b)); c.Events[0].Kind() != quota.KindReservationClosed {
		t.Errorf("after 30 s: %+v", c.Events)
	}
}

func TestClockMustAgreeWithTheServer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		off  quota.Millis // of this clock
		jump quota.Millis // between sending the claim and reading it
		ok   bool
	}{
		"right":                    {0, 0, true},
		"four seconds ahead":       {4 * quota.Second, 0, true},
		"four seconds behind":      {-4 * quota.Second, 0, true},
		"six seconds ahead":        {6 * quota.Second, 0, false},
		"six seconds behind":       {-6 * quota.Second, 0, false},
		"jumps on while it asks":   {0, quota.Hour, false},
		"jumps back while it asks": {0, -quota.Hour, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			server := b.now.Wall
			b.now.Wall = b.now.Wall.Add(test.off)
			b.step(Elect{})
			b.step(Loaded{Ledger: ledger.New()})
			b.wait(30 * time.Millisecond)
			b.ack()
			b.log[0].Stored = server.Add(20).Time()
			read := find[Read](b).Read
			b.now.Wall = b.now.Wall.Add(test.jump)
			b.step(ReadOutcome{Read: read, Entries: b.log})
			if test.ok {
				find[Serve](b)
			} else if s := find[StepDown](b); s.Reason != StepClock {
				t.Errorf("stepped down: %+v", s)
			}
		})
	}
}
