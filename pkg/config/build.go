package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
)

// builder turns the sound parts of a document into a Config and reports what a schema cannot see.
type builder struct {
	c      *collector
	src    sections
	table  *providerTable
	out    Config
	owners map[string]pointer // limit ids and where they come from
	// declarations are what declared has read, by section.
	declarations map[string]*declared
	// unsettled are the accounts of whose limits not all are known, because their provider or tier is not.
	unsettled map[string]bool
	// holdBack is for the session windows of subscriptions that state none; nil for none.
	holdBack *quota.HoldBack
}

// names remembers where a name was first seen.
type names map[string]pointer

// unique reports a name that was seen before.
func (b *builder) unique(seen names, name string, at pointer, what string) bool {
	if first, twice := seen[name]; twice {
		b.c.add(at, fmt.Sprintf("the %s %q stands twice, first in line %d", what, name, b.c.doc.mark(first).line), "rename or remove one of them")
		return false
	}
	seen[name] = at
	return true
}

func (b *builder) teams() {
	seen := names{}
	for _, t := range list[rawTeam](&b.src, "teams") {
		if b.unique(seen, t.raw.Name, t.at, "team") {
			b.out.Teams = append(b.out.Teams, t.raw.Name)
		}
	}
}

func (b *builder) policy() {
	raw, ok := single[rawPolicy](&b.src, "policy")
	if !ok {
		return
	}
	at := pointer{"policy"}
	p := &b.out.Quota.Policy
	for _, s := range []struct {
		name        string
		stated      *string
		set         *quota.Millis
		least, most quota.Millis
	}{
		{"max_lifetime", raw.MaxLifetime, &p.MaxLifetime, quota.Second, 7 * quota.Day},
		{"lease", raw.Lease, &p.Lease, quota.Second, 7 * quota.Day},
		{"min_lease", raw.MinLease, &p.MinLease, quota.Second, quota.Day},
		{"request_horizon", raw.RequestHorizon, &p.RequestHorizon, quota.Minute, 7 * quota.Day},
		{"expiring_notice", raw.ExpiringNotice, &p.ExpiringNotice, 0, quota.Day},
		{"observation_lead", raw.ObservationLead, &p.ObservationLead, 0, quota.Day},
		{"queue_ageing", raw.QueueAgeing, &p.QueueAgeing, quota.Second, 7 * quota.Day},
		{"queue_skip", raw.QueueSkip, &p.QueueSkip, quota.Second, 7 * quota.Day},
		{"grant_grace", raw.GrantGrace, &p.GrantGrace, quota.Second, quota.Hour},
		{"share_half_life", raw.ShareHalfLife, &p.ShareHalfLife, quota.Minute, 90 * quota.Day},
		{"preempt_grace", raw.PreemptGrace, &p.PreemptGrace, quota.Second, quota.Hour},
	} {
		if s.stated != nil {
			*s.set = b.span(*s.stated, at.child(s.name), s.least, s.most)
		}
	}
	if raw.Thresholds != nil {
		p.Thresholds = b.thresholds(*raw.Thresholds, at.child("thresholds"))
	}
	if raw.ClosedKept != nil {
		p.ClosedKept = *raw.ClosedKept
	}
	for _, rung := range raw.Ladder {
		p.Ladder = append(p.Ladder, quota.Rung(rung))
	}
	if len(p.Ladder) > 0 && p.Ladder[0] != quota.RungFull {
		b.c.add(at.child("ladder"), "the ladder does not begin with full", "all of the amount on the preferred account is always tried first: write full in front")
	}
	if raw.HoldBack != nil {
		b.holdBack = raw.HoldBack.limit()
	}
	if raw.DriftHoldBack != nil {
		p.DriftGranted = 100 - *raw.DriftHoldBack
	}
	if p.Lease > p.MaxLifetime {
		b.c.add(at.child("lease"), fmt.Sprintf("the lease is longer than max_lifetime, %s", p.MaxLifetime.Duration()), "write a shorter lease or a longer max_lifetime")
	}
	if lease := p.Lease; p.MinLease > p.MaxLifetime || lease != 0 && p.MinLease > lease {
		b.c.add(at.child("min_lease"), "min_lease is longer than the lease", "write a shorter one")
	}
}

