package wire

import "github.com/bursarhq/bursar/pkg/quota"

// The fields of the events that come with every request, so that the relay writes them as fast as they are decided. The
// other events are written by encoding/json.

var labelsObject = object[Labels]{
	text("principal", maxReplyTextBytes, func(v *Labels) *string { return &v.Principal }),
	text("agent", maxReplyTextBytes, func(v *Labels) *string { return &v.Agent }),
	text("team", maxReplyTextBytes, func(v *Labels) *string { return &v.Team }),
	text("provider", maxReplyTextBytes, func(v *Labels) *string { return &v.Provider }),
	text("account", maxReplyTextBytes, func(v *Labels) *string { return &v.Account }),
	text("model", maxReplyTextBytes, func(v *Labels) *string { return &v.Model }),
	text("task_type", maxReplyTextBytes, func(v *Labels) *string { return &v.TaskType }),
	text("complexity", maxReplyTextBytes, func(v *Labels) *string { return &v.Complexity }),
	text("priority", maxReplyTextBytes, func(v *Labels) *string { return &v.Priority }),
	integer("files", 0, quota.MaxFiles, func(v *Labels) *int64 { return &v.Files }),
	integer("estimated_tokens", 0, quota.MaxEstimated, func(v *Labels) *int64 { return &v.Estimated }),
}

var actorObject = object[Actor]{
	text("principal", maxReplyTextBytes, func(v *Actor) *string { return &v.Principal }),
	text("agent", maxReplyTextBytes, func(v *Actor) *string { return &v.Agent }),
}

var limitAmountObject = object[LimitAmount]{
	must(text("limit_id", maxReplyTextBytes, func(v *LimitAmount) *string { return &v.LimitID })),
	must(integer("amount", -maxInteger, maxInteger, func(v *LimitAmount) *int64 { return &v.Amount })),
}

var chargeObject = object[Charge]{
	must(text("limit_id", maxReplyTextBytes, func(v *Charge) *string { return &v.LimitID })),
	instant("window_at", func(v *Charge) *Time { return &v.WindowAt }),
	must(integer("amount", -maxInteger, maxInteger, func(v *Charge) *int64 { return &v.Amount })),
	integer("within", -maxInteger, maxInteger, func(v *Charge) *int64 { return &v.Within }),
}

var rateObject = object[Rate]{
	must(integer("input", -maxInteger, maxInteger, func(v *Rate) *int64 { return &v.Input })),
	must(integer("cache_read", -maxInteger, maxInteger, func(v *Rate) *int64 { return &v.CacheRead })),
	must(integer("cache_write_5m", -maxInteger, maxInteger, func(v *Rate) *int64 { return &v.CacheWrite5m })),
	must(integer("cache_write_1h", -maxInteger, maxInteger, func(v *Rate) *int64 { return &v.CacheWrite1h })),
	must(integer("output", -maxInteger, maxInteger, func(v *Rate) *int64 { return &v.Output })),
}

var grantedObject = object[ReservationGrantedData]{
	must(text("reservation_id", maxReplyTextBytes, func(v *ReservationGrantedData) *string { return &v.ReservationID })),
	must(nested("labels", labelsObject, func(v *ReservationGrantedData) *Labels { return &v.Labels })),
	must(nested("amount", amountObject, func(v *ReservationGrantedData) *Amount { return &v.Amount })),
	list("holds", maxEventItems, limitAmountObject, func(v *ReservationGrantedData) *[]LimitAmount { return &v.Holds }),
	pointer("rate", rateObject, func(v *ReservationGrantedData) **Rate { return &v.Rate }),
	boolean("unpriced", func(v *ReservationGrantedData) *bool { return &v.Unpriced }),
	integer("cost_held_micro_usd", -maxInteger, maxInteger, func(v *ReservationGrantedData) *int64 { return &v.CostHeldMicroUSD }),
	must(instant("expires_at", func(v *ReservationGrantedData) *Time { return &v.ExpiresAt })),
	instant("deadline_at", func(v *ReservationGrantedData) *Time { return &v.DeadlineAt }),
	integer("lease_ms", -maxInteger, maxInteger, func(v *ReservationGrantedData) *int64 { return &v.LeaseMS }),
	counter("config_version", func(v *ReservationGrantedData) *uint64 { return &v.ConfigVersion }),
	instant("queued_at", func(v *ReservationGrantedData) *Time { return &v.QueuedAt }),
	boolean("unclaimed", func(v *ReservationGrantedData) *bool { return &v.Unclaimed }),
	boolean("preemptible", func(v *ReservationGrantedData) *bool { return &v.Preemptible }),
	list("steps", maxSteps, stepObject, func(v *ReservationGrantedData) *[]Step { return &v.Steps }),
}

