package fleet

import (
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
)

// One account serves loans alone: its limit is all of a floor, others borrow of it, and its owner takes some back. So every
// run has preemptions of both kinds, however the rest of it goes.
const (
	lender    = "acme"
	lentLimit = lender + "-1/day"
	lentUnits = 1_000_000
)

// loan is the next step of a loan: two borrowers take 400,000 each, then the owner wants 850,000. The newer one gives all
// of its own and the older one a part.
func (f *Fleet) loan() quota.Command {
	f.serial++
	r := quota.Reserve{
		Actor: quota.Actor{Principal: "ben", Agent: "borrower"}, Reservation: fmt.Sprintf("r-%d", f.serial), Provider: lender, Model: "m",
		Amount: quota.Amount{Tokens: quota.Tokens{Input: 100_000, Output: 300_000}, Requests: 4}, Lease: 10 * quota.Minute, Preemptible: true,
	}
	if f.lent++; f.lent%3 == 0 {
		r.Actor, r.Preemptible = quota.Actor{Principal: "ann", Agent: "owner"}, false
		r.Amount = quota.Amount{Tokens: quota.Tokens{Output: 850_000}}
	}
	return r
}
