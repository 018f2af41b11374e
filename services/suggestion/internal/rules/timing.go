package rules

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

const (
	// RulePeakShift is the name of [PeakShift].
	RulePeakShift = "peak_shift"
	// RuleWindowStart is the name of [WindowStart].
	RuleWindowStart = "window_start"

	// minRefusedDays is on how many days it must have happened.
	minRefusedDays = 2
	// blockHours is how long a peak is.
	blockHours = 3
	hoursOfDay = 24
	minutes    = int64(quota.Day / quota.Minute)
	// grid of advised times, in minutes.
	grid = 15
)

// PeakShift finds session windows that run out in the same hours of several days, and the work of those hours that could be done
// at another time: of low priority, or a kind that nobody waits for (analysis, documentation). It is proposed to begin in
// the quietest hours that follow once that window is over.
//
// The saving is the price of what was refused in those hours. The confidence is wilson(k, n) over the n days with work
// on the limit, on k of which it ran out in those hours.
func PeakShift(in *Input) []Advice {
	refused := in.refused()
	var found []Advice
	for _, id := range slices.Sorted(maps.Keys(refused)) {
		l := in.limit(id)
		if l == nil || l.Window.Kind != quota.WindowSession || l.Window.Duration > quota.Day/2 {
			continue // shifted within a day, work would fall into the same window
		}
		if a, ok := in.shift(l, refused[id]); ok {
			found = append(found, a)
		}
	}
	return found
}

// block gives the hours, of the day, with the most or least of something.
func block(byHour [hoursOfDay]int64, better func(a, b int64) bool, from, hours int) (first int, sum int64) {
	for i := range hours {
		start := (from + i) % hoursOfDay
		var n int64
		for k := range blockHours {
			n += byHour[(start+k)%hoursOfDay]
		}
		if i == 0 || better(n, sum) {
			first, sum = start, n
		}
	}
	return first, sum
}

func inBlock(at quota.Instant, first int) bool {
	return (hourOf(at)-first+hoursOfDay)%hoursOfDay < blockHours
}

func (in *Input) shift(l *quota.Limit, refused []*workload.Job) (Advice, bool) {
	var byHour, load [hoursOfDay]int64
	for _, j := range refused {
		byHour[hourOf(j.Arrives)] += j.Tries
	}
	peak, n := block(byHour, func(a, b int64) bool { return a > b }, 0, hoursOfDay-blockHours+1)
	var then []*workload.Job
	days := map[int64]bool{}
	for _, j := range refused {
		if inBlock(j.Arrives, peak) {
			then = append(then, j)
			days[dayOf(j.Arrives)] = true
		}
	}
	if n <= MaxExhaustions || len(days) < minRefusedDays {
		return Advice{}, false
	}
	movable, workDays := map[workKey]int64{}, map[int64]bool{}
	for i := range in.Jobs {
		j := &in.Jobs[i]
		if !covers(l, j) {
			continue
		}
		used := j.Used().Tokens.Total()
		load[hourOf(j.Arrives)] += used
		workDays[dayOf(j.Arrives)] = true
		if inBlock(j.Arrives, peak) && canWait(j) {
			movable[workKey{team: j.Labels.Team, task: j.Labels.TaskType}] += used
		}
	}
	next := max(blockHours, int((l.Window.Duration+quota.Hour-1)/quota.Hour)) // hours until the window of the peak is over
	quiet, _ := block(load, func(a, b int64) bool { return a < b }, peak+next, hoursOfDay-next-blockHours)
	k, most := largest(movable)
	if most == 0 {
		return Advice{}, false
	}
	later := quota.Millis((quiet-peak+hoursOfDay)%hoursOfDay) * quota.Hour
	cost := in.worth(then)
	return Advice{
		Rule:    RulePeakShift,
		Subject: Subject{Limit: l.ID, Account: l.Scope.Account, Team: k.team, TaskType: k.task},
		Title:   fmt.Sprintf("Limit %s runs out from %s to %s UTC, while %s runs that could be done later", l.ID, clock(peak), clock(peak+blockHours), k.name()),
		Advice:  fmt.Sprintf("Begin %s at %s UTC, when the limit is used least.", k.name(), clock(quiet)),
		Saving:  cost, Basis: DelayedWork, Confidence: wilson(int64(len(days)), int64(len(workDays))),
		Change: whatif.Change{Kind: whatif.ShiftWork, Limit: l.ID, Team: k.team, TaskType: k.task, FromHour: peak, ToHour: peak + blockHours, Shift: later},
		Evidence: []Evidence{
			{"refusals_in_those_hours", n, unitCount},
			{"days", int64(len(days)), unitCount},
			{"days_with_work", int64(len(workDays)), unitCount},
			{"movable_work", most, unitTokens},
			{"refused_work", cost, unitMicroUSD},
		},
		Who: who(then),
	}, true
}