var deniedObject = object[ReservationDeniedData]{
	text("reservation_id", maxReplyTextBytes, func(v *ReservationDeniedData) *string { return &v.ReservationID }),
	must(nested("labels", labelsObject, func(v *ReservationDeniedData) *Labels { return &v.Labels })),
	must(nested("amount", amountObject, func(v *ReservationDeniedData) *Amount { return &v.Amount })),
	must(text("code", maxReplyTextBytes, func(v *ReservationDeniedData) *string { return &v.Code })),
	text("limit_id", maxReplyTextBytes, func(v *ReservationDeniedData) *string { return &v.LimitID }),
	integer("requested", -maxInteger, maxInteger, func(v *ReservationDeniedData) *int64 { return &v.Requested }),
	integer("available", -maxInteger, maxInteger, func(v *ReservationDeniedData) *int64 { return &v.Available }),
	text("unit", maxReplyTextBytes, func(v *ReservationDeniedData) *string { return &v.Unit }),
	must(boolean("retryable", func(v *ReservationDeniedData) *bool { return &v.Retryable })),
	integer("retry_after_ms", -maxInteger, maxInteger, func(v *ReservationDeniedData) *int64 { return &v.RetryAfterMS }),
	counter("config_version", func(v *ReservationDeniedData) *uint64 { return &v.ConfigVersion }),
	name("reason", maxReplyTextBytes, func(d *ReservationDeniedData) *string { return &d.Reason }),
	integer("held_back", 0, maxInteger, func(d *ReservationDeniedData) *int64 { return &d.HeldBack }),
	list("alternatives", maxAlternatives, alternativeObject, func(v *ReservationDeniedData) *[]Alternative { return &v.Alternatives }),
	list("steps", maxSteps, stepObject, func(v *ReservationDeniedData) *[]Step { return &v.Steps }),
}

var extendedObject = object[ReservationExtendedData]{
	must(text("reservation_id", maxReplyTextBytes, func(v *ReservationExtendedData) *string { return &v.ReservationID })),
	must(nested("labels", labelsObject, func(v *ReservationExtendedData) *Labels { return &v.Labels })),
	must(nested("amount", amountObject, func(v *ReservationExtendedData) *Amount { return &v.Amount })),
	list("holds", maxEventItems, limitAmountObject, func(v *ReservationExtendedData) *[]LimitAmount { return &v.Holds }),
	integer("cost_held_micro_usd", -maxInteger, maxInteger, func(v *ReservationExtendedData) *int64 { return &v.CostHeldMicroUSD }),
	must(instant("expires_at", func(v *ReservationExtendedData) *Time { return &v.ExpiresAt })),
}

var renewedObject = object[ReservationRenewedData]{
	must(text("reservation_id", maxReplyTextBytes, func(v *ReservationRenewedData) *string { return &v.ReservationID })),
	must(instant("expires_at", func(v *ReservationRenewedData) *Time { return &v.ExpiresAt })),
}

