package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

const (
	// RuleQuotaManagement is the name of [QuotaManagement].
	RuleQuotaManagement = "quota_management"
	// MaxExhaustions in a week are nobody's fault; more are a limit that is too low or badly shared.
	MaxExhaustions = 5
	// maxOccurrences bounds who is named.
	maxOccurrences = 10
)

// QuotaManagement finds limits that ran out more than MaxExhaustions times in the window, with who was refused and when.
//
// The saving is the price of the refused work: of each agent the largest refused request of each slot, so that trying
// again does not count twice. It is work delayed, not money spent.
//
// The confidence that this will go on is wilson(k, n) over the n slots in which the limit was asked for anything, k of
// which saw it run out: one bad afternoon in a busy week gives little.
//
// What would help depends on whose limit it is: one of our own is raised to what was refused on its worst day, a
// subscription goes to the next plan, and where neither can be, the work that was refused most often waits in the queue.
func QuotaManagement(in *Input) []Advice {
	w := in.Window
	limits := map[string]*exhaustion{}
	for _, s := range w.inOrder() {
		inSlot := map[string]int64{}
		for k, d := range s.Denied {
			e := limits[k.Limit]
			if e == nil {
				e = &exhaustion{who: map[DeniedKey]Denied{}}
				limits[k.Limit] = e
			}
			e.add(k, d)
			inSlot[k.Limit] += d.Count
		}
		for limit, n := range inSlot {
			limits[limit].hits++
			if n > limits[limit].worst {
				limits[limit].worst, limits[limit].worstAt = n, s.Start
			}
		}
	}
	var found []Advice
	for _, limit := range slices.Sorted(maps.Keys(limits)) {
		if e := limits[limit]; e.count > MaxExhaustions {
			found = append(found, in.exhausted(limit, e))
		}
	}
	return found
}

// exhaustion sums up one limit.
type exhaustion struct {
	count   int64
	cost    int64
	hits    int64 // slots in which it ran out
	worst   int64 // most often within one slot
	worstAt quota.Instant
	who     map[DeniedKey]Denied
}

func (e *exhaustion) add(k DeniedKey, d Denied) {
	e.count += d.Count
	e.cost += d.Cost
	sum, known := e.who[k]
	if !known {
		sum.First = d.First
	}
	sum.Count += d.Count
	sum.Last = d.Last
	e.who[k] = sum
}

// occurrences lists who was refused, most often first.
func (e *exhaustion) occurrences() []Occurrence {
	list := make([]Occurrence, 0, len(e.who))
	for k, d := range e.who {
		agent := k.Agent
		if agent == Other {
			agent = ""
		}
		list = append(list, Occurrence{Principal: k.Principal, Agent: agent, Team: k.Team, Count: d.Count, First: d.First, Last: d.Last})
	}
	slices.SortFunc(list, func(a, b Occurrence) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Team, b.Team))
	})
	return list[:min(len(list), maxOccurrences)]
}

func (in *Input) exhausted(limit string, e *exhaustion) Advice {
	w, subject := in.Window, Subject{Limit: limit}
	l := in.limit(limit)
	if l != nil {
		subject.Account, subject.Team = l.Scope.Account, l.Scope.Team
	}
	who := e.occurrences()
	change, do := in.relief(l, who[0])
	const clock = "Mon 15:04"
	end := e.worstAt.Add(SlotLength)
	return Advice{
		Rule:    RuleQuotaManagement,
		Subject: subject,
		Title:   fmt.Sprintf("Limit %s ran out %d times in 7 days, most often for %s", limit, e.count, name(who[0])),
		Advice: fmt.Sprintf("%s, or move work away from %s to %s UTC, where it ran out %d times.",
			do, e.worstAt.Time().Format(clock), end.Time().Format(clock), e.worst),
		Saving:     e.cost,
		Basis:      DelayedWork,
		Change:     change,
		Confidence: wilson(e.hits, max(w.asked(limit), e.hits)),
		Evidence: []Evidence{
			{"exhaustions", e.count, unitCount},
			{"agents_refused", int64(len(e.who)), unitCount},
			{"slots_exhausted", e.hits, unitCount},
			{"slots_asked", max(w.asked(limit), e.hits), unitCount},
			{"refused_work", e.cost, unitMicroUSD},
		},
		Who: who,
	}
}

