package sim

import (
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/writer"
)

// node is one allocator process: it runs a writer, does what it says, and dies now and then.
type node struct {
	world   *world
	index   int
	writer  *writer.Writer
	life    int // incarnation; what belongs to an earlier one is dropped
	dead    bool
	paused  bool
	elected bool
	serving bool
	backlog []writer.Input
	offset  time.Duration // of the wall clock from the true time
	jumped  time.Duration // when it last jumped
	born    time.Duration // the monotonic clock's zero
	timer   uint64
	token   writer.Token
	calls   map[writer.Token]*call
	reign   reign
	byRead  bool // the step was a read's outcome
}

// reign is what is known of the present reign, for the oracle.
type reign struct {
	began  time.Duration
	at     quota.Instant // ledger time at the beginning
	now    quota.Instant // at the last step
	flying *writer.Publish
	data   map[uint64][]byte // what was sent at each expected revision
	// checked is the state as it was when its invariants were checked last.
	checked sight
}

// sight tells whether a state has changed since it was looked at.
type sight struct {
	state  *quota.State
	now    quota.Instant
	totals quota.Totals
	queued int
}

// call is one request that a process has to answer.
type call struct {
	request writer.Request
	reply   func(*writer.Reply)
	given   bool // to the writer: a stopped process has it still before it
}

type flatPrices struct{}

func (flatPrices) Rate(string, quota.Instant, bool) (quota.Rate, bool) {
	return quota.Rate{Input: 3_000_000, Output: 15_000_000}, true
}

func newNode(w *world, index int) *node {
	n := &node{world: w, index: index}
	n.boot()
	return n
}

// boot starts the process with an empty memory.
func (n *node) boot() {
	w := n.world
	n.life++
	n.dead, n.elected, n.serving, n.backlog = false, false, false, nil
	n.calls, n.reign = map[writer.Token]*call{}, reign{}
	n.born = w.now - w.upTo(time.Hour)
	n.offset = w.upTo(2*time.Second) - time.Second
	if w.chance(w.rates.clock * 0.15) {
		w.fault(ClockWrong)
		n.offset = time.Minute
		if w.rand.IntN(2) == 0 {
			n.offset = -time.Minute
		}
	}
	n.writer = writer.New(writer.Options{
		Name: fmt.Sprintf("node-%d.%d", n.index, n.life), NewID: w.id,
		Prices:          func(*quota.Config) quota.Prices { return flatPrices{} },
		KeyframeCommits: 4 + w.rand.IntN(12),
	})
}

func (n *node) time() writer.Time {
	return writer.Time{Wall: start.Add(quota.MillisOf(n.world.now + n.offset)), Mono: n.world.now - n.born}
}

// give hands the writer an input, or keeps it while the process is stopped.
func (n *node) give(life int, in writer.Input) {
	switch {
	case n.dead || life != n.life:
	case n.paused:
		n.backlog = append(n.backlog, in)
	default:
		n.step(in)
	}
}

// later gives an input back to this incarnation.
func (n *node) later(in writer.Input) { n.give(n.life, in) }

func (n *node) step(in writer.Input) {
	w := n.world
	if o, ok := in.(writer.PublishOutcome); ok {
		n.reign.flying = nil
		if o.Verdict == writer.Acked && n.dies(CrashAfterAck) {
			return
		}
	}
	_, n.byRead = in.(writer.ReadOutcome)
	if in, ok := in.(writer.Submit); ok {
		for i := range in.Requests {
			n.calls[in.Requests[i].Token].given = true
		}
	}
	actions := n.writer.Step(n.time(), in)
	w.oracle.stepped(n)
	for _, a := range actions {
		if n.act(a); n.dead || len(w.result.Violations) > 0 {
			return
		}
	}
}

// act takes one action.
func (n *node) act(a writer.Action) {
	w, life := n.world, n.life
	switch a := a.(type) {
	case writer.Load:
		n.load()
	case writer.Publish:
		n.publish(a)
	case writer.Read:
		w.store.read(a, func(o writer.ReadOutcome) { n.give(life, o) })
	case *writer.Reply:
		if !n.dies(CrashBeforeReply) {
			n.reply(a)
		}
	case writer.FetchAnswer:
		n.fetch(a)
	case writer.Committed:
		w.oracle.committed(n, a)
	case writer.Keyframe:
		n.keyframe(a)
	case writer.Serve:
		if !n.dies(CrashAfterEpochClaim) {
			n.serve(a)
		}
	case writer.StepDown:
		n.stepDown(a)
	case writer.Halt:
		w.violate("node %d halts: %s", n.index, a.Detail)
	case writer.Alarm:
		w.say("node %d alarm %s: %s", n.index, a.Kind, a.Detail)
		if a.Kind == writer.AlarmFull && a.Detail == "" {
			w.reach(FullAndCleared)
		}
	case writer.Timer:
		n.timer++
		timer := n.timer
		w.after(a.At+n.born-w.now, func() {
			if timer == n.timer {
				n.give(life, writer.Wake{})
			}
		})
	}
}

// dies kills the process at a failpoint, now and then.
func (n *node) dies(at Fault) bool {
	w := n.world
	if !w.chance(w.rates.process / 4) {
		return false
	}
	w.fault(at)
	n.crash(at.String())
	return true
}

func (n *node) crash(why string) {
	w := n.world
	w.say("node %d %s", n.index, why)
	n.dead, n.elected, n.serving = true, false, false
	life := n.life
	w.after(200*time.Millisecond+w.upTo(4*time.Second), func() {
		if n.dead && n.life == life {
			n.boot()
		}
	})
}

