package limits

import (
	"cmp"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Source is how these observations say where they were read.
const Source = "rate_limits_api"

// units are what the types of limits count; other types are of no limit that is held.
var units = map[string]quota.Unit{
	"requests_per_minute": quota.UnitRequests, "input_tokens_per_minute": quota.UnitInputTokens, "output_tokens_per_minute": quota.UnitOutputTokens,
}

// windows name a limit that nobody configured, as pkg/observe does.
var windows = map[quota.Unit]string{
	quota.UnitRequests: "requests_per_minute", quota.UnitInputTokens: "input_per_minute", quota.UnitOutputTokens: "output_per_minute",
}

// observations are what the groups tell of an account's limits per minute: each limit whose model group has a model of the
// provider's group. Where several of them meet the strictest counts. A limit that nobody configured is kept by its first model.
func observations(c *quota.Config, account string, groups []group, at quota.Instant) []quota.Observe {
	found := map[string]quota.Observe{}
	add := func(window, model string, n int64) {
		key := window + "\x00" + model
		if known, ok := found[key]; ok && *known.Capacity <= n {
			return
		}
		found[key] = quota.Observe{Account: account, Window: window, Model: model, Capacity: &n, Source: Source, At: at}
	}
	for _, g := range groups {
		for kind, n := range g.Limits {
			unit, held := units[kind]
			if !held {
				continue
			}
			ids := matching(c, account, unit, g.Models)
			for _, id := range ids {
				add(id, "", n)
			}
			if len(ids) == 0 {
				add(windows[unit], g.Models[0], n)
			}
		}
	}
	list := make([]quota.Observe, 0, len(found))
	for _, o := range found {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b quota.Observe) int {
		return cmp.Or(cmp.Compare(a.Window, b.Window), cmp.Compare(a.Model, b.Model))
	})
	return list
}

// matching finds the limits per minute of an account in a unit whose model group has one of the models, or that are for
// all models.
func matching(c *quota.Config, account string, unit quota.Unit, models []string) (ids []string) {
	a, ok := c.Account(account)
	if !ok {
		return nil
	}
	p, ok := c.Provider(a.Provider)
	if !ok {
		return nil
	}
	for i := range c.Limits {
		l := &c.Limits[i]
		if l.Scope.Account != account || l.Scope.ModelGroup == "" || l.Unit != unit || l.Window.Kind != quota.WindowBucket || l.Window.Duration != quota.Minute {
			continue
		}
		if slices.ContainsFunc(models, func(model string) bool { return p.InGroup(l.Scope.ModelGroup, model) }) {
			ids = append(ids, l.ID)
		}
	}
	return ids
}
