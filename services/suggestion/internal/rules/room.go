package rules

import (
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// room is what a subscription's windows left over.
type room struct {
	account  quota.Account
	provider *quota.Provider
	used     Usage // over the window
	// long are windows of a day and more, counted over the whole window; short are those of less, counted slot by slot.
	long  []space
	short []space
}

// space is what one limit left over.
type space struct {
	group   string // of models; empty for all
	weights quota.Weights
	perSlot int64           // short: capacity per slot
	left    int64           // long: of the whole window
	bySlot  map[int64]int64 // short: what is left, by slot; perSlot where absent
}

func (r *room) clone() room {
	c := *r
	c.long, c.short = slices.Clone(r.long), slices.Clone(r.short)
	for i := range c.short {
		c.short[i].bySlot = maps.Clone(c.short[i].bySlot)
	}
	return c
}

// rooms lists what each subscription left over, in the order of the configuration. One whose token windows have no
// known capacity has no room that could be told.
func (w *Window) rooms() []room {
	var rooms []room
	for _, a := range w.Config.Accounts {
		if a.Kind != quota.KindSubscription {
			continue
		}
		r := room{account: a, used: w.usageOf(a.ID)}
		if p, ok := w.Config.Provider(a.Provider); ok {
			r.provider = p
		}
		for i := range w.Config.Limits {
			if l := &w.Config.Limits[i]; l.Scope.Account == a.ID && l.Scope.Team == "" && l.Scope.Agent == "" {
				w.addSpace(&r, l)
			}
		}
		rooms = append(rooms, r)
	}
	return rooms
}

// addSpace works out what one limit left over.
func (w *Window) addSpace(r *room, l *quota.Limit) {
	capacity, duration := w.Capacity(l), durationOf(l.Window)
	if capacity == 0 || duration == 0 || l.Unit != quota.UnitTokens {
		return
	}
	s := space{group: l.Scope.ModelGroup, weights: l.Weights, bySlot: map[int64]int64{}}
	if s.weights == (quota.Weights{}) {
		s.weights = quota.DefaultWeights(l.Unit)
	}
	if duration >= quota.Day {
		s.left = scale(capacity, int64(Length), int64(duration))
		s.left -= w.spentOn(r, &s, func(*Slot, int64) {})
		if o, ok := w.Observed[l.ID]; ok && o.ResetAt > w.Now { // spending outside our books
			s.left = min(s.left, capacity-o.Used)
		}
		s.left = max(s.left, 0)
		r.long = append(r.long, s)
		return
	}
	s.perSlot = scale(capacity, int64(SlotLength), int64(duration))
	w.spentOn(r, &s, func(slot *Slot, spent int64) {
		s.bySlot[slotOf(slot.Start)] = max(0, s.perSlot-spent)
	})
	r.short = append(r.short, s)
}

// spentOn weighs what the subscription itself used of a space.
func (w *Window) spentOn(r *room, s *space, each func(*Slot, int64)) (total int64) {
	for _, slot := range w.inOrder() {
		var spent int64
		for k, u := range slot.Usage {
			if k.Account == r.account.ID && s.covers(r.provider, k.Model) {
				spent += weigh(s.weights, u.Tokens)
			}
		}
		each(slot, spent)
		total += spent
	}
	return total
}

func (s *space) covers(p *quota.Provider, model string) bool {
	return s.group == "" || p != nil && p.InGroup(s.group, model)
}

// admits tells whether work may go to the subscription at all.
func (r *room) admits(k UsageKey, sameProvider bool, done map[ClosedKey]bool) bool {
	if len(r.account.Teams) > 0 && !slices.Contains(r.account.Teams, k.Team) {
		return false
	}
	return sameProvider || done[ClosedKey{k.Team, k.TaskType}]
}

// carry takes as much of a job as there is room for, and gives the tokens taken, weighed as the first limit does, and
// their price. Model groups only bind the models of their own provider.
func (r *room) carry(at quota.Instant, j job, sameProvider bool) (carried, saving int64) {
	const parts = 1_000_000_000 // the fraction in which a job is taken
	share := int64(parts)
	slot := slotOf(at)
	r.each(j, sameProvider, func(s *space, need int64) {
		share = min(share, scale(parts, s.leftAt(slot), max(need, 1)))
	})
	r.each(j, sameProvider, func(s *space, need int64) {
		taken := scale(need, share, parts)
		s.takeAt(slot, taken)
		if carried == 0 {
			carried = taken
		}
	})
	return carried, scale(j.usage.Cost, share, parts)
}

// each visits the spaces that a job needs, with how much of each.
func (r *room) each(j job, sameProvider bool, visit func(*space, int64)) {
	for _, spaces := range [][]space{r.long, r.short} {
		for i := range spaces {
			s := &spaces[i]
			if s.group == "" || sameProvider && s.covers(r.provider, j.key.Model) {
				visit(s, weigh(s.weights, j.usage.Tokens))
			}
		}
	}
}

func (s *space) leftAt(slot int64) int64 {
	if s.perSlot == 0 {
		return s.left
	}
	if left, counted := s.bySlot[slot]; counted {
		return left
	}
	return s.perSlot
}

func (s *space) takeAt(slot, n int64) {
	if s.perSlot == 0 {
		s.left -= n
		return
	}
	s.bySlot[slot] = s.leftAt(slot) - n
}

// durationOf is the length of a window that counts spending; 0 for others.
func durationOf(w quota.Window) quota.Millis {
	switch {
	case w.Kind == quota.WindowSession:
		return w.Duration
	case w.Kind != quota.WindowCalendar:
		return 0
	case w.Period == quota.PeriodDay:
		return quota.Day
	case w.Period == quota.PeriodWeek:
		return 7 * quota.Day
	}
	const month = 30 * quota.Day
	return month
}

// weigh sums token classes by their weights in thousandths.
func weigh(w quota.Weights, t quota.Tokens) int64 {
	part := func(n, weight int64) int64 { return scale(n, weight, quota.DefaultWeight) }
	return part(t.Input, w.Input) + part(t.CacheRead, w.CacheRead) + part(t.CacheWrite5m, w.CacheWrite5m) +
		part(t.CacheWrite1h, w.CacheWrite1h) + part(t.Output, w.Output)
}