func (n *node) publish(p writer.Publish) {
	w, life := n.world, n.life
	w.oracle.publishing(n, p)
	if n.dies(CrashBeforePublish) {
		return
	}
	w.say("node %d sends attempt %d, %d bytes after revision %d", n.index, p.Attempt, len(p.Data), p.Expected)
	w.store.publish(n, p, func(o writer.PublishOutcome) {
		w.say("node %d: attempt %d verdict %d", n.index, o.Attempt, o.Verdict)
		n.give(life, o)
	})
	n.dies(CrashAfterPublish)
}

func (n *node) load() {
	w, life := n.world, n.life
	if w.chance(w.rates.store / 2) {
		w.fault(LoadFailed)
		w.after(w.latency(), func() { n.give(life, writer.LoadFailed{Err: errTimeout}) })
		return
	}
	before := w.store.last()
	in, err := w.store.load()
	if err != nil {
		return
	}
	w.after(w.latency()+w.upTo(50*time.Millisecond), func() {
		if w.store.last() != before {
			w.fault(LoadStale)
		}
		n.give(life, in)
	})
}

func (n *node) keyframe(k writer.Keyframe) {
	w := n.world
	if n.dies(CrashMidKeyframe) {
		return
	}
	encoded, err := k.Snapshot.Encode()
	if err != nil {
		w.violate("keyframe: %v", err)
		return
	}
	w.oracle.keyframe(k.Snapshot.Position())
	w.after(w.latency(), func() { w.store.keyframes = append(w.store.keyframes, encoded) })
}

func (n *node) elect() {
	n.world.say("node %d is elected", n.index)
	n.elected = true
	n.later(writer.Elect{})
}

func (n *node) demote() {
	n.elected = false
	n.later(writer.Demote{})
}

func (n *node) drain() {
	n.world.say("node %d drains", n.index)
	n.later(writer.Drain{})
}

func (n *node) pause() {
	n.world.say("node %d is stopped", n.index)
	n.paused = true
}

// resume continues a stopped process: what came meanwhile comes at once.
func (n *node) resume() {
	n.world.say("node %d continues", n.index)
	n.paused = false
	backlog := n.backlog
	n.backlog = nil
	life := n.life
	for _, in := range backlog {
		n.give(life, in)
	}
}

// jump moves the wall clock.
func (n *node) jump() {
	w := n.world
	by := w.upTo(time.Hour)
	if w.rand.IntN(2) == 0 {
		by = w.upTo(3 * time.Second)
	}
	if w.rand.IntN(2) == 0 {
		w.fault(ClockJumpsBack)
		by = -by
	} else {
		w.fault(ClockJumpsOn)
	}
	w.say("node %d: the clock jumps by %s", n.index, by)
	n.offset += by
	n.jumped = w.now
	life := n.life
	w.after(w.upTo(8*time.Second), func() { // somebody sets it right
		if n.life == life {
			n.offset = w.upTo(2*time.Second) - time.Second
			n.jumped = w.now
		}
	})
}

func (n *node) serve(a writer.Serve) {
	w := n.world
	w.say("node %d serves epoch %d", n.index, a.Epoch)
	w.reach(Reigns)
	n.serving = true
	n.reign = reign{began: w.now, at: n.writer.Status().Now, data: map[uint64][]byte{}, flying: n.reign.flying}
	w.oracle.serves(n)
}

func (n *node) stepDown(a writer.StepDown) {
	w := n.world
	w.say("node %d steps down: %s %s", n.index, a.Reason, a.Detail)
	w.reach(map[writer.StepReason]Outcome{
		writer.StepFenced: Fenced, writer.StepClock: StepDownClock, writer.StepDemoted: StepDownDemoted, writer.StepDrained: StepDownDrained, writer.StepLoad: StepDownLoad,
	}[a.Reason])
	n.elected, n.serving, n.reign = false, false, reign{}
	for token, c := range n.calls {
		if c.given {
			w.violate("node %d stepped down and left request %d unanswered", n.index, token)
		}
	}
	if a.Reason == writer.StepDrained {
		n.crash("exits")
	}
	if a.Reason == writer.StepClock {
		n.offset = w.upTo(2*time.Second) - time.Second // the operator sets the clock
	}
}

// submit takes requests from agents. It tells false when nobody is there to take them.
func (n *node) submit(calls ...*call) bool {
	if n.dead {
		return false
	}
	in := writer.Submit{}
	for _, c := range calls {
		n.token++
		n.calls[n.token] = c
		c.request.Token = n.token
		in.Requests = append(in.Requests, c.request)
	}
	n.later(in)
	return true
}

func (n *node) reply(r *writer.Reply) {
	w := n.world
	c := n.calls[r.Token]
	if c == nil {
		w.violate("node %d answers request %d, which is answered already", n.index, r.Token)
		return
	}
	delete(n.calls, r.Token)
	w.oracle.replying(n, c, r)
	w.after(w.latency(), func() { c.reply(r) })
}

// fetch answers from the log.
func (n *node) fetch(a writer.FetchAnswer) {
	w, life := n.world, n.life
	c := n.calls[a.Token]
	delete(n.calls, a.Token)
	w.reach(AnsweredFromLog)
	w.after(w.latency(), func() {
		if n.life != life || n.dead {
			return
		}
		commit := w.store.commit(a.Revision)
		if commit == nil || int(a.Index) >= len(commit.Answers) {
			w.violate("the answer to a request is said to be answer %d at revision %d, and there is none", a.Index, a.Revision)
			return
		}
		r := &writer.Reply{Token: a.Token, Result: &commit.Answers[a.Index].Result, Now: a.Now, Notices: a.Notices, Version: commit.Number}
		w.oracle.replying(n, c, r)
		c.reply(r)
	})
}
