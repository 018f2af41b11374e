package wire

import (
	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
)

// EstimateRequest asks what a task will take. It changes nothing.
type EstimateRequest struct {
	Acks
	TaskType     string `json:"task_type"`             // code_generation, code_review, documentation, analysis, quick_query
	Complexity   string `json:"complexity,omitzero"`   // low or simple, medium or normal, high or complex
	Files        *int64 `json:"files,omitzero"`        // files the task touches, at least 1; absent scales nothing
	Urgent       bool   `json:"urgent,omitzero"`       // raises the proposed priority to high
	Conservative bool   `json:"conservative,omitzero"` // adds a margin of 30 %
	Model        string `json:"model,omitzero"`        // prices the estimate
}

// EstimateReply is an estimate. Tokens and Priority go into a reserve as they stand.
type EstimateReply struct {
	Tokens       Tokens `json:"tokens"`
	TotalTokens  int64  `json:"total_tokens"`
	Priority     string `json:"priority"`
	Complexity   string `json:"complexity"`              // low, medium or high
	CostMicroUSD int64  `json:"cost_micro_usd,omitzero"` // of Model, rounded up
	Unpriced     bool   `json:"unpriced,omitzero"`       // no model was named, or it has no price
	// Ground is table or learned. The rest is of learned ones: total tokens that a tenth, half and 99 % of such tasks
	// stayed within, how many tasks that rests on, and the share of tasks that are to fit into TotalTokens.
	Ground        string   `json:"ground,omitzero"`
	Low           int64    `json:"low,omitzero"`
	Median        int64    `json:"median,omitzero"`
	High          int64    `json:"high,omitzero"`
	Samples       int64    `json:"samples,omitzero"`
	TargetPercent Percent  `json:"target_percent,omitzero"`
	CappedBy      string   `json:"capped_by,omitzero"` // the limit that could never grant more than Tokens, where the task takes more
	Notices       []Notice `json:"notices,omitzero"`
}

// The grounds of an estimate.
const (
	GroundTable   = "table"   // the built-in table: of such tasks nothing is known
	GroundLearned = "learned" // what settled reservations used
)

// StatusRequest asks how the agent stands, or one of its reservations.
type StatusRequest struct {
	Acks
	ReservationID string `json:"reservation_id,omitzero"`
}

// StatusReply is how an agent stands.
type StatusReply struct {
	Now           Time              `json:"now"` // ledger time
	Principal     string            `json:"principal"`
	Agent         string            `json:"agent"`
	Team          string            `json:"team,omitzero"`
	ConfigVersion uint64            `json:"config_version,omitzero"`
	LedgerID      string            `json:"ledger_id,omitzero"`    // of the workspace, from its first commit on
	Limits        []Limit           `json:"limits,omitzero"`       // those that can bind the agent
	Reservations  []ReservationView `json:"reservations,omitzero"` // its open ones, or the one asked for
	Queue         []WaitingView     `json:"queue,omitzero"`        // its queued ones, or the one asked for
	Totals        *Totals           `json:"totals,omitzero"`       // of the workspace
	Notices       []Notice          `json:"notices,omitzero"`
}

// ListRequest asks for the agent's reservations, oldest first.
type ListRequest struct {
	Acks
	Closed bool   `json:"closed,omitzero"` // the recently closed ones too
	Limit  int64  `json:"limit,omitzero"`  // items of one reply; default 100
	After  string `json:"after,omitzero"`  // Next of the reply before
}

// ReservationsReply answers list and reservations.
type ReservationsReply struct {
	Now          Time              `json:"now"`
	Reservations []ReservationView `json:"reservations"`
	Next         string            `json:"next,omitzero"` // there is more: ask again with it as after
	Notices      []Notice          `json:"notices,omitzero"`
}

// Bounds of a list.
const (
	DefaultListLimit = 100
	MaxListLimit     = 500
)

// ObserveRequest hands in what the provider said of one window.
type ObserveRequest struct {
	Identified
	Acks
	Account string `json:"account"`
	// Window is the name of one of the account's windows, such as session or weekly, or a limit's id. A name that the
	// account does not have is kept as an unknown window. It may be left out only with a signal.
	Window string `json:"window,omitzero"`
	// At least one of the following, or a signal, is required.
	Used        *int64   `json:"used,omitzero"`         // in the limit's unit
	UsedPercent *Percent `json:"used_percent,omitzero"` // 0 to 1000
	Capacity    *int64   `json:"capacity,omitzero"`     // in the limit's unit
	ResetsAt    Time     `json:"resets_at,omitzero"`
	Tier        string   `json:"tier,omitzero"`
	Source      string   `json:"source,omitzero"`      // where it was read: statusline, headers, …
	ObservedAt  Time     `json:"observed_at,omitzero"` // when the provider said it; default now
	// Signal says that the provider refused: exhausted (a 429 of ours: the window is closed until its reset) or
	// overloaded (a 529: not our quota, recorded without effect).
	Signal       string `json:"signal,omitzero"`
	RetryAfterMS int64  `json:"retry_after_ms,omitzero"` // what it asked to wait, from observed_at on
	WindowMS     int64  `json:"window_ms,omitzero"`      // how long windows of this name last, for unknown ones
	// Model is what the provider was asked for: its limits of API accounts are per model group.
	Model string `json:"model,omitzero"`
	// Raw is what the provider said as it came, of all its windows, in place of the readings above.
	Raw *RawObservation `json:"raw,omitzero"`
}

