package wire

import "github.com/bursarhq/bursar/pkg/quota"

// ReserveRequest asks to hold units on every limit that binds, before the work.
type ReserveRequest struct {
	Identified
	Acks
	// Provider or Account is required; both narrow the choice.
	Provider   string `json:"provider,omitzero"`
	Account    string `json:"account,omitzero"`
	Model      string `json:"model"`
	TaskType   string `json:"task_type,omitzero"`  // for analysis; the estimator knows some
	Complexity string `json:"complexity,omitzero"` // for analysis
	Files      int64  `json:"files,omitzero"`      // that the task touches, at least 1: estimates are learned by it
	// Estimated is the total_tokens of the estimate that the reserve rests on, so that estimates are held to what came.
	Estimated int64  `json:"estimated_tokens,omitzero"`
	Priority  string `json:"priority,omitzero"` // low, normal (default), high or critical
	Tokens    Tokens `json:"tokens,omitzero"`
	Requests  int64  `json:"requests,omitzero"` // provider requests; default 1
	// TTLMS is the longest life of the reservation; default and most is what the configuration allows (4 h).
	TTLMS int64 `json:"ttl_ms,omitzero"`
	// LeaseMS is how long it lives without a report or an extend; default is what the configuration says.
	LeaseMS int64 `json:"lease_ms,omitzero"`

	// What else would do, tried in the order of the configuration's ladder: fewer tokens, down to MinTokens; other
	// accounts, providers and models; and waiting in the queue for up to MaxWaitMS.
	MinTokens       int64    `json:"min_tokens,omitzero"` // of all classes together; absent means all
	MaxWaitMS       int64    `json:"max_wait_ms,omitzero"`
	AcceptAccounts  []string `json:"accept_accounts,omitzero"` // besides account; without it, the only ones
	AcceptProviders []string `json:"accept_providers,omitzero"`
	AcceptModels    []string `json:"accept_models,omitzero"` // "provider/model" is meant for that provider only
	Preemptible     bool     `json:"preemptible,omitzero"`   // what is not used may be taken back, after a notice
}

// UsageItem is the actual usage of one provider call, or a difference since the last report.
type UsageItem struct {
	OccurredAt Time `json:"occurred_at,omitzero"` // default now; it decides which window is charged
	// CallID is the provider's request id. With it the tokens are cumulative: the largest of each class counts, and a
	// call seen twice counts once. Without it they are a difference.
	CallID string `json:"call_id,omitzero"`
	Model  string `json:"model,omitzero"` // default the reservation's
	Tokens Tokens `json:"tokens,omitzero"`
	// Requests: default one for a call id not seen before or for tokens without a call id.
	Requests int64 `json:"requests,omitzero"`
	Batch    bool  `json:"batch,omitzero"` // billed at the provider's batch price
	// Where the usage was learned from, where that is not the agent itself, and in which work it happened.
	Source  string `json:"source,omitzero"`
	Session string `json:"session,omitzero"`
	Project string `json:"project,omitzero"`
}

// ReportRequest records usage and keeps the reservation open. Without usage it renews the lease. Without a reservation
// it records what an account spent without one.
type ReportRequest struct {
	Identified
	Acks
	ReservationID string `json:"reservation_id,omitzero"`
	// Account and Model charge usage whose reservation is not known any more. Without a reservation the account is
	// required.
	Account string      `json:"account,omitzero"`
	Model   string      `json:"model,omitzero"`
	Usage   []UsageItem `json:"usage,omitzero"`
}

// SettleRequest records the last usage and closes the reservation.
type SettleRequest struct {
	Identified
	Acks
	ReservationID string      `json:"reservation_id"`
	Account       string      `json:"account,omitzero"` // as in ReportRequest
	Model         string      `json:"model,omitzero"`
	Usage         []UsageItem `json:"usage,omitzero"`
}

// ReleaseRequest closes a reservation without further usage.
type ReleaseRequest struct {
	Identified
	Acks
	ReservationID string `json:"reservation_id"`
	Reason        string `json:"reason,omitzero"`
}

// ExtendRequest asks for more units, more time, or both.
type ExtendRequest struct {
	Identified
	Acks
	ReservationID string `json:"reservation_id"`
	Tokens        Tokens `json:"tokens,omitzero"`
	Requests      int64  `json:"requests,omitzero"`
	TTLMS         int64  `json:"ttl_ms,omitzero"` // from now; capped by the hard cap counted from the grant
}

