package wire

// The verbs of queries: questions about the past, answered by analytics from ClickHouse.
const (
	VerbSummary = "summary"
	VerbHistory = "history"
	VerbPeaks   = "peaks"
)

// QueryVerbs lists the verbs of queries in the order of the documentation.
func QueryVerbs() []string { return []string{VerbSummary, VerbHistory, VerbPeaks, VerbForecast} }

// Bounds of queries.
const (
	// DefaultTimeframe is asked for where a query names no time.
	DefaultTimeframe = "24h"
	// DefaultPeaks and MaxPeaks bound the busiest hours of one reply.
	DefaultPeaks = 5
	MaxPeaks     = 100
	// MaxSlices bounds each breakdown of a summary; the largest ones are told.
	MaxSlices = 100
	// MaxPoints bounds the points of a history.
	MaxPoints = 2000
)

// The intervals of a history.
const (
	IntervalHour = "hour"
	IntervalDay  = "day"
)

// Scope says which usage a query is about: that of a time, and of those that match every further field given.
type Scope struct {
	// Timeframe is a span up to now (90m, 24h, 7d, 4w), or one of today, yesterday, this-week, last-week, this-month and
	// last-month. It excludes From and To. Weeks begin on Monday.
	Timeframe string `json:"timeframe,omitzero"`
	// From and To bound the time, To excluded; an absent To means now.
	From Time `json:"from,omitzero"`
	To   Time `json:"to,omitzero"`
	// Zone is an IANA time zone, in which days, weeks and months are counted; absent means UTC.
	Zone string `json:"zone,omitzero"`

	Provider string `json:"provider,omitzero"`
	Account  string `json:"account,omitzero"`
	Team     string `json:"team,omitzero"`
	Agent    string `json:"agent,omitzero"`
	TaskType string `json:"task_type,omitzero"`
	Model    string `json:"model,omitzero"`
}

// SummaryRequest asks for totals, breakdowns and the busiest hours.
type SummaryRequest struct{ Scope }

// HistoryRequest asks for usage over time.
type HistoryRequest struct {
	Scope
	// Interval is hour or day; absent means hours up to two days, else days.
	Interval string `json:"interval,omitzero"`
	// Waits asks for the waits in vain of each interval too; with a label they are read from more rows than the rest.
	Waits bool `json:"waits,omitzero"`
}

// PeaksRequest asks for the busiest hours.
type PeaksRequest struct {
	Scope
	Limit int64 `json:"limit,omitzero"` // hours of the reply; default 5
}

// Spent is what was used in some time or by some one. Usage counts when it occurred, not when it was reported.
type Spent struct {
	Tokens       Tokens `json:"tokens,omitzero"`
	TotalTokens  int64  `json:"total_tokens"`
	Requests     int64  `json:"requests"` // to providers
	CostMicroUSD int64  `json:"cost_micro_usd"`
	// UnpricedTokens are of models without a price: their cost is not known, and not in CostMicroUSD.
	UnpricedTokens int64 `json:"unpriced_tokens,omitzero"`
}

// Slice is one part of a breakdown, such as one provider.
type Slice struct {
	Name string `json:"name"` // empty where the usage names none
	Spent
	// TokensPercent and CostPercent are its parts of the whole; 0 where the whole is 0.
	TokensPercent Percent `json:"tokens_percent"`
	CostPercent   Percent `json:"cost_percent"`
}

// Peak is one busy hour.
type Peak struct {
	From Time `json:"from"`
	To   Time `json:"to"`
	Spent
	TokensPercent Percent `json:"tokens_percent"` // of the whole time asked for
}

// Decisions counts what was decided and what became of it in some time.
type Decisions struct {
	Granted   int64 `json:"granted"`
	Denied    int64 `json:"denied"`
	Exhausted int64 `json:"exhausted"` // denials because quota ran out
	Settled   int64 `json:"settled"`
	Released  int64 `json:"released"`
	Expired   int64 `json:"expired"`
	Revoked   int64 `json:"revoked"`
	Preempted int64 `json:"preempted,omitzero"` // closed for the owner of a floor
	// QueueGranted and QueueEnded left the queue with a grant, which Granted has too, and without one, which Denied has not.
	QueueGranted int64 `json:"queue_granted,omitzero"`
	QueueEnded   int64 `json:"queue_ended,omitzero"`
	// ReservedTokens were granted, extensions included; ReturnedTokens came back unused when reservations closed.
	ReservedTokens int64 `json:"reserved_tokens"`
	ReturnedTokens int64 `json:"returned_tokens"`
	OverrunTokens  int64 `json:"overrun_tokens"` // used beyond reservations
}

