package simulate

import (
	"math"
	"slices"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
)

const (
	coverageTarget = 0.9 // of tasks that use no more than was reserved
	leastEvidence  = 20  // settled tasks of a type from which its quantile is trusted
	mostEvidence   = 500 // the oldest is forgotten
	tableCalls     = 9   // calls that the table reserves the cached prefix for: the published mean
	marginPercent  = 130 // of the table
	halfOf         = 0.5 // the quantile below which a grant is of little use
)

// guesser estimates what work will use.
type guesser struct {
	learned bool
	seen    map[string]*history // by kind, and by kind and whose it is
}

// history is what tasks of one type used, in the order of time and of size.
type history struct {
	sorted []int64
	order  []int64
	sum    quota.Tokens
	count  int64
}

func newGuesser(learned bool) *guesser {
	return &guesser{learned: learned, seen: map[string]*history{}}
}

// own is by what the history of a kind of somebody's work is known; the kind's name alone is for everybody's.
func (k *kind) own() string { return k.name + "/" + k.of }

// learn remembers what a task used in all.
func (g *guesser) learn(k *kind, used quota.Tokens) {
	g.learnAs(k.name, used)
	if k.of != "" {
		g.learnAs(k.own(), used)
	}
}

func (g *guesser) learnAs(name string, used quota.Tokens) {
	h := g.seen[name]
	if h == nil {
		h = &history{}
		g.seen[name] = h
	}
	n := used.Total()
	if len(h.order) == mostEvidence {
		i, _ := slices.BinarySearch(h.sorted, h.order[0])
		h.sorted, h.order = slices.Delete(h.sorted, i, i+1), h.order[1:]
	}
	i, _ := slices.BinarySearch(h.sorted, n)
	h.sorted = slices.Insert(h.sorted, i, n)
	h.order = append(h.order, n)
	h.sum, h.count = h.sum.Add(used), h.count+1
}

// quantile is the total that so many of the tasks stayed within.
func quantile(sorted []int64, q float64) int64 {
	return sorted[min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted)+1)))-1)]
}

// rest is what to reserve for what is left of a task that has used something, and the least that is of use: by the history of
// whose work it is where there is enough of it, else of everybody's, else by the table.
func (g *guesser) rest(k *kind, used int64) (amount quota.Tokens, least int64) {
	for _, h := range []*history{g.seen[k.own()], g.seen[k.name]} {
		if !g.learned || h == nil || h.count < leastEvidence {
			continue
		}
		if left := h.beyond(used); len(left) > 0 {
			return h.scaled(quantile(left, coverageTarget) - used), quantile(left, halfOf) - used
		}
	}
	t := byTable(k)
	return t, t.Total() / 2
}

// beyond lists what the tasks used in all that used more than so much.
func (h *history) beyond(used int64) []int64 {
	i, _ := slices.BinarySearch(h.sorted, used+1)
	return h.sorted[i:]
}

// scaled splits a total by class as the tasks so far did.
func (h *history) scaled(total int64) quota.Tokens {
	all := float64(h.sum.Total())
	part := func(n int64) int64 { return int64(float64(n) / all * float64(total)) }
	return quota.Tokens{Input: part(h.sum.Input), CacheRead: part(h.sum.CacheRead), Output: part(h.sum.Output)}
}

// byTable is the built-in table with its margin, and the cached prefix for as many calls as a task has in the mean.
func byTable(k *kind) quota.Tokens {
	base := estimate.Default()[estimate.Type(k.name)]
	calls := math.Max(1, math.Min(tableCalls, k.calls*tableCalls/callsOfPrompt))
	return quota.Tokens{
		Input: base.InputTokens * marginPercent / 100, Output: base.OutputTokens * marginPercent / 100,
		CacheRead: int64(calls * k.cached * marginPercent / 100),
	}
}
