package writer

import (
	"testing"
	"time"

	"pgregory.net/rapid"

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
