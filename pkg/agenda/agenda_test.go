package agenda

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bursarhq/bursar/pkg/quota"
)

// TestOrder adds and takes in any order: what is taken is the first by time, and of one time the first that was added.
func TestOrder(t *testing.T) {
	t.Parallel()
	type noted struct {
		at   quota.Instant
		turn uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		var a Agenda[int]
		var left []noted
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			if at, ok := a.Next(); ok && rapid.Bool().Draw(t, "take") {
				first := slices.MinFunc(left, func(x, y noted) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.turn, y.turn)) })
				taken, turn, what := a.Take()
				if taken != first.at || turn != first.turn || at != taken || what != int(turn) {
					t.Fatalf("took %d at %d, entry %d; want turn %d at %d", turn, taken, what, first.turn, first.at)
				}
				left = slices.DeleteFunc(left, func(n noted) bool { return n == first })
			} else {
				at := quota.Instant(rapid.IntRange(0, 5).Draw(t, "at"))
				next := noted{at, uint64(len(left))}
				next.turn = a.Add(at, int(a.turns)+1)
				left = append(left, next)
			}
			if a.Len() != len(left) {
				t.Fatalf("%d entries, want %d", a.Len(), len(left))
			}
		}
	})
}

func TestNothingOnAnEmptyAgenda(t *testing.T) {
	t.Parallel()
	var a Agenda[string]
	if at, ok := a.Next(); ok {
		t.Errorf("something at %d", at)
	}
}

// TestCopy leaves the first agenda as it is, and keeps the order of what is copied.
func TestCopy(t *testing.T) {
	t.Parallel()
	var a Agenda[int]
	for i := range 6 {
		a.Add(quota.Instant(6-i%3), i)
	}
	c := a.Copy(func(n int) (int, bool) { return 10 * n, n != 4 })
	c.Add(4, 7)
	var taken []int
	for c.Len() > 0 {
		_, _, what := c.Take()
		taken = append(taken, what)
	}
	if want := []int{20, 50, 7, 10, 0, 30}; !slices.Equal(taken, want) || a.Len() != 6 {
		t.Fatalf("took %v, want %v; %d are left of the first", taken, want, a.Len())
	}
}
