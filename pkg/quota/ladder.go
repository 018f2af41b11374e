package quota

import (
	"fmt"
	"slices"
)

// When quota runs short a reserve climbs a ladder: each rung is another way to grant, tried in the order of
// Policy.Ladder. What no rung grants is refused, with what would be granted instead.

// Rung is one way to answer a reserve.
type Rung string

// The rungs, in their default order.
const (
	RungFull    Rung = "full"    // all that was asked for, on the account that is preferred
	RungAccount Rung = "account" // all of it, on another account of the provider
	RungSmaller Rung = "smaller" // as much as there is, from min_tokens on
	RungModel   Rung = "model"   // another model or provider that is acceptable
	RungQueue   Rung = "queue"   // wait, for at most max_wait
)

// DefaultLadder gives the rungs in their default order.
func DefaultLadder() []Rung { return slices.Clone(defaultLadder[:]) }

var defaultLadder = [...]Rung{RungFull, RungAccount, RungSmaller, RungModel, RungQueue}

// ladder gives the rungs in the order of the configuration. Whatever that is, all of the amount is tried first.
func (p *Policy) ladder() []Rung {
	switch {
	case len(p.Ladder) == 0:
		return defaultLadder[:]
	case p.Ladder[0] != RungFull:
		return append([]Rung{RungFull}, slices.DeleteFunc(slices.Clone(p.Ladder), func(r Rung) bool { return r == RungFull })...)
	}
	return p.Ladder
}

// waits tells whether the configuration lets reserves wait.
func (p *Policy) waits() bool { return len(p.beforeQueue()) < len(p.ladder()) }

// beforeQueue are the rungs that are tried before a reserve waits, and again while it does.
func (p *Policy) beforeQueue() []Rung {
	rungs := p.ladder()
	for i, r := range rungs {
		if r == RungQueue {
			return rungs[:i]
		}
	}
	return rungs
}

// afterQueue are the rungs that are tried when a wait has ended without a grant.
func (p *Policy) afterQueue() []Rung {
	before := p.beforeQueue()
	return p.ladder()[min(len(before)+1, len(p.ladder())):]
}

// MaxSteps bounds the trace that a decision keeps.
const MaxSteps = 12

// Step says what one rung gave on one account: the trace of a decision is for people who ask why.
type Step struct {
	Rung      Rung   `cbor:"1,keyasint,omitempty"`
	Account   string `cbor:"2,keyasint,omitempty"`
	Model     string `cbor:"3,keyasint,omitempty"` // where it is another than the one asked for
	Taken     bool   `cbor:"4,keyasint,omitempty"`
	Code      Code   `cbor:"5,keyasint,omitempty"` // why not
	Limit     string `cbor:"6,keyasint,omitempty"` // that was in the way
	Requested int64  `cbor:"7,keyasint,omitempty"` // in its unit
	Available int64  `cbor:"8,keyasint,omitempty"`
	Skipped   string `cbor:"9,keyasint,omitempty"` // why the rung was not tried
}

// climb is one reserve on its way up the ladder.
type climb struct {
	decider
	wish    *Wish
	base    Labels // as asked for
	waiting string // the reservation, where it stands in the queue
	own     []choice
	others  []choice
	barred  bool // what refuses does so on every account and model

	steps    []Step
	refusals []refused
	owes     map[choice]owes // where floors guarantee more than there is
}

// choice is one account and model that may serve the wish.
type choice struct {
	account *Account
	model   string
}

// refused is why one choice cannot grant now.
type refused struct {
	choice
	*refusal
	labels Labels
	asks   []ask // where a limit refused
	part   bool  // and what it refused is a part of what was asked for
}

// offer is what a rung found.
type offer struct {
	labels Labels
	amount Amount
	asks   []ask
	rate   Rate
	priced bool
	cost   int64
}

// begin finds what may serve the wish; a refusal says that nothing may, or that all work of its kind is held back.
func (c *climb) begin(p *Principal) (r *refusal) {
	s := c.state
	c.own, c.others, r = c.choices(c.wish, p, &c.base)
	if r == nil {
		r = s.stopped(&c.base)
	}
	if r == nil {
		r = s.fannedOut(&c.base, c.env.Now)
	}
	if r == nil && len(s.reservations) >= MaxLiveReservations {
		r = &refusal{code: CodeConcurrentLimitExceeded, limit: "ledger", requested: 1, capacity: MaxLiveReservations, retryable: true,
			retryAfter: s.untilExpiry(c.env.Now), watch: watchLedger,
			message: fmt.Sprintf("the ledger holds %d live reservations, its bound", MaxLiveReservations)}
	}
	if r != nil {
		c.barred = true
		c.refusals = append(c.refusals, refused{refusal: r, labels: c.base})
	}
	return r
}

