package simulate

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/quota"
)

//go:embed world.yaml
var worldYAML []byte

// DefaultWorld gives the configuration that is simulated when none is named.
func DefaultWorld() (quota.Config, error) {
	c, err := config.Parse("world.yaml", worldYAML)
	if err != nil {
		return quota.Config{}, fmt.Errorf("built-in world: %w", err)
	}
	return c.Quota, nil
}

// start is a Monday midnight in UTC.
var start = quota.InstantOf(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))

// flat is the price of everything, in micro-USD per million tokens: money is not what is simulated.
type flat struct{}

// Rate gives the price of any model.
func (flat) Rate(string, quota.Instant, bool) (quota.Rate, bool) {
	return quota.Rate{Input: 3_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000, Output: 15_000_000}, true
}

// meter is the limit that an account's capacity is measured by, with what it gives in the whole simulation.
type meter struct {
	limit quota.Limit
	perMS float64 // units, on average
}

// meters finds for each account the token window that gives least in a time. An account without one is unbounded here.
func meters(c *quota.Config, length quota.Millis) map[string]meter {
	found := map[string]meter{}
	for _, l := range c.Limits {
		span := lasts(l.Window)
		if l.Scope.Account == "" || l.Scope.ModelGroup != "" || l.Unit != quota.UnitTokens || l.Capacity == 0 || span == 0 {
			continue
		}
		perMS := float64(l.Capacity) / float64(min(span, length))
		if known, ok := found[l.Scope.Account]; !ok || perMS < known.perMS {
			found[l.Scope.Account] = meter{l, perMS}
		}
	}
	return found
}

// lasts is how long a window of spending lasts; 0 for other kinds.
func lasts(w quota.Window) quota.Millis {
	switch {
	case w.Kind == quota.WindowSession:
		return w.Duration
	case w.Kind != quota.WindowCalendar:
		return 0
	case w.Period == quota.PeriodMonth:
		return 30 * quota.Day
	case w.Period == quota.PeriodWeek:
		return 7 * quota.Day
	default:
		return quota.Day
	}
}

// units is what an amount counts on a limit of tokens.
func units(w quota.Weights, t quota.Tokens) float64 {
	if w == (quota.Weights{}) {
		w = quota.DefaultWeights(quota.UnitTokens)
	}
	return float64(t.Input*w.Input+t.CacheRead*w.CacheRead+t.CacheWrite5m*w.CacheWrite5m+t.CacheWrite1h*w.CacheWrite1h+t.Output*w.Output) / float64(quota.DefaultWeight)
}

// modelOf is a model that a provider has: the first that it groups, or any name.
func modelOf(c *quota.Config, provider string) string {
	p, ok := c.Provider(provider)
	if !ok || len(p.ModelGroups) == 0 || len(p.ModelGroups[0].Models) == 0 {
		return "model"
	}
	return strings.TrimSuffix(p.ModelGroups[0].Models[0], "*")
}
