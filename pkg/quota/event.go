package quota

// Event is one fact that was decided. The concrete types below are the durable record: their cbor numbers are never
// reused or changed, fields are only added, and golden ledgers of released versions hold them to it. An event
// carries what its decision depended on (window bounds, prices, the configuration version), so that Apply never
// decides again.
type Event interface {
	// Kind is the event's stable name, the last part of its CloudEvents type.
	Kind() string
}

// The names of events.
const (
	KindConfigApplied         = "config.applied"
	KindEpochClaimed          = "epoch.claimed"
	KindReservationGranted    = "reservation.granted"
	KindReservationDenied     = "reservation.denied"
	KindReservationExtended   = "reservation.extended"
	KindReservationRenewed    = "reservation.renewed"
	KindReservationExpiring   = "reservation.expiring"
	KindReservationClosed     = "reservation.closed"
	KindReservationPreempting = "reservation.preempting"
	KindReservationShrunk     = "reservation.shrunk"
	KindUsageRecorded         = "usage.recorded"
	KindWindowOpened          = "window.opened"
	KindWindowRolled          = "window.rolled"
	KindLimitWarning          = "limit.warning"
	KindObservationRecorded   = "observation.recorded"
	KindBlockPlaced           = "block.placed"
	KindBlockLifted           = "block.lifted"
	KindNoticesAcknowledged   = "notices.acknowledged"
)

// Labels say whose work it is, for analysis: the same on every event of a reservation.
type Labels struct {
	Principal  string   `cbor:"1,keyasint,omitempty"`
	Agent      string   `cbor:"2,keyasint,omitempty"`
	Team       string   `cbor:"3,keyasint,omitempty"`
	Provider   string   `cbor:"4,keyasint,omitempty"`
	Account    string   `cbor:"5,keyasint,omitempty"`
	Model      string   `cbor:"6,keyasint,omitempty"`
	TaskType   string   `cbor:"7,keyasint,omitempty"`
	Complexity string   `cbor:"8,keyasint,omitempty"`
	Priority   Priority `cbor:"9,keyasint,omitempty"`
	Files      int64    `cbor:"70,keyasint,omitempty"` // that the task touches; 0 where nobody said
	Estimated  int64    `cbor:"71,keyasint,omitempty"` // tokens that an estimate told the agent; 0 where none did
}

// LimitAmount is a number of units of one limit.
type LimitAmount struct {
	Limit  string `cbor:"1,keyasint,omitempty"`
	Amount int64  `cbor:"2,keyasint,omitempty"`
}

// EpochClaimed starts the reign of a writer.
type EpochClaimed struct {
	Epoch  uint64 `cbor:"1,keyasint,omitempty"`
	Writer string `cbor:"2,keyasint,omitempty"`
}

// ConfigApplied replaces the configuration. Opened are the windows that count from now on: one per limit whose
// counter is new, with the bounds of calendar windows.
type ConfigApplied struct {
	At     Instant      `cbor:"1,keyasint,omitempty"`
	Actor  Actor        `cbor:"2,keyasint,omitempty"`
	Config Config       `cbor:"3,keyasint,omitempty"`
	Opened []WindowSpan `cbor:"4,keyasint,omitempty"`
}

// WindowSpan is a limit's window from Start up to but excluding End; zero bounds mean that it is not open.
type WindowSpan struct {
	Limit string  `cbor:"1,keyasint,omitempty"`
	Start Instant `cbor:"2,keyasint,omitempty"`
	End   Instant `cbor:"3,keyasint,omitempty"`
}

// ReservationGranted holds units on every binding limit.
type ReservationGranted struct {
	At          Instant       `cbor:"1,keyasint,omitempty"`
	Reservation string        `cbor:"2,keyasint,omitempty"`
	Labels      Labels        `cbor:"3,keyasint,omitempty"`
	Amount      Amount        `cbor:"4,keyasint,omitempty"`
	Holds       []LimitAmount `cbor:"5,keyasint,omitempty"`
	Rate        Rate          `cbor:"6,keyasint,omitempty"`
	Unpriced    bool          `cbor:"7,keyasint,omitempty"`
	CostHeld    int64         `cbor:"8,keyasint,omitempty"` // micro-USD, rounded up
	Expires     Instant       `cbor:"9,keyasint,omitempty"`
	Deadline    Instant       `cbor:"10,keyasint,omitempty"` // no lease reaches beyond it
	Lease       Millis        `cbor:"11,keyasint,omitempty"`
	Config      uint64        `cbor:"12,keyasint,omitempty"`
	QueuedAt    Instant       `cbor:"40,keyasint,omitempty"` // of a grant from the queue
	Unclaimed   bool          `cbor:"41,keyasint,omitempty"` // it expires at Expires unless there is a sign of life
	Preemptible bool          `cbor:"42,keyasint,omitempty"`
	Passed      []string      `cbor:"43,keyasint,omitempty"` // heads of the queue that were passed for the first time
	Steps       []Step        `cbor:"44,keyasint,omitempty"` // up to the one that granted; none if the first did
}

