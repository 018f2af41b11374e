package book

import (
	"fmt"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

// Each suggestion is tested on its own, and two of them may promise the same money. So each is tested on top of those that
// stand before it in the list, too, as far as they save in the same sense and are worth following: what is left of its saving then stands beside it.

const (
	// MaxBeside bounds the suggestions of one sense that are tested on top of one another.
	MaxBeside = 8
	// replaysBeside is what such a test takes: with the suggestion, and without it, of the same work.
	replaysBeside = 2
	// maxStacks bounds what is remembered of such tests.
	maxStacks = 200
)

// stack is what is followed so far of the suggestions of one sense.
type stack struct {
	changes []*whatif.Change
	name    string
	waits   bool // for a test: what comes on top of it is not known yet
}

// besides tells of each suggestion what is left of its saving once those before it are followed. Who has nothing left is not
// worth following, and nothing is tested on top of it. What has to wait for its test has nothing beside it until then.
func (b *Book) besides(l *lab, list []wire.Suggestion, tests *budget) {
	stacks := map[string]*stack{} // by sense
	for i := range list {
		s := &list[i]
		s.BesideMicroUSD = nil
		below := stacks[s.SavingBasis]
		if below == nil {
			below = &stack{}
			stacks[s.SavingBasis] = below
		}
		if below.waits || len(below.changes) == MaxBeside {
			continue
		}
		with := stack{
			changes: append(below.changes[:len(below.changes):len(below.changes)], changeOn(s.Change)),
			name:    below.name + fmt.Sprintf("%s@%d,", keyOf(s.Rule, s.Subject), s.UpdatedAt),
		}
		if len(below.changes) == 0 {
			*below = with
			continue
		}
		left, known := b.stacks[with.name]
		if !known && tests.spent() {
			b.awaiting, below.waits = true, true
			continue
		}
		if !known {
			tests.left -= replaysBeside
			basis := whatif.Basis(s.SavingBasis)
			left = l.test(basis, with.changes...).Saving - l.test(basis, below.changes...).Saving
			b.stacks[strings.Clone(with.name)] = left
		}
		s.BesideMicroUSD = &left
		if left > 0 {
			*below = with
		}
	}
	if len(b.stacks) > maxStacks {
		clear(b.stacks)
	}
}

// changeOn reads a change of the list back; see changeOf.
func changeOn(c *wire.SuggestionChange) *whatif.Change {
	return &whatif.Change{
		Kind: whatif.Kind(c.Kind), Account: c.Account, Target: c.Target, Provider: c.Provider, Tier: c.Tier, Limit: c.LimitID, Team: c.Team,
		TaskType: c.TaskType, Principal: c.Principal, Agent: c.Agent, Model: c.Model, ToModel: c.ToModel, Amount: c.Amount,
		Shift: quota.Millis(c.ShiftMS), FromHour: int(c.FromHour), ToHour: int(c.ToHour),
	}
}
