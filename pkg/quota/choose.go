package quota

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Which account serves: the one that was named; else the one that the agent had last, because the provider's prompt cache
// is there; else the subscription whose window resets soonest, because what is left of it is lost then; else the order of
// the configuration. One that is nearly spent comes last, whatever else is said for it: it is taken before anybody waits,
// and who waits is served there too after its reset.

// Bounds and times of the choice.
const (
	MaxAccept   = 8        // acceptable accounts, providers or models in one reserve, each
	maxChoices  = 16       // accounts and models that are tried
	maxSticky   = 20_000   // agents whose last account is remembered; the oldest is forgotten first
	stickyFor   = Hour     // the longest that a provider keeps a prompt cache
	spentNearly = int64(5) // percent of a window; with less left an account is nearly spent
)

type stickyKey struct {
	actor    Actor
	provider string
}

// Sticky is the account that an agent had last at a provider.
type Sticky struct {
	Actor    Actor   `cbor:"1,keyasint,omitempty"`
	Provider string  `cbor:"2,keyasint,omitempty"`
	Account  string  `cbor:"3,keyasint,omitempty"`
	At       Instant `cbor:"4,keyasint,omitempty"`
}

// stick remembers where an agent works, where there is a choice.
func (s *State) stick(l *Labels, at Instant) {
	if s.index.accounts[l.Provider] < 2 {
		return
	}
	key := stickyKey{Actor{l.Principal, l.Agent}, l.Provider}
	if _, known := s.sticky[key]; !known {
		s.stickyOrder.push(key)
	}
	s.sticky[key] = Sticky{key.actor, l.Provider, l.Account, at}
	for s.stickyOrder.len() > maxSticky {
		delete(s.sticky, s.stickyOrder.pop())
	}
}

// choices lists what may serve a wish: on its own provider with its own model, and what else is acceptable.
func (d decider) choices(w *Wish, p *Principal, l *Labels) (own, others []choice, r *refusal) {
	accounts, r := d.candidates(w, p, l)
	if r != nil {
		return nil, nil, r
	}
	for _, a := range d.preferred(accounts, w.Account, l) {
		own = append(own, choice{a, w.Model})
	}
	if len(w.Models) == 0 && len(w.Providers) == 0 {
		return own, nil, nil
	}
	for _, model := range w.Models {
		others = d.alternatives(others, w, p, l, l.Provider, model, false)
	}
	for _, provider := range w.Providers {
		if provider == l.Provider {
			continue
		}
		for _, model := range w.Models {
			others = d.alternatives(others, w, p, l, provider, model, false)
		}
		others = d.alternatives(others, w, p, l, provider, w.Model, len(w.Models) > 0)
	}
	return own, others[:min(len(others), maxChoices)], nil
}

// alternatives adds the accounts of a provider for a model. A model may be given as provider/model; it is then meant for
// that provider only. Any other model is tried where the provider has it by its model groups; a provider without groups
// is taken to have every model, unless listed is asked for.
func (d decider) alternatives(to []choice, w *Wish, p *Principal, l *Labels, provider, model string, listed bool) []choice {
	config := &d.state.Config
	row, ok := config.Provider(provider)
	if !ok {
		return to
	}
	if at, name, qualified := strings.Cut(model, "/"); qualified && slices.ContainsFunc(config.Providers, func(p Provider) bool { return p.Name == at }) {
		if at != provider {
			return to
		}
		model = name
	} else if !row.serves(model, listed) {
		return to
	}
	var open []*Account
	for i := range config.Accounts {
		a := &config.Accounts[i]
		if a.Provider == provider && a.openTo(p) && d.acceptable(w, a.ID) {
			open = append(open, a)
		}
	}
	at := *l
	at.Provider = provider
	for _, a := range d.preferred(open, w.Account, &at) {
		if c := (choice{a, model}); !slices.Contains(to, c) && (model != w.Model || provider != l.Provider) {
			to = append(to, c)
		}
	}
	return to
}

// serves tells whether a provider has a model.
func (p *Provider) serves(model string, listed bool) bool {
	if len(p.ModelGroups) == 0 {
		return !listed
	}
	return slices.ContainsFunc(p.ModelGroups, func(g ModelGroup) bool { return p.InGroup(g.Name, model) })
}

// acceptable tells whether a wish may be served by an account: any, unless it names some.
func (d decider) acceptable(w *Wish, account string) bool {
	return w.Account == "" && len(w.Accounts) == 0 || w.Account == account || slices.Contains(w.Accounts, account)
}

// preferred orders accounts.
func (d decider) preferred(accounts []*Account, named string, l *Labels) []*Account {
	if len(accounts) < 2 {
		return accounts
	}
	s := d.state
	last := s.sticky[stickyKey{Actor{l.Principal, l.Agent}, l.Provider}]
	type ranked struct {
		*Account
		place  int
		resets Instant
	}
	order := make([]ranked, len(accounts))
	for i, a := range accounts {
		r := ranked{Account: a, place: 2, resets: s.resetsAt(a)}
		switch {
		case a.ID == named:
			r.place = 0
		case s.nearlySpent(a):
			r.place = 3
		case a.ID == last.Account && d.env.Now.Sub(last.At) <= stickyFor:
			r.place = 1
		}
		order[i] = r
	}
	slices.SortStableFunc(order, func(a, b ranked) int { return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.resets, b.resets)) })
	list := make([]*Account, len(order))
	for i := range order {
		list[i] = order[i].Account
	}
	return list
}

// nearlySpent tells whether a window of the account that covers all of it is used up but for a little.
func (s *State) nearlySpent(a *Account) bool {
	for _, l := range s.index.byAccount[a.ID] {
		if !l.countsSpending() || l.Scope.ModelGroup != "" {
			continue
		}
		c := s.counters[l.ID]
		if capacity := c.capacity(l); capacity > 0 {
			if c.spent(l) >= percentOf(capacity, (100-spentNearly)*1000) {
				return true
			}
		} else if c.Observed != nil && c.Observed.PercentMilli >= (100-spentNearly)*1000 {
			return true
		}
	}
	return false
}

// resetsAt is when a subscription's first open window ends: what is left of it is lost then. Money and an organisation's
// limits are not lost by a reset.
func (s *State) resetsAt(a *Account) Instant {
	soonest := Instant(math.MaxInt64)
	if a.Kind != KindSubscription {
		return soonest
	}
	for _, l := range s.index.byAccount[a.ID] {
		if c := s.counters[l.ID]; l.countsSpending() && l.Unit != UnitMicroUSD && c.End != 0 {
			soonest = min(soonest, c.End)
		}
	}
	return soonest
}
