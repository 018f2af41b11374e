package fleet

import "github.com/bursarhq/bursar/pkg/quota"

// prices charges one rate for every model but one.
type prices struct{}

// Rate implements quota.Prices.
func (prices) Rate(model string, _ quota.Instant, batch bool) (quota.Rate, bool) {
	if model == "unheard-of" {
		return quota.Rate{}, false
	}
	rate := quota.Rate{Input: 3_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000, Output: 15_000_000}
	if batch {
		rate.Input /= 2
		rate.Output /= 2
	}
	return rate, true
}

// config gives limits that bind now and then.
func config() quota.Config {
	return quota.Config{
		Providers: []quota.Provider{
			{Name: "claude", ModelGroups: []quota.ModelGroup{{Name: "opus", Models: []string{"opus-*"}}}},
			{Name: "openai"},
			{Name: lender},
		},
		Accounts: []quota.Account{
			{ID: "max-1", Provider: "claude", Kind: quota.KindSubscription},
			{ID: "api-1", Provider: "openai", Kind: quota.KindAPI},
			{ID: lender + "-1", Provider: lender, Kind: quota.KindAPI},
		},
		Limits: []quota.Limit{
			{ID: "max-1/session", Name: "session", Scope: quota.Scope{Account: "max-1"}, Unit: quota.UnitTokens, Capacity: 3_000_000,
				Window: quota.Window{Kind: quota.WindowSession, Duration: 5 * quota.Hour}},
			{ID: "api-1/day", Name: "day", Scope: quota.Scope{Account: "api-1"}, Unit: quota.UnitTokens, Capacity: 9_000_000,
				Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay, Zone: "Europe/Berlin"}},
			{ID: "core/hour", Name: "hour", Scope: quota.Scope{Team: "core"}, Unit: quota.UnitTokens, Capacity: 4_000_000,
				Window: quota.Window{Kind: quota.WindowSession, Duration: quota.Hour}},
			{ID: lentLimit, Name: "day", Scope: quota.Scope{Account: lender + "-1"}, Unit: quota.UnitTokens, Capacity: lentUnits,
				Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}},
			{ID: "all/live", Name: "live", Unit: quota.UnitRequests, Capacity: 400, Window: quota.Window{Kind: quota.WindowConcurrent}},
		},
		Principals: []quota.Principal{{Name: "ann", Team: "core", MaxPriority: quota.PriorityCritical}},
		Unlisted:   &quota.Principal{Team: "guests", MaxPriority: quota.PriorityNormal},
		Teams: []quota.Team{{Name: "core", Weight: 2, Shares: []quota.Share{
			{Limit: "max-1/session", FloorPart: 90_000, LendPart: 100_000}, {Limit: "api-1/day", FloorPart: 90_000, LendPart: 100_000},
			{Limit: lentLimit, FloorPart: 90_000, LendPart: 100_000},
		}}},
		Policy: quota.DefaultPolicy(),
	}
}
