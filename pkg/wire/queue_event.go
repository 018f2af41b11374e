package wire

import "github.com/bursarhq/bursar/pkg/quota"

// ReservationQueuedData: a reserve was given a place in the queue; nothing is held.
type ReservationQueuedData struct {
	ReservationID string     `json:"reservation_id"`
	Labels        Labels     `json:"labels"`
	Amount        Amount     `json:"amount"` // wanted
	MinTokens     int64      `json:"min_tokens,omitzero"`
	Queue         QueuePlace `json:"queue"`
	WaitsFor      []WaitsFor `json:"waits_for,omitzero"`
	Code          string     `json:"code"` // what it would have been refused for
	LimitID       string     `json:"limit_id,omitzero"`
	Requested     int64      `json:"requested,omitzero"`
	Available     int64      `json:"available,omitzero"`
	ConfigVersion uint64     `json:"config_version,omitzero"`
	Steps         []Step     `json:"steps,omitzero"`
}

// ReservationWaitingData: a queued reservation waits for something else than before, or is not passed any more.
type ReservationWaitingData struct {
	ReservationID string     `json:"reservation_id"`
	WaitsFor      []WaitsFor `json:"waits_for,omitzero"`
	Kept          bool       `json:"kept,omitzero"`
}

// ReservationDequeuedData: a wait has ended.
type ReservationDequeuedData struct {
	ReservationID string `json:"reservation_id"`
	Labels        Labels `json:"labels"`
	Outcome       string `json:"outcome"`     // granted, cancelled, timed_out or refused
	By            Actor  `json:"by,omitzero"` // who cancelled it
	Reason        string `json:"reason,omitzero"`
	QueuedAt      Time   `json:"queued_at"`
	WaitedMS      int64  `json:"waited_ms"`
	Amount        Amount `json:"amount"` // wanted
	Code          string `json:"code,omitzero"`
	LimitID       string `json:"limit_id,omitzero"`
	Steps         []Step `json:"steps,omitzero"`
}

func queuedData(e *quota.ReservationQueued) *ReservationQueuedData {
	return &ReservationQueuedData{
		ReservationID: e.Reservation, Labels: labelsOf(&e.Labels), Amount: amountOf(e.Wish.Amount), MinTokens: e.Wish.MinTokens,
		Queue:    QueuePlace{e.Position, TimeOf(e.At), TimeOf(e.Until), TimeOf(e.GrantFrom), TimeOf(e.GrantAt), TimeOf(e.GrantTo), 0},
		WaitsFor: boundsOf(e.Bounds), Code: string(e.Code), LimitID: e.Limit, Requested: e.Requested, Available: e.Available,
		ConfigVersion: e.Config, Steps: stepsOf(e.Steps),
	}
}

func dequeuedData(e *quota.ReservationDequeued) *ReservationDequeuedData {
	return &ReservationDequeuedData{
		ReservationID: e.Reservation, Labels: labelsOf(&e.Labels), Outcome: string(e.Outcome), By: actorOf(e.By), Reason: e.Reason,
		QueuedAt: TimeOf(e.QueuedAt), WaitedMS: int64(e.At.Sub(e.QueuedAt)), Amount: amountOf(e.Wanted), Code: string(e.Code),
		LimitID: e.Limit, Steps: stepsOf(e.Steps),
	}
}
