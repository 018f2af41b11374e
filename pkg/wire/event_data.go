package wire

// The data of events, one struct per kind. Every field that is empty is left out, but for those that readers branch on.

// Labels say whose work it is: the same on every event of a reservation.
type Labels struct {
	Principal  string `json:"principal,omitzero"`
	Agent      string `json:"agent,omitzero"`
	Team       string `json:"team,omitzero"`
	Provider   string `json:"provider,omitzero"`
	Account    string `json:"account,omitzero"`
	Model      string `json:"model,omitzero"`
	TaskType   string `json:"task_type,omitzero"`
	Complexity string `json:"complexity,omitzero"`
	Priority   string `json:"priority,omitzero"`
	Files      int64  `json:"files,omitzero"`            // that the task touches
	Estimated  int64  `json:"estimated_tokens,omitzero"` // what an estimate told the agent, of all classes together
}

// Actor is who did something. Agent is absent for operators.
type Actor struct {
	Principal string `json:"principal,omitzero"`
	Agent     string `json:"agent,omitzero"`
}

// LimitAmount is a number of units of one limit.
type LimitAmount struct {
	LimitID string `json:"limit_id"`
	Amount  int64  `json:"amount"`
}

// Span is a limit's window; absent bounds mean that it is not open.
type Span struct {
	LimitID  string `json:"limit_id"`
	StartsAt Time   `json:"starts_at,omitzero"`
	EndsAt   Time   `json:"ends_at,omitzero"`
}

// EpochClaimedData: a writer began its reign over the ledger.
type EpochClaimedData struct {
	Epoch  uint64 `json:"epoch"`
	Writer string `json:"writer"`
}

// ConfigAppliedData: the configuration was replaced.
type ConfigAppliedData struct {
	By     Actor  `json:"by,omitzero"`
	Config Config `json:"config"`
	Opened []Span `json:"opened,omitzero"` // the windows that count from now on
}

// ReservationGrantedData: units are held on every binding limit.
type ReservationGrantedData struct {
	ReservationID    string        `json:"reservation_id"`
	Labels           Labels        `json:"labels"`
	Amount           Amount        `json:"amount"`
	Holds            []LimitAmount `json:"holds,omitzero"`
	Rate             *Rate         `json:"rate,omitzero"`
	Unpriced         bool          `json:"unpriced,omitzero"`
	CostHeldMicroUSD int64         `json:"cost_held_micro_usd,omitzero"`
	ExpiresAt        Time          `json:"expires_at"`
	DeadlineAt       Time          `json:"deadline_at,omitzero"`
	LeaseMS          int64         `json:"lease_ms,omitzero"`
	ConfigVersion    uint64        `json:"config_version,omitzero"`
	QueuedAt         Time          `json:"queued_at,omitzero"` // of a grant from the queue
	Unclaimed        bool          `json:"unclaimed,omitzero"` // it expires unless there is a sign of life
	Preemptible      bool          `json:"preemptible,omitzero"`
	Steps            []Step        `json:"steps,omitzero"` // of the ladder; none where the first granted
}

// ReservationDeniedData: a reserve or an extend was refused; nothing was charged.
type ReservationDeniedData struct {
	ReservationID string        `json:"reservation_id,omitzero"` // of the extend
	Labels        Labels        `json:"labels"`
	Amount        Amount        `json:"amount"`
	Code          string        `json:"code"`
	LimitID       string        `json:"limit_id,omitzero"`
	Requested     int64         `json:"requested,omitzero"`
	Available     int64         `json:"available,omitzero"`
	Unit          string        `json:"unit,omitzero"` // of what the limit has; absent from events of older versions
	Retryable     bool          `json:"retryable"`
	RetryAfterMS  int64         `json:"retry_after_ms,omitzero"`
	ConfigVersion uint64        `json:"config_version,omitzero"`
	Reason        string        `json:"reason,omitzero"`       // depleted, held_back, closed or too_large, where a limit refused
	HeldBack      int64         `json:"held_back,omitzero"`    // what the limit has left and keeps for others
	Alternatives  []Alternative `json:"alternatives,omitzero"` // what would have been granted, best first
	Steps         []Step        `json:"steps,omitzero"`        // of the ladder
}

// ReservationExtendedData: units and time were added.
type ReservationExtendedData struct {
	ReservationID    string        `json:"reservation_id"`
	Labels           Labels        `json:"labels"`
	Amount           Amount        `json:"amount"` // added
	Holds            []LimitAmount `json:"holds,omitzero"`
	CostHeldMicroUSD int64         `json:"cost_held_micro_usd,omitzero"` // added
	ExpiresAt        Time          `json:"expires_at"`
}

// ReservationRenewedData: the end of a lease moved.
type ReservationRenewedData struct {
	ReservationID string `json:"reservation_id"`
	ExpiresAt     Time   `json:"expires_at"`
}

// ReservationExpiringData: a lease ends soon.
type ReservationExpiringData struct {
	ReservationID string `json:"reservation_id"`
	Labels        Labels `json:"labels"`
	ExpiresAt     Time   `json:"expires_at"`
}

// ReservationPreemptingData: at ExpiresAt it gives back what the owner of a floor reclaims. With Amount that is a part, and
// it goes on with the rest; without, it is all, and it is closed.
type ReservationPreemptingData struct {
	ReservationID string  `json:"reservation_id"`
	Labels        Labels  `json:"labels"`
	ExpiresAt     Time    `json:"expires_at"`
	LimitID       string  `json:"limit_id"`        // with the floor
	ForTeam       string  `json:"for_team"`        // that owns it
	Units         int64   `json:"units,omitzero"`  // of the limit that it gives back; absent for all
	Amount        *Amount `json:"amount,omitzero"` // what that is of its grant, as of now; absent for all
}

