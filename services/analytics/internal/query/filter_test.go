package query

import (
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

// Queries under way read the parameters, several at once: the text of another one is written without touching them.
func TestTextsLeaveTheParametersAlone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 34, 0, 0, time.UTC)
	f := filterOf("acme", wire.Scope{Team: "red"}, Period{now.Add(-48 * time.Hour), now, time.UTC}, now)
	q := question{decisions: []string{kindGranted, kindClosed}, start: func(string) string { return "0" }}
	done := summed{"one": 7, "two": 9}
	f.parameters = nil // a write would panic
	pieces := f.pieces(q, done)
	if len(pieces) < 3 {
		t.Fatalf("%d pieces", len(pieces))
	}
	for _, p := range pieces {
		if f.sql(q, done, p) == "" {
			t.Error("no text")
		}
	}
}
