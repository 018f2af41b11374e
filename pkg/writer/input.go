package writer

import (
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Time is the time of a step, read by the caller.
type Time struct {
	Wall quota.Instant // may jump; see the clock
	Mono time.Duration // since any fixed point of this process; never goes back
}

// Input is one of the types below.
type Input interface{ input() }

// Elect says that this process should lead the ledger. It is answered by Load, and later by Serve or StepDown.
type Elect struct{}

// Demote says that this process should not lead any more: the lease is lost. Waiting requests are told unavailable.
type Demote struct{}

// Drain asks to stop serving in good order: what is decided is committed and answered, then comes StepDown.
type Drain struct{}

// Loaded hands in the ledger that a Load recovered: folded up to the newest revision that was found. The writer owns it from then on.
type Loaded struct {
	Ledger *ledger.Ledger
	// SinceKeyframe is how many commits were folded after the keyframe.
	SinceKeyframe int
}

// LoadFailed says that a Load did not succeed. Corrupt says that the log itself is damaged, which halts the ledger.
type LoadFailed struct {
	Err     error
	Corrupt bool
}

// Submit hands in requests, in the order in which they are decided.
type Submit struct{ Requests []Request }

// Wake says that the time of the last Timer has come.
type Wake struct{}

// Verdict is what became of a Publish.
type Verdict int

// The verdicts.
const (
	// Acked: stored, at PublishOutcome.Revision.
	Acked Verdict = iota + 1
	// Conflict: refused, because the key's revision is not the expected one (10071).
	Conflict
	// InFlight: another write is in flight; no verdict (10164, 10158).
	InFlight
	// Unknown: no answer, or one that leaves it open (timeout, 503, 10077, 10023, 10008, 10009).
	Unknown
	// Full: refused, because the bucket is at its maximum size (10077 with "maximum bytes").
	Full
)

// PublishOutcome is what became of the Publish with the same attempt number.
type PublishOutcome struct {
	Attempt  uint64
	Verdict  Verdict
	Revision uint64 // when acked
	Err      error  // what the store said, for messages
}

// ReadOutcome hands in what a Read found.
type ReadOutcome struct {
	Read uint64
	// Entries are the revisions after Read.After, in order and without gaps from the first on: at least the first when
	// there is one, all of them if possible, with the time at which the server stored them.
	Entries []ledger.Entry
	// Last is the newest revision of the key, 0 when it does not exist. It is looked at when there are no entries.
	Last uint64
	// Err says that the read failed; the rest then means nothing.
	Err error
}

func (Elect) input()          {}
func (Demote) input()         {}
func (Drain) input()          {}
func (Loaded) input()         {}
func (LoadFailed) input()     {}
func (Submit) input()         {}
func (Wake) input()           {}
func (PublishOutcome) input() {}
func (ReadOutcome) input()    {}

// Token is how the caller knows a request again; it must be unique among requests that are not answered.
type Token uint64

// Request is a command, or a read when Read is set.
type Request struct {
	Token Token
	Actor quota.Actor // whose notices go with the reply

	// Key, Params and IssuedAt identify a command; see ledger.KeyOf and ledger.ParamsOf. IssuedAt is the time in the
	// UUIDv7 of the request id.
	Key      ledger.Key
	Params   ledger.Params
	IssuedAt quota.Instant
	Command  quota.Command

	// Read computes the answer to a read; it must not keep or change the state. It runs inside Step.
	Read func(s *quota.State, now quota.Instant) any
}
