package wire

import "github.com/bursarhq/bursar/pkg/quota"

// TeamStatus is how a team stands.
type TeamStatus struct {
	Team   string `json:"team"`
	Weight int64  `json:"weight"`
	// HadTokens is what it had lately for its weight, decayed, with what it holds: who has had less waits in front.
	HadTokens  int64       `json:"had_tokens"`
	Live       int64       `json:"live"` // reservations
	HeldTokens int64       `json:"held_tokens"`
	Shares     []TeamShare `json:"shares,omitzero"`
}

// TeamShare is what a team has of a limit that it has a share of, in the limit's unit.
type TeamShare struct {
	LimitID string `json:"limit_id"`
	Unit    string `json:"unit,omitzero"`
	// From: the floor is for the team's work of at least this priority; absent for all of it.
	From     string `json:"from,omitzero"`
	Floor    int64  `json:"floor"`
	Taken    int64  `json:"taken"`             // by the work that the floor is for: used in this window, and held
	Borrowed int64  `json:"borrowed,omitzero"` // by the team beyond its floors
	Most     int64  `json:"most,omitzero"`     // what the team may take in all; absent for no bound but the limit's
}

// TeamsOf converts the views of teams.
func TeamsOf(views []quota.TeamView) []TeamStatus {
	teams := make([]TeamStatus, len(views))
	for i, v := range views {
		teams[i] = TeamStatus{Team: v.Team, Weight: v.Weight, HadTokens: v.Had, Live: v.Live, HeldTokens: v.Held}
		for _, s := range v.Shares {
			teams[i].Shares = append(teams[i].Shares, TeamShare{
				LimitID: s.Limit, Unit: string(s.Unit), From: priorityName(s.From), Floor: s.Floor, Taken: s.Taken, Borrowed: s.Borrowed, Most: s.Most,
			})
		}
	}
	return teams
}
