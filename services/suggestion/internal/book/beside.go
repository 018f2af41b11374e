package book

import (
	"fmt"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

// Each suggestion is tested on its own, and two of them may promise the same money. So each is tested on top of those that
// stand before it in the list, too, as far as they save in the same sense: what is left of its saving then stands beside it.

const (
	// MaxBeside bounds the suggestions of one sense that are tested on top of one another.
	MaxBeside = 8
	// replaysBeside is what such a test takes: with the suggestion, and without it, of the same work.
	replaysBeside = 2
	// maxStacks bounds what is remembered of such tests.
	maxStacks = 200
)

// besides tells of each suggestion what is left of its saving once those before it are followed. It makes so many replays at
// most; what has to wait for more has nothing beside it until then.
func (b *Book) besides(l *lab, list []wire.Suggestion, replays int) {
	stacks := map[string][]*whatif.Change{} // by sense
	names := map[string]string{}
	for i := range list {
		s := &list[i]
		s.BesideMicroUSD = nil
		basis, change := s.SavingBasis, changeOn(s.Change)
		below := stacks[basis]
		if len(below) == MaxBeside {
			continue
		}
		stacks[basis] = append(below[:len(below):len(below)], change)
		names[basis] += fmt.Sprintf("%s@%d,", keyOf(s.Rule, s.Subject), s.UpdatedAt)
		if len(below) == 0 {
			continue
		}
		left, known := b.stacks[names[basis]]
		if !known && replays <= 0 {
			b.awaiting = true
			continue
		}
		if !known {
			replays -= replaysBeside
			with, without := l.test(whatif.Basis(basis), stacks[basis]...), l.test(whatif.Basis(basis), below...)
			left = with.Saving - without.Saving
			b.stacks[strings.Clone(names[basis])] = left
		}
		s.BesideMicroUSD = &left
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
