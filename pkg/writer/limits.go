package writer

import (
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Bounds and times of the protocol.
const (
	// MaxWaiting is how many requests may be unanswered at a time; beyond it they are told unavailable at once.
	MaxWaiting = 20_000
	// MaxWait is how long a request waits for its commit before it is told unavailable. Its decision stays: who asks
	// again with the same request id gets it.
	MaxWait = 10 * time.Second
	// MaxClockError is how far this clock may be off the server's when a reign begins.
	MaxClockError = 5 * quota.Second
	// MaxClockStep is how far ledger time may advance beyond the monotonic time elapsed.
	MaxClockStep = quota.Second
	// MaxDraftBytes is the size, before compression, at which a group is closed; with its head it always fits MaxCommitBytes.
	MaxDraftBytes = ledger.MaxCommitBytes - 2048

	// DefaultKeyframeCommits and DefaultKeyframeBytes are after how much a keyframe is due, whichever comes first.
	DefaultKeyframeCommits = 5_000
	DefaultKeyframeBytes   = 64 << 20
	// restPerLive and restPerRemembered are how long no keyframe is made for each live reservation and each remembered
	// request id of the last one: fifty times what it takes to copy one (measured: about 4 µs and 0.5 µs), so that copies
	// take a fiftieth of the time however large the ledger is.
	restPerLive       = 200 * time.Microsecond
	restPerRemembered = 25 * time.Microsecond

	// An outcome that stays open is looked into again after retryFirst, then twice as long each time up to retryMost.
	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second
	// retryFull is how long a full bucket is left alone.
	retryFull = 2 * time.Second
	// alarmAfter is from when on an outcome that is not known is an alarm.
	alarmAfter = 5 * time.Second
	// lookAtClock is how often the clock is looked at while something will be due: the wall clock may be set right meanwhile.
	lookAtClock = 500 * time.Millisecond
	// maxSpares is how many groups that are done are kept for their buffers: one is the draft, one in flight, one answered.
	maxSpares = 2
	// maxClaims is how often a claim is renewed because the writer before was still committing.
	maxClaims = 20
)

// What a client is told to wait before it asks again.
const (
	waitForLeader = 250 * quota.Millis(1)
	waitForRoom   = quota.Second
	waitForSpace  = 5 * quota.Second
)
