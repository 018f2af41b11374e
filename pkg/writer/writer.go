package writer

import (
	"errors"
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Options are what a writer needs to be told; NewID and Prices are required.
type Options struct {
	Name string // of this process, for the record of epochs
	// NewID gives 16 fresh random bytes, for commits and for a new ledger.
	NewID func() ledger.ID
	// Prices gives the catalogue that a configuration asks for; it is called once per configuration version.
	Prices func(*quota.Config) quota.Prices
	// KeyframeCommits and KeyframeBytes say after how much a keyframe is due; 0 means the defaults.
	KeyframeCommits int
	KeyframeBytes   int
}

// Phase is where a writer stands.
type Phase string

// The phases.
const (
	Idle     Phase = "idle"     // does not lead
	Loading  Phase = "loading"  // waits for the recovered ledger
	Claiming Phase = "claiming" // commits its epoch
	Checking Phase = "checking" // compares its clock with the server's
	Serving  Phase = "serving"
	Draining Phase = "draining" // takes nothing new and finishes
	Halted   Phase = "halted"
)

// Writer runs the commit protocol of one ledger. It is not safe for concurrent use.
type Writer struct {
	opt   Options
	phase Phase
	time  Time
	clock clock

	ledger *ledger.Ledger
	id     ledger.ID // of the ledger
	epoch  uint64
	prices quota.Prices
	priced uint64 // configuration version that prices is for

	draft   *group    // decided and not sent
	flight  *flight   // sent and not resolved
	spares  []*group  // done, for their buffers
	queue   []pending // not decided
	oldest  time.Duration
	waiting int // unanswered requests, the queue included
	claims  int // how often this reign's claim was made
	full    bool
	badTime bool // the last attempt at a reign ended because of the clock

	sinceCommits int // since the last keyframe
	sinceBytes   int
	// noKeyframeBefore is when the next keyframe may be made at the earliest.
	noKeyframeBefore time.Duration

	attempts uint64
	reads    uint64
	reading  uint64 // the read whose outcome is awaited; 0 for none
	timer    time.Duration
	actions  []Action
}

// pending is a command that waits to be decided.
type pending struct {
	Request
	arrived time.Duration
}

// New gives a writer that does not lead.
func New(opt Options) *Writer {
	if opt.KeyframeCommits == 0 {
		opt.KeyframeCommits = DefaultKeyframeCommits
	}
	if opt.KeyframeBytes == 0 {
		opt.KeyframeBytes = DefaultKeyframeBytes
	}
	return &Writer{opt: opt, phase: Idle, draft: newGroup()}
}

// Status is what a writer shows of itself, for health and metrics.
type Status struct {
	Phase    Phase
	Position ledger.Position
	Now      quota.Instant // ledger time; 0 while not serving
	Waiting  int           // unanswered requests
	InFlight bool
	Full     bool
}

// Status tells where the writer stands.
func (w *Writer) Status() Status {
	s := Status{Phase: w.phase, Waiting: w.waiting, InFlight: w.flight != nil, Full: w.full}
	if w.ledger != nil {
		s.Position = w.ledger.Position()
	}
	if w.leads() {
		s.Now = w.clock.now
	}
	return s
}

// State is the state as decided so far, which may be ahead of the log; nil while not leading. For checks and gauges only.
func (w *Writer) State() *quota.State {
	if w.ledger == nil {
		return nil
	}
	return w.ledger.State()
}

// leads tells whether decisions may be made.
func (w *Writer) leads() bool { return w.phase == Serving || w.phase == Draining }

// Step takes one input at a time and gives the actions to take, in order. The slice is valid until the next step.
func (w *Writer) Step(at Time, in Input) []Action {
	clear(w.actions)
	w.actions = w.actions[:0]
	w.time = at
	if w.leads() {
		w.clock.advance(at)
	}
	if w.timer != 0 && at.Mono >= w.timer {
		w.timer = 0
	}
	switch in := in.(type) {
	case Elect:
		w.elect()
	case Demote:
		if w.phase != Idle && w.phase != Halted {
			w.stepDown(StepDemoted, "")
		}
	case Drain:
		w.drain()
	case Loaded:
		w.loaded(in)
	case LoadFailed:
		w.loadFailed(in)
	case Submit:
		for i := range in.Requests {
			w.submit(&in.Requests[i])
		}
	case Wake:
	case PublishOutcome:
		w.published(in)
	case ReadOutcome:
		w.readDone(in)
	}
	w.proceed()
	w.arm()
	return w.actions
}

func (w *Writer) do(a Action) { w.actions = append(w.actions, a) }

// elect begins an attempt at a reign.
func (w *Writer) elect() {
	if w.phase != Idle {
		return
	}
	w.phase = Loading
	w.do(Load{})
}

func (w *Writer) drain() {
	switch w.phase {
	case Serving:
		w.phase = Draining
	case Loading, Claiming, Checking:
		w.stepDown(StepDrained, "")
	}
}

func (w *Writer) loadFailed(in LoadFailed) {
	switch {
	case w.phase != Loading:
	case in.Corrupt && errors.Is(in.Err, ledger.ErrVersion):
		w.halt(fmt.Sprintf("a newer Bursar than this one has written the log: run that one again, or a later one: %v", in.Err))
	case in.Corrupt:
		w.halt(fmt.Sprintf("the log is damaged: %v", in.Err))
	default:
		w.stepDown(StepLoad, fmt.Sprint(in.Err))
	}
}

// loaded takes over the recovered ledger and claims the next epoch.
func (w *Writer) loaded(in Loaded) {
	if w.phase != Loading {
		return
	}
	w.ledger = in.Ledger
	w.sinceCommits, w.sinceBytes = in.SinceKeyframe, 0
	if broken := w.ledger.State().Broken(); len(broken) > 0 {
		w.halt("the recovered ledger breaks an invariant: " + broken[0])
		return
	}
	w.id = w.ledger.Position().Ledger
	if w.id.IsZero() {
		w.id = w.opt.NewID()
	}
	w.phase, w.claims = Claiming, 0
	w.claim()
}

// claim sends the commit that begins the reign. Its time is that of the commit before: this clock is not trusted yet.
func (w *Writer) claim() {
	if w.claims++; w.claims > maxClaims {
		w.stepDown(StepFenced, "another writer keeps committing")
		return
	}
	p := w.ledger.Position()
	w.epoch = p.Epoch + 1
	w.draft = newGroup()
	if _, err := w.draft.add([]quota.Event{&quota.EpochClaimed{Epoch: w.epoch, Writer: w.opt.Name}}, nil, p.At); err != nil {
		w.halt(err.Error())
		return
	}
	w.send(true)
}

// checkClock compares this clock with the time at which the server stored the claim, and begins to serve. That was
// between sending and now; how long ago at the most, the monotonic clock tells, because the wall clock may have jumped since.
func (w *Writer) checkClock(stored time.Time) {
	at, sent := quota.InstantOf(stored), w.flight.sentAt
	w.flight = nil
	elapsed := quota.MillisOf(w.time.Mono - sent.Mono)
	ahead, behind := max(sent.Wall.Sub(at), w.time.Wall.Sub(at)-elapsed), at.Sub(w.time.Wall)
	if ahead > MaxClockError || behind > MaxClockError {
		detail := fmt.Sprintf("this clock is %d ms off the server's, at most %d are allowed; set the clock", max(ahead, behind), MaxClockError)
		w.badTime = true
		w.do(Alarm{AlarmClock, detail})
		w.stepDown(StepClock, detail)
		return
	}
	w.clock.start(w.time, w.ledger.Position().At)
	w.phase = Serving
	if w.badTime {
		w.badTime = false
		w.do(Alarm{AlarmClock, ""})
	}
	w.do(Serve{w.epoch})
}

// stepDown ends the reign: everybody who waits is told to ask again, and what is not in the log is forgotten.
func (w *Writer) stepDown(reason StepReason, detail string) {
	w.dismiss("this writer does not lead any more; ask again with the same request id", waitForLeader)
	w.forget()
	w.phase = Idle
	w.do(StepDown{reason, detail})
}

// halt ends all writing to this ledger.
func (w *Writer) halt(detail string) {
	w.dismiss("the ledger is halted; an operator has to look", waitForSpace)
	w.forget()
	w.phase = Halted
	w.do(Alarm{AlarmHalt, detail})
	w.do(Halt{detail})
}

func (w *Writer) forget() {
	if w.full {
		w.do(Alarm{AlarmFull, ""})
	}
	if w.flight != nil && w.flight.alarmed {
		w.do(Alarm{AlarmUnresolved, ""})
	}
	w.ledger, w.flight, w.prices, w.priced, w.full, w.reading = nil, nil, nil, 0, false, 0
	w.draft = newGroup()
}

// dismiss tells everybody who waits that the answer is not known now.
func (w *Writer) dismiss(message string, retryAfter quota.Millis) {
	if w.flight != nil {
		w.flight.waiters = w.turnAway(w.flight.waiters, message, retryAfter)
	}
	w.draft.waiters = w.turnAway(w.draft.waiters, message, retryAfter)
	for i := range w.queue {
		w.unavailable(w.queue[i].Token, message, retryAfter)
	}
	w.waiting -= len(w.queue)
	w.queue = nil
}

func (w *Writer) turnAway(waiters []waiter, message string, retryAfter quota.Millis) []waiter {
	for i := range waiters {
		w.unavailable(waiters[i].token, message, retryAfter)
	}
	w.waiting -= len(waiters)
	clear(waiters)
	return waiters[:0]
}

func (w *Writer) unavailable(token Token, message string, retryAfter quota.Millis) {
	w.do(&Reply{Token: token, Result: &quota.Result{Code: quota.CodeUnavailable, Message: message, Retryable: true, RetryAfter: retryAfter}})
}

// proceed does what has become possible or due: time passes, waiting requests are decided, a group is sent.
func (w *Writer) proceed() {
	if w.flight != nil {
		w.retry()
	}
	for w.leads() && !w.full {
		if w.tick() {
			w.decideQueue()
		}
		if !w.leads() || w.flight != nil || w.draft.empty() {
			break
		}
		w.send(false)
	}
	w.expireWaiting()
	if w.phase == Draining && w.flight == nil && w.draft.empty() && len(w.queue) == 0 {
		w.stepDown(StepDrained, "")
	}
}

// expireWaiting turns away who has waited for MaxWait.
func (w *Writer) expireWaiting() {
	before := w.time.Mono - MaxWait
	if w.waiting == 0 || w.oldest > before {
		return
	}
	const message = "the decision could not be made durable in time; ask again with the same request id"
	var late []waiter
	if w.flight != nil {
		w.flight.waiters, late = expire(w.flight.waiters, before)
		w.turnAway(late, message, waitForRoom)
	}
	w.draft.waiters, late = expire(w.draft.waiters, before)
	w.turnAway(late, message, waitForRoom)
	n := 0
	for n < len(w.queue) && w.queue[n].arrived <= before {
		w.unavailable(w.queue[n].Token, message, waitForRoom)
		n++
	}
	w.queue = w.queue[n:]
	w.waiting -= n
	w.oldest = w.oldestWaiting()
}

// oldestWaiting is the earliest arrival of an unanswered request.
func (w *Writer) oldestWaiting() time.Duration {
	oldest := w.time.Mono
	see := func(waiters []waiter) {
		for i := range waiters {
			oldest = min(oldest, waiters[i].arrived)
		}
	}
	if w.flight != nil {
		see(w.flight.waiters)
	}
	see(w.draft.waiters)
	if len(w.queue) > 0 {
		oldest = min(oldest, w.queue[0].arrived)
	}
	return oldest
}

// arm asks for the next wake, unless an earlier one is under way.
func (w *Writer) arm() {
	var next time.Duration
	earlier := func(at time.Duration) {
		if next == 0 || at < next {
			next = at
		}
	}
	if w.waiting > 0 {
		earlier(w.oldest + MaxWait)
	}
	if w.flight != nil && w.flight.retryAt != 0 {
		earlier(w.flight.retryAt)
	}
	if w.leads() && !w.full && !w.draft.closed {
		if due := w.ledger.State().NextDue(); due != 0 {
			earlier(min(w.clock.until(due), w.time.Mono+lookAtClock))
		}
	}
	if next != 0 && (w.timer == 0 || next < w.timer) {
		w.timer = next
		w.do(Timer{next})
	}
}
