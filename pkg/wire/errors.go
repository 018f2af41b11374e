package wire

import (
	"errors"
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
)

// CodeInternal: a fault of ours; its message is fixed, and the log has the rest.
const CodeInternal quota.Code = "internal"

// The sentinels, one per code. An [Error] matches the sentinel of its code with errors.Is.
var (
	ErrInvalid                     = errors.New("invalid request")
	ErrProviderNotSupported        = errors.New("provider not supported")
	ErrInsufficientQuota           = errors.New("insufficient quota")
	ErrConcurrentLimitExceeded     = errors.New("concurrent limit exceeded")
	ErrAllocationNotFound          = errors.New("allocation not found")
	ErrAllocationExceeded          = errors.New("allocation exceeded")
	ErrClosed                      = errors.New("reservation closed")
	ErrSubscriptionInfoUnavailable = errors.New("subscription info unavailable")
	ErrConflict                    = errors.New("conflict")
	ErrUnavailable                 = errors.New("unavailable")
	ErrInternal                    = errors.New("internal error")
)

// codes is the one table of codes and sentinels.
var codes = []struct {
	code     quota.Code
	sentinel error
}{
	{quota.CodeInvalid, ErrInvalid},
	{quota.CodeProviderNotSupported, ErrProviderNotSupported},
	{quota.CodeInsufficientQuota, ErrInsufficientQuota},
	{quota.CodeConcurrentLimitExceeded, ErrConcurrentLimitExceeded},
	{quota.CodeAllocationNotFound, ErrAllocationNotFound},
	{quota.CodeAllocationExceeded, ErrAllocationExceeded},
	{quota.CodeClosed, ErrClosed},
	{quota.CodeSubscriptionInfoUnavailable, ErrSubscriptionInfoUnavailable},
	{quota.CodeConflict, ErrConflict},
	{quota.CodeUnavailable, ErrUnavailable},
	{CodeInternal, ErrInternal},
}

// Codes lists every code in the order of the documentation.
func Codes() []quota.Code {
	list := make([]quota.Code, len(codes))
	for i, c := range codes {
		list[i] = c.code
	}
	return list
}

// SentinelOf gives the sentinel of a code; ErrInternal for one that is not known.
func SentinelOf(code quota.Code) error {
	for _, c := range codes {
		if c.code == code {
			return c.sentinel
		}
	}
	return ErrInternal
}

// CodeOf gives the code of an error that is an [Error] or wraps a sentinel; CodeInternal for any other error, and
// CodeOK for nil.
func CodeOf(err error) quota.Code {
	if err == nil {
		return quota.CodeOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.sentinel) {
			return c.code
		}
	}
	return CodeInternal
}

// Error is a refusal as it goes on the wire, and the error that the Go client returns. errors.Is matches it with the
// sentinel of its code; errors.As gives the details.
type Error struct {
	Code    quota.Code `json:"code"`
	Message string     `json:"message"` // what happened and what to do, for a person
	// Retryable: the same request may succeed later. Otherwise it never will in this window, as it stands.
	Retryable    bool  `json:"retryable"`
	RetryAfterMS int64 `json:"retry_after_ms,omitzero"` // how long to wait, where it is known
	Recorded     bool  `json:"recorded,omitzero"`       // the usage in the request is in the ledger all the same
	// Decided: the answer is in the ledger, so that the same request id is answered the same for ever; to ask again, make
	// a new one. Otherwise nothing is known to have happened, and a retry carries the same request id.
	Decided bool         `json:"decided,omitzero"`
	Details ErrorDetails `json:"details,omitzero"`
}

// ErrorDetails say more, by code. Figures are in the unit of the limit.
type ErrorDetails struct {
	// insufficient_quota: LimitID binds, Requested exceeds Available of Capacity.
	// concurrent_limit_exceeded: Current reservations are live of Capacity under LimitID.
	LimitID   string `json:"limit_id,omitzero"`
	Requested int64  `json:"requested,omitzero"` // allocation_exceeded: the tokens used
	Available *int64 `json:"available,omitzero"` // told by every insufficient_quota, also where it is 0
	Capacity  int64  `json:"capacity,omitzero"`
	// HeldBack is what LimitID has left beside Available and keeps for higher priorities or for spending outside.
	HeldBack int64 `json:"held_back,omitzero"`
	// Reason of insufficient_quota: depleted, held_back, closed (the provider refuses until a reset) or too_large.
	Reason    string `json:"reason,omitzero"`
	Current   int64  `json:"current,omitzero"`
	Allocated int64  `json:"allocated,omitzero"` // allocation_exceeded: the tokens reserved
	// Provider, Account and Model say what the refusal was about, where it was about one.
	Provider string `json:"provider,omitzero"`
	Account  string `json:"account,omitzero"`
	Model    string `json:"model,omitzero"`
	// Outcome: closed as settled, released, expired or revoked.
	Outcome string `json:"outcome,omitzero"`
	// Reservation is how the reservation stands, for closed and allocation_exceeded.
	Reservation *Reservation `json:"reservation,omitzero"`
	// ConfigVersion is the present one, for a conflict.
	ConfigVersion uint64 `json:"config_version,omitzero"`
	// Alternatives are what would be granted instead, best first.
	Alternatives []Alternative `json:"alternatives,omitzero"`
	// Faults lists everything that is wrong with a configuration.
	Faults []Fault `json:"faults,omitzero"`
}

