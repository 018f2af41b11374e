package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

const (
	// RuleReservationSize is the name of [ReservationSize].
	RuleReservationSize = "reservation_size"
	// ReserveFactor: reservations are far above use from more than this many times on.
	ReserveFactor = 2
	// MinClosed reservations make a pattern.
	MinClosed = 5
	// coveredPermille of the reservations are to be covered by the size that is advised.
	coveredPermille = 950
)

// ReservationSize finds teams and task types that hold more than ReserveFactor times the tokens they use.
//
// The saving is the budget in money that was held and never used, at the prices of the grants: nobody paid it, and
// nobody else could have it.
//
// The confidence is wilson(k, n) over the n reservations, k of which used less than half of what they held: a few huge
// ones among many that fit give little.
func ReservationSize(w *Window) []Advice {
	sums := map[ClosedKey]Closed{}
	for _, s := range w.slots {
		for k, c := range s.Closed {
			sums[k] = sums[k].plus(c)
		}
	}
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b ClosedKey) int {
		return cmp.Or(cmp.Compare(a.Team, b.Team), cmp.Compare(a.TaskType, b.TaskType))
	})
	var found []Advice
	for _, k := range keys {
		if c := sums[k]; k.TaskType != Other && c.Count >= MinClosed && c.Granted/ReserveFactor > c.Used {
			found = append(found, oversized(k, c))
		}
	}
	return found
}

func (c Closed) plus(o Closed) Closed {
	c.Count += o.Count
	c.Granted += o.Granted
	c.Used += o.Used
	c.Half += o.Half
	c.Unused += o.Unused
	c.Overruns += o.Overruns
	for i := range c.ByShare {
		c.ByShare[i] += o.ByShare[i]
	}
	return c
}

// covering is the smallest share of their size, in percent, that would have covered coveredPermille of the reservations.
func (c Closed) covering() int64 {
	var seen int64
	for i, n := range c.ByShare {
		if seen += n; seen*whole >= c.Count*coveredPermille {
			return min(int64(i+1)*100/(Shares-1), 100)
		}
	}
	return 100
}

// advised is the share of the present size, in percent, that is to be reserved: what covers most of the work, or, where a
// few large tasks fill their reservation, what such work uses on average and half of that again.
func (c Closed) advised() int64 {
	if c.covering() < 100 {
		return c.covering()
	}
	return min(max(percent(c.Used+c.Used/2, c.Granted), 10), 90)
}

func oversized(k ClosedKey, c Closed) Advice {
	work := "work of no stated type"
	if k.TaskType != "" {
		work = k.TaskType
	}
	if k.Team != "" {
		work += " of team " + k.Team
	}
	advice := fmt.Sprintf("Reserve about %d%% of the present size: that covers 95%% of the work.", c.covering())
	if c.covering() == 100 {
		advice = fmt.Sprintf("Few large tasks fill their reservation and most do not: reserve about %d%% of the present size and extend, or state the complexity in the estimate.", c.advised())
	}
	return Advice{
		Rule:       RuleReservationSize,
		Subject:    Subject{Team: k.Team, TaskType: k.TaskType},
		Title:      fmt.Sprintf("Reservations for %s hold %s times what they use (%d in 7 days)", work, times(c.Granted, c.Used), c.Count),
		Advice:     advice,
		Saving:     c.Unused,
		Basis:      FreedBudget,
		Change:     whatif.Change{Kind: whatif.ReserveLess, Team: k.Team, TaskType: k.TaskType, Amount: c.advised()},
		Confidence: wilson(c.Half, c.Count),
		Evidence: []Evidence{
			{"reservations", c.Count, unitCount},
			{"tokens_held", c.Granted, unitTokens},
			{"tokens_used", c.Used, unitTokens},
			{"used_less_than_half", c.Half, unitCount},
			{"used_more_than_held", c.Overruns, unitCount},
			{"share_covering_95_percent", c.covering(), unitPercent},
			{"budget_unused", c.Unused, unitMicroUSD},
		},
	}
}
