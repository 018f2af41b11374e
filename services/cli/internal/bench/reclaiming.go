package bench

import (
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/writer"
)

const (
	lentAccount    = "lent"
	ownerPrincipal = "owner"
	lentGrace      = quota.Second // for who has to give back
)

// addLent adds an account whose only limit has room for lent reservations. Half of it is the floor of a team that lends all
// of that, so that preemptible work of others can have the whole.
func addLent(c *quota.Config, lent int) {
	limit := lentAccount + "/session"
	c.Accounts = append(c.Accounts, quota.Account{ID: lentAccount, Provider: c.Accounts[0].Provider, Kind: quota.KindAPI})
	c.Limits = append(c.Limits, quota.Limit{
		ID: limit, Name: "session", Scope: quota.Scope{Account: lentAccount}, Unit: quota.UnitTokens, Capacity: max(1, int64(lent)*reserveAmount),
		Window: quota.Window{Kind: quota.WindowSession, Duration: 5 * quota.Hour},
	})
	const half, all = 50_000, 100_000 // thousandths of a percent
	c.Teams = append(c.Teams, quota.Team{Name: ownerPrincipal, Shares: []quota.Share{{Limit: limit, FloorPart: half, LendPart: all}}})
	c.Principals = append(c.Principals, quota.Principal{Name: ownerPrincipal, Team: ownerPrincipal, MaxPriority: quota.PriorityHigh})
	c.Policy.PreemptGrace = lentGrace
}

// reclaim has the owner of the floor ask for what is lent, once for each of a group of agents: each is queued, and a
// borrower told to give back. After the grace these are closed, and the owner's agents granted; they release again, and as
// many borrow anew, once nothing is kept from lending any more.
func (d *desk) reclaim() {
	asks, releases, borrows := make([]writer.Request, standingGroup), make([]writer.Request, standingGroup), make([]writer.Request, standingGroup)
	for i := range asks {
		by := quota.Actor{Principal: ownerPrincipal, Agent: fmt.Sprintf("owner-%d", i)}
		ask := d.reserving(by, lentAccount, quota.Hour)
		asks[i] = d.asking(by, ask)
		releases[i] = d.asking(by, quota.Release{Actor: by, Reservation: ask.Reservation})
	}
	before := d.w.State().Totals()
	d.round(asks, quota.CodeOK)
	d.pass(lentGrace)
	d.round(releases, quota.CodeOK)
	d.pass(lentGrace)
	for i := range borrows {
		_, borrows[i] = d.reserve(i, lentAccount, 0)
	}
	d.round(borrows, quota.CodeOK)
	after := d.w.State().Totals()
	if n := after.Preempted - before.Preempted; d.fault == nil && (n != standingGroup || after.QueueGranted-before.QueueGranted != standingGroup) {
		d.fault = fmt.Errorf("%d borrowers are preempted and %d of the queue are granted, of %d", n, after.QueueGranted-before.QueueGranted, standingGroup)
	}
}

// pass lets time go by.
func (d *desk) pass(span quota.Millis) {
	d.now.Mono += time.Duration(span) * time.Millisecond
	d.now.Wall += quota.Instant(span)
}
