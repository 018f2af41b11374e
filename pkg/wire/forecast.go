package wire

// VerbForecast asks when limits run out and what the next week needs; analytics answers.
const VerbForecast = "forecast"

// MaxForecastLimits bounds the limits of one forecast; those used most are told.
const MaxForecastLimits = 200

// ForecastRequest asks when limits run out.
type ForecastRequest struct {
	// Zone is an IANA time zone, in which hours of the day and days of the week are alike; absent means UTC.
	Zone string `json:"zone,omitzero"`
	// Account and LimitID leave out the other limits. With LimitID the hours of the next week are told.
	Account string `json:"account,omitzero"`
	LimitID string `json:"limit_id,omitzero"`
	// Backtest asks how well forecasts of the past fared.
	Backtest bool `json:"backtest,omitzero"`
}

// ForecastReply answers a forecast: limits that count spending in windows, in the order of the configuration.
type ForecastReply struct {
	Now     Time            `json:"now"`
	Through Time            `json:"through,omitzero"` // as of a summary
	Zone    string          `json:"zone"`
	Limits  []LimitForecast `json:"limits"`
	// MoreLimits tells that there are more than are told.
	MoreLimits bool `json:"more_limits,omitzero"`
}

// LimitForecast is how one limit stands and what is to come of it. Figures are in its unit.
type LimitForecast struct {
	LimitID    string `json:"limit_id"`
	Name       string `json:"name,omitzero"`
	Account    string `json:"account,omitzero"`
	ModelGroup string `json:"model_group,omitzero"`
	Team       string `json:"team,omitzero"`
	Agent      string `json:"agent,omitzero"`
	Unit       string `json:"unit"`
	Window     string `json:"window"`             // session or calendar
	StartsAt   Time   `json:"starts_at,omitzero"` // absent while a session is not open
	ResetsAt   Time   `json:"resets_at,omitzero"`
	Capacity   int64  `json:"capacity"` // 0 while it is not known
	Used       int64  `json:"used"`
	Outside    int64  `json:"outside,omitzero"` // spending that did not pass us, by observation
	// BurnPerHour is what was used in the last hour.
	BurnPerHour int64 `json:"burn_per_hour"`
	// UsedPercent is used and outside of the capacity, ElapsedPercent the part of the window's time that is over, PacePercent
	// the one in terms of the other: above 100 the window runs out before its end, at RunsOutAtPaceAt, if it goes on so.
	UsedPercent     *Percent `json:"used_percent,omitzero"`
	ElapsedPercent  *Percent `json:"elapsed_percent,omitzero"`
	PacePercent     *Percent `json:"pace_percent,omitzero"`
	RunsOutAtPaceAt Time     `json:"runs_out_at_pace_at,omitzero"`
	// HistoryHours is how much past there is. NeedsHours is how much a forecast would take, where there is too little.
	HistoryHours int64             `json:"history_hours"`
	NeedsHours   int64             `json:"needs_hours,omitzero"`
	Exhaustion   *Exhaustion       `json:"exhaustion,omitzero"`
	NextWeek     *WeekNeed         `json:"next_week,omitzero"`
	Backtest     *ForecastBacktest `json:"backtest,omitzero"`
}

// Exhaustion is when a window is likely to run out.
type Exhaustion struct {
	ChancePercent Percent `json:"chance_percent"` // that it does before it resets
	// EarlyAt and LateAt bound the time with four chances in five, LikelyAt is in the middle. One that is absent is not
	// before the reset.
	EarlyAt  Time `json:"early_at,omitzero"`
	LikelyAt Time `json:"likely_at,omitzero"`
	LateAt   Time `json:"late_at,omitzero"`
}

// WeekNeed is what the next seven days are likely to need.
type WeekNeed struct {
	From Time `json:"from"`
	To   Time `json:"to"`
	// Low and High bound the need with four chances in five.
	Low    int64 `json:"low"`
	Likely int64 `json:"likely"`
	High   int64 `json:"high"`
	// Hours are the 168 hours, where one limit was asked for.
	Hours []HourNeed `json:"hours,omitzero"`
}

// HourNeed is what an hour is likely to need.
type HourNeed struct {
	From     Time  `json:"from"`
	Expected int64 `json:"expected"` // the mean
	High     int64 `json:"high"`     // enough with nine chances in ten
}

// ForecastBacktest is how well forecasts of spans that are past fared, each made from what was before it.
type ForecastBacktest struct {
	Windows *WindowBacktest `json:"windows,omitzero"`
	Weeks   *WeekBacktest   `json:"weeks,omitzero"`
	// WindowsNeedHours and WeeksNeedHours are how much past it would take, where there is too little.
	WindowsNeedHours int64 `json:"windows_need_hours,omitzero"`
	WeeksNeedHours   int64 `json:"weeks_need_hours,omitzero"`
}

// WindowBacktest tells how well the time of exhaustion was told, of past windows that were given capacities at which some
// run out.
type WindowBacktest struct {
	LengthMS       int64   `json:"length_ms"`
	Cases          int64   `json:"cases"`
	RanOut         int64   `json:"ran_out"`         // of the cases
	CoveredPercent Percent `json:"covered_percent"` // of the cases in the interval; 80 is promised
	// RanOutCoveredPercent is the same of the cases that ran out.
	RanOutCoveredPercent Percent        `json:"ran_out_covered_percent"`
	Methods              []WindowErrors `json:"methods"` // ours first, then simple ones
}

// WindowErrors is how one method fared at windows.
type WindowErrors struct {
	Method string `json:"method"`
	// MedianMS and P90MS are how far off the likely time was.
	MedianMS      int64   `json:"median_ms"`
	P90MS         int64   `json:"p90_ms"`
	CalledPercent Percent `json:"called_percent"` // of the cases of which it was rightly told whether they run out
}

// WeekBacktest tells how well the need of weeks was told.
type WeekBacktest struct {
	Cases          int64   `json:"cases"`
	CoveredPercent Percent `json:"covered_percent"` // of the weeks whose need was in the interval; 80 is promised
	// HoursWithinPercent is of the hours that did not need more than their high; 90 is promised.
	HoursWithinPercent Percent      `json:"hours_within_percent"`
	Methods            []WeekErrors `json:"methods"`
}

// WeekErrors is how one method fared at weeks, in parts of the usual week and hour.
type WeekErrors struct {
	Method        string  `json:"method"`
	TotalPercent  Percent `json:"total_percent"`  // how far off the week was, in the median
	HourlyPercent Percent `json:"hourly_percent"` // how far off an hour was, in the mean
}

// Verb is forecast.
func (*ForecastRequest) Verb() string { return VerbForecast }

// Append appends the request's JSON.
func (r *ForecastRequest) Append(b []byte) []byte { return forecastObject.append(b, r) }

func (r *ForecastRequest) decode(d *decoder) { forecastObject.decode(d, r) }

var forecastObject = object[ForecastRequest]{
	name("zone", MaxNameBytes, func(r *ForecastRequest) *string { return &r.Zone }),
	name("account", MaxNameBytes, func(r *ForecastRequest) *string { return &r.Account }),
	name("limit_id", MaxNameBytes, func(r *ForecastRequest) *string { return &r.LimitID }),
	boolean("backtest", func(r *ForecastRequest) *bool { return &r.Backtest }),
}