// ReservationShrunkData: a part of what it had not used went back for the owner of a floor; it goes on with the rest.
type ReservationShrunkData struct {
	ReservationID    string        `json:"reservation_id"`
	Labels           Labels        `json:"labels"`
	Amount           Amount        `json:"amount"` // that went back
	Returned         []LimitAmount `json:"returned,omitzero"`
	CostHeldMicroUSD int64         `json:"cost_held_micro_usd,omitzero"` // that went back
	LimitID          string        `json:"limit_id"`                     // with the floor
	ForTeam          string        `json:"for_team"`                     // that owns it
	Granted          Amount        `json:"granted"`                      // that is left of the grant, what was used of it included
}

// ReservationClosedData: what was left went back.
type ReservationClosedData struct {
	ReservationID    string        `json:"reservation_id"`
	Labels           Labels        `json:"labels"`
	Outcome          string        `json:"outcome"`
	By               Actor         `json:"by,omitzero"` // absent when time closed it
	Reason           string        `json:"reason,omitzero"`
	Returned         []LimitAmount `json:"returned,omitzero"`
	Granted          Amount        `json:"granted"`
	Used             Amount        `json:"used"`
	CostHeldMicroUSD int64         `json:"cost_held_micro_usd,omitzero"`
	CostUsedMicroUSD int64         `json:"cost_used_micro_usd,omitzero"`
	GrantedAt        Time          `json:"granted_at,omitzero"`
}

// Charge is what a usage item cost on one limit.
type Charge struct {
	LimitID  string `json:"limit_id"`
	WindowAt Time   `json:"window_at,omitzero"` // the start of the window charged
	Amount   int64  `json:"amount"`
	Within   int64  `json:"within,omitzero"` // the part taken from the reservation's hold
}

// UsageRecordedData: usage that has happened. Tokens and Requests are what this event adds: for a call seen before, the
// difference to what was known of it.
type UsageRecordedData struct {
	ReservationID string   `json:"reservation_id,omitzero"`
	Standing      string   `json:"standing"` // open, late (the reservation was closed), unknown (not known any more) or unreserved
	Labels        Labels   `json:"labels"`
	OccurredAt    Time     `json:"occurred_at"`
	CallID        string   `json:"call_id,omitzero"`
	Tokens        Tokens   `json:"tokens"`
	Requests      int64    `json:"requests,omitzero"`
	Rate          *Rate    `json:"rate,omitzero"`
	CostMicroUSD  int64    `json:"cost_micro_usd,omitzero"`
	Unpriced      bool     `json:"unpriced,omitzero"`
	Batch         bool     `json:"batch,omitzero"`
	Charges       []Charge `json:"charges,omitzero"`
	GrantedAt     Time     `json:"granted_at,omitzero"`
	OverrunTokens int64    `json:"overrun_tokens,omitzero"` // of this event, beyond the reservation
	Source        string   `json:"source,omitzero"`         // who told of it, where it was not the agent itself
	Session       string   `json:"session,omitzero"`
	Project       string   `json:"project,omitzero"`
}

// WindowOpenedData: a session window opened at its first use.
type WindowOpenedData struct {
	Span Span `json:"span"`
}

// WindowRolledData: a window ended. Holds move on to the next.
type WindowRolledData struct {
	Ended Span  `json:"ended"`
	Used  int64 `json:"used"`
	Next  Span  `json:"next"`
}

// LimitWarningData: spending on a limit crossed a threshold; once per limit, window and threshold.
type LimitWarningData struct {
	LimitID          string `json:"limit_id"`
	WindowAt         Time   `json:"window_at,omitzero"` // the start of the window
	ThresholdPercent int64  `json:"threshold_percent"`
	Spent            int64  `json:"spent"` // used and outside
	Capacity         int64  `json:"capacity"`
	Account          string `json:"account,omitzero"`
	Team             string `json:"team,omitzero"`
	Unit             string `json:"unit,omitzero"` // of Spent and Capacity; absent from events of older versions
}

// ObservationRecordedData: a provider said something of a window.
type ObservationRecordedData struct {
	By          Actor       `json:"by,omitzero"`
	Account     string      `json:"account"`
	LimitID     string      `json:"limit_id"`
	Observation Observation `json:"observation"`
	Effective   bool        `json:"effective"`             // false: older than what is known, kept and without effect
	Span        Span        `json:"span"`                  // the window after it
	Capacity    int64       `json:"capacity,omitzero"`     // of the limit, where the observation taught it
	Window      string      `json:"window,omitzero"`       // the name of a window that is not configured; limit_id is empty then
	ClosedUntil Time        `json:"closed_until,omitzero"` // nothing is granted on it until then
	Learned     *Learned    `json:"learned,omitzero"`      // of the limit's capacity after it, where it taught something
}

// BlockPlacedData: an operator stopped new grants.
type BlockPlacedData struct {
	By     Actor  `json:"by,omitzero"`
	Target string `json:"target"`
	Name   string `json:"name,omitzero"`
	Reason string `json:"reason,omitzero"`
}

// BlockLiftedData: an operator allowed them again.
type BlockLiftedData struct {
	By     Actor  `json:"by,omitzero"`
	Target string `json:"target"`
	Name   string `json:"name,omitzero"`
}

// NoticesAcknowledgedData: an agent has seen notices.
type NoticesAcknowledgedData struct {
	By      Actor    `json:"by"`
	Notices []uint64 `json:"notices"`
}
