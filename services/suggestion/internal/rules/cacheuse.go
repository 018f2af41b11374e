package rules

import (
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

const (
	// RuleCacheUse is the name of [CacheUse].
	RuleCacheUse = "cache_use"
	// minInput is how much input makes a pattern, in tokens.
	minInput = 100_000
	// hitGap is by how many percent a hit rate must lie below that of the others.
	hitGap = 20
	// mostCached is the most fresh input, in percent, that is taken to be readable from the cache.
	mostCached = 80
)

// CacheUse finds work that pays too much for its input, in two ways:
//
// What is written to the cache and hardly read again costs more than plain input: the saving is what the writes cost
// beyond input, less what the reads saved.
//
// A hit rate that lies more than hitGap percent below the median of other work at the same provider, of which there must
// be two kinds at least: the saving is the price of the input that would be read from the cache at that median.
//
// The confidence is wilson(k, n) over the n days with such work, all of which count: the price list decides the rest.
func CacheUse(in *Input) []Advice {
	works := in.works()
	var found []Advice
	for i := range works {
		w := &works[i]
		rate, ok := in.Prices.Rate(w.key.model, in.Now, false)
		if !ok || inputOf(w.paid) < minInput || w.jobs < minJobs {
			continue
		}
		if a, ok := w.unread(rate); ok {
			found = append(found, a)
		} else if a, ok := w.uncached(works, rate); ok {
			found = append(found, a)
		}
	}
	return found
}

// inputOf is all input, however it was read.
func inputOf(t quota.Tokens) int64 { return t.Input + t.CacheRead + t.CacheWrite5m + t.CacheWrite1h }

// hits is the share of the input that is read from the cache, in percent.
func (w *work) hits() int64 { return percent(w.tokens.CacheRead, inputOf(w.tokens)) }

func (w *work) unread(rate quota.Rate) (Advice, bool) {
	t := w.paid
	as := rate.Cost(t)
	plain := rate.Cost(quota.Tokens{Input: inputOf(t), Output: t.Output})
	if as-plain < MinSpend {
		return Advice{}, false
	}
	writes := t.CacheWrite5m + t.CacheWrite1h
	return w.cache(as-plain, whatif.Change{Kind: whatif.SkipCache, Team: w.key.team, TaskType: w.key.task, Model: w.key.model},
		fmt.Sprintf("%s writes %d tokens to the cache of %s and reads %d of them again", w.key.name(), writes, w.key.model, t.CacheRead),
		"Do not mark what is used once for the cache: a write costs more than plain input and pays only when it is read again."), true
}

func (w *work) uncached(works []work, rate quota.Rate) (Advice, bool) {
	var others []int64
	for i := range works {
		o := &works[i]
		if o.key.provider == w.key.provider && o.key != w.key && o.jobs >= minJobs && inputOf(o.tokens) >= minInput {
			others = append(others, o.hits())
		}
	}
	if len(others) < 2 || w.paid.Input == 0 {
		return Advice{}, false
	}
	slices.Sort(others)
	usual := others[len(others)/2]
	if usual-w.hits() < hitGap {
		return Advice{}, false
	}
	more := min(percent(scale(inputOf(w.paid), usual-w.hits(), 100), w.paid.Input), mostCached)
	saving := rate.Cost(quota.Tokens{Input: scale(w.paid.Input, more, 100)}) - rate.Cost(quota.Tokens{CacheRead: scale(w.paid.Input, more, 100)})
	if saving < MinSpend {
		return Advice{}, false
	}
	return w.cache(saving, whatif.Change{Kind: whatif.ReadCache, Team: w.key.team, TaskType: w.key.task, Model: w.key.model, Amount: more},
		fmt.Sprintf("%s reads %d%% of its input from the cache of %s, other work %d%%", w.key.name(), w.hits(), w.key.model, usual),
		"Keep what does not change (system prompt, tools, files) at the beginning of the prompt and in the same order, and go on in one conversation."), true
}

func (w *work) cache(saving int64, change whatif.Change, title, advice string) Advice {
	k := w.key
	return Advice{
		Rule:    RuleCacheUse,
		Subject: Subject{Provider: k.provider, Team: k.team, TaskType: k.task, Target: k.model},
		Title:   title, Advice: advice, Saving: saving, Basis: AvoidableSpend, Change: change,
		Confidence: wilson(int64(len(w.days)), int64(len(w.days))),
		Evidence: []Evidence{
			{"jobs", w.jobs, unitCount},
			{"input", w.paid.Input, unitTokens},
			{"cache_read", w.paid.CacheRead, unitTokens},
			{"cache_write", w.paid.CacheWrite5m + w.paid.CacheWrite1h, unitTokens},
			{"hit_rate", w.hits(), unitPercent},
			{"days", int64(len(w.days)), unitCount},
		},
	}
}
