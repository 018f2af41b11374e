package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/bursarhq/bursar/pkg/quota"
)

// The verbs of agents.
const (
	VerbEstimate = "estimate"
	VerbReserve  = "reserve"
	VerbReport   = "report"
	VerbExtend   = "extend"
	VerbSettle   = "settle"
	VerbRelease  = "release"
	VerbStatus   = "status"
	VerbList     = "list"
	VerbObserve  = "observe"
)

// The verbs of operators.
const (
	VerbApply        = "apply"
	VerbGetConfig    = "get-config"
	VerbAccounts     = "accounts"
	VerbReservations = "reservations"
	VerbRevoke       = "revoke"
	VerbHold         = "hold"
	VerbResume       = "resume"
	VerbVerify       = "verify"
	VerbQueue        = "queue"
	VerbEstimates    = "estimates"
)

// AgentVerbs lists the verbs of agents in the order of the documentation.
func AgentVerbs() []string {
	return []string{VerbEstimate, VerbReserve, VerbReport, VerbExtend, VerbSettle, VerbRelease, VerbStatus, VerbList, VerbObserve}
}

// AdminVerbs lists the verbs of operators in the order of the documentation.
func AdminVerbs() []string {
	return []string{VerbApply, VerbGetConfig, VerbAccounts, VerbReservations, VerbQueue, VerbEstimates, VerbRevoke, VerbHold, VerbResume, VerbVerify}
}

// ViewerVerbs lists the verbs of operators that viewers may send too: how everything stands, and nothing that changes
// it or costs much.
func ViewerVerbs() []string {
	return []string{VerbAccounts, VerbReservations, VerbQueue, VerbEstimates}
}

// Request is the body of a request, a pointer to one of the …Request structs of this package.
type Request interface {
	// Verb is the last token of the request's subject.
	Verb() string
	// Append appends the request's JSON to b: fields in a fixed order, empty optional ones left out.
	Append(b []byte) []byte
	decode(d *decoder)
}

// Acknowledging is a Request that can acknowledge notices: every request of an agent.
type Acknowledging interface {
	Request
	// Acknowledged lists the notices that the agent has seen; they are to be forgotten.
	Acknowledged() []uint64
	acks() *Acks
}

// Mutation is a Request that changes the ledger. It is answered once per principal and request id.
type Mutation interface {
	Request
	// ID is the request id; a decoded request has a valid one.
	ID() RequestID
	// ParamsHash identifies what was asked: requests with the same hash ask for the same. It covers the verb and every
	// field but the request id and the acknowledged notices.
	ParamsHash() ParamsHash
	identified() *Identified
}

// Commanding is a Mutation that the state machine decides. Only apply is not one: its document is to be parsed first
// (see [ApplyRequest.Command]).
type Commanding interface {
	Mutation
	// Command makes the command. reservation is the id that a reserve is to have; other verbs ignore it.
	Command(by quota.Actor, reservation string) quota.Command
}

// RequestID is a UUIDv7 that the requester chose.
type RequestID [16]byte

// ParamsHash is the first half of a SHA-256.
type ParamsHash [16]byte

// ParseRequestID reads the 36 characters of a UUIDv7; anything else is [ErrInvalid].
func ParseRequestID(s string) (RequestID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		return RequestID{}, fmt.Errorf("%w: request_id must be a UUIDv7 such as %s, made anew for each request and kept for its retries", ErrInvalid, requestIDExample)
	}
	return RequestID(id), nil
}

const requestIDExample = "0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10"

// NewRequestID makes a request id. It fails only if the system gives no randomness.
func NewRequestID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make a request id: %w", err)
	}
	return id.String(), nil
}

// MakeID makes a UUIDv7 (RFC 9562) of a time, for who makes thousands a second: ids sort by it, to about a quarter of a
// microsecond. What is random in it tells ids from one another and is no secret, so that it does not come from the system
// each time.
func MakeID(at time.Time) (id RequestID) {
	const perMilli, fractions = int64(time.Millisecond), 1 << 12
	ns := at.UnixNano()
	ms, fraction := ns/perMilli, ns%perMilli*fractions/perMilli
	binary.BigEndian.PutUint64(id[:8], uint64(ms)<<16|7<<12|uint64(fraction))
	binary.BigEndian.PutUint64(id[8:], 1<<63|rand.Uint64()>>2)
	return id
}

// String gives the 36 characters.
func (id RequestID) String() string { return uuid.UUID(id).String() }

// Made is when the id was made, by the requester's clock.
func (id RequestID) Made() quota.Instant {
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return quota.Instant(ms)
}

// Identified carries the request id of a mutating request.
type Identified struct {
	// RequestID is a UUIDv7. A retry carries the same; the same id with other parameters is an error.
	RequestID string `json:"request_id"`
}

// ID is the request id; the zero id if the text is not a valid one.
func (i *Identified) ID() RequestID {
	id, err := ParseRequestID(i.RequestID)
	if err != nil {
		return RequestID{}
	}
	return id
}

func (i *Identified) identified() *Identified { return i }

// HasRequestID tells whether the requester chose a request id, be it a valid one or not.
func HasRequestID(m Mutation) bool { return m.identified().RequestID != "" }

