package quota

// Code is a stable name of an answer; empty means success. pkg/wire maps it to and from sentinel errors.
type Code string

// The codes that a decision can give. Retryable or terminal is said beside it, never by the code alone.
const (
	CodeOK                          Code = ""
	CodeInvalid                     Code = "invalid"
	CodeProviderNotSupported        Code = "provider_not_supported"
	CodeInsufficientQuota           Code = "insufficient_quota"
	CodeConcurrentLimitExceeded     Code = "concurrent_limit_exceeded"
	CodeAllocationNotFound          Code = "allocation_not_found"
	CodeAllocationExceeded          Code = "allocation_exceeded"
	CodeClosed                      Code = "closed"
	CodeSubscriptionInfoUnavailable Code = "subscription_info_unavailable"
	CodeConflict                    Code = "conflict"
	CodeUnavailable                 Code = "unavailable"
)

// Result is the answer to one command. It is stored in the commit, so that the same request gets the same answer
// again; its cbor numbers are never reused.
type Result struct {
	Code       Code   `cbor:"1,keyasint,omitempty"`
	Message    string `cbor:"2,keyasint,omitempty"` // what happened and what to do, for a person
	Retryable  bool   `cbor:"3,keyasint,omitempty"` // later may succeed; false means never in this window
	RetryAfter Millis `cbor:"4,keyasint,omitempty"`
	Recorded   bool   `cbor:"5,keyasint,omitempty"` // usage in the request is in the ledger

	Reservation string   `cbor:"6,keyasint,omitempty"`
	Provider    string   `cbor:"7,keyasint,omitempty"`
	Account     string   `cbor:"8,keyasint,omitempty"`
	Model       string   `cbor:"9,keyasint,omitempty"`
	Priority    Priority `cbor:"10,keyasint,omitempty"`
	Granted     Amount   `cbor:"11,keyasint,omitempty"` // with extensions
	Used        Amount   `cbor:"12,keyasint,omitempty"` // so far
	Returned    Amount   `cbor:"13,keyasint,omitempty"` // on close
	CostHeld    int64    `cbor:"14,keyasint,omitempty"` // micro-USD
	CostUsed    int64    `cbor:"15,keyasint,omitempty"`
	Unpriced    bool     `cbor:"16,keyasint,omitempty"`
	Expires     Instant  `cbor:"17,keyasint,omitempty"`
	Outcome     Outcome  `cbor:"18,keyasint,omitempty"`
	// Pace is how long to wait before the next provider call, because a bucket is in debt.
	Pace Millis `cbor:"19,keyasint,omitempty"`

	Limit     string `cbor:"20,keyasint,omitempty"` // the limit that binds
	Requested int64  `cbor:"21,keyasint,omitempty"` // in its unit; for concurrent limits 1
	Available int64  `cbor:"22,keyasint,omitempty"`
	Capacity  int64  `cbor:"23,keyasint,omitempty"`
	Version   uint64 `cbor:"24,keyasint,omitempty"` // of the configuration
	Effective bool   `cbor:"25,keyasint,omitempty"` // of an observation

	// Reason says why a limit refused; empty where no limit did.
	Reason      Reason  `cbor:"60,keyasint,omitempty"`
	Unknown     bool    `cbor:"61,keyasint,omitempty"` // the observed window is not configured
	ClosedUntil Instant `cbor:"62,keyasint,omitempty"` // the provider refuses until then
	HeldBack    int64   `cbor:"63,keyasint,omitempty"` // what the limit has left and keeps for others, in its unit
	// Queue is where the reservation stands in the queue: nothing is held for it yet. nil for any other answer.
	Queue *Place `cbor:"40,keyasint,omitempty"`
	// Alternatives are what would be granted instead of what was refused, best first.
	Alternatives []Alternative `cbor:"41,keyasint,omitempty"`
	// Told is what became of each window of an observation of several.
	Told []Told `cbor:"110,keyasint,omitempty"`
}

// OK tells whether the command did what it asked for.
func (r *Result) OK() bool { return r.Code == CodeOK }