var closedObject = object[ReservationClosedData]{
	must(text("reservation_id", maxReplyTextBytes, func(v *ReservationClosedData) *string { return &v.ReservationID })),
	must(nested("labels", labelsObject, func(v *ReservationClosedData) *Labels { return &v.Labels })),
	must(text("outcome", maxReplyTextBytes, func(v *ReservationClosedData) *string { return &v.Outcome })),
	nested("by", actorObject, func(v *ReservationClosedData) *Actor { return &v.By }),
	text("reason", maxReplyTextBytes, func(v *ReservationClosedData) *string { return &v.Reason }),
	list("returned", maxEventItems, limitAmountObject, func(v *ReservationClosedData) *[]LimitAmount { return &v.Returned }),
	must(nested("granted", amountObject, func(v *ReservationClosedData) *Amount { return &v.Granted })),
	must(nested("used", amountObject, func(v *ReservationClosedData) *Amount { return &v.Used })),
	integer("cost_held_micro_usd", -maxInteger, maxInteger, func(v *ReservationClosedData) *int64 { return &v.CostHeldMicroUSD }),
	integer("cost_used_micro_usd", -maxInteger, maxInteger, func(v *ReservationClosedData) *int64 { return &v.CostUsedMicroUSD }),
	instant("granted_at", func(v *ReservationClosedData) *Time { return &v.GrantedAt }),
}

var usageObject = object[UsageRecordedData]{
	text("reservation_id", maxReplyTextBytes, func(v *UsageRecordedData) *string { return &v.ReservationID }),
	must(text("standing", maxReplyTextBytes, func(v *UsageRecordedData) *string { return &v.Standing })),
	must(nested("labels", labelsObject, func(v *UsageRecordedData) *Labels { return &v.Labels })),
	must(instant("occurred_at", func(v *UsageRecordedData) *Time { return &v.OccurredAt })),
	text("call_id", maxReplyTextBytes, func(v *UsageRecordedData) *string { return &v.CallID }),
	must(nested("tokens", sumsObject, func(v *UsageRecordedData) *Tokens { return &v.Tokens })),
	integer("requests", -maxInteger, maxInteger, func(v *UsageRecordedData) *int64 { return &v.Requests }),
	pointer("rate", rateObject, func(v *UsageRecordedData) **Rate { return &v.Rate }),
	integer("cost_micro_usd", -maxInteger, maxInteger, func(v *UsageRecordedData) *int64 { return &v.CostMicroUSD }),
	boolean("unpriced", func(v *UsageRecordedData) *bool { return &v.Unpriced }),
	boolean("batch", func(v *UsageRecordedData) *bool { return &v.Batch }),
	list("charges", maxEventItems, chargeObject, func(v *UsageRecordedData) *[]Charge { return &v.Charges }),
	instant("granted_at", func(v *UsageRecordedData) *Time { return &v.GrantedAt }),
	integer("overrun_tokens", -maxInteger, maxInteger, func(v *UsageRecordedData) *int64 { return &v.OverrunTokens }),
	text("source", maxReplyTextBytes, func(v *UsageRecordedData) *string { return &v.Source }),
	text("session", maxReplyTextBytes, func(v *UsageRecordedData) *string { return &v.Session }),
	text("project", maxReplyTextBytes, func(v *UsageRecordedData) *string { return &v.Project }),
}

// maxEventItems bounds the lists of an event: there are no more limits.
const maxEventItems = 100_000

// Append appends the data's JSON.
func (d *ReservationGrantedData) Append(b []byte) []byte { return grantedObject.append(b, d) }

// Append appends the data's JSON.
func (d *ReservationDeniedData) Append(b []byte) []byte { return deniedObject.append(b, d) }

// Append appends the data's JSON.
func (d *ReservationExtendedData) Append(b []byte) []byte { return extendedObject.append(b, d) }

// Append appends the data's JSON.
func (d *ReservationRenewedData) Append(b []byte) []byte { return renewedObject.append(b, d) }

// Append appends the data's JSON.
func (d *ReservationClosedData) Append(b []byte) []byte { return closedObject.append(b, d) }

// Append appends the data's JSON.
func (d *UsageRecordedData) Append(b []byte) []byte { return usageObject.append(b, d) }
