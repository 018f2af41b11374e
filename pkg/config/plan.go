package config

import "github.com/bursarhq/bursar/pkg/quota"

// Plan gives an account on a tier of the built-in providers, with the limits that the tier brings and the usual hold-back,
// as a configuration file that says no more would. ok is false for a provider or tier that is not built in.
func Plan(provider, tier, id string) (account quota.Account, limits []quota.Limit, ok bool) {
	table, err := builtInProviders()
	if err != nil {
		return quota.Account{}, nil, false // Parse tells of it
	}
	row := table.row(provider)
	if row == nil {
		return quota.Account{}, nil, false
	}
	t := row.tier(tier)
	if t == nil {
		return quota.Account{}, nil, false
	}
	account = quota.Account{ID: id, Provider: provider, Kind: t.kind, Tier: tier}
	for _, l := range t.limits {
		l.ID = id + "/" + l.Name
		l.Scope.Account = id
		if t.kind == quota.KindSubscription && l.Window.Kind == quota.WindowSession && l.Window.Duration <= shortSession {
			l.HoldBack = defaultHoldBack()
		}
		limits = append(limits, l)
	}
	return account, limits, true
}
