package allocator

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// lendingConfig has a team that lends all of its floor, and guests who may borrow it.
const lendingConfig = `
version: 1
policy: {preempt_grace: 3s}
teams:
  - {name: core, shares: [{limit: api-1/day, floor: 60000, lend_percent: 100}]}
  - guests
accounts:
  - id: api-1
    provider: openai
    kind: api
    limits:
      - name: day
        unit: tokens
        capacity: 100000
        window: {kind: calendar, period: day}
principals:
  - {name: ann, team: core}
  - {name: ben, team: guests}
`

// TestTheOwnerOfAFloorTakesBackWhatIsUnused: a borrower that holds nearly all is told what it has to give, by notice, and
// gives that at the end of the grace and no more, though the allocator was restarted meanwhile; what it spent stays recorded.
func TestTheOwnerOfAFloorTakesBackWhatIsUnused(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann", "ben"})
	stop := start(t, serviceConfigOf(t, s, lendingConfig))
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	borrower, owner := s.Client("ben").Agent("borrower"), s.Client("ann").Agent("owner")

	loan := reserveRequest(90_000)
	loan.Preemptible = true
	err := borrower.Do(ctx, loan, func(ctx context.Context, task *client.Task) error {
		if err := task.Report(ctx, wire.UsageItem{CallID: "b1", Tokens: tokens(10_000)}); err != nil {
			return err
		}
		queued := queue(ctx, t, owner, waitRequest(50_000, time.Hour))
		select {
		case p := <-task.Preempted():
			if p.Ends() || p.Amount.Tokens != tokens(40_000) {
				t.Errorf("the borrower is to give %+v, want 40,000 tokens of 90,000", p)
			}
		case <-ctx.Done():
			return errors.New("the borrower is told nothing")
		}
		stop() // in the grace
		start(t, serviceConfigOf(t, s, lendingConfig))

		granted, err := queued.Wait(ctx)
		if err != nil || granted.Granted.Tokens != tokens(50_000) {
			t.Fatalf("the owner is granted %+v, %v", granted, err)
		}
		shrunk, err := borrower.Status(ctx, wire.StatusRequest{ReservationID: task.ID()})
		if err != nil || len(shrunk.Reservations) != 1 {
			return errors.Join(err, errors.New("the borrower holds nothing any more"))
		}
		if r := shrunk.Reservations[0]; r.Used.Tokens != tokens(10_000) || r.Granted.Tokens != tokens(50_000) || r.Holds[0].Returned != 40_000 || r.Outcome != "" {
			t.Errorf("the borrower's reservation is %+v", r)
		}
		if _, err := owner.Settle(ctx, wire.SettleRequest{ReservationID: granted.ReservationID, Usage: []wire.UsageItem{{CallID: "o1", Tokens: tokens(45_000)}}}); err != nil {
			return err
		}
		return task.Report(ctx, wire.UsageItem{CallID: "b2", Tokens: tokens(5_000)})
	})
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := s.Operator().Accounts(ctx, wire.AccountsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if day := accounts.Accounts[0].Limits[0]; day.Used != 60_000 || day.Held != 0 || day.Available != 40_000 {
		t.Errorf("in the end %+v: want 60,000 used and nothing held", day)
	}
}