// ObserveReply answers an observation.
type ObserveReply struct {
	Account     string   `json:"account"`
	LimitID     string   `json:"limit_id"` // empty where it concerns none
	Recorded    bool     `json:"recorded"`
	Effective   bool     `json:"effective"`         // false: older than what is known, kept and without effect
	Capacity    int64    `json:"capacity,omitzero"` // of the limit, after it
	Message     string   `json:"message,omitzero"`
	Unknown     bool     `json:"unknown,omitzero"`      // the window is not configured: kept and shown, without effect
	ClosedUntil Time     `json:"closed_until,omitzero"` // nothing is granted on it until then
	Notices     []Notice `json:"notices,omitzero"`
	// Of a raw observation: each window, what could not be read, and of a refusal the provider's reason, and whether no
	// wait cures it.
	Windows  []ObservedWindow `json:"windows,omitzero"`
	Problems []ObserveProblem `json:"problems,omitzero"`
	Terminal bool             `json:"terminal,omitzero"`
	Reason   string           `json:"reason,omitzero"`
}

// Verb is estimate.
func (*EstimateRequest) Verb() string { return VerbEstimate }

// Verb is status.
func (*StatusRequest) Verb() string { return VerbStatus }

// Verb is list.
func (*ListRequest) Verb() string { return VerbList }

// Verb is observe.
func (*ObserveRequest) Verb() string { return VerbObserve }

// Append appends the request's JSON.
func (r *EstimateRequest) Append(b []byte) []byte { return estimateObject.append(b, r) }

// Append appends the request's JSON.
func (r *StatusRequest) Append(b []byte) []byte { return statusObject.append(b, r) }

// Append appends the request's JSON.
func (r *ListRequest) Append(b []byte) []byte { return listObject.append(b, r) }

// Append appends the request's JSON.
func (r *ObserveRequest) Append(b []byte) []byte { return observeObject.append(b, r) }

func (r *EstimateRequest) decode(d *decoder) { estimateObject.decode(d, r) }
func (r *StatusRequest) decode(d *decoder)   { statusObject.decode(d, r) }
func (r *ListRequest) decode(d *decoder)     { listObject.decode(d, r) }

func (r *ObserveRequest) decode(d *decoder) {
	observeObject.decode(d, r)
	readings := r.Used != nil || r.UsedPercent != nil || r.Capacity != nil || r.ResetsAt != 0 || r.Tier != "" || r.Signal != ""
	if d.failed == nil && r.Raw != nil && (readings || r.Window != "" || r.RetryAfterMS != 0 || r.WindowMS != 0) {
		d.fail("raw tells of all windows: leave window and its readings out")
	}
	if d.failed != nil || r.Signal != "" || r.Raw != nil {
		return
	}
	if r.Window == "" {
		d.fail("name the window; only a refusal of the provider (signal) may be of none")
		return
	}
	if !readings {
		d.fail("tell at least one of used, used_percent, capacity, resets_at, tier, signal and raw")
	}
}

// ParamsHash identifies what is asked for.
func (r *ObserveRequest) ParamsHash() ParamsHash { return hashOf(VerbObserve, r) }

// Command makes a quota.Observe; of the raw form see [ObserveRequest.ReadRaw].
func (r *ObserveRequest) Command(by quota.Actor, _ string) quota.Command {
	return quota.Observe{
		Actor: by, Account: r.Account, Window: r.Window, Used: r.Used, PercentMilli: (*int64)(r.UsedPercent), Capacity: r.Capacity,
		ResetAt: r.ResetsAt.Instant(), Tier: r.Tier, Source: r.Source, At: r.ObservedAt.Instant(),
		Signal: quota.Signal(r.Signal), RetryAfter: quota.Millis(r.RetryAfterMS), Length: quota.Millis(r.WindowMS),
		Model: r.Model,
	}
}

// Task is what the estimator is asked. The error is an *[Error] with code invalid for an unknown complexity.
func (r *EstimateRequest) Task() (estimate.Task, error) {
	complexity, err := estimate.ParseComplexity(r.Complexity)
	if err != nil {
		return estimate.Task{}, NewError(quota.CodeInvalid, "complexity: %v", err)
	}
	task := estimate.Task{
		Type: estimate.Type(r.TaskType), Complexity: complexity, Files: estimate.UsualFiles, Urgent: r.Urgent, Conservative: r.Conservative,
	}
	if r.Files != nil {
		task.Files = *r.Files
	}
	return task, nil
}

