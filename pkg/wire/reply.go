package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/bursarhq/bursar/pkg/quota"
)

// MaxReplyBytes is the largest reply; one that would be larger is to be asked for in parts.
const MaxReplyBytes = 1<<20 - 8<<10

// ErrorReply is the body of a refusal. Every other reply has no field "error".
type ErrorReply struct {
	Error   Error    `json:"error"`
	Notices []Notice `json:"notices,omitzero"`
}

var errorReplyObject = object[ErrorReply]{
	must(field[ErrorReply]{
		name:  "error",
		read:  func(d *decoder, r *ErrorReply) { errorObject.decode(d, &r.Error) },
		write: func(b []byte, r *ErrorReply) []byte { return errorObject.append(b, &r.Error) },
	}),
	list("notices", maxReplyNotices, noticeObject, func(r *ErrorReply) *[]Notice { return &r.Notices }),
}

// Append appends the reply's JSON.
func (r *ErrorReply) Append(b []byte) []byte { return errorReplyObject.append(b, r) }

// AppendError appends the reply to a request that is refused. notices are those that the agent has pending.
func AppendError(b []byte, err error, notices []quota.Notice) []byte {
	return (&ErrorReply{Error: *ErrorOf(err), Notices: NoticesOf(notices)}).Append(b)
}

// ErrorOfResult makes the refusal of a result; nil if it did what it was asked for. decided says that the result is in the
// ledger: see [Error.Decided].
func ErrorOfResult(r *quota.Result, decided bool) *Error {
	if r.OK() {
		return nil
	}
	e := &Error{Code: r.Code, Message: r.Message, Retryable: r.Retryable, RetryAfterMS: int64(r.RetryAfter), Recorded: r.Recorded, Decided: decided}
	e.Details = ErrorDetails{
		LimitID: r.Limit, Provider: r.Provider, Account: r.Account, Model: r.Model, Alternatives: alternativesOf(r.Alternatives),
	}
	switch r.Code {
	case quota.CodeConcurrentLimitExceeded:
		e.Details.Requested, e.Details.Capacity, e.Details.Current = r.Requested, r.Capacity, r.Capacity-r.Available
	case quota.CodeAllocationExceeded:
		e.Details.Requested, e.Details.Allocated = r.Requested, r.Capacity
		e.Details.Outcome = string(r.Outcome)
	case quota.CodeClosed:
		e.Details.Outcome = string(r.Outcome)
	case quota.CodeConflict:
		e.Details.ConfigVersion = r.Version
	default:
		e.Details.Requested, e.Details.Capacity = r.Requested, r.Capacity
		if available := r.Available; r.Code == quota.CodeInsufficientQuota {
			e.Details.Available = &available
		}
		e.Details.Reason, e.Details.HeldBack = string(r.Reason), r.HeldBack
	}
	if r.Code == quota.CodeAllocationExceeded || r.Code == quota.CodeClosed {
		reservation := reservationOf(r)
		e.Details.Reservation = &reservation
	}
	return e
}

// AppendResult appends the reply to a mutation whose result is in the ledger: its error, or the reply of its verb. notices are those
// that the agent has pending; none for operators.
func AppendResult(b []byte, m Mutation, r *quota.Result, notices []quota.Notice) []byte {
	if !r.OK() {
		return (&ErrorReply{Error: *ErrorOfResult(r, true), Notices: NoticesOf(notices)}).Append(b)
	}
	switch m := m.(type) {
	case *ObserveRequest:
		return appendJSON(b, ObserveReplyOf(r, NoticesOf(notices)))
	case *ApplyRequest:
		return appendJSON(b, ApplyReply{r.Version})
	case *HoldRequest:
		return appendJSON(b, BlockReply{m.Target, m.Name, true})
	case *ResumeRequest:
		return appendJSON(b, BlockReply{m.Target, m.Name, false})
	default:
		reply := reservationReplies.Get().(*ReservationReply)
		*reply = ReservationReplyOf(r, NoticesOf(notices))
		b = reply.Append(b)
		*reply = ReservationReply{}
		reservationReplies.Put(reply)
		return b
	}
}

// reservationReplies are structs that replies are made in.
var reservationReplies = sync.Pool{New: func() any { return new(ReservationReply) }}

// appendJSON is for replies that are not on the path of every request.
func appendJSON(b []byte, v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		return AppendError(b, fmt.Errorf("encode %T: %w", v, err), nil)
	}
	return append(b, encoded...)
}

// AppendReply appends a reply made by hand: one of the …Reply structs. One that is larger than [MaxReplyBytes]
// becomes an invalid error that says to ask for less.
func AppendReply(b []byte, reply any) []byte {
	start := len(b)
	b = appendJSON(b, reply)
	if n := len(b) - start; n > MaxReplyBytes {
		return AppendError(b[:start], NewError(quota.CodeInvalid,
			"the reply would have %s bytes, more than fit; ask for less at a time with limit", strconv.Itoa(n)), nil)
	}
	return b
}

// DecodeReply reads a reply into a pointer to the …Reply struct of the verb. A refusal is returned as an *[Error]; the
// pending notices are returned in either case. Fields that are not known are ignored: they come from a newer server.
// A body that is not a reply is an error that matches [ErrInternal].
func DecodeReply(data []byte, reply any) ([]Notice, error) {
	var first *fault
	if r, ok := reply.(*ReservationReply); ok {
		if first = readOpen(data, string(data), r.decode); first == nil {
			return r.Notices, nil
		}
		*r = ReservationReply{}
	}
	var refused ErrorReply
	if readOpen(data, "", func(d *decoder) { errorReplyObject.decode(d, &refused) }) == nil {
		return refused.Notices, &refused.Error
	}
	if first != nil {
		return nil, fmt.Errorf("%w: the body is not a reply: %s", ErrInternal, first.text())
	}
	var common struct {
		Error   json.RawMessage `json:"error"`
		Notices []Notice        `json:"notices"`
	}
	if err := json.Unmarshal(data, &common); err != nil || common.Error != nil {
		return nil, fmt.Errorf("%w: the body is not a reply", errors.Join(ErrInternal, err))
	}
	if err := json.Unmarshal(data, reply); err != nil {
		return nil, fmt.Errorf("%w: the body is not a %T: %w", ErrInternal, reply, err)
	}
	return common.Notices, nil
}

// readOpen reads a whole document that may have fields of a newer version; it gives what is wrong with it. whole is as
// in the decoder.
func readOpen(data []byte, whole string, decode func(*decoder)) *fault {
	return decoder{data: data, open: true, whole: whole}.read(decode)
}