func (b *builder) accounts() {
	seen := names{}
	for _, a := range list[rawAccount](&b.src, "accounts") {
		if !b.unique(seen, a.raw.ID, a.at.child("id"), "account") {
			continue
		}
		for i, t := range a.raw.Teams {
			b.team(t, a.at.child("teams", i))
		}
		account := quota.Account{
			ID: a.raw.ID, Provider: a.raw.Provider, Kind: quota.AccountKind(a.raw.Kind), Tier: a.raw.Tier, Teams: a.raw.Teams,
		}
		row := b.provider(a.raw.Provider, a.at.child("provider"))
		b.unsettled[account.ID] = row == nil
		if row != nil {
			t := b.accountTier(row, &account, a.at)
			b.accountLimits(row, t, account, a)
			b.unsettled[account.ID] = account.Tier != "" && (t == nil || b.declared("providers").open(row.name))
		}
		b.limitsSource(&account, a)
		b.out.Quota.Accounts = append(b.out.Quota.Accounts, account)
	}
}

// accountTier finds the account's tier and settles its kind; nil means that it is on none.
func (b *builder) accountTier(row *providerRow, account *quota.Account, at pointer) *tier {
	t := row.tier(account.Tier)
	switch {
	case t == nil && account.Tier != "" && !b.declared("providers").open(row.name):
		b.c.add(at.child("tier"), fmt.Sprintf("provider %s has no tier %q", row.name, account.Tier), nearest(account.Tier, row.tierNames(), "add it to the provider's tiers"))
	case t == nil && account.Kind == "" && account.Tier == "":
		b.c.add(at, "kind is missing", "write kind: subscription or kind: api, or a tier, which tells it")
	case t != nil && account.Kind == "":
		account.Kind = t.kind
	case t != nil && account.Kind != t.kind:
		b.c.add(at.child("kind"), fmt.Sprintf("tier %s is one of kind %s", t.name, t.kind), "leave kind out")
	}
	return t
}

// accountLimits adds the limits that the account inherits and states.
func (b *builder) accountLimits(row *providerRow, t *tier, account quota.Account, a item[rawAccount]) {
	var limits []quota.Limit
	if t != nil {
		limits = slices.Clone(t.limits)
	}
	seen := names{}
	for i, raw := range a.raw.Limits {
		at := a.at.child("limits", i)
		if !b.unique(seen, raw.Name, at.child("name"), "limit") {
			continue
		}
		l := quota.Limit{Name: raw.Name}
		known := slices.IndexFunc(limits, func(l quota.Limit) bool { return l.Name == raw.Name })
		if known >= 0 {
			l = limits[known]
		}
		b.fill(&l, raw, at, mayLearn(account.Kind))
		if raw.ModelGroup != "" {
			b.group(row, raw.ModelGroup, at.child("model_group"))
			l.Scope.ModelGroup = raw.ModelGroup
		}
		if known >= 0 {
			limits[known] = l
		} else {
			limits = append(limits, l)
		}
	}
	for _, l := range limits {
		l.ID = account.ID + "/" + l.Name
		l.Scope.Account = account.ID
		if l.HoldBack == nil && account.Kind == quota.KindSubscription && l.Window.Kind == quota.WindowSession && l.Window.Duration <= shortSession {
			l.HoldBack = b.holdBack
		}
		if l.HoldBack != nil && l.HoldBack.Percent == 0 {
			l.HoldBack = nil
		}
		b.addLimit(l, a.at)
	}
}

func (b *builder) addLimit(l quota.Limit, at pointer) {
	if first, twice := b.owners[l.ID]; twice {
		b.c.add(at, fmt.Sprintf("the limit id %q stands twice, first in line %d", l.ID, b.c.doc.mark(first).line), "rename or remove one of them")
		return
	}
	b.owners[l.ID] = at
	b.out.Quota.Limits = append(b.out.Quota.Limits, l)
}