// ReservationDenied records a refusal to reserve or to extend; it charges nothing.
type ReservationDenied struct {
	At          Instant `cbor:"1,keyasint,omitempty"`
	Reservation string  `cbor:"2,keyasint,omitempty"` // set when an extension was refused
	Labels      Labels  `cbor:"3,keyasint,omitempty"`
	Amount      Amount  `cbor:"4,keyasint,omitempty"`
	Code        Code    `cbor:"5,keyasint,omitempty"`
	Limit       string  `cbor:"6,keyasint,omitempty"` // the limit that binds, if one does
	Requested   int64   `cbor:"7,keyasint,omitempty"` // in its unit
	Available   int64   `cbor:"8,keyasint,omitempty"`
	Retryable   bool    `cbor:"9,keyasint,omitempty"`
	RetryAfter  Millis  `cbor:"10,keyasint,omitempty"`
	Config      uint64  `cbor:"11,keyasint,omitempty"`
	Reason      Reason  `cbor:"60,keyasint,omitempty"`
	HeldBack    int64   `cbor:"61,keyasint,omitempty"` // what the limit has left and keeps for others, in its unit
	Unit        Unit    `cbor:"62,keyasint,omitempty"` // the limit's; empty in older ledgers
	// Steps of the ladder, where there was more than one.
	Steps        []Step        `cbor:"40,keyasint,omitempty"`
	Alternatives []Alternative `cbor:"41,keyasint,omitempty"` // best first
}

// ReservationExtended adds units and time.
type ReservationExtended struct {
	At          Instant       `cbor:"1,keyasint,omitempty"`
	Reservation string        `cbor:"2,keyasint,omitempty"`
	Labels      Labels        `cbor:"3,keyasint,omitempty"`
	Amount      Amount        `cbor:"4,keyasint,omitempty"`
	Holds       []LimitAmount `cbor:"5,keyasint,omitempty"`
	CostHeld    int64         `cbor:"6,keyasint,omitempty"`
	Expires     Instant       `cbor:"7,keyasint,omitempty"`
	Passed      []string      `cbor:"100,keyasint,omitempty"` // heads of the queue that were passed for the first time
}

// ReservationRenewed moves the end of a lease.
type ReservationRenewed struct {
	At          Instant `cbor:"1,keyasint,omitempty"`
	Reservation string  `cbor:"2,keyasint,omitempty"`
	Expires     Instant `cbor:"3,keyasint,omitempty"`
}

// ReservationExpiring raises the notice that a lease ends soon.
type ReservationExpiring struct {
	At          Instant `cbor:"1,keyasint,omitempty"`
	Reservation string  `cbor:"2,keyasint,omitempty"`
	Labels      Labels  `cbor:"3,keyasint,omitempty"`
	Expires     Instant `cbor:"4,keyasint,omitempty"`
}

// Outcome says how a reservation was closed.
type Outcome string

// The outcomes.
const (
	OutcomeSettled   Outcome = "settled"
	OutcomeReleased  Outcome = "released"
	OutcomeExpired   Outcome = "expired"
	OutcomeRevoked   Outcome = "revoked"
	OutcomePreempted Outcome = "preempted"
	// OutcomeCancelled is the outcome of a reservation that left the queue without a grant; it was never held.
	OutcomeCancelled Outcome = "cancelled"
)

// ReservationClosed returns what is left.
type ReservationClosed struct {
	At          Instant       `cbor:"1,keyasint,omitempty"`
	Reservation string        `cbor:"2,keyasint,omitempty"`
	Labels      Labels        `cbor:"3,keyasint,omitempty"`
	Outcome     Outcome       `cbor:"4,keyasint,omitempty"`
	By          Actor         `cbor:"5,keyasint,omitempty"` // empty when time closed it
	Reason      string        `cbor:"6,keyasint,omitempty"`
	Returned    []LimitAmount `cbor:"7,keyasint,omitempty"`
	Granted     Amount        `cbor:"8,keyasint,omitempty"` // with extensions
	Used        Amount        `cbor:"9,keyasint,omitempty"`
	CostHeld    int64         `cbor:"10,keyasint,omitempty"`
	CostUsed    int64         `cbor:"11,keyasint,omitempty"`
	GrantedAt   Instant       `cbor:"12,keyasint,omitempty"`
	Expires     Instant       `cbor:"13,keyasint,omitempty"` // when its lease ended or would have ended
}