// Fault is one thing that is wrong with a configuration document.
type Fault struct {
	Line    int64  `json:"line,omitzero"`
	Column  int64  `json:"column,omitzero"`
	Path    string `json:"path,omitzero"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitzero"` // what to write instead
}

// Error gives the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Is matches the sentinel of the code.
func (e *Error) Is(target error) bool { return SentinelOf(e.Code) == target }

// NewError makes a refusal that is not retryable.
func NewError(code quota.Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Unavailable makes a refusal that is to be retried with the same request id.
func Unavailable(retryAfter quota.Millis, format string, args ...any) *Error {
	return &Error{Code: quota.CodeUnavailable, Message: fmt.Sprintf(format, args...), Retryable: true, RetryAfterMS: int64(retryAfter)}
}

// ErrorOf makes an [Error] of any error. One that is neither an Error nor wraps a sentinel becomes internal, with a
// fixed text: what we do not know we do not tell strangers.
func ErrorOf(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	code := CodeOf(err)
	if code == CodeInternal {
		return &Error{Code: CodeInternal, Message: "an internal error; the operator's log has the details"}
	}
	return &Error{Code: code, Message: err.Error(), Retryable: code == quota.CodeUnavailable}
}

var faultObject = object[Fault]{
	integer("line", 0, maxInteger, func(f *Fault) *int64 { return &f.Line }),
	integer("column", 0, maxInteger, func(f *Fault) *int64 { return &f.Column }),
	text("path", maxReplyTextBytes, func(f *Fault) *string { return &f.Path }),
	must(text("message", maxReplyTextBytes, func(f *Fault) *string { return &f.Message })),
	text("hint", maxReplyTextBytes, func(f *Fault) *string { return &f.Hint }),
}

// Bounds of what a reader accepts from a server.
const (
	maxReplyTextBytes = 64 << 10
	maxFaults         = 1000
)

var errorObject = object[Error]{
	must(name("code", MaxNameBytes, func(e *Error) *string { return (*string)(&e.Code) })),
	must(text("message", maxReplyTextBytes, func(e *Error) *string { return &e.Message })),
	must(boolean("retryable", func(e *Error) *bool { return &e.Retryable })),
	integer("retry_after_ms", 0, maxInteger, func(e *Error) *int64 { return &e.RetryAfterMS }),
	boolean("recorded", func(e *Error) *bool { return &e.Recorded }),
	boolean("decided", func(e *Error) *bool { return &e.Decided }),
	detailsField,
}

var detailsField = field[Error]{
	name:  "details",
	read:  func(d *decoder, e *Error) { detailsObject.decode(d, &e.Details) },
	write: func(b []byte, e *Error) []byte { return detailsObject.append(b, &e.Details) },
	empty: func(e *Error) bool { return e.Details.empty() },
}

// empty tells whether there is nothing to say.
func (d *ErrorDetails) empty() bool {
	faults := d.Faults
	if len(faults) > 0 || len(d.Alternatives) > 0 {
		return false
	}
	return d.LimitID == "" && d.Requested == 0 && d.Available == nil && d.Capacity == 0 && d.Current == 0 && d.Allocated == 0 &&
		d.Provider == "" && d.Account == "" && d.Model == "" && d.Outcome == "" && d.Reservation == nil && d.ConfigVersion == 0 &&
		d.HeldBack == 0 && d.Reason == ""
}

// IsZero lets encoding/json leave empty details out.
func (d ErrorDetails) IsZero() bool { return d.empty() }

var detailsObject = object[ErrorDetails]{
	name("limit_id", MaxTextBytes, func(d *ErrorDetails) *string { return &d.LimitID }),
	integer("requested", -maxInteger, maxInteger, func(d *ErrorDetails) *int64 { return &d.Requested }),
	optional("available", -maxInteger, maxInteger, func(d *ErrorDetails) **int64 { return &d.Available }),
	integer("capacity", -maxInteger, maxInteger, func(d *ErrorDetails) *int64 { return &d.Capacity }),
	integer("held_back", 0, maxInteger, func(d *ErrorDetails) *int64 { return &d.HeldBack }),
	name("reason", MaxNameBytes, func(d *ErrorDetails) *string { return &d.Reason }),
	integer("current", -maxInteger, maxInteger, func(d *ErrorDetails) *int64 { return &d.Current }),
	integer("allocated", -maxInteger, maxInteger, func(d *ErrorDetails) *int64 { return &d.Allocated }),
	name("provider", MaxTextBytes, func(d *ErrorDetails) *string { return &d.Provider }),
	name("account", MaxTextBytes, func(d *ErrorDetails) *string { return &d.Account }),
	name("model", MaxTextBytes, func(d *ErrorDetails) *string { return &d.Model }),
	name("outcome", MaxNameBytes, func(d *ErrorDetails) *string { return &d.Outcome }),
	pointer("reservation", reservationObject, func(d *ErrorDetails) **Reservation { return &d.Reservation }),
	counter("config_version", func(d *ErrorDetails) *uint64 { return &d.ConfigVersion }),
	list("alternatives", maxAlternatives, alternativeObject, func(d *ErrorDetails) *[]Alternative { return &d.Alternatives }),
	list("faults", maxFaults, faultObject, func(d *ErrorDetails) *[]Fault { return &d.Faults }),
}