// SetRequestID sets the request id of a mutation.
func SetRequestID(m Mutation, id string) { m.identified().RequestID = id }

// Acks carries the notices that an agent has seen.
type Acks struct {
	AckNotices []uint64 `json:"ack_notices,omitzero"`
}

// Acknowledged lists the notices.
func (a *Acks) Acknowledged() []uint64 { return a.AckNotices }

func (a *Acks) acks() *Acks { return a }

// SetAcks sets the notices that a request acknowledges.
func SetAcks(r Acknowledging, notices []uint64) { r.acks().AckNotices = notices }

func requestID[T any](at func(*T) *string) field[T] {
	return must(field[T]{
		name: "request_id",
		read: func(d *decoder, v *T) {
			s := d.text(MaxTextBytes)
			if _, err := ParseRequestID(s); err != nil && d.failed == nil {
				d.fail("must be a UUIDv7 such as %s, made anew for each request and kept for its retries", requestIDExample)
			}
			*at(v) = s
		},
		write: func(b []byte, v *T) []byte { return appendText(b, *at(v)) },
		empty: func(v *T) bool { return *at(v) == "" },
	})
}

func ackNotices[T any](at func(*T) *[]uint64) field[T] { return numbers("ack_notices", MaxAcks, at) }

// spaces are buffers for what is hashed.
var spaces = sync.Pool{New: func() any { return new([]byte) }}

// hashOf hashes what a mutation asks for.
func hashOf(verb string, r Mutation) ParamsHash {
	id := r.identified()
	keptID := id.RequestID
	id.RequestID = ""
	var keptAcks []uint64
	acknowledging, ok := r.(Acknowledging)
	if ok {
		keptAcks = acknowledging.acks().AckNotices
		acknowledging.acks().AckNotices = nil
	}
	space := spaces.Get().(*[]byte)
	*space = r.Append(append(append((*space)[:0], verb...), 0))
	sum := sha256.Sum256(*space)
	spaces.Put(space)
	id.RequestID = keptID
	if ok {
		acknowledging.acks().AckNotices = keptAcks
	}
	return ParamsHash(sum[:16])
}

// NewRequest gives an empty request of a verb; nil for a verb that there is not.
func NewRequest(kind Kind, verb string) Request {
	switch kind {
	case KindAgent:
		return newAgentRequest(verb)
	case KindAdmin:
		return newAdminRequest(verb)
	case KindQuery:
		return newQueryRequest(verb)
	}
	return nil
}

func newAgentRequest(verb string) Request {
	switch verb {
	case VerbEstimate:
		return new(EstimateRequest)
	case VerbReserve:
		return new(ReserveRequest)
	case VerbReport:
		return new(ReportRequest)
	case VerbExtend:
		return new(ExtendRequest)
	case VerbSettle:
		return new(SettleRequest)
	case VerbRelease:
		return new(ReleaseRequest)
	case VerbStatus:
		return new(StatusRequest)
	case VerbList:
		return new(ListRequest)
	case VerbObserve:
		return new(ObserveRequest)
	}
	return nil
}

func newAdminRequest(verb string) Request {
	switch verb {
	case VerbApply:
		return new(ApplyRequest)
	case VerbGetConfig:
		return new(GetConfigRequest)
	case VerbAccounts:
		return new(AccountsRequest)
	case VerbReservations:
		return new(ReservationsRequest)
	case VerbQueue:
		return new(QueueRequest)
	case VerbEstimates:
		return new(EstimatesRequest)
	case VerbRevoke:
		return new(RevokeRequest)
	case VerbHold:
		return new(HoldRequest)
	case VerbResume:
		return new(ResumeRequest)
	case VerbVerify:
		return new(VerifyRequest)
	}
	return nil
}

// shortRequest is up to how many bytes the texts of a request are parts of one copy of it, all of which is kept as long as
// any of them is: a reservation keeps some.
const shortRequest = 512

// DecodeRequest reads a request strictly: unknown fields, repeated fields, null, numbers that are not whole or out of
// bounds, texts that are too long and anything after the document are refused, so that a misspelt field is never
// silently without effect. An empty body stands for {}. The error is always an *[Error] with code invalid that names the
// field and says what to write.
func DecodeRequest(kind Kind, verb string, data []byte) (Request, error) {
	r := NewRequest(kind, verb)
	if r == nil {
		return nil, NewError(quota.CodeInvalid, "there is no %s verb %q", kind, verb)
	}
	most, advice := MaxRequestBytes, "send several"
	if verb == VerbApply {
		most, advice = MaxApplyBytes, "shorten the document"
	}
	if len(data) > most {
		return nil, NewError(quota.CodeInvalid, "the request has %d bytes, at most %d are allowed: %s", len(data), most, advice)
	}
	if len(data) == 0 {
		data = []byte("{}")
	}
	d := decoder{data: data}
	if len(data) <= shortRequest {
		d.whole = string(data)
	}
	if fault := d.read(r.decode); fault != nil {
		return nil, &Error{Code: quota.CodeInvalid, Message: fault.text()}
	}
	return r, nil
}