// Standing tells in which state usage found its reservation.
type Standing string

// The standings of usage.
const (
	StandingOpen    Standing = "open"
	StandingLate    Standing = "late"    // the reservation was closed
	StandingUnknown Standing = "unknown" // no such reservation is remembered
	// StandingUnreserved is usage that was never to have a reservation: it was learned from elsewhere.
	StandingUnreserved Standing = "unreserved"
)

// Charge is what one usage item cost on one limit.
type Charge struct {
	Limit string `cbor:"1,keyasint,omitempty"`
	// Window is the start of the window charged: the present one, an earlier one, or 0 where the usage is older than
	// the windows that are kept and for buckets.
	Window Instant `cbor:"2,keyasint,omitempty"`
	Amount int64   `cbor:"3,keyasint,omitempty"`
	Within int64   `cbor:"4,keyasint,omitempty"` // the part taken from the reservation's hold
}

// UsageRecorded is usage that has happened. Tokens and Requests are what is new in this event: for a call seen
// before, the difference to what was known of it.
type UsageRecorded struct {
	At          Instant  `cbor:"1,keyasint,omitempty"`
	Reservation string   `cbor:"2,keyasint,omitempty"`
	Standing    Standing `cbor:"3,keyasint,omitempty"`
	Labels      Labels   `cbor:"4,keyasint,omitempty"`
	OccurredAt  Instant  `cbor:"5,keyasint,omitempty"`
	CallID      string   `cbor:"6,keyasint,omitempty"`
	Tokens      Tokens   `cbor:"7,keyasint,omitempty"`
	Requests    int64    `cbor:"8,keyasint,omitempty"`
	Rate        Rate     `cbor:"9,keyasint,omitempty"`
	Cost        int64    `cbor:"10,keyasint,omitempty"` // micro-USD
	Unpriced    bool     `cbor:"11,keyasint,omitempty"`
	Batch       bool     `cbor:"12,keyasint,omitempty"`
	Charges     []Charge `cbor:"13,keyasint,omitempty"`
	GrantedAt   Instant  `cbor:"14,keyasint,omitempty"` // of the reservation, if known
	Overrun     int64    `cbor:"15,keyasint,omitempty"` // tokens of this event beyond the reservation
	Source      string   `cbor:"16,keyasint,omitempty"` // who told of it, where it was not the agent itself
	Session     string   `cbor:"17,keyasint,omitempty"`
	Project     string   `cbor:"18,keyasint,omitempty"`
}

// WindowOpened opens a session window at its first use.
type WindowOpened struct {
	At   Instant    `cbor:"1,keyasint,omitempty"`
	Span WindowSpan `cbor:"2,keyasint,omitempty"`
}

// WindowRolled ends a window and starts Next, which is not open when the next one opens at first use. Holds move on.
type WindowRolled struct {
	At    Instant    `cbor:"1,keyasint,omitempty"`
	Ended WindowSpan `cbor:"2,keyasint,omitempty"`
	Used  int64      `cbor:"3,keyasint,omitempty"`
	Next  WindowSpan `cbor:"4,keyasint,omitempty"`
	// Outside is what was spent outside of the ended window, and DriftPace the pace of it that is expected of the next, in
	// units per day.
	Outside   int64 `cbor:"60,keyasint,omitempty"`
	DriftPace int64 `cbor:"61,keyasint,omitempty"`
}

// LimitWarning says that spending on a limit crossed a threshold; once per limit, window and threshold.
type LimitWarning struct {
	At        Instant `cbor:"1,keyasint,omitempty"`
	Limit     string  `cbor:"2,keyasint,omitempty"`
	Window    Instant `cbor:"3,keyasint,omitempty"`
	Threshold int64   `cbor:"4,keyasint,omitempty"` // percent
	Spent     int64   `cbor:"5,keyasint,omitempty"` // used and outside
	Capacity  int64   `cbor:"6,keyasint,omitempty"`
	Account   string  `cbor:"7,keyasint,omitempty"`
	Team      string  `cbor:"8,keyasint,omitempty"`
	Unit      Unit    `cbor:"9,keyasint,omitempty"` // of Spent and Capacity; empty in older ledgers
}

// Observation is what a provider said of one window.
type Observation struct {
	Used         int64   `cbor:"1,keyasint,omitempty"` // in the limit's unit; -1 where only a percentage is known
	PercentMilli int64   `cbor:"2,keyasint,omitempty"` // thousandths of a percent; -1 where not told
	Capacity     int64   `cbor:"3,keyasint,omitempty"` // 0 where not told
	ResetAt      Instant `cbor:"4,keyasint,omitempty"`
	Tier         string  `cbor:"5,keyasint,omitempty"`
	Source       string  `cbor:"6,keyasint,omitempty"`
	At           Instant `cbor:"7,keyasint,omitempty"`
	Signal       Signal  `cbor:"60,keyasint,omitempty"` // that the provider refused, and why
	RetryAfter   Millis  `cbor:"61,keyasint,omitempty"` // what it asked to wait from At on
	Length       Millis  `cbor:"62,keyasint,omitempty"` // how long such windows last, where told
}

