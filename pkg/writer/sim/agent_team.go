package sim

import "github.com/bursarhq/bursar/pkg/quota"

// Two teams share the session: the owners have a floor there, which the guests may borrow, the guests have a small one that
// they do not lend, and are bounded in how much they ask for at once.
const (
	owners       = "owners"
	guests       = "guests"
	guest        = "guest" // the principal of the guests
	preemptGrace = 2 * quota.Second

	shared        = "session" // the limit
	ownersPercent = 75
	guestsPercent = 10
)

// simTeams gives the owners a floor that is lent as a whole, and so large that they reclaim some of it now and then.
func simTeams() []quota.Team {
	return []quota.Team{
		{Name: owners, Shares: []quota.Share{{Limit: shared, FloorPart: ownersPercent * 1000, LendPart: 100_000}}},
		{Name: guests, Shares: []quota.Share{{Limit: shared, FloorPart: guestsPercent * 1000}}, FanOut: quota.FanOut{Live: 2, PerMinute: 4}},
	}
}

func (a *agent) actor() quota.Actor {
	if a.guest {
		return quota.Actor{Principal: guest, Agent: a.name}
	}
	return quota.Actor{Principal: "p", Agent: a.name}
}