func (b *builder) limits() {
	for _, raw := range list[rawLimit](&b.src, "limits") {
		scope := raw.raw.Scope
		l := quota.Limit{
			ID: raw.raw.ID, Name: raw.raw.ID,
			Scope: quota.Scope{Account: scope.Account, ModelGroup: scope.ModelGroup, Team: scope.Team, Agent: scope.Agent},
		}
		at := raw.at.child("scope")
		b.team(scope.Team, at.child("team"))
		account := b.account(scope.Account, at.child("account"))
		if account != nil && scope.ModelGroup != "" {
			if row := b.table.row(account.Provider); row != nil {
				b.group(row, scope.ModelGroup, at.child("model_group"))
			}
		}
		b.fill(&l, raw.raw, raw.at, false)
		b.addLimit(l, raw.at.child("id"))
	}
}

func (b *builder) principals() {
	seen := names{}
	for _, p := range list[rawPrincipal](&b.src, "principals") {
		if !b.unique(seen, p.raw.Name, p.at.child("name"), "principal") {
			continue
		}
		if p.raw.Admin {
			b.out.Admins = append(b.out.Admins, p.raw.Name)
		}
		if p.raw.Team == "" && !p.raw.Admin {
			b.c.add(p.at, "team is missing", "write a team, or admin: true for a principal that only operates")
		}
		if p.raw.Team == "" {
			continue // an operator charges nobody
		}
		b.out.Quota.Principals = append(b.out.Quota.Principals, b.principal(p))
	}
}

func (b *builder) principal(p item[rawPrincipal]) quota.Principal {
	b.team(p.raw.Team, p.at.child("team"))
	for i, id := range p.raw.Accounts {
		at := p.at.child("accounts", i)
		account := b.account(id, at)
		if account != nil && len(account.Teams) > 0 && !slices.Contains(account.Teams, p.raw.Team) {
			b.c.add(at, fmt.Sprintf("account %s is not for team %s", id, p.raw.Team), "write one of its teams ("+strings.Join(account.Teams, ", ")+"), or add the team to the account")
		}
	}
	priority, stated := quota.ParsePriority(p.raw.MaxPriority)
	if !stated {
		priority = quota.PriorityHigh
	}
	return quota.Principal{Name: p.raw.Name, Team: p.raw.Team, Accounts: p.raw.Accounts, MaxPriority: priority}
}

func (b *builder) unlisted() {
	raw, ok := single[rawPrincipal](&b.src, "unlisted")
	if !ok {
		return
	}
	p := b.principal(item[rawPrincipal]{pointer{"unlisted"}, raw})
	b.out.Quota.Unlisted = &p
}

func (b *builder) prices() {
	seen := names{}
	for _, p := range list[rawPrice](&b.src, "prices") {
		o := quota.PriceOverride{Model: price.Normalise(p.raw.Model), Rate: p.raw.rate()}
		if p.raw.From != "" {
			day, err := time.Parse(time.DateOnly, p.raw.From)
			if err != nil {
				b.c.add(p.at.child("from"), fmt.Sprintf("there is no day %q", p.raw.From), example("from"))
			}
			o.From = quota.InstantOf(day)
		}
		if b.unique(seen, strings.TrimSpace(o.Model+" "+p.raw.From), p.at.child("model"), "price of") {
			b.out.Quota.Prices = append(b.out.Quota.Prices, o)
		}
	}
}

// rate fills in the cached classes that are not stated.
func (p rawPrice) rate() quota.Rate {
	or := func(stated *int64, otherwise int64) int64 {
		if stated != nil {
			return *stated
		}
		return otherwise
	}
	r := quota.Rate{Input: p.Input, Output: p.Output, CacheRead: or(p.CacheRead, p.Input), CacheWrite5m: or(p.CacheWrite5m, p.Input)}
	r.CacheWrite1h = or(p.CacheWrite1h, r.CacheWrite5m)
	return r
}