// run tries rungs in order; nil means that none grants.
func (c *climb) run(rungs []Rung) *offer {
	for _, rung := range rungs {
		if found := c.try(rung); found != nil {
			return found
		}
	}
	return nil
}

func (c *climb) try(rung Rung) *offer {
	switch rung {
	case RungFull:
		return c.first(rung, c.own[:min(1, len(c.own))])
	case RungAccount:
		return c.first(rung, c.own[min(1, len(c.own)):])
	case RungSmaller:
		if c.wish.MinTokens == 0 {
			c.skip(rung, "no min_tokens")
			return nil
		}
		return c.largest(rung, c.own)
	case RungModel:
		if found := c.first(rung, c.others); found != nil || c.wish.MinTokens == 0 {
			return found
		}
		return c.largest(rung, c.others)
	default:
		return nil
	}
}

// first grants in full on the first choice that can.
func (c *climb) first(rung Rung, choices []choice) *offer {
	for _, choice := range choices {
		found, r := c.full(choice)
		c.step(rung, choice, r)
		if found != nil {
			return found
		}
		c.refusals = append(c.refusals, *r)
	}
	return nil
}

// full tries all of the amount on one choice.
func (c *climb) full(on choice) (*offer, *refused) { return c.amount(on, c.wish.Amount) }

// amount tries an amount on one choice.
func (c *climb) amount(on choice, amount Amount) (*offer, *refused) {
	o := &offer{labels: c.base, amount: amount}
	o.labels.Account, o.labels.Provider, o.labels.Model = on.account.ID, on.account.Provider, on.model
	o.rate, o.priced = c.env.Prices.Rate(on.model, c.env.Now, false)
	o.cost = o.rate.CostCeil(amount.Tokens)
	r := c.state.blocked(BlockAccount, on.account.ID)
	if r == nil {
		r = c.state.closedAccount(on.account.ID, c.env.Now)
	}
	if r == nil {
		r = c.state.usable(on.account, c.env.Now)
	}
	if r == nil {
		o.asks = c.state.asks(&o.labels, amount, o.cost, o.priced)
		for i := range o.asks {
			o.asks[i].waiting, o.asks[i].preemptible = c.waiting, c.wish.Preemptible
		}
		r = c.state.admitAll(o.asks, c.env.Now)
	}
	if r != nil {
		return nil, &refused{on, r, o.labels, o.asks, amount != c.wish.Amount}
	}
	return o, nil
}

// largest grants the most that any of the choices has room for, from min_tokens on.
func (c *climb) largest(rung Rung, choices []choice) (best *offer) {
	for _, choice := range choices {
		found, r := c.shrink(choice)
		c.step(rung, choice, r)
		if r != nil {
			c.refusals = append(c.refusals, *r)
		} else if best == nil || found.amount.Tokens.Total() > best.amount.Tokens.Total() {
			best = found
		}
	}
	return best
}

// shrink finds the largest part of the amount, at least min_tokens, that one choice has room for: to a thousandth of it.
func (c *climb) shrink(on choice) (*offer, *refused) {
	least := c.wish.MinTokens
	smallest, r := c.amount(on, c.wish.Amount.part(least))
	if r != nil {
		return nil, r
	}
	if most := c.search(on, least, c.wish.Amount.Tokens.Total()); most > least {
		if found, _ := c.amount(on, c.wish.Amount.part(most)); found != nil {
			return found, nil
		}
	}
	return smallest, nil
}

// step notes what a rung gave on a choice. What was granted at the first try needs no explanation.
func (c *climb) step(rung Rung, on choice, r *refused) {
	if len(c.steps) == MaxSteps || r == nil && len(c.steps) == 0 {
		return
	}
	s := Step{Rung: rung, Account: on.account.ID, Taken: r == nil}
	if on.model != c.wish.Model {
		s.Model = on.model
	}
	if r != nil {
		s.Code, s.Limit, s.Requested, s.Available = r.code, r.limit, r.requested, r.available
	}
	c.steps = append(c.steps, s)
}

func (c *climb) skip(rung Rung, why string) {
	if len(c.steps) < MaxSteps {
		c.steps = append(c.steps, Step{Rung: rung, Skipped: why})
	}
}

// shortest is the refusal that ends soonest, for the answer.
func (c *climb) shortest() *refused {
	var best *refused
	for i := range c.refusals {
		if r := &c.refusals[i]; best == nil || best.lastsLonger(r.refusal) {
			best = r
		}
	}
	return best
}
