package wire

import "github.com/bursarhq/bursar/pkg/quota"

// Config is the configuration as it holds, every default filled in and every limit by itself. It is what an operator
// reads; what an operator writes is the document of an apply.
type Config struct {
	Version    uint64      `json:"version"`
	Providers  []Provider  `json:"providers"`
	Accounts   []Account   `json:"accounts"` // in order of preference
	Limits     []LimitSpec `json:"limits"`
	Principals []Principal `json:"principals"`
	Unlisted   *Principal  `json:"unlisted,omitzero"` // what a principal without an entry gets; absent means refused
	Policy     Policy      `json:"policy"`
	Teams      []Team      `json:"teams,omitzero"`  // that have something of their own
	Prices     []Price     `json:"prices,omitzero"` // that replace or add to the built-in catalogue
}

// Team is what is configured of a team, beside the limits of its own.
type Team struct {
	Name   string  `json:"name"`
	Weight int64   `json:"weight,omitzero"` // absent means 1
	Shares []Share `json:"shares,omitzero"`
	FanOut FanOut  `json:"fan_out,omitzero"`
}

// Share is what a team is to have of a limit that others use too. Percentages are of the limit's capacity.
type Share struct {
	LimitID      string  `json:"limit_id"`
	Floor        int64   `json:"floor,omitzero"` // guaranteed
	FloorPercent Percent `json:"floor_percent,omitzero"`
	Priority     string  `json:"priority,omitzero"`     // the lowest that the floor is for; absent means all work
	LendPercent  Percent `json:"lend_percent,omitzero"` // of the floor, to preemptible work of others
	Most         int64   `json:"most,omitzero"`         // what the team may take in all; absent means no bound
	MostPercent  Percent `json:"most_percent,omitzero"`
}

// FanOut bounds reservations: how many at once, and how many new ones a minute. Absent means no bound.
type FanOut struct {
	Live              int64 `json:"live,omitzero"`
	LivePerAgent      int64 `json:"live_per_agent,omitzero"`
	PerMinute         int64 `json:"per_minute,omitzero"`
	PerAgentPerMinute int64 `json:"per_agent_per_minute,omitzero"`
}

// Provider is a row of the provider table.
type Provider struct {
	Name        string       `json:"name"`
	ModelGroups []ModelGroup `json:"model_groups,omitzero"`
	Tiers       []Tier       `json:"tiers,omitzero"`
}

// ModelGroup names models that share limits; a pattern is a model's name, or a prefix followed by "*".
type ModelGroup struct {
	Name   string   `json:"name"`
	Models []string `json:"models"`
}

// Tier gives the capacity of windows at a plan, by the window's name.
type Tier struct {
	Name       string           `json:"name"`
	Capacities map[string]int64 `json:"capacities"`
}

// LimitSpec is what is configured of one limit.
type LimitSpec struct {
	LimitID           string     `json:"limit_id"`
	Name              string     `json:"name,omitzero"`
	Account           string     `json:"account,omitzero"`
	ModelGroup        string     `json:"model_group,omitzero"`
	Team              string     `json:"team,omitzero"`
	Agent             string     `json:"agent,omitzero"`
	Unit              string     `json:"unit"`
	Window            WindowSpec `json:"window"`
	Capacity          int64      `json:"capacity,omitzero"`           // absent: learned from observations
	Weights           *Tokens    `json:"weights,omitzero"`            // of the token classes, in thousandths; absent: as the unit says
	ThresholdsPercent []int64    `json:"thresholds_percent,omitzero"` // empty: no warnings; absent: those of the policy
	HoldBack          *HoldBack  `json:"hold_back,omitzero"`          // of the window's last part; absent: none
	Fixed             bool       `json:"fixed,omitzero"`              // observations do not replace the capacity
}

// HoldBack keeps the last part of a window for work of a priority and above.
type HoldBack struct {
	Percent      int64  `json:"percent"`
	Priority     string `json:"priority"`
	UntilPercent int64  `json:"until_percent,omitzero"` // of the window's time; absent: to the reset
}

// WindowSpec is how a limit counts.
type WindowSpec struct {
	Kind         string `json:"kind"`
	DurationMS   int64  `json:"duration_ms,omitzero"` // session: its length; bucket: the time in which the capacity refills
	Period       string `json:"period,omitzero"`      // calendar: day, week or month
	Zone         string `json:"zone,omitzero"`        // calendar; absent means UTC
	AnchorDay    int    `json:"anchor_day,omitzero"`  // offset into the period, 0 = Monday or the 1st
	AnchorMinute int    `json:"anchor_minute,omitzero"`
	Burst        int64  `json:"burst,omitzero"` // the most a bucket holds; absent means the capacity
}

// Principal is what is configured of a holder of credentials.
type Principal struct {
	Name        string   `json:"name,omitzero"`
	Team        string   `json:"team,omitzero"`
	Accounts    []string `json:"accounts,omitzero"` // absent means all that its team may use
	MaxPriority string   `json:"max_priority,omitzero"`
}

// Policy holds the numbers that are the same for all.
type Policy struct {
	MaxLifetimeMS     int64   `json:"max_lifetime_ms"`
	LeaseMS           int64   `json:"lease_ms"`
	MinLeaseMS        int64   `json:"min_lease_ms"`
	RequestHorizonMS  int64   `json:"request_horizon_ms"`
	ThresholdsPercent []int64 `json:"thresholds_percent"`
	ClosedKept        int     `json:"closed_kept"`
	ExpiringNoticeMS  int64   `json:"expiring_notice_ms"`
	ObservationLeadMS int64   `json:"observation_lead_ms"`

	Ladder          []string `json:"ladder,omitzero"` // what a reserve tries in turn
	QueueAgeingMS   int64    `json:"queue_ageing_ms,omitzero"`
	QueueSkipMS     int64    `json:"queue_skip_ms,omitzero"`
	GrantGraceMS    int64    `json:"grant_grace_ms,omitzero"`
	ShareHalfLifeMS int64    `json:"share_half_life_ms,omitzero"` // absent means 24 hours
	PreemptGraceMS  int64    `json:"preempt_grace_ms,omitzero"`   // absent means a minute
	// DriftGrantedPercent is how much of the forecast of spending outside is granted all the same.
	DriftGrantedPercent int64 `json:"drift_granted_percent,omitzero"`
}

