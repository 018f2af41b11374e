package wire

import "github.com/bursarhq/bursar/pkg/quota"

// Limit is one limit and how it stands. Figures are in its unit.
type Limit struct {
	LimitID    string `json:"limit_id"`
	Name       string `json:"name,omitzero"` // the window's name at the provider
	Account    string `json:"account,omitzero"`
	ModelGroup string `json:"model_group,omitzero"`
	Team       string `json:"team,omitzero"`
	Agent      string `json:"agent,omitzero"`
	Unit       string `json:"unit"`   // tokens, input_tokens, output_tokens, requests, micro_usd
	Window     string `json:"window"` // session, calendar, bucket, concurrent
	// StartsAt and ResetsAt bound the present window; absent while a session is not open, for buckets and for concurrent.
	StartsAt  Time  `json:"starts_at,omitzero"`
	ResetsAt  Time  `json:"resets_at,omitzero"`
	Capacity  int64 `json:"capacity"` // 0 while it is not known
	Used      int64 `json:"used"`
	Held      int64 `json:"held"`
	Outside   int64 `json:"outside,omitzero"` // spending that did not pass us, by observation
	Available int64 `json:"available"`        // capacity + over = available + held + used + outside
	Over      int64 `json:"over,omitzero"`
	// UsedPercent is used and outside of the capacity, or what the provider said while the capacity is not known.
	UsedPercent *Percent     `json:"used_percent,omitzero"`
	Observed    *Observation `json:"observed,omitzero"` // the last of this window
	Fresh       bool         `json:"fresh,omitzero"`    // the observation may be relied on
	// ClosedUntil is until when the provider refuses.
	ClosedUntil Time `json:"closed_until,omitzero"`
	// HeldBack of what is available is kept for work of HeldFor and above, until HeldUntil where that is before the reset.
	HeldBack  int64  `json:"held_back,omitzero"`
	HeldFor   string `json:"held_for,omitzero"`
	HeldUntil Time   `json:"held_until,omitzero"`
	// Forecast is the spending outside that is expected until the reset; ForecastKept of what is available is kept for it.
	Forecast     int64    `json:"forecast,omitzero"`
	ForecastKept int64    `json:"forecast_kept,omitzero"`
	Learned      *Learned `json:"learned,omitzero"` // what observations taught of the capacity
	Told         *Told    `json:"told,omitzero"`    // what the provider told of a limit per minute
}

// Told is what a provider told of a limit per minute, in the limit's unit. The stricter of it and the configured one decides.
type Told struct {
	Capacity int64  `json:"capacity"`
	ToldAt   Time   `json:"told_at,omitzero"`
	Source   string `json:"source,omitzero"`
	Stale    bool   `json:"stale,omitzero"` // its source has been away for longer than an hour; it stands all the same
}

// LimitsSource is who is asked for the limits of an API account, and where its key is.
type LimitsSource struct {
	Type        string `json:"type"`          // anthropic_rate_limits
	AdminKeyEnv string `json:"admin_key_env"` // the allocator's environment variable that holds the admin key
}

// Learned is a capacity that was learned from observations, in the limit's unit.
type Learned struct {
	Low    int64 `json:"low"`
	Likely int64 `json:"likely"`
	High   int64 `json:"high,omitzero"` // absent where nothing bounds it
	// Decides: it is enough to go by, and Low stands in place of what is configured.
	Decides      bool  `json:"decides,omitzero"`
	Observations int64 `json:"observations"` // stretches between observations that it rests on
}

// Observation is what a provider said of a window.
type Observation struct {
	Used        *int64   `json:"used,omitzero"`
	UsedPercent *Percent `json:"used_percent,omitzero"`
	Capacity    int64    `json:"capacity,omitzero"`
	ResetsAt    Time     `json:"resets_at,omitzero"`
	Tier        string   `json:"tier,omitzero"`
	Source      string   `json:"source,omitzero"`
	ObservedAt  Time     `json:"observed_at,omitzero"`
	Signal      string   `json:"signal,omitzero"` // that the provider refused: exhausted or overloaded
	// RetryAfterMS is what it asked to wait from ObservedAt on.
	RetryAfterMS int64 `json:"retry_after_ms,omitzero"`
	WindowMS     int64 `json:"window_ms,omitzero"` // how long such windows last, where told
}

