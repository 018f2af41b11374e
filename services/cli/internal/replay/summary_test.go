package replay

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/wire"
)

// What is too much of one class of tokens and too little of another is neither beyond a reservation nor returned, as in the
// sums of the ledger, which stand beside these.
func TestClassesMakeUpForOneAnother(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	r.Settled(&wire.Reservation{
		Granted:  wire.Amount{Tokens: wire.Tokens{Input: 100, Output: 100}},
		Used:     wire.Amount{Tokens: wire.Tokens{Input: 150, Output: 20}},
		Returned: wire.Amount{Tokens: wire.Tokens{Output: 80}},
	})
	r.Settled(&wire.Reservation{Granted: wire.Amount{Tokens: wire.Tokens{Input: 10}}, Used: wire.Amount{Tokens: wire.Tokens{Output: 15}}})
	if s := r.Summary(0); s.ReturnedTokens != 30 || s.OverrunTokens != 5 || s.ReservedTokens+s.OverrunTokens != s.UsedTokens+s.ReturnedTokens {
		t.Errorf("got %+v", s)
	}
}
