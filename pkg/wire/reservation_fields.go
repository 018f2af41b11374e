package wire

import "github.com/bursarhq/bursar/pkg/quota"

// maxSpanMS bounds every span of time in a request: 31 days.
const maxSpanMS = 31 * int64(quota.Day)

// priorityWords are the priorities on the wire, lowest first.
var priorityWords = []string{"low", "normal", "high", "critical"}

var reserveObject = object[ReserveRequest]{
	requestID(func(r *ReserveRequest) *string { return &r.RequestID }),
	ackNotices(func(r *ReserveRequest) *[]uint64 { return &r.AckNotices }),
	name("provider", MaxNameBytes, func(r *ReserveRequest) *string { return &r.Provider }),
	name("account", MaxNameBytes, func(r *ReserveRequest) *string { return &r.Account }),
	mustName("model", MaxNameBytes, func(r *ReserveRequest) *string { return &r.Model }),
	name("task_type", MaxNameBytes, func(r *ReserveRequest) *string { return &r.TaskType }),
	name("complexity", MaxNameBytes, func(r *ReserveRequest) *string { return &r.Complexity }),
	integer("files", 1, quota.MaxFiles, func(r *ReserveRequest) *int64 { return &r.Files }),
	integer("estimated_tokens", 1, quota.MaxEstimated, func(r *ReserveRequest) *int64 { return &r.Estimated }),
	choice("priority", priorityWords, func(r *ReserveRequest) *string { return &r.Priority }),
	nested("tokens", tokensObject, func(r *ReserveRequest) *Tokens { return &r.Tokens }),
	integer("requests", 0, quota.MaxRequests, func(r *ReserveRequest) *int64 { return &r.Requests }),
	integer("ttl_ms", 0, maxSpanMS, func(r *ReserveRequest) *int64 { return &r.TTLMS }),
	integer("lease_ms", 0, maxSpanMS, func(r *ReserveRequest) *int64 { return &r.LeaseMS }),
	integer("min_tokens", 0, 5*quota.MaxTokensPerClass, func(r *ReserveRequest) *int64 { return &r.MinTokens }),
	integer("max_wait_ms", 0, maxSpanMS, func(r *ReserveRequest) *int64 { return &r.MaxWaitMS }),
	names("accept_accounts", quota.MaxAccept, func(r *ReserveRequest) *[]string { return &r.AcceptAccounts }),
	names("accept_providers", quota.MaxAccept, func(r *ReserveRequest) *[]string { return &r.AcceptProviders }),
	names("accept_models", quota.MaxAccept, func(r *ReserveRequest) *[]string { return &r.AcceptModels }),
	boolean("preemptible", func(r *ReserveRequest) *bool { return &r.Preemptible }),
}

var usageItemObject = object[UsageItem]{
	instant("occurred_at", func(u *UsageItem) *Time { return &u.OccurredAt }),
	name("call_id", MaxTextBytes, func(u *UsageItem) *string { return &u.CallID }),
	name("model", MaxNameBytes, func(u *UsageItem) *string { return &u.Model }),
	nested("tokens", tokensObject, func(u *UsageItem) *Tokens { return &u.Tokens }),
	integer("requests", 0, quota.MaxRequests, func(u *UsageItem) *int64 { return &u.Requests }),
	boolean("batch", func(u *UsageItem) *bool { return &u.Batch }),
	name("source", MaxNameBytes, func(u *UsageItem) *string { return &u.Source }),
	name("session", MaxTextBytes, func(u *UsageItem) *string { return &u.Session }),
	name("project", MaxTextBytes, func(u *UsageItem) *string { return &u.Project }),
}

var reportObject = object[ReportRequest]{
	requestID(func(r *ReportRequest) *string { return &r.RequestID }),
	ackNotices(func(r *ReportRequest) *[]uint64 { return &r.AckNotices }),
	name("reservation_id", MaxTextBytes, func(r *ReportRequest) *string { return &r.ReservationID }),
	name("account", MaxNameBytes, func(r *ReportRequest) *string { return &r.Account }),
	name("model", MaxNameBytes, func(r *ReportRequest) *string { return &r.Model }),
	list("usage", MaxUsageItems, usageItemObject, func(r *ReportRequest) *[]UsageItem { return &r.Usage }),
}

