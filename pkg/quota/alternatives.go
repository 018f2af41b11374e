package quota

import (
	"cmp"
	"slices"
)

// MaxAlternatives bounds what a refusal lists.
const MaxAlternatives = 6

// Alternative is something that would be granted instead of what was refused. None of it is held: it may be gone when it is
// asked for.
type Alternative struct {
	Kind     AlternativeKind `cbor:"1,keyasint,omitempty"`
	Provider string          `cbor:"2,keyasint,omitempty"`
	Account  string          `cbor:"3,keyasint,omitempty"`
	Model    string          `cbor:"4,keyasint,omitempty"` // empty: any of the provider's
	Tokens   int64           `cbor:"5,keyasint,omitempty"` // of all classes
	At       Instant         `cbor:"6,keyasint,omitempty"` // from when on; 0 for now
}

// AlternativeKind says what is different.
type AlternativeKind string

// The kinds of alternatives, best first.
const (
	AlternativeAccount  AlternativeKind = "account"  // all of it now, on an account that was not acceptable
	AlternativeProvider AlternativeKind = "provider" // all of it now, with another provider
	AlternativeSmaller  AlternativeKind = "smaller"  // part of it now
	AlternativeLater    AlternativeKind = "later"    // all of it, at a time
)

// smallerTried is how many accounts are asked for a part.
const smallerTried = 2

// alternatives ranks what would be granted instead: all of it elsewhere, the largest part here, and all of it later, soonest
// first. A wish that nothing may serve has none, nor one whose work is held back wherever it runs.
func (c *climb) alternatives(p *Principal) (list []Alternative) {
	if len(c.own) == 0 || c.barred {
		return nil
	}
	list = c.elsewhere(p)
	for _, choice := range c.own[:min(smallerTried, len(c.own))] {
		if part := c.largestPart(choice); part >= max(1, c.wish.MinTokens) { // less is of no use to who asks
			list = append(list, Alternative{Kind: AlternativeSmaller, Provider: choice.account.Provider, Account: choice.account.ID, Model: choice.model, Tokens: part})
		}
	}
	later := c.later()
	slices.SortStableFunc(later, func(a, b Alternative) int { return cmp.Compare(a.At, b.At) })
	list = append(list, later...)
	return list[:min(len(list), MaxAlternatives)]
}

// elsewhere finds accounts that the wish did not allow and that would grant all of it now.
func (c *climb) elsewhere(p *Principal) (list []Alternative) {
	config := &c.state.Config
	for i := range config.Accounts {
		a := &config.Accounts[i]
		if len(list) == MaxAlternatives/2 || !a.openTo(p) || slices.ContainsFunc(c.refusals, func(r refused) bool { return r.account == a }) {
			continue
		}
		kind, model := AlternativeAccount, c.wish.Model
		if a.Provider != c.base.Provider {
			kind = AlternativeProvider
			if row, ok := config.Provider(a.Provider); !ok || !row.serves(model, true) {
				model = ""
			}
		}
		if c.allows(choice{a, model}, c.wish.Amount) {
			list = append(list, Alternative{Kind: kind, Provider: a.Provider, Account: a.ID, Model: model, Tokens: c.wish.Amount.Tokens.Total()})
		}
	}
	return list
}

// later tells when what was refused for now may be granted in full. That a part may be says nothing about all of it, and when
// an operator will let go is not known.
func (c *climb) later() (list []Alternative) {
	seen := map[choice]bool{}
	for _, r := range c.refusals {
		if !r.retryable || r.code == CodeUnavailable || r.account == nil || r.part || seen[r.choice] {
			continue
		}
		seen[r.choice] = true
		list = append(list, Alternative{
			Kind: AlternativeLater, Provider: r.account.Provider, Account: r.account.ID, Model: r.model, Tokens: c.wish.Amount.Tokens.Total(),
			At: c.env.Now.Add(r.retryAfter),
		})
	}
	return list
}

// largestPart is the most tokens of the wish that a choice has room for, to a thousandth of it; 0 for none.
func (c *climb) largestPart(on choice) int64 {
	total := c.wish.Amount.Tokens.Total()
	if total < 2 || !c.allows(on, c.wish.Amount.part(1)) {
		return 0
	}
	return c.search(on, 1, total)
}

// search finds the largest total from low, which has room, up to high, which has none, to a thousandth of what it finds: of a
// wish far beyond what there is, a thousandth may be more than there is.
func (c *climb) search(on choice, low, high int64) int64 {
	for high-low > max(1, high/1000) {
		if middle := low + (high-low)/2; c.allows(on, c.wish.Amount.part(middle)) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// allows tells whether an amount would be granted on a choice, without saying why not. Where the choice leaves the model open,
// what it costs is not known, nor which model groups bind: then some money has to be left.
func (c *climb) allows(on choice, amount Amount) bool {
	s, now := c.state, c.env.Now
	if s.blocked(BlockAccount, on.account.ID) != nil || s.closedAccount(on.account.ID, now) != nil || s.usable(on.account, now) != nil {
		return false
	}
	labels := c.base
	labels.Account, labels.Provider, labels.Model = on.account.ID, on.account.Provider, on.model
	rate, priced := c.env.Prices.Rate(on.model, now, false)
	for _, a := range s.asks(&labels, amount, rate.CostCeil(amount.Tokens), priced) {
		a.waiting, a.preemptible = c.waiting, c.wish.Preemptible
		if a.limit.Unit == UnitMicroUSD && !priced {
			if on.model != "" {
				return false
			}
			a.units = 1
		}
		if !s.fits(&a, now) {
			return false
		}
	}
	return true
}
