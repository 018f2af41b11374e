package cli

import (
	"slices"
	"strconv"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// showTeams writes what teams have of what they share; one that shares nothing in particular has one line.
func (c *statusCommand) showTeams(teams []wire.TeamStatus) {
	if len(teams) == 0 {
		return
	}
	t := &screen.Table{Columns: []screen.Column{
		{Title: "TEAM", Shrink: true}, {Title: "WEIGHT", Right: true}, {Title: "HAD LATELY", Right: true}, {Title: "LIVE", Right: true},
		{Title: "FLOOR ON", Shrink: true}, {Title: "FLOOR", Right: true}, {Title: "TAKEN", Right: true}, {Title: "BORROWED", Right: true},
	}}
	for i := range teams {
		team := &teams[i]
		own := []screen.Cell{
			screen.Text(team.Team), screen.Text(strconv.FormatInt(team.Weight, 10)), screen.Text(screen.Short(team.HadTokens)),
			screen.Text(screen.Count(team.Live)),
		}
		if len(team.Shares) == 0 {
			t.Add(slices.Concat(own, make([]screen.Cell, 4))...)
		}
		for j := range team.Shares {
			t.Add(slices.Concat(own, shareCells(&team.Shares[j]))...)
			own = make([]screen.Cell, len(own)) // said once
		}
	}
	c.screen.Title("Shares of teams")
	c.screen.Table(t)
	c.screen.Printf("\n")
}

func shareCells(s *wire.TeamShare) []screen.Cell {
	on, floor, borrowed := s.LimitID, amount(s.Floor, s.Unit), ""
	if s.From != "" {
		on += " (" + s.From + ")"
	}
	if s.Borrowed > 0 {
		borrowed = amount(s.Borrowed, s.Unit)
	}
	if s.Most > 0 {
		floor += "–" + amount(s.Most, s.Unit)
	}
	return []screen.Cell{screen.Text(on), screen.Text(floor), screen.Text(amount(s.Taken, s.Unit)), screen.Text(borrowed)}
}