var settleObject = object[SettleRequest]{
	requestID(func(r *SettleRequest) *string { return &r.RequestID }),
	ackNotices(func(r *SettleRequest) *[]uint64 { return &r.AckNotices }),
	mustName("reservation_id", MaxTextBytes, func(r *SettleRequest) *string { return &r.ReservationID }),
	name("account", MaxNameBytes, func(r *SettleRequest) *string { return &r.Account }),
	name("model", MaxNameBytes, func(r *SettleRequest) *string { return &r.Model }),
	list("usage", MaxUsageItems, usageItemObject, func(r *SettleRequest) *[]UsageItem { return &r.Usage }),
}

var releaseObject = object[ReleaseRequest]{
	requestID(func(r *ReleaseRequest) *string { return &r.RequestID }),
	ackNotices(func(r *ReleaseRequest) *[]uint64 { return &r.AckNotices }),
	mustName("reservation_id", MaxTextBytes, func(r *ReleaseRequest) *string { return &r.ReservationID }),
	text("reason", MaxTextBytes, func(r *ReleaseRequest) *string { return &r.Reason }),
}

var extendObject = object[ExtendRequest]{
	requestID(func(r *ExtendRequest) *string { return &r.RequestID }),
	ackNotices(func(r *ExtendRequest) *[]uint64 { return &r.AckNotices }),
	mustName("reservation_id", MaxTextBytes, func(r *ExtendRequest) *string { return &r.ReservationID }),
	nested("tokens", tokensObject, func(r *ExtendRequest) *Tokens { return &r.Tokens }),
	integer("requests", 0, quota.MaxRequests, func(r *ExtendRequest) *int64 { return &r.Requests }),
	integer("ttl_ms", 0, maxSpanMS, func(r *ExtendRequest) *int64 { return &r.TTLMS }),
}

// reservationFields are the fields of a Reservation inside of something else.
func reservationFields[T any](at func(*T) *Reservation) object[T] {
	return object[T]{
		must(name("reservation_id", MaxTextBytes, func(v *T) *string { return &at(v).ReservationID })),
		name("provider", MaxTextBytes, func(v *T) *string { return &at(v).Provider }),
		name("account", MaxTextBytes, func(v *T) *string { return &at(v).Account }),
		name("model", MaxTextBytes, func(v *T) *string { return &at(v).Model }),
		name("priority", MaxTextBytes, func(v *T) *string { return &at(v).Priority }),
		nested("granted", amountObject, func(v *T) *Amount { return &at(v).Granted }),
		nested("used", amountObject, func(v *T) *Amount { return &at(v).Used }),
		nested("returned", amountObject, func(v *T) *Amount { return &at(v).Returned }),
		integer("cost_held_micro_usd", -maxInteger, maxInteger, func(v *T) *int64 { return &at(v).CostHeldMicroUSD }),
		integer("cost_used_micro_usd", -maxInteger, maxInteger, func(v *T) *int64 { return &at(v).CostUsedMicroUSD }),
		boolean("unpriced", func(v *T) *bool { return &at(v).Unpriced }),
		instant("expires_at", func(v *T) *Time { return &at(v).ExpiresAt }),
		name("outcome", MaxTextBytes, func(v *T) *string { return &at(v).Outcome }),
	}
}

var reservationObject = reservationFields(func(r *Reservation) *Reservation { return r })

var reservationReplyObject = append(reservationFields(func(r *ReservationReply) *Reservation { return &r.Reservation }),
	boolean("recorded", func(r *ReservationReply) *bool { return &r.Recorded }),
	integer("retry_after_ms", 0, maxInteger, func(r *ReservationReply) *int64 { return &r.RetryAfterMS }),
	counter("config_version", func(r *ReservationReply) *uint64 { return &r.ConfigVersion }),
	name("state", MaxNameBytes, func(r *ReservationReply) *string { return &r.State }),
	pointer("queue", placeObject, func(r *ReservationReply) **QueuePlace { return &r.Queue }),
	list("notices", maxReplyNotices, noticeObject, func(r *ReservationReply) *[]Notice { return &r.Notices }),
)

// maxReplyNotices bounds the notices that a reader accepts.
const maxReplyNotices = 10_000