// SummaryReply answers a summary. Every breakdown is sorted by tokens, the most first.
type SummaryReply struct {
	From Time   `json:"from"`
	To   Time   `json:"to"`
	Zone string `json:"zone"`
	// Through is the ledger time up to which analytics has stored everything; absent before the first commit.
	Through   Time      `json:"through,omitzero"`
	Totals    Spent     `json:"totals"`
	Decisions Decisions `json:"decisions"`
	Providers []Slice   `json:"providers"`
	Accounts  []Slice   `json:"accounts"`
	Teams     []Slice   `json:"teams"`
	Agents    []Slice   `json:"agents"`
	TaskTypes []Slice   `json:"task_types"`
	Models    []Slice   `json:"models"`
	Peaks     []Peak    `json:"peaks"`
}

// Point is one interval of a history.
type Point struct {
	From Time `json:"from"`
	To   Time `json:"to"`
	Spent
	Granted int64 `json:"granted"`
	Denied  int64 `json:"denied"`
	// QueueEnded, where it was asked for, left the queue without a grant in the interval, which Denied has not.
	QueueEnded int64 `json:"queue_ended,omitzero"`
}

// HistoryReply answers a history: every interval of the time, in order, those without usage too.
type HistoryReply struct {
	From     Time    `json:"from"`
	To       Time    `json:"to"`
	Zone     string  `json:"zone"`
	Through  Time    `json:"through,omitzero"`
	Interval string  `json:"interval"`
	Totals   Spent   `json:"totals"`
	Points   []Point `json:"points"`
}

// PeaksReply answers peaks, the busiest hour first. Hours without usage are left out.
type PeaksReply struct {
	From    Time   `json:"from"`
	To      Time   `json:"to"`
	Zone    string `json:"zone"`
	Through Time   `json:"through,omitzero"`
	Totals  Spent  `json:"totals"`
	Peaks   []Peak `json:"peaks"`
}

// PercentOf gives what part of whole something is; 0 where the whole is 0 or less, or the part negative.
func PercentOf(part, whole int64) Percent {
	if p := percentOf(part, whole); p != nil {
		return *p
	}
	return 0
}

// Verb is summary.
func (*SummaryRequest) Verb() string { return VerbSummary }

// Verb is history.
func (*HistoryRequest) Verb() string { return VerbHistory }

// Verb is peaks.
func (*PeaksRequest) Verb() string { return VerbPeaks }

// Append appends the request's JSON.
func (r *SummaryRequest) Append(b []byte) []byte { return summaryObject.append(b, r) }

// Append appends the request's JSON.
func (r *HistoryRequest) Append(b []byte) []byte { return historyObject.append(b, r) }

// Append appends the request's JSON.
func (r *PeaksRequest) Append(b []byte) []byte { return peaksObject.append(b, r) }

func (r *SummaryRequest) decode(d *decoder) { summaryObject.decode(d, r) }
func (r *HistoryRequest) decode(d *decoder) { historyObject.decode(d, r) }
func (r *PeaksRequest) decode(d *decoder)   { peaksObject.decode(d, r) }

func newQueryRequest(verb string) Request {
	switch verb {
	case VerbSummary:
		return new(SummaryRequest)
	case VerbHistory:
		return new(HistoryRequest)
	case VerbPeaks:
		return new(PeaksRequest)
	case VerbForecast:
		return new(ForecastRequest)
	}
	return nil
}

var (
	summaryObject = object[SummaryRequest](scopeFields(func(r *SummaryRequest) *Scope { return &r.Scope }))
	historyObject = append(object[HistoryRequest](scopeFields(func(r *HistoryRequest) *Scope { return &r.Scope })),
		choice("interval", []string{IntervalHour, IntervalDay}, func(r *HistoryRequest) *string { return &r.Interval }),
		boolean("waits", func(r *HistoryRequest) *bool { return &r.Waits }))
	peaksObject = append(object[PeaksRequest](scopeFields(func(r *PeaksRequest) *Scope { return &r.Scope })),
		integer("limit", 1, MaxPeaks, func(r *PeaksRequest) *int64 { return &r.Limit }))
)

func scopeFields[T any](at func(*T) *Scope) []field[T] {
	return []field[T]{
		name("timeframe", MaxNameBytes, func(r *T) *string { return &at(r).Timeframe }),
		instant("from", func(r *T) *Time { return &at(r).From }),
		instant("to", func(r *T) *Time { return &at(r).To }),
		name("zone", MaxNameBytes, func(r *T) *string { return &at(r).Zone }),
		name("provider", MaxNameBytes, func(r *T) *string { return &at(r).Provider }),
		name("account", MaxNameBytes, func(r *T) *string { return &at(r).Account }),
		name("team", MaxNameBytes, func(r *T) *string { return &at(r).Team }),
		name("agent", MaxNameBytes, func(r *T) *string { return &at(r).Agent }),
		name("task_type", MaxNameBytes, func(r *T) *string { return &at(r).TaskType }),
		name("model", MaxNameBytes, func(r *T) *string { return &at(r).Model }),
	}
}
