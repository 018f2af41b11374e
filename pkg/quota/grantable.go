package quota

import (
	"cmp"
)

// What could be granted at all: the rules of admission, asked of limits of which nothing is used, held or spent outside.
// An estimate beyond it can never be reserved, so it is no use to whoever asks for it.

// Work is what somebody wants to do.
type Work struct {
	Actor    Actor
	Model    string   // empty where it is not known: limits of model groups and of money do not bind then
	Priority Priority // 0 means normal; lowered to the highest that the principal has
	Amount   Amount
}

// Most is how much of an amount could be granted at once.
type Most struct {
	Amount Amount // all of it where nothing stops it
	// Limit is what stops more; empty where all could be granted.
	Limit string
}

// Grantable is the most of the work's amount that could ever be granted at once, divided into classes as it is: on the widest
// of the accounts that serve it, spent or not, to work that is not preemptible. Of work that no account serves it is all: a
// reserve says why. Limits per minute stop nothing: a full bucket grants any amount and paces it.
func (s *State) Grantable(w *Work, env Env) Most {
	all := Most{Amount: w.Amount}
	principal, ok := s.Config.Principal(w.Actor.Principal)
	if !ok {
		return all
	}
	labels := Labels{
		Principal: w.Actor.Principal, Agent: w.Actor.Agent, Team: principal.Team, Model: w.Model,
		Priority: min(cmp.Or(w.Priority, PriorityNormal), cmp.Or(principal.MaxPriority, PriorityNormal)),
	}
	var widest *Most
	for _, a := range s.serving(&principal, w.Model) {
		labels.Account, labels.Provider = a.ID, a.Provider
		if most := s.grantableOn(&labels, w.Amount, env); widest == nil || most.Amount.Tokens.Total() > widest.Amount.Tokens.Total() {
			widest = &most
		}
	}
	if widest == nil {
		return all
	}
	return *widest
}

// serving lists the accounts open to a principal that serve a model: those whose provider lists it in a group; where none
// does, those whose provider has no groups and may have any model; else, and where no model is named, all.
func (s *State) serving(p *Principal, model string) []*Account {
	var open, listed, likely []*Account
	for i := range s.Config.Accounts {
		a := &s.Config.Accounts[i]
		if !a.openTo(p) {
			continue
		}
		open = append(open, a)
		row, ok := s.Config.Provider(a.Provider)
		if ok && row.serves(model, true) {
			listed = append(listed, a)
		}
		if ok && row.serves(model, false) {
			likely = append(likely, a)
		}
	}
	switch {
	case model != "" && len(listed) > 0:
		return listed
	case model != "" && len(likely) > 0:
		return likely
	}
	return open
}

// grantableOn is Grantable on one account.
func (s *State) grantableOn(l *Labels, amount Amount, env Env) Most {
	total := amount.Tokens.Total()
	stops := s.stopsEver(l, amount, env)
	if stops == "" {
		return Most{Amount: amount}
	}
	low, high := int64(0), total // low could be granted, high could not
	for high-low > 1 {
		middle := low + (high-low)/2
		if limit := s.stopsEver(l, amount.part(middle), env); limit == "" {
			low = middle
		} else {
			high, stops = middle, limit
		}
	}
	return Most{amount.part(low), stops}
}

// stopsEver names a limit that could never grant an amount; empty where all could.
func (s *State) stopsEver(l *Labels, amount Amount, env Env) string {
	rate, priced := env.Prices.Rate(l.Model, env.Now, false)
	for _, a := range s.asks(l, amount, rate.CostCeil(amount.Tokens), priced) {
		if a.limit.Unit == UnitMicroUSD && !priced {
			continue
		}
		if a.need() > s.roomEver(&a, env.Now) {
			return a.limit.ID
		}
	}
	return ""
}

// roomEver is the room of a limit of which nothing is taken.
func (s *State) roomEver(a *ask, now Instant) int64 {
	a = a.unspent()
	return s.shareRoom(a, s.limitRoom(a, now), now)
}

// untouched is the counter of a window of which nothing is taken, and nothing forecast.
func (c *Counter) untouched(l *Limit) *Counter {
	fresh := &Counter{Limit: c.Limit, Learned: c.Learned, Estimate: c.Estimate, Told: c.Told}
	if l.Window.Kind == WindowBucket {
		fresh.Level = fresh.burst(l) * int64(l.Window.Duration)
	}
	return fresh
}