// Account is one subscription or API organisation with its limits.
type Account struct {
	Account  string   `json:"account"`
	Provider string   `json:"provider"`
	Kind     string   `json:"kind"` // subscription or api
	Tier     string   `json:"tier,omitzero"`
	Teams    []string `json:"teams,omitzero"` // who may use it; absent means every team
	Limits   []Limit  `json:"limits,omitzero"`
	// UnknownWindows are windows that the provider told of and the configuration does not have, told of longest ago first.
	UnknownWindows []UnknownWindow `json:"unknown_windows,omitzero"`
	// ClosedUntil is until when the provider refuses the account, where it did not say for which window.
	ClosedUntil  Time  `json:"closed_until,omitzero"`
	Overloads    int64 `json:"overloads,omitzero"` // how often it was overloaded: its trouble, not our quota
	OverloadedAt Time  `json:"overloaded_at,omitzero"`
	// LimitsSource is asked for the account's limits; absent for nobody.
	LimitsSource *LimitsSource `json:"limits_source,omitzero"`
}

// UnknownWindow is a window that the configuration does not have; a limit of its name would count it.
type UnknownWindow struct {
	Window   string      `json:"window"`
	Observed Observation `json:"observed"`
}

// Block is an operator's order that nothing new is granted.
type Block struct {
	Target string `json:"target"`
	Name   string `json:"name,omitzero"`
	Reason string `json:"reason,omitzero"`
	At     Time   `json:"at,omitzero"`
	By     string `json:"by,omitzero"` // a principal
}

// ReservationView is a reservation with whose it is and what it holds.
type ReservationView struct {
	Reservation
	Principal  string `json:"principal"`
	Agent      string `json:"agent"`
	Team       string `json:"team,omitzero"`
	TaskType   string `json:"task_type,omitzero"`
	Complexity string `json:"complexity,omitzero"`
	Files      int64  `json:"files,omitzero"`
	Estimated  int64  `json:"estimated_tokens,omitzero"`
	GrantedAt  Time   `json:"granted_at,omitzero"`
	DeadlineAt Time   `json:"deadline_at,omitzero"` // no lease reaches beyond it
	ClosedAt   Time   `json:"closed_at,omitzero"`
	LeaseMS    int64  `json:"lease_ms,omitzero"`
	// UsedPercent is the tokens used of the tokens granted; absent where none were granted.
	UsedPercent *Percent `json:"used_percent,omitzero"`
	Holds       []Hold   `json:"holds,omitzero"`
	// Unclaimed: granted from the queue, and it expires unless the agent gives a sign of life.
	Unclaimed   bool `json:"unclaimed,omitzero"`
	Preemptible bool `json:"preemptible,omitzero"`
}

// Hold is what a reservation keeps on one limit: granted = within + returned + held.
type Hold struct {
	LimitID  string `json:"limit_id"`
	Granted  int64  `json:"granted,omitzero"`
	Held     int64  `json:"held,omitzero"`
	Within   int64  `json:"within,omitzero"` // used out of the hold
	Returned int64  `json:"returned,omitzero"`
	Over     int64  `json:"over,omitzero"` // used beyond it
}

