package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

const (
	// RuleFanOut is the name of [FanOut].
	RuleFanOut = "fan_out"
	// RuleRetryStorm is the name of [RetryStorm].
	RuleRetryStorm = "retry_storm"
	// manyLive is how many reservations at once are never called a fan-out.
	manyLive = 7
	// fanOutFactor is how many times the usual number is one.
	fanOutFactor = 4
	// stormTries is how often the same work must be asked for, in the mean, and minTries in all.
	stormTries, minTries = 5, 30
)

// actor is an agent of a principal.
type actor struct{ principal, agent, team string }

func actorOf(j *workload.Job) actor {
	return actor{j.Labels.Principal, j.Labels.Agent, j.Labels.Team}
}

func (a actor) compare(b actor) int {
	return cmp.Or(cmp.Compare(a.team, b.team), cmp.Compare(a.principal, b.principal), cmp.Compare(a.agent, b.agent))
}

// FanOut finds agents that held more than manyLive reservations at once, and more than fanOutFactor times what the others
// hold at once in the median, while work of others was refused.
//
// The saving is the price of what was refused to others while the agent held more than the advised bound. The confidence
// is wilson(k, n) over the n jobs refused to others, k of which were refused at such a time.
func FanOut(in *Input) []Advice {
	live := map[actor][]*workload.Job{}
	for i := range in.Jobs {
		if j := &in.Jobs[i]; j.Granted {
			live[actorOf(j)] = append(live[actorOf(j)], j)
		}
	}
	type crowd struct {
		actor
		most  int64
		steps []step
	}
	var all []crowd
	for a, jobs := range live {
		steps, most := atOnce(jobs)
		all = append(all, crowd{a, most, steps})
	}
	slices.SortFunc(all, func(a, b crowd) int { return cmp.Or(cmp.Compare(a.most, b.most), a.compare(b.actor)) })
	if len(all) < 2 {
		return nil
	}
	usual := all[(len(all)-1)/2].most
	var found []Advice
	for _, c := range all {
		bound := max(2, 2*usual)
		if c.most <= manyLive || c.most < fanOutFactor*usual || in.bounded(c.team, bound) {
			continue
		}
		if a, ok := in.crowded(c.actor, c.steps, c.most, bound); ok {
			found = append(found, a)
		}
	}
	return found
}

// bounded tells whether a team's agents are held to a number already.
func (in *Input) bounded(team string, n int64) bool {
	return slices.ContainsFunc(in.Config.Teams, func(t quota.Team) bool {
		return t.Name == team && t.FanOut.LivePerAgent > 0 && t.FanOut.LivePerAgent <= n
	})
}

// step is how many were live from an instant on.
type step struct {
	at   quota.Instant
	live int64
}

// atOnce tells how many jobs were live at each time, and the most.
func atOnce(jobs []*workload.Job) (steps []step, most int64) {
	for _, j := range jobs {
		steps = append(steps, step{j.Arrives.Add(j.Waited), 1}, step{j.Ends(), -1})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.live, b.live)) })
	var live int64
	for i := range steps {
		live += steps[i].live
		steps[i].live = live
		most = max(most, live)
	}
	return steps, most
}

// liveAt is how many were live at an instant.
func liveAt(steps []step, at quota.Instant) int64 {
	i, _ := slices.BinarySearchFunc(steps, at, func(s step, at quota.Instant) int {
		if s.at <= at {
			return -1
		}
		return 1
	})
	if i == 0 {
		return 0
	}
	return steps[i-1].live
}

func (in *Input) crowded(a actor, steps []step, most, bound int64) (Advice, bool) {
	var others, then []*workload.Job
	for i := range in.Jobs {
		j := &in.Jobs[i]
		if j.Granted || j.Unreserved || actorOf(j) == a {
			continue
		}
		others = append(others, j)
		if liveAt(steps, j.Arrives) > bound {
			then = append(then, j)
		}
	}
	if len(then) == 0 {
		return Advice{}, false
	}
	cost := in.worth(then)
	return Advice{
		Rule:    RuleFanOut,
		Subject: Subject{Team: a.team, Target: a.principal + "/" + a.agent},
		Title:   fmt.Sprintf("Agent %s of %s held %d reservations at once, while %d jobs of others were refused", a.agent, a.principal, most, len(then)),
		Advice:  fmt.Sprintf("Bound what one agent of team %s holds at once to %d (fan_out: live_per_agent), and look at what %s does.", a.team, bound, a.agent),
		Saving:  cost, Basis: DelayedWork, Confidence: wilson(int64(len(then)), int64(len(others))),
		Change: whatif.Change{Kind: whatif.BoundFanOut, Team: a.team, Amount: bound},
		Evidence: []Evidence{
			{"most_at_once", most, unitCount},
			{"advised", bound, unitCount},
			{"jobs_refused_then", int64(len(then)), unitCount},
			{"refused_work", cost, unitMicroUSD},
		},
		Who: who(then),
	}, true
}

// RetryStorm finds agents that ask for the same again and again: at least minTries refusals, stormTries for each piece of
// work in the mean. In the queue the same work is asked for once.
//
// The saving is the price of what was never granted. The confidence is wilson(k, n) over the n pieces of work that were
// refused, k of which were tried again.
func RetryStorm(in *Input) []Advice {
	refused := map[actor][]*workload.Job{}
	for i := range in.Jobs {
		if j := &in.Jobs[i]; j.Tries > 0 && j.MaxWait == 0 {
			refused[actorOf(j)] = append(refused[actorOf(j)], j)
		}
	}
	var found []Advice
	for a, jobs := range refused {
		var tries, again int64
		var never []*workload.Job
		for _, j := range jobs {
			tries += j.Tries
			if j.Tries > 1 {
				again++
			}
			if !j.Granted {
				never = append(never, j)
			}
		}
		if tries < minTries || tries < stormTries*int64(len(jobs)) || a.agent == "" {
			continue
		}
		found = append(found, Advice{
			Rule:    RuleRetryStorm,
			Subject: Subject{Team: a.team, Target: a.principal + "/" + a.agent},
			Title:   fmt.Sprintf("Agent %s of %s was refused %d times for %d pieces of work", a.agent, a.principal, tries, len(jobs)),
			Advice:  fmt.Sprintf("Let it wait in the queue (max_wait of %d hours): it is granted as soon as there is room, and asks once.", queueFor/quota.Hour),
			Saving:  in.worth(never), Basis: DelayedWork, Confidence: wilson(again, int64(len(jobs))),
			Change: whatif.Change{Kind: whatif.WaitInQueue, Principal: a.principal, Agent: a.agent, Amount: int64(queueFor)},
			Evidence: []Evidence{
				{"refusals", tries, unitCount},
				{"pieces_of_work", int64(len(jobs)), unitCount},
				{"never_granted", int64(len(never)), unitCount},
				{"refused_work", in.worth(never), unitMicroUSD},
			},
			Who: who(jobs),
		})
	}
	slices.SortFunc(found, func(a, b Advice) int {
		return cmp.Or(cmp.Compare(a.Subject.Team, b.Subject.Team), cmp.Compare(a.Subject.Target, b.Subject.Target))
	})
	return found
}