// Reservation is how a reservation stands.
type Reservation struct {
	ReservationID    string `json:"reservation_id"`
	Provider         string `json:"provider,omitzero"`
	Account          string `json:"account,omitzero"`
	Model            string `json:"model,omitzero"`
	Priority         string `json:"priority,omitzero"`
	Granted          Amount `json:"granted,omitzero"`  // with extensions
	Used             Amount `json:"used,omitzero"`     // so far
	Returned         Amount `json:"returned,omitzero"` // on close
	CostHeldMicroUSD int64  `json:"cost_held_micro_usd,omitzero"`
	CostUsedMicroUSD int64  `json:"cost_used_micro_usd,omitzero"`
	Unpriced         bool   `json:"unpriced,omitzero"` // the model has no price, so that the costs say nothing
	ExpiresAt        Time   `json:"expires_at,omitzero"`
	Outcome          string `json:"outcome,omitzero"` // settled, released, expired or revoked; absent while open
}

// ReservationReply answers reserve, report, extend, settle, release and revoke.
type ReservationReply struct {
	Reservation
	Recorded bool `json:"recorded,omitzero"` // usage in the request is in the ledger
	// RetryAfterMS is how long to wait before the next provider call, because a limit per minute is in debt.
	RetryAfterMS  int64  `json:"retry_after_ms,omitzero"`
	ConfigVersion uint64 `json:"config_version,omitzero"` // that decided a reserve
	// State is queued where a reserve waits: nothing is held yet, and the grant comes as a notice.
	State   string      `json:"state,omitzero"`
	Queue   *QueuePlace `json:"queue,omitzero"`
	Notices []Notice    `json:"notices,omitzero"`
}

// Verb is reserve.
func (*ReserveRequest) Verb() string { return VerbReserve }

// Verb is report.
func (*ReportRequest) Verb() string { return VerbReport }

// Verb is settle.
func (*SettleRequest) Verb() string { return VerbSettle }

// Verb is release.
func (*ReleaseRequest) Verb() string { return VerbRelease }

// Verb is extend.
func (*ExtendRequest) Verb() string { return VerbExtend }

// Append appends the request's JSON.
func (r *ReserveRequest) Append(b []byte) []byte { return reserveObject.append(b, r) }

// Append appends the request's JSON.
func (r *ReportRequest) Append(b []byte) []byte { return reportObject.append(b, r) }

// Append appends the request's JSON.
func (r *SettleRequest) Append(b []byte) []byte { return settleObject.append(b, r) }

// Append appends the request's JSON.
func (r *ReleaseRequest) Append(b []byte) []byte { return releaseObject.append(b, r) }

// Append appends the request's JSON.
func (r *ExtendRequest) Append(b []byte) []byte { return extendObject.append(b, r) }

// Append appends the reply's JSON.
func (r *ReservationReply) Append(b []byte) []byte { return reservationReplyObject.append(b, r) }

func (r *ReserveRequest) decode(d *decoder) {
	if reserveObject.decode(d, r); d.failed == nil && r.Provider == "" && r.Account == "" {
		d.fail("name a provider, such as \"claude\", or an account")
	}
}
func (r *ReportRequest) decode(d *decoder) {
	reportObject.decode(d, r)
	if r.ReservationID == "" && r.Account == "" && d.failed == nil {
		d.fail("name the reservation_id, or the account that spent without a reservation")
	}
}

func (r *SettleRequest) decode(d *decoder)    { settleObject.decode(d, r) }
func (r *ReleaseRequest) decode(d *decoder)   { releaseObject.decode(d, r) }
func (r *ExtendRequest) decode(d *decoder)    { extendObject.decode(d, r) }
func (r *ReservationReply) decode(d *decoder) { reservationReplyObject.decode(d, r) }

// ParamsHash identifies what is asked for.
func (r *ReserveRequest) ParamsHash() ParamsHash { return hashOf(VerbReserve, r) }

// ParamsHash identifies what is asked for.
func (r *ReportRequest) ParamsHash() ParamsHash { return hashOf(VerbReport, r) }

