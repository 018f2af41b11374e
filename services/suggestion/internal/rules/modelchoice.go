package rules

import (
	"fmt"
	"strings"

	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

const (
	// RuleModelChoice is the name of [ModelChoice].
	RuleModelChoice = "model_choice"
	// minJobs of a kind make a pattern.
	minJobs = 5
	// mostOverruns is the share of reservations, in thousandths, that may overrun where a smaller model is advised: work that
	// outgrows its estimate is harder than it looks.
	mostOverruns = 100
)

// cheaper is a model to try instead of those whose names begin with a prefix.
var cheaper = [...]struct{ prefix, model string }{
	{"claude-fable-", "claude-opus-4-8"},
	{"claude-opus-", "claude-sonnet-5"},
	{"claude-sonnet-", "claude-haiku-4-5"},
	{"gpt-5-mini", "gpt-5-nano"},
	{"gpt-5.1-codex-mini", "gpt-5-nano"},
	{"gpt-5-pro", "gpt-5.1"},
	{"gpt-5.2-pro", "gpt-5.2"},
	{"gpt-5-nano", ""},
	{"gpt-5", "gpt-5-mini"},
}

func cheaperThan(model string) string {
	for _, c := range cheaper {
		if strings.HasPrefix(model, c.prefix) {
			return c.model
		}
	}
	return ""
}

// simple tells whether a kind of task is one for which a smaller model is worth a try without an example.
func simple(task string) bool { return task == "quick_query" || task == "documentation" }

// ModelChoice finds work on a dear model that a cheaper one of the same provider might do: minJobs or more of a team and a
// simple kind of task, or of a kind that the cheaper model does already in this workspace, with few overruns on either.
//
// The saving is the difference in price of the tokens that were paid by use, taking the same number of them. The confidence
// is wilson(k, n) over the n reservations, k of which stayed within what they reserved.
func ModelChoice(in *Input) []Advice {
	works := in.works()
	var found []Advice
	for i := range works {
		w := &works[i]
		to := cheaperThan(w.key.model)
		if to == "" || w.jobs < minJobs || w.spent < MinSpend || !w.tame() || !simple(w.key.task) && !doneWith(works, w.key.task, to) {
			continue
		}
		rate, ok := in.Prices.Rate(to, in.Now, false)
		if !ok {
			continue
		}
		cost := rate.Cost(w.paid)
		if saving := w.spent - cost; saving >= MinSpend {
			found = append(found, w.downgrade(to, cost))
		}
	}
	return found
}

// tame tells whether few reservations overrun.
func (w *work) tame() bool { return w.overruns*whole <= w.reserved*mostOverruns }

// doneWith tells whether a kind of task is done on a model already, and well.
func doneWith(works []work, task, model string) bool {
	for i := range works {
		w := &works[i]
		if w.key.task == task && w.key.model == model && w.reserved >= minJobs && w.tame() {
			return true
		}
	}
	return false
}

func (w *work) downgrade(to string, cost int64) Advice {
	k := w.key
	confidence := wilson(w.reserved-w.overruns, w.reserved)
	if w.reserved == 0 { // work without reservations says nothing of how well it is estimated
		confidence = wilson(1, 1)
	}
	return Advice{
		Rule:    RuleModelChoice,
		Subject: Subject{Provider: k.provider, Team: k.team, TaskType: k.task, Target: k.model},
		Title:   fmt.Sprintf("%s spent %s on %s; the same tokens of %s cost %s", k.name(), usd(w.spent), k.model, to, usd(cost)),
		Advice:  fmt.Sprintf("Try %s for %s and look at the results; keep %s for what does not come out well.", to, k.name(), k.model),
		Saving:  w.spent - cost, Basis: AvoidableSpend, Confidence: confidence,
		Change: whatif.Change{Kind: whatif.UseModel, Team: k.team, TaskType: k.task, Model: k.model, ToModel: to},
		Evidence: []Evidence{
			{"jobs", w.jobs, unitCount},
			{"reservations", w.reserved, unitCount},
			{"used_more_than_held", w.overruns, unitCount},
			{"spent", w.spent, unitMicroUSD},
			{"same_tokens_of_the_cheaper_model", cost, unitMicroUSD},
			{"tokens", w.paid.Total(), unitTokens},
		},
	}
}
