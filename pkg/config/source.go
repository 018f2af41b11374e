package config

import "github.com/bursarhq/bursar/pkg/quota"

// limitsSource settles who is asked for an account's limits. A subscription is never asked: a question can itself open a
// session window, and its terms leave no room for it.
func (b *builder) limitsSource(account *quota.Account, a item[rawAccount]) {
	raw := a.raw.LimitsSource
	if raw == nil {
		return
	}
	at := a.at.child("limits_source")
	switch account.Kind {
	case quota.KindSubscription:
		b.c.add(at, "a subscription is never asked for its limits: a question can open a session window", "leave limits_source out; hand in what Claude Code tells with bursar statusline")
	case quota.KindAPI:
		account.LimitsSource = &quota.LimitsSource{Type: quota.SourceType(raw.Type), KeyEnv: raw.AdminKeyEnv}
	}
}