// Totals count over the whole life of a ledger, but for the present figures Live, LiveAgents and HeldTokens.
type Totals struct {
	Granted        int64 `json:"granted"` // reservations
	Denied         int64 `json:"denied"`
	Exhausted      int64 `json:"exhausted"` // denials because quota ran out
	Settled        int64 `json:"settled"`
	Released       int64 `json:"released"`
	Expired        int64 `json:"expired"`
	Revoked        int64 `json:"revoked"`
	Preempted      int64 `json:"preempted,omitzero"` // closed for the owner of a floor
	Overruns       int64 `json:"overruns"`           // reservations that used more than granted
	Live           int64 `json:"live"`
	LiveAgents     int64 `json:"live_agents"`
	ReservedTokens int64 `json:"reserved_tokens"`
	UsedTokens     int64 `json:"used_tokens"`
	ReturnedTokens int64 `json:"returned_tokens"`
	OverrunTokens  int64 `json:"overrun_tokens"`
	HeldTokens     int64 `json:"held_tokens"`
	UnpricedTokens int64 `json:"unpriced_tokens"`
	// UnreservedTokens are of usage without a reservation.
	UnreservedTokens int64 `json:"unreserved_tokens,omitzero"`
	// Queued counts the reserves that were given a place in the queue; QueueGranted and QueueEnded how many of them left it
	// with a grant, and without: the wait was over, they were cancelled, or could not be granted any more.
	Queued       int64 `json:"queued,omitzero"`
	QueueGranted int64 `json:"queue_granted,omitzero"`
	QueueEnded   int64 `json:"queue_ended,omitzero"`
	Requests     int64 `json:"requests"` // provider requests used
	UsageEvents  int64 `json:"usage_events"`
	CostMicroUSD int64 `json:"cost_micro_usd"`
}

// LimitOf converts a view of a limit.
func LimitOf(v *quota.LimitView) Limit {
	l := Limit{
		LimitID: v.Limit.ID, Name: v.Limit.Name, Account: v.Limit.Scope.Account, ModelGroup: v.Limit.Scope.ModelGroup,
		Team: v.Limit.Scope.Team, Agent: v.Limit.Scope.Agent, Unit: string(v.Limit.Unit), Window: string(v.Limit.Window.Kind),
		StartsAt: TimeOf(v.Began), ResetsAt: TimeOf(v.End), Capacity: v.Capacity, Used: v.Used, Held: v.Held, Outside: v.Outside,
		Available: v.Available, Over: v.Over, Fresh: v.Fresh, ClosedUntil: TimeOf(v.ClosedUntil), UsedPercent: percentOf(v.Spent(), v.Capacity),
	}
	if v.Limit.Window.Kind == quota.WindowConcurrent {
		l.UsedPercent = percentOf(v.Held, v.Capacity)
	}
	if l.HeldBack, l.Forecast, l.ForecastKept = v.HeldBack, v.Forecast, v.ForecastKept; l.HeldBack > 0 && v.Limit.HoldBack != nil {
		l.HeldFor, l.HeldUntil = v.Limit.HoldBack.Priority.String(), TimeOf(v.HeldUntil)
	}
	if e := v.Learned; e != nil {
		l.Learned = learnedOf(e)
	}
	if v.Told != nil {
		l.Told = &Told{v.Told.Capacity, TimeOf(v.Told.At), v.Told.Source, v.ToldStale}
	}
	if v.Observed != nil {
		o := observationOf(*v.Observed)
		l.Observed = &o
		if l.UsedPercent == nil {
			l.UsedPercent = o.UsedPercent
		}
	}
	return l
}

// learnedOf converts what was learned of a capacity.
func learnedOf(e *quota.Estimate) *Learned {
	return &Learned{Low: e.Low, Likely: e.Likely, High: e.High, Decides: e.Enough, Observations: e.Stretches}
}

// lessonOf gives what an observation taught of a capacity; nil for nothing.
func lessonOf(l *quota.Lesson) *Learned {
	if l == nil || l.Estimate == nil {
		return nil
	}
	return learnedOf(l.Estimate)
}

// percentOf is a part of a whole in thousandths of a percent, cut off; nil where there is no whole.
func percentOf(part, whole int64) *Percent {
	if whole <= 0 || part < 0 {
		return nil
	}
	const perWhole = 100_000
	p := Percent(float64(part) / float64(whole) * perWhole)
	if part <= (1<<63-1)/perWhole {
		p = Percent(part * perWhole / whole)
	}
	return &p
}

