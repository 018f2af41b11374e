package quota

import (
	"cmp"
	"slices"
	"time"
)

// limitIndex finds the limits that can concern a command without walking all of them. It is rebuilt when the
// configuration changes.
type limitIndex struct {
	byID      map[string]*Limit
	byAccount map[string][]*Limit
	elsewhere []*Limit                  // limits without an account
	zones     map[string]*time.Location // of calendar windows, by limit
	accounts  map[string]int            // number of accounts, by provider
	shares    map[string][]ownedShare   // by limit; of a team those for higher priorities first
}

func newLimitIndex(c *Config) limitIndex {
	x := limitIndex{byID: make(map[string]*Limit, len(c.Limits)), byAccount: map[string][]*Limit{}, zones: map[string]*time.Location{}, accounts: map[string]int{}}
	x.shares = map[string][]ownedShare{}
	for i := range c.Teams {
		for j := range c.Teams[i].Shares {
			share := &c.Teams[i].Shares[j]
			x.shares[share.Limit] = append(x.shares[share.Limit], ownedShare{c.Teams[i].Name, share})
		}
	}
	for _, shares := range x.shares {
		slices.SortStableFunc(shares, func(a, b ownedShare) int { return cmp.Or(cmp.Compare(a.team, b.team), cmp.Compare(b.From, a.From)) })
	}
	for i := range c.Accounts {
		x.accounts[c.Accounts[i].Provider]++
	}
	for i := range c.Limits {
		l := &c.Limits[i]
		x.byID[l.ID] = l
		if l.Window.Kind == WindowCalendar {
			x.zones[l.ID] = location(l.Window.Zone)
		}
		if l.Scope.Account == "" {
			x.elsewhere = append(x.elsewhere, l)
		} else {
			x.byAccount[l.Scope.Account] = append(x.byAccount[l.Scope.Account], l)
		}
	}
	return x
}

// binding lists the limits that cover work with these labels, in the order of the configuration, account limits first.
func (s *State) binding(l *Labels) []*Limit {
	found := make([]*Limit, 0, 8)
	for _, limit := range s.index.byAccount[l.Account] {
		if s.covers(&limit.Scope, l) {
			found = append(found, limit)
		}
	}
	for _, limit := range s.index.elsewhere {
		if s.covers(&limit.Scope, l) {
			found = append(found, limit)
		}
	}
	return found
}

func (s *State) covers(scope *Scope, l *Labels) bool {
	if scope.Account != "" && scope.Account != l.Account ||
		scope.Team != "" && scope.Team != l.Team ||
		scope.Agent != "" && scope.Agent != l.Agent {
		return false
	}
	if scope.ModelGroup == "" {
		return true
	}
	provider, ok := s.Config.Provider(l.Provider)
	return ok && provider.InGroup(scope.ModelGroup, l.Model)
}

// measure gives what an amount counts on a limit, in the limit's unit. cost is the amount's price in micro-USD.
func (l *Limit) measure(a Amount, cost int64) int64 {
	if l.Window.Kind == WindowConcurrent {
		return 0
	}
	switch l.Unit {
	case UnitRequests:
		return a.Requests
	case UnitMicroUSD:
		return cost
	default:
		return l.weights().weigh(a.Tokens)
	}
}

func (l *Limit) weights() Weights {
	if l.Weights == (Weights{}) {
		return DefaultWeights(l.Unit)
	}
	return l.Weights
}
