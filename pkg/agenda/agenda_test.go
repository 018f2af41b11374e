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