// Price is the price of a model from an instant on, in micro-USD per million tokens of each class.
type Price struct {
	Model string `json:"model"`
	From  Time   `json:"from,omitzero"`
	Rate  Rate   `json:"rate"`
}

// Rate is a price in micro-USD per million tokens of each class.
type Rate struct {
	Input        int64 `json:"input"`
	CacheRead    int64 `json:"cache_read"`
	CacheWrite5m int64 `json:"cache_write_5m"`
	CacheWrite1h int64 `json:"cache_write_1h"`
	Output       int64 `json:"output"`
}

// ConfigOf converts a configuration.
func ConfigOf(c *quota.Config) Config {
	v := Config{
		Version: c.Version, Providers: []Provider{}, Accounts: []Account{}, Limits: []LimitSpec{}, Principals: []Principal{},
		Policy: policyOf(&c.Policy),
	}
	for i := range c.Providers {
		v.Providers = append(v.Providers, providerOf(&c.Providers[i]))
	}
	for i := range c.Accounts {
		v.Accounts = append(v.Accounts, AccountOf(&c.Accounts[i], nil, &quota.Watch{}))
	}
	for i := range c.Limits {
		v.Limits = append(v.Limits, limitSpecOf(&c.Limits[i]))
	}
	for i := range c.Principals {
		v.Principals = append(v.Principals, principalOf(&c.Principals[i]))
	}
	if c.Unlisted != nil {
		p := principalOf(c.Unlisted)
		v.Unlisted = &p
	}
	for i := range c.Teams {
		v.Teams = append(v.Teams, teamOf(&c.Teams[i]))
	}
	for _, p := range c.Prices {
		v.Prices = append(v.Prices, Price{p.Model, TimeOf(p.From), Rate(p.Rate)})
	}
	return v
}

func providerOf(p *quota.Provider) Provider {
	v := Provider{Name: p.Name}
	for _, g := range p.ModelGroups {
		v.ModelGroups = append(v.ModelGroups, ModelGroup{g.Name, g.Models})
	}
	for _, t := range p.Tiers {
		tier := Tier{t.Name, t.Capacities}
		if tier.Capacities == nil {
			tier.Capacities = map[string]int64{}
		}
		v.Tiers = append(v.Tiers, tier)
	}
	return v
}

func limitSpecOf(l *quota.Limit) LimitSpec {
	v := LimitSpec{
		LimitID: l.ID, Name: l.Name, Account: l.Scope.Account, ModelGroup: l.Scope.ModelGroup, Team: l.Scope.Team, Agent: l.Scope.Agent,
		Unit: string(l.Unit), Capacity: l.Capacity, ThresholdsPercent: l.Thresholds, Fixed: l.Fixed,
		Window: WindowSpec{
			Kind: string(l.Window.Kind), DurationMS: int64(l.Window.Duration), Period: string(l.Window.Period), Zone: l.Window.Zone,
			AnchorDay: l.Window.AnchorDay, AnchorMinute: l.Window.AnchorMinute, Burst: l.Window.Burst,
		},
	}
	if l.Unwarned {
		v.ThresholdsPercent = []int64{}
	}
	if l.HoldBack != nil {
		v.HoldBack = &HoldBack{l.HoldBack.Percent, l.HoldBack.Priority.String(), l.HoldBack.Until}
	}
	if l.Weights != (quota.Weights{}) {
		weights := Tokens(l.Weights)
		v.Weights = &weights
	}
	return v
}

func teamOf(t *quota.Team) Team {
	v := Team{Name: t.Name, Weight: t.Weight, FanOut: FanOut(t.FanOut)}
	for _, s := range t.Shares {
		v.Shares = append(v.Shares, Share{
			s.Limit, s.Floor, Percent(s.FloorPart), priorityName(s.From), Percent(s.LendPart), s.Most, Percent(s.MostPart),
		})
	}
	return v
}

func principalOf(p *quota.Principal) Principal {
	return Principal{p.Name, p.Team, p.Accounts, priorityName(p.MaxPriority)}
}

func policyOf(p *quota.Policy) Policy {
	thresholds := p.Thresholds
	if thresholds == nil {
		thresholds = []int64{}
	}
	full := p.WithDefaults()
	return Policy{
		MaxLifetimeMS: int64(p.MaxLifetime), LeaseMS: int64(p.Lease), MinLeaseMS: int64(p.MinLease),
		RequestHorizonMS: int64(p.RequestHorizon), ThresholdsPercent: thresholds, ClosedKept: p.ClosedKept,
		ExpiringNoticeMS: int64(p.ExpiringNotice), ObservationLeadMS: int64(p.ObservationLead),
		Ladder: rungNames(full.Ladder), QueueAgeingMS: int64(full.QueueAgeing), QueueSkipMS: int64(full.QueueSkip), GrantGraceMS: int64(full.GrantGrace),
		ShareHalfLifeMS: int64(p.ShareHalfLife), PreemptGraceMS: int64(p.PreemptGrace),
		DriftGrantedPercent: p.DriftGranted,
	}
}

func rungNames(rungs []quota.Rung) []string {
	names := make([]string, len(rungs))
	for i, r := range rungs {
		names[i] = string(r)
	}
	return names
}
