package sim

import "github.com/bursarhq/bursar/pkg/quota"

// Two teams share the session: the owners have a floor there, which the guests may borrow, and the guests are bounded in
// how much they ask for at once.
const (
	owners       = "owners"
	guests       = "guests"
	guest        = "guest" // the principal of the guests
	preemptGrace = 2 * quota.Second
)

// simTeams gives the owners a floor that is lent as a whole, and so large that they reclaim some of it now and then.
func simTeams() []quota.Team {
	return []quota.Team{
		{Name: owners, Shares: []quota.Share{{Limit: "session", FloorPart: 75_000, LendPart: 100_000}}},
		{Name: guests, FanOut: quota.FanOut{Live: 2, PerMinute: 3}},
	}
}

func (a *agent) actor() quota.Actor {
	if a.guest {
		return quota.Actor{Principal: guest, Agent: a.name}
	}
	return quota.Actor{Principal: "p", Agent: a.name}
}