func observationOf(o quota.Observation) Observation {
	v := Observation{
		Capacity: o.Capacity, ResetsAt: TimeOf(o.ResetAt), Tier: o.Tier, Source: o.Source, ObservedAt: TimeOf(o.At),
		Signal: string(o.Signal), RetryAfterMS: int64(o.RetryAfter), WindowMS: int64(o.Length),
	}
	if o.Used >= 0 {
		v.Used = &o.Used
	}
	if o.PercentMilli >= 0 {
		p := Percent(o.PercentMilli)
		v.UsedPercent = &p
	}
	return v
}

// AccountOf converts an account with the limits that are its own and what the provider said of it beside them.
func AccountOf(a *quota.Account, limits []Limit, w *quota.Watch) Account {
	v := Account{
		Account: a.ID, Provider: a.Provider, Kind: string(a.Kind), Tier: a.Tier, Teams: a.Teams, Limits: limits,
		ClosedUntil: TimeOf(w.ClosedUntil), Overloads: w.Overloads, OverloadedAt: TimeOf(w.OverloadedAt),
	}
	if source := a.LimitsSource; source != nil {
		v.LimitsSource = &LimitsSource{string(source.Type), source.KeyEnv}
	}
	for i := range w.Unknown {
		v.UnknownWindows = append(v.UnknownWindows, UnknownWindow{w.Unknown[i].Name, observationOf(w.Unknown[i].Observation)})
	}
	return v
}

// BlockOf converts a block.
func BlockOf(b *quota.BlockPlaced) Block {
	return Block{Target: string(b.Target), Name: b.Name, Reason: b.Reason, At: TimeOf(b.At), By: b.Actor.Principal}
}

// ReservationViewOf converts a reservation.
func ReservationViewOf(r *quota.Reservation) ReservationView {
	v := ReservationView{
		Reservation: Reservation{
			ReservationID: r.ID, Provider: r.Labels.Provider, Account: r.Labels.Account, Model: r.Labels.Model,
			Priority: priorityName(r.Labels.Priority), Granted: amountOf(r.Granted), Used: amountOf(r.Used), CostHeldMicroUSD: r.CostHeld,
			CostUsedMicroUSD: r.CostUsed, Unpriced: r.Unpriced, ExpiresAt: TimeOf(r.Expires), Outcome: string(r.Outcome),
		},
		Principal: r.Labels.Principal, Agent: r.Labels.Agent, Team: r.Labels.Team, TaskType: r.Labels.TaskType,
		Complexity: r.Labels.Complexity, Files: r.Labels.Files, Estimated: r.Labels.Estimated, GrantedAt: TimeOf(r.At), DeadlineAt: TimeOf(r.Deadline), ClosedAt: TimeOf(r.ClosedAt),
		LeaseMS: int64(r.Lease), UsedPercent: percentOf(r.Used.Tokens.Total(), r.Granted.Tokens.Total()),
		Unclaimed: r.Unclaimed, Preemptible: r.Preemptible,
	}
	for _, h := range r.Holds {
		v.Holds = append(v.Holds, Hold{h.Limit, h.Granted, h.Held, h.Within, h.Returned, h.Over})
	}
	return v
}

func priorityName(p quota.Priority) string {
	if p == 0 {
		return ""
	}
	return p.String()
}

// TotalsOf converts the totals of a state with its number of live reservations and agents.
func TotalsOf(t quota.Totals, live, agents int) Totals {
	return Totals{
		Granted: t.Granted, Denied: t.Denied, Exhausted: t.Exhausted, Settled: t.Settled, Released: t.Released, Expired: t.Expired,
		Revoked: t.Revoked, Preempted: t.Preempted, Overruns: t.Overruns, Live: int64(live), LiveAgents: int64(agents), ReservedTokens: t.Reserved,
		UsedTokens: t.Used, ReturnedTokens: t.Returned, OverrunTokens: t.Overrun, HeldTokens: t.HeldTokens(), UnpricedTokens: t.Unpriced, UnreservedTokens: t.Unreserved,
		Requests: t.Requests, UsageEvents: t.UsageEvents, CostMicroUSD: t.Cost,
		Queued: t.Queued, QueueGranted: t.QueueGranted, QueueEnded: t.QueueCancelled + t.QueueTimedOut + t.QueueRefused,
	}
}
