package wire

import (
	"slices"
	"testing"
	"time"
)

// Ids are UUIDv7 of their time, sort by it and differ.
func TestMakeID(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 9, 30, 0, 999_999_999, time.UTC)
	var ids []string
	for i := range 1000 {
		made := at.Add(time.Duration(i) * time.Microsecond)
		id := MakeID(made)
		parsed, err := ParseRequestID(id.String())
		if err != nil || parsed != id || id.Made().Time() != made.Truncate(time.Millisecond) {
			t.Fatalf("%s of %s is of %s: %v", id, made, id.Made().Time(), err)
		}
		ids = append(ids, id.String())
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort by their time")
	}
	if one, other := MakeID(at), MakeID(at); one == other {
		t.Error("two ids of the same time are the same")
	}
}
