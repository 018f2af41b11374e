package writer

import (
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Action is one of the types below. The actions of a step are to be taken in their order.
type Action interface{ action() }

// Load asks to recover the ledger: the newest keyframe that restores, and the commits after it.
type Load struct{}

// Publish asks to store Data as the key's next revision if the present one is Expected (0: the key must not exist).
type Publish struct {
	Attempt  uint64
	Data     []byte
	Expected uint64
	Claim    bool // it claims an epoch
}

// Read asks for the key's revisions after one, read at the leader of the stream.
type Read struct {
	Read  uint64
	After uint64
}

// Reply answers a request; as an action it is a *Reply, since a commit makes many at once. Value is set for reads that succeeded. Result is never nil, and must not be changed: it may be
// part of a commit.
type Reply struct {
	Token   Token
	Result  *quota.Result
	Value   any
	Now     quota.Instant  // ledger time of the decision or read
	Notices []quota.Notice // pending for the actor
	Version uint64         // of the ledger: the number of the commit that holds the decision; 0 where there is none
	Ledger  ledger.ID      // which ledger was read; zero of a decision
}

// FetchAnswer asks to answer a request from the log: with answer Index of the commit at Revision.
type FetchAnswer struct {
	Token    Token
	Revision uint64
	Index    uint32
	Now      quota.Instant
	Notices  []quota.Notice
}

// Committed tells that a commit is in the log. It comes before the replies that it allows.
type Committed struct {
	Commit   *ledger.Commit
	Revision uint64
	Bytes    int
}

// Keyframe asks to store a keyframe in the background. The snapshot belongs to the receiver.
type Keyframe struct{ Snapshot *ledger.Snapshot }

// Serve says that requests may come: the reign has begun.
type Serve struct{ Epoch uint64 }

// StepReason says why a reign ended.
type StepReason string

// The reasons for StepDown.
const (
	StepDemoted StepReason = "demoted" // the lease is lost
	StepDrained StepReason = "drained" // on request, in good order
	StepFenced  StepReason = "fenced"  // another writer claimed a higher epoch
	StepLoad    StepReason = "load"    // the ledger could not be recovered now
	StepClock   StepReason = "clock"   // this clock is more than MaxClockError off the server's
)

// StepDown says that the reign, or the attempt at one, ended. Every waiting request was answered before. A new Elect may follow.
type StepDown struct {
	Reason StepReason
	Detail string
}

// Halt says that the ledger must not be written by this process any more: somebody has to look. Only a restart ends it.
type Halt struct{ Detail string }

// AlarmKind says what is wrong.
type AlarmKind string

// The alarms.
const (
	AlarmFull       AlarmKind = "full"       // the bucket is at its maximum size; commits wait
	AlarmUnresolved AlarmKind = "unresolved" // a commit's outcome has not been known for long
	AlarmClock      AlarmKind = "clock"      // see StepClock
	AlarmHalt       AlarmKind = "halt"
)

// Alarm raises an alarm, or clears it when Detail is empty.
type Alarm struct {
	Kind   AlarmKind
	Detail string
}

// Timer asks for a Wake at a monotonic time; it replaces the timer before.
type Timer struct{ At time.Duration }

func (Load) action()        {}
func (Publish) action()     {}
func (Read) action()        {}
func (*Reply) action()      {}
func (FetchAnswer) action() {}
func (Committed) action()   {}
func (Keyframe) action()    {}
func (Serve) action()       {}
func (StepDown) action()    {}
func (Halt) action()        {}
func (Alarm) action()       {}
func (Timer) action()       {}