// EstimatesKey is the key in [BucketEstimates] of what is learned in a workspace; its value is not part of the protocol.
// Errors: [ErrName].
func EstimatesKey(workspace string) (string, error) { return EncodeToken(workspace) }

// EstimateReplyOf converts an estimate with the labels of the table's and, where priced, what it costs at the given rate.
func EstimateReplyOf(e estimate.Estimate, tokens quota.Tokens, rate quota.Rate, priced bool, notices []Notice) EstimateReply {
	reply := EstimateReply{
		Tokens: Tokens(tokens), TotalTokens: tokens.Total(), Priority: string(e.Priority), Complexity: string(e.Complexity),
		Unpriced: !priced, Ground: GroundTable, Notices: notices,
	}
	if priced {
		reply.CostMicroUSD = rate.CostCeil(tokens)
	}
	return reply
}

// ObserveReplyOf converts the result of an observation.
func ObserveReplyOf(r *quota.Result, notices []Notice) ObserveReply {
	return ObserveReply{
		Account: r.Account, LimitID: r.Limit, Recorded: r.Recorded, Effective: r.Effective, Capacity: r.Capacity, Message: r.Message,
		Unknown: r.Unknown, ClosedUntil: TimeOf(r.ClosedUntil), Notices: notices,
	}
}

var estimateObject = object[EstimateRequest]{
	ackNotices(func(r *EstimateRequest) *[]uint64 { return &r.AckNotices }),
	mustName("task_type", MaxNameBytes, func(r *EstimateRequest) *string { return &r.TaskType }),
	name("complexity", MaxNameBytes, func(r *EstimateRequest) *string { return &r.Complexity }),
	optional("files", 1, estimate.MaxFiles, func(r *EstimateRequest) **int64 { return &r.Files }),
	boolean("urgent", func(r *EstimateRequest) *bool { return &r.Urgent }),
	boolean("conservative", func(r *EstimateRequest) *bool { return &r.Conservative }),
	name("model", MaxNameBytes, func(r *EstimateRequest) *string { return &r.Model }),
}

var statusObject = object[StatusRequest]{
	ackNotices(func(r *StatusRequest) *[]uint64 { return &r.AckNotices }),
	name("reservation_id", MaxTextBytes, func(r *StatusRequest) *string { return &r.ReservationID }),
}

var listObject = object[ListRequest]{
	ackNotices(func(r *ListRequest) *[]uint64 { return &r.AckNotices }),
	boolean("closed", func(r *ListRequest) *bool { return &r.Closed }),
	integer("limit", 1, MaxListLimit, func(r *ListRequest) *int64 { return &r.Limit }),
	name("after", MaxTextBytes, func(r *ListRequest) *string { return &r.After }),
}

var observeObject = object[ObserveRequest]{
	requestID(func(r *ObserveRequest) *string { return &r.RequestID }),
	ackNotices(func(r *ObserveRequest) *[]uint64 { return &r.AckNotices }),
	mustName("account", MaxNameBytes, func(r *ObserveRequest) *string { return &r.Account }),
	name("window", MaxTextBytes, func(r *ObserveRequest) *string { return &r.Window }),
	optional("used", 0, quota.MaxCapacity, func(r *ObserveRequest) **int64 { return &r.Used }),
	percent("used_percent", int64(MaxPercent), func(r *ObserveRequest) **Percent { return &r.UsedPercent }),
	optional("capacity", 0, quota.MaxCapacity, func(r *ObserveRequest) **int64 { return &r.Capacity }),
	instant("resets_at", func(r *ObserveRequest) *Time { return &r.ResetsAt }),
	name("tier", MaxNameBytes, func(r *ObserveRequest) *string { return &r.Tier }),
	name("source", MaxTextBytes, func(r *ObserveRequest) *string { return &r.Source }),
	instant("observed_at", func(r *ObserveRequest) *Time { return &r.ObservedAt }),
	choice("signal", []string{string(quota.SignalExhausted), string(quota.SignalOverloaded)}, func(r *ObserveRequest) *string { return &r.Signal }),
	integer("retry_after_ms", 0, int64(quota.MaxClosed), func(r *ObserveRequest) *int64 { return &r.RetryAfterMS }),
	integer("window_ms", 0, int64(quota.MaxWindowLength), func(r *ObserveRequest) *int64 { return &r.WindowMS }),
	name("model", MaxNameBytes, func(r *ObserveRequest) *string { return &r.Model }),
	rawObservation(func(r *ObserveRequest) **RawObservation { return &r.Raw }),
}
