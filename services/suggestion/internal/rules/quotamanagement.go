package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
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
func QuotaManagement(w *Window) []Advice {
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
			found = append(found, w.exhausted(limit, e))
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

func (w *Window) exhausted(limit string, e *exhaustion) Advice {
	subject := Subject{Limit: limit}
	for i := range w.Config.Limits {
		if l := &w.Config.Limits[i]; l.ID == limit {
			subject.Account, subject.Team = l.Scope.Account, l.Scope.Team
		}
	}
	who := e.occurrences()
	const clock = "Mon 15:04"
	end := e.worstAt.Add(SlotLength)
	return Advice{
		Rule:    RuleQuotaManagement,
		Subject: subject,
		Title:   fmt.Sprintf("Limit %s ran out %d times in 7 days, most often for %s", limit, e.count, name(who[0])),
		Advice: fmt.Sprintf("Raise the limit, give %s a limit of its own, or move work away from %s to %s UTC, where it ran out %d times.",
			name(who[0]), e.worstAt.Time().Format(clock), end.Time().Format(clock), e.worst),
		Saving:     e.cost,
		Basis:      DelayedWork,
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