// ObservationRecorded keeps an observation. Effective is false for one that is older than what is known or whose
// window has ended: it is recorded and changes no limit. Limit is empty for a window that the configuration does not
// have; Window is then what the provider calls it, and empty where the provider named none.
type ObservationRecorded struct {
	At          Instant     `cbor:"1,keyasint,omitempty"`
	Actor       Actor       `cbor:"2,keyasint,omitempty"`
	Account     string      `cbor:"3,keyasint,omitempty"`
	Limit       string      `cbor:"4,keyasint,omitempty"`
	Observation Observation `cbor:"5,keyasint,omitempty"`
	Effective   bool        `cbor:"6,keyasint,omitempty"`
	// Span is the window after the observation.
	Span WindowSpan `cbor:"7,keyasint,omitempty"`
	// Capacity is the limit's capacity after it, where the observation taught it; 0 where it did not.
	Capacity int64 `cbor:"8,keyasint,omitempty"`
	// Window is the name of a window that is not configured.
	Window string `cbor:"60,keyasint,omitempty"`
	// ClosedUntil is until when the limit, or without a limit the account, grants nothing after it; 0 for open. It counts
	// only where the observation is effective.
	ClosedUntil Instant `cbor:"61,keyasint,omitempty"`
	// Lesson is what it does to what the limit's capacity is learned from; nil for nothing.
	Lesson *Lesson `cbor:"62,keyasint,omitempty"`
	// Since is how much of what we had booked by then occurred after it, in the limit's unit.
	Since int64 `cbor:"63,keyasint,omitempty"`
	// Told is what a bucket holds by the provider's word; 0 where it said nothing of that.
	Told int64 `cbor:"110,keyasint,omitempty"`
}

// BlockPlaced stops new grants.
type BlockPlaced struct {
	At     Instant     `cbor:"1,keyasint,omitempty"`
	Actor  Actor       `cbor:"2,keyasint,omitempty"`
	Target BlockTarget `cbor:"3,keyasint,omitempty"`
	Name   string      `cbor:"4,keyasint,omitempty"`
	Reason string      `cbor:"5,keyasint,omitempty"`
}

// BlockLifted allows them again.
type BlockLifted struct {
	At     Instant     `cbor:"1,keyasint,omitempty"`
	Actor  Actor       `cbor:"2,keyasint,omitempty"`
	Target BlockTarget `cbor:"3,keyasint,omitempty"`
	Name   string      `cbor:"4,keyasint,omitempty"`
}

// NoticesAcknowledged forgets notices.
type NoticesAcknowledged struct {
	At      Instant  `cbor:"1,keyasint,omitempty"`
	Actor   Actor    `cbor:"2,keyasint,omitempty"`
	Notices []uint64 `cbor:"3,keyasint,omitempty"`
}

// Kind names the event.
func (*EpochClaimed) Kind() string { return KindEpochClaimed }

// Kind names the event.
func (*ConfigApplied) Kind() string { return KindConfigApplied }

// Kind names the event.
func (*ReservationGranted) Kind() string { return KindReservationGranted }

// Kind names the event.
func (*ReservationDenied) Kind() string { return KindReservationDenied }

// Kind names the event.
func (*ReservationExtended) Kind() string { return KindReservationExtended }

// Kind names the event.
func (*ReservationRenewed) Kind() string { return KindReservationRenewed }

// Kind names the event.
func (*ReservationExpiring) Kind() string { return KindReservationExpiring }

// Kind names the event.
func (*ReservationClosed) Kind() string { return KindReservationClosed }

// Kind names the event.
func (*UsageRecorded) Kind() string { return KindUsageRecorded }

// Kind names the event.
func (*WindowOpened) Kind() string { return KindWindowOpened }

// Kind names the event.
func (*WindowRolled) Kind() string { return KindWindowRolled }

// Kind names the event.
func (*LimitWarning) Kind() string { return KindLimitWarning }

// Kind names the event.
func (*ObservationRecorded) Kind() string { return KindObservationRecorded }

// Kind names the event.
func (*BlockPlaced) Kind() string { return KindBlockPlaced }

// Kind names the event.
func (*BlockLifted) Kind() string { return KindBlockLifted }

// Kind names the event.
func (*NoticesAcknowledged) Kind() string { return KindNoticesAcknowledged }