// queueFor is how long refused work is advised to wait in the queue.
const queueFor = 6 * quota.Hour

// relief finds what would let the refused work in, with the words for it.
func (in *Input) relief(l *quota.Limit, most Occurrence) (whatif.Change, string) {
	if l == nil {
		return whatif.Change{}, "Look at who asks so often"
	}
	a, _ := in.Config.Account(l.Scope.Account)
	if own := a == nil || l.Unit == quota.UnitMicroUSD; own && l.Window.Kind != quota.WindowBucket && l.Capacity > 0 {
		to := in.needed(l)
		return whatif.Change{Kind: whatif.SetCapacity, Limit: l.ID, Team: l.Scope.Team, Amount: to},
			fmt.Sprintf("Raise the limit from %d to %d %s", l.Capacity, to, l.Unit)
	}
	if a != nil && a.Kind == quota.KindSubscription {
		if present, ok := in.planOf(a); ok {
			for _, p := range in.Plans {
				if p.Provider == a.Provider && p.Month > present.Month {
					return whatif.Change{Kind: whatif.ChangeTier, Account: a.ID, Provider: a.Provider, Tier: p.Tier},
						fmt.Sprintf("Change %s from %s to %s, for %s a month more", a.ID, a.Tier, p.Tier, usd(p.Month-present.Month))
				}
			}
		}
	}
	if most.Agent == "" || most.Agent == Other {
		return whatif.Change{}, "Look at who asks so often"
	}
	return whatif.Change{Kind: whatif.WaitInQueue, Principal: most.Principal, Agent: most.Agent, Amount: int64(queueFor)},
		fmt.Sprintf("Let %s wait in the queue (max_wait of %d hours) instead of being refused", name(most), queueFor/quota.Hour)
}

// needed is the capacity at which the limit would have let in what it refused on its worst day, rounded up to two digits;
// twice the present one where that is not known.
func (in *Input) needed(l *quota.Limit) int64 {
	refused := map[int64]int64{}
	var worst int64
	for i := range in.Jobs {
		j := &in.Jobs[i]
		if j.Limit != l.ID || j.Granted {
			continue
		}
		var cost int64
		if rate, ok := in.Prices.Rate(j.Labels.Model, j.Arrives, false); ok {
			cost = rate.CostCeil(j.Asked.Tokens)
		}
		day := dayOf(j.Arrives)
		if l.Window.Kind == quota.WindowCalendar && l.Window.Period != quota.PeriodDay {
			day = 0 // a week or a month takes all of it
		}
		if l.Window.Kind == quota.WindowConcurrent {
			refused[day]++
		} else {
			refused[day] += measure(l, j.Asked, cost)
		}
		worst = max(worst, refused[day])
	}
	if worst == 0 {
		worst = l.Capacity
	}
	return roundUp(l.Capacity + worst)
}

// roundUp keeps two digits.
func roundUp(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return (n + unit - 1) / unit * unit
}

// asked counts the slots in which anything was asked of a limit.
func (w *Window) asked(limit string) (n int64) {
	for _, s := range w.slots {
		if s.Asked[limit] > 0 {
			n++
		}
	}
	return n
}

// name says who it was.
func name(o Occurrence) string {
	switch {
	case o.Agent != "" && o.Principal != "":
		return "agent " + o.Agent + " of " + o.Principal
	case o.Agent != "":
		return "agent " + o.Agent
	case o.Team != "":
		return "team " + o.Team
	}
	return "many agents"
}