// ParamsHash identifies what is asked for.
func (r *SettleRequest) ParamsHash() ParamsHash { return hashOf(VerbSettle, r) }

// ParamsHash identifies what is asked for.
func (r *ReleaseRequest) ParamsHash() ParamsHash { return hashOf(VerbRelease, r) }

// ParamsHash identifies what is asked for.
func (r *ExtendRequest) ParamsHash() ParamsHash { return hashOf(VerbExtend, r) }

// Command makes a quota.Reserve with the given reservation id.
func (r *ReserveRequest) Command(by quota.Actor, reservation string) quota.Command {
	priority, _ := quota.ParsePriority(r.Priority) // a decoded request has a known one or none
	return quota.Reserve{
		Actor: by, Reservation: reservation, Provider: r.Provider, Account: r.Account, Model: r.Model, TaskType: r.TaskType,
		Complexity: r.Complexity, Files: r.Files, Estimated: r.Estimated, Priority: priority, Amount: quota.Amount{Tokens: quota.Tokens(r.Tokens), Requests: r.Requests},
		Lifetime: quota.Millis(r.TTLMS), Lease: quota.Millis(r.LeaseMS),
		MinTokens: r.MinTokens, MaxWait: quota.Millis(r.MaxWaitMS), AcceptAccounts: r.AcceptAccounts, AcceptProviders: r.AcceptProviders,
		AcceptModels: r.AcceptModels, Preemptible: r.Preemptible,
	}
}

// Command makes a quota.Report.
func (r *ReportRequest) Command(by quota.Actor, _ string) quota.Command {
	return quota.Report{Actor: by, Reservation: r.ReservationID, Account: r.Account, Model: r.Model, Items: usageItems(r.Usage)}
}

// Command makes a quota.Settle.
func (r *SettleRequest) Command(by quota.Actor, _ string) quota.Command {
	return quota.Settle{Actor: by, Reservation: r.ReservationID, Account: r.Account, Model: r.Model, Items: usageItems(r.Usage)}
}

// Command makes a quota.Release.
func (r *ReleaseRequest) Command(by quota.Actor, _ string) quota.Command {
	return quota.Release{Actor: by, Reservation: r.ReservationID, Reason: r.Reason}
}

// Command makes a quota.Extend.
func (r *ExtendRequest) Command(by quota.Actor, _ string) quota.Command {
	return quota.Extend{
		Actor: by, Reservation: r.ReservationID, Amount: quota.Amount{Tokens: quota.Tokens(r.Tokens), Requests: r.Requests},
		Lifetime: quota.Millis(r.TTLMS),
	}
}

func usageItems(items []UsageItem) []quota.UsageItem {
	if len(items) == 0 {
		return nil
	}
	converted := make([]quota.UsageItem, len(items))
	for i, item := range items {
		converted[i] = quota.UsageItem{
			OccurredAt: item.OccurredAt.Instant(), CallID: item.CallID, Model: item.Model, Tokens: quota.Tokens(item.Tokens),
			Requests: item.Requests, Batch: item.Batch, Source: item.Source, Session: item.Session, Project: item.Project,
		}
	}
	return converted
}

// reservationOf is how the reservation stands by a result.
func reservationOf(r *quota.Result) Reservation {
	v := Reservation{
		ReservationID: r.Reservation, Provider: r.Provider, Account: r.Account, Model: r.Model, Granted: amountOf(r.Granted),
		Used: amountOf(r.Used), Returned: amountOf(r.Returned), CostHeldMicroUSD: r.CostHeld, CostUsedMicroUSD: r.CostUsed,
		Unpriced: r.Unpriced, ExpiresAt: TimeOf(r.Expires), Outcome: string(r.Outcome),
	}
	if r.Priority != 0 {
		v.Priority = r.Priority.String()
	}
	return v
}

// ReservationReplyOf converts the result of a decision that did what it was asked for.
func ReservationReplyOf(r *quota.Result, notices []Notice) ReservationReply {
	reply := ReservationReply{
		Reservation: reservationOf(r), Recorded: r.Recorded, RetryAfterMS: int64(r.Pace), ConfigVersion: r.Version, Notices: notices,
	}
	if r.Queue != nil {
		reply.State, reply.Queue = StateQueued, placeOf(r.Queue)
	}
	return reply
}