// covers tells whether a limit counts a job's work.
func covers(l *quota.Limit, j *workload.Job) bool {
	if !j.Granted && !j.Unreserved {
		return j.Limit == l.ID
	}
	return (l.Scope.Account == "" || l.Scope.Account == j.Labels.Account) && (l.Scope.Team == "" || l.Scope.Team == j.Labels.Team) &&
		(l.Scope.Agent == "" || l.Scope.Agent == j.Labels.Agent)
}

// canWait tells whether nobody waits for a job.
func canWait(j *workload.Job) bool {
	if j.Labels.Priority > quota.PriorityNormal || j.Unreserved {
		return false
	}
	return j.Labels.Priority == quota.PriorityLow || j.Labels.TaskType == "analysis" || j.Labels.TaskType == "documentation"
}

// largest finds the key with the most; of equal ones the first in order.
func largest(sums map[workKey]int64) (best workKey, most int64) {
	for _, k := range slices.SortedFunc(maps.Keys(sums), workKey.compare) {
		if sums[k] > most {
			best, most = k, sums[k]
		}
	}
	return best, most
}

// WindowStart finds session windows that run out before their reset on several days, at about the same time. Such a
// window begins with its first use: one that is opened so much earlier that its reset falls on the time at which it
// usually runs out gives a second window for the rest of the day.
//
// The saving is the price of what was refused. The confidence is wilson(k, n) over the n days with use of the account, on
// k of which the window ran out.
func WindowStart(in *Input) []Advice {
	refused := in.refused()
	var found []Advice
	for _, id := range slices.Sorted(maps.Keys(refused)) {
		l := in.limit(id)
		if l == nil || l.Window.Kind != quota.WindowSession || l.Window.Duration >= quota.Day || l.Scope.Account == "" {
			continue
		}
		if a, ok := in.openEarlier(l, refused[id]); ok {
			found = append(found, a)
		}
	}
	return found
}

// firsts gives the minute of the day at which each day's first job came.
func firsts(jobs []*workload.Job) []int64 {
	first := map[int64]int64{}
	for _, j := range jobs {
		minute := int64(j.Arrives) % int64(quota.Day) / int64(quota.Minute)
		if known, ok := first[dayOf(j.Arrives)]; !ok || minute < known {
			first[dayOf(j.Arrives)] = minute
		}
	}
	return slices.Sorted(maps.Values(first))
}

func (in *Input) openEarlier(l *quota.Limit, refused []*workload.Job) (Advice, bool) {
	var used []*workload.Job
	for i := range in.Jobs {
		if j := &in.Jobs[i]; j.Labels.Account == l.Scope.Account && (j.Granted || j.Unreserved) {
			used = append(used, j)
		}
	}
	ends, begins := firsts(refused), firsts(used)
	if len(ends) < minRefusedDays || len(begins) == 0 {
		return Advice{}, false
	}
	out, begin := ends[len(ends)/2], begins[len(begins)/2]
	length := int64(l.Window.Duration / quota.Minute)
	open := (out - length) / grid * grid
	if open < 0 || open >= begin || out <= begin || out >= begin+length {
		return Advice{}, false
	}
	cost := in.worth(refused)
	at := func(minute int64) string { return fmt.Sprintf("%02d:%02d", minute%minutes/60, minute%60) }
	return Advice{
		Rule:    RuleWindowStart,
		Subject: Subject{Limit: l.ID, Account: l.Scope.Account},
		Title: fmt.Sprintf("The window of %s begins about %s UTC and runs out about %s, before it resets at %s, on %d days",
			l.Scope.Account, at(begin), at(out), at(begin+length), len(ends)),
		Advice: fmt.Sprintf("Open it with a small request at %s UTC, for example from cron: it then resets at %s, when it is needed.", at(open), at(open+length)),
		Saving: cost, Basis: DelayedWork, Confidence: wilson(int64(len(ends)), max(int64(len(begins)), int64(len(ends)))),
		Change: whatif.Change{Kind: whatif.OpenWindow, Account: l.Scope.Account, Limit: l.ID, Amount: open},
		Evidence: []Evidence{
			{"days_run_out", int64(len(ends)), unitCount},
			{"days_with_use", int64(len(begins)), unitCount},
			{"refused_work", cost, unitMicroUSD},
		},
		Who: who(refused),
	}, true
}
