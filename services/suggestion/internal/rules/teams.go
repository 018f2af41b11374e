package rules

import (
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

const (
	// RuleIdleFloor is the name of [IdleFloor].
	RuleIdleFloor = "idle_floor"
	// RuleIdleLimit is the name of [IdleLimit].
	RuleIdleLimit = "idle_limit"
	// idleShare is the part of a floor or a limit, in percent, that its team uses at most where it is called idle.
	idleShare = 50
	// headroom is what an advised limit has above the most that was used, in percent of that.
	headroom = 50
)

// IdleFloor finds floors that their teams used at most half of on their busiest day, while others were refused because of
// them. The idle part can be lent to preemptible work.
//
// The saving is the price of the work that was refused there for others' sake. The confidence is wilson(k, n) over the n
// refused jobs of the limit, k of which were refused with something left.
func IdleFloor(in *Input) []Advice {
	refused := in.refused()
	var found []Advice
	for _, t := range in.Config.Teams {
		for _, s := range t.Shares {
			l := in.limit(s.Limit)
			if l == nil || s.Floor == 0 && s.FloorPart == 0 {
				continue
			}
			if a, ok := in.lend(&t, &s, l, refused[l.ID]); ok {
				found = append(found, a)
			}
		}
	}
	return found
}

func (in *Input) lend(t *quota.Team, s *quota.Share, l *quota.Limit, refused []*workload.Job) (Advice, bool) {
	floor := s.Floor
	if floor == 0 {
		floor = scale(in.Capacity(l), s.FloorPart, percentMilli)
	}
	var others []*workload.Job
	for _, j := range refused {
		if j.HeldBack && j.Labels.Team != t.Name {
			others = append(others, j)
		}
	}
	most := in.busiest(l, t.Name)
	idle := 100 - min(100, percent(most, floor))
	if floor == 0 || len(others) <= MaxExhaustions || idle < 100-idleShare || s.LendPart >= idle*1000 {
		return Advice{}, false
	}
	cost := in.worth(others)
	return Advice{
		Rule:    RuleIdleFloor,
		Subject: Subject{Limit: l.ID, Account: l.Scope.Account, Team: t.Name},
		Title:   fmt.Sprintf("Team %s used at most %d%% of its floor of %s, and %d jobs of others were refused because of it", t.Name, 100-idle, l.ID, len(others)),
		Advice:  fmt.Sprintf("Lend %d%% of the floor (lend_percent) and let the others reserve as preemptible: what they hold comes back when %s asks for it.", idle, t.Name),
		Saving:  cost, Basis: DelayedWork, Confidence: wilson(int64(len(others)), int64(len(refused))),
		Change: whatif.Change{Kind: whatif.LendFloor, Team: t.Name, Limit: l.ID, Amount: idle},
		Evidence: []Evidence{
			{"floor", floor, string(l.Unit)},
			{"most_used_in_a_day", most, string(l.Unit)},
			{"jobs_refused", int64(len(others)), unitCount},
			{"refused_work", cost, unitMicroUSD},
		},
		Who: who(others),
	}, true
}

// busiest is the most that a team used of a limit in one day; of a week or a month, in all of the days.
func (in *Input) busiest(l *quota.Limit, team string) (most int64) {
	sums := map[int64]int64{}
	for i := range in.Jobs {
		j := &in.Jobs[i]
		if j.Labels.Team != team || !j.Granted && !j.Unreserved || !covers(l, j) {
			continue
		}
		day := dayOf(j.Arrives)
		if durationOf(l.Window) > quota.Day {
			day = 0
		}
		sums[day] += measure(l, j.Used(), j.Cost)
		most = max(most, sums[day])
	}
	return most
}

// IdleLimit finds limits of teams that used at most half of them. A limit is there to stop a runaway agent: what it allows
// beyond the need is what such an agent can spend before anybody looks.
//
// The saving is that difference, over the days, at the mean price of the tokens used; it is risk, not money spent. The
// confidence is wilson(k, n) over the n days with work of the team, on k of which it would have been enough.
func IdleLimit(in *Input) []Advice {
	var found []Advice
	for i := range in.Config.Limits {
		l := &in.Config.Limits[i]
		if l.Scope.Team == "" || l.Scope.Account != "" || l.Scope.Agent != "" || l.Window.Kind != quota.WindowCalendar || l.Window.Period == quota.PeriodMonth || l.Capacity == 0 {
			continue
		}
		most := in.busiest(l, l.Scope.Team)
		to := roundUp(most + scale(most, headroom, 100))
		days := in.workDays(l.Scope.Team)
		if most == 0 || days < leastDays || percent(most, l.Capacity) > idleShare || to >= l.Capacity {
			continue
		}
		found = append(found, in.lower(l, most, to, days))
	}
	return found
}

// workDays counts the days on which a team worked.
func (in *Input) workDays(team string) int64 {
	days := map[int64]bool{}
	for i := range in.Jobs {
		if j := &in.Jobs[i]; j.Labels.Team == team {
			days[dayOf(j.Arrives)] = true
		}
	}
	return int64(len(days))
}

func (in *Input) lower(l *quota.Limit, most, to, days int64) Advice {
	risk := whatif.Exposure(l, in.Jobs) // micro-USD a day
	lowered := *l
	lowered.Capacity = to
	return Advice{
		Rule:    RuleIdleLimit,
		Subject: Subject{Limit: l.ID, Team: l.Scope.Team},
		Title:   fmt.Sprintf("Team %s used at most %d%% of limit %s", l.Scope.Team, percent(most, l.Capacity), l.ID),
		Advice:  fmt.Sprintf("Lower it from %d to %d %s: half more than the most that was used, and a runaway agent is stopped the sooner.", l.Capacity, to, l.Unit),
		Saving:  days * (risk - whatif.Exposure(&lowered, in.Jobs)), Basis: whatif.BoundedRisk, Confidence: wilson(days, days),
		Change: whatif.Change{Kind: whatif.SetCapacity, Limit: l.ID, Team: l.Scope.Team, Amount: to},
		Evidence: []Evidence{
			{"limit", l.Capacity, string(l.Unit)},
			{"most_used", most, string(l.Unit)},
			{"advised", to, string(l.Unit)},
			{"days", days, unitCount},
		},
	}
}
