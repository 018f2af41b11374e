package sim

// Fault is something that goes wrong in a schedule.
type Fault int

// The faults.
const (
	PublishLost        Fault = iota // the write never arrives; the writer sees a timeout
	AckLost                         // the write is stored; the writer sees a timeout
	PublishLate                     // the writer sees a timeout; the write arrives after that
	ErrorBefore                     // 503 or 10077, and not stored
	ErrorAfter                      // 503 or 10077, and stored
	InFlightBefore                  // 10164 or 10158, and not stored
	InFlightAfter                   // 10164 or 10158, and stored
	OwnConflict                     // 10071 because the write before was one's own
	ForeignConflict                 // 10071 because somebody else wrote
	AckSlow                         // acknowledged after seconds
	BucketFull                      // 10077 with "maximum bytes"
	ReadFailed                      // no answer to a read
	ReadShort                       // a read gives the first entry only
	LoadFailed                      // a recovery fails
	LoadStale                       // the log moves on while a recovery runs
	KeyframeDamaged                 // a keyframe cannot be restored
	KeyframeMissing                 // recovery without keyframes
	CrashBeforePublish              // killed at a failpoint
	CrashAfterPublish
	CrashAfterAck
	CrashBeforeReply
	CrashAfterEpochClaim
	CrashMidKeyframe
	Paused         // stopped and continued later
	TwoLeaders     // one is elected while another serves
	LeaseLost      // demoted while serving
	Drained        // told to finish
	ClockJumpsOn   // wall clock forward
	ClockJumpsBack // wall clock back
	ClockWrong     // a process starts with a clock that is a minute off
	ReplyLost      // the agent never sees the reply
	SentTwice      // the agent sends a request twice at once
	SentElsewhere  // the agent asks a process that does not lead
	IDReused       // the agent sends other parameters with an old id
	IDRepeated     // the agent repeats a request that was answered
	IDTooOld
	IDAhead
	faults
)

var faultNames = [faults]string{
	"publish lost", "acknowledgement lost", "publish late", "error before storing", "error after storing", "in flight, not stored",
	"in flight, stored", "conflict with oneself", "conflict with another", "acknowledgement slow", "bucket full", "read failed", "read short",
	"load failed", "load stale", "keyframe damaged", "keyframe missing", "killed before-publish", "killed after-publish", "killed after-ack",
	"killed before-reply", "killed after-epoch-claim", "killed mid-keyframe", "stopped and continued", "two leaders", "lease lost", "drained",
	"clock jumps on", "clock jumps back", "clock wrong", "reply lost", "request sent twice", "request to another", "request id reused",
	"request id repeated", "request id too old", "request id ahead",
}

// String names the fault.
func (f Fault) String() string { return faultNames[f] }

// Outcome is something that a schedule reaches.
type Outcome int

// The outcomes.
const (
	Granted Outcome = iota
	Denied
	Extended
	Reported
	Overrun
	Settled
	Released
	ClosedAlready
	NotFound
	Expired
	RolledOver
	ReadAnswered
	Unavailable
	AnsweredFromLog
	RefusedReuse
	RefusedOld
	RefusedAhead
	CommittedByAck
	CommittedByRead
	SentAgain
	Fenced
	StepDownClock
	StepDownDemoted
	StepDownDrained
	StepDownLoad
	Reigns
	KeyframesUsed
	FullAndCleared
	GroupOfMany
	Shrunk           // granted less than was asked for
	Queued           // given a place
	GrantedFromQueue // by time or a release
	CancelledInQueue // by the agent
	TimedOutInQueue  // waited as long as it would
	KeptForHead      // a line was kept for a head that had been passed
	Observed         // the provider's word on a window changed it
	ObservedUnknown  // its word on a window that is not configured
	ClosedByProvider // a window was closed by a refusal of the provider
	ToldWindow       // the provider told the capacity of a window that has none configured
	ToldLess         // than is used and held of it
	ToldStricter     // it told less of a limit per minute than is configured
	ToldLooser       // or more
	ToldLate         // it told something that is older than what is known
	FloorOfToldKept  // a grant was held against a floor of what was told
	DeniedByTold     // a request was refused by a limit per minute as it was told
	Preempting       // told that it ends, for the owner of a floor
	Preempted        // ended for it
	PartTaken        // told that it gives a part back for it
	ShrunkForFloor   // gave a part back and went on
	ReclaimedLater   // for an owner that had waited before
	KeptForFloor     // refused what is left, which a floor keeps
	KeptForHigh      // refused what is left, which is held back for high priority
	LetGo            // granted from what was held back, in the window's last part
	FannedOut        // refused for having too many at once
	TooQuick         // refused for asking for too many in a minute
	outcomes
)

var outcomeNames = [outcomes]string{
	"granted", "denied", "extended", "reported", "overrun", "settled", "released", "closed already", "not found", "expired", "window rolled over",
	"read answered", "unavailable", "answered from the log", "id reuse refused", "old id refused", "id ahead refused", "committed, acknowledged",
	"committed, found by id", "same bytes again", "fenced", "stepped down: clock", "stepped down: demoted", "stepped down: drained",
	"stepped down: load", "reign began", "recovered from keyframe", "full and cleared", "group of several", "granted less", "queued",
	"granted from the queue", "cancelled in the queue", "timed out in the queue", "line kept for its head", "observed",
	"observed, not configured", "closed by the provider", "window told", "window told less than held",
	"stricter limit told", "looser limit told", "told late", "floor of a told window", "refused by a told limit", "preempting", "preempted", "part taken", "shrunk for a floor", "reclaimed later",
	"refused for a floor", "refused for high priority", "granted what was let go", "refused by fan-out", "refused as too quick",
}

// String names the outcome.
func (o Outcome) String() string { return outcomeNames[o] }

// Tally counts faults and outcomes.
type Tally struct {
	Faults   [faults]int64
	Outcomes [outcomes]int64
}

// Add adds another tally.
func (t *Tally) Add(o *Tally) {
	for i := range t.Faults {
		t.Faults[i] += o.Faults[i]
	}
	for i := range t.Outcomes {
		t.Outcomes[i] += o.Outcomes[i]
	}
}

// Empty lists what never occurred: of that, nothing is proved.
func (t *Tally) Empty() []string {
	var names []string
	for i, n := range t.Faults {
		if n == 0 {
			names = append(names, Fault(i).String())
		}
	}
	for i, n := range t.Outcomes {
		if n == 0 {
			names = append(names, Outcome(i).String())
		}
	}
	return names
}
