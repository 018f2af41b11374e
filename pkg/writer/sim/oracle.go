package sim

import (
	"reflect"
	"strings"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/writer"
)

// verifyEvery is how many schedules share one run of the verifier: the oracle folds every log once already.
const verifyEvery = 16

// oracle knows what was promised and sees everything.
type oracle struct {
	world   *world
	ledger  *ledger.Ledger // the log folded once more
	model   model
	answers map[ledger.Key]decided
	numbers map[uint64]uint64 // commit number by revision
	calls   map[string]int64  // the most tokens that were reported of each call
	told    map[ledger.Key]quota.Result
}

// decided is an answer in the log.
type decided struct {
	ledger.Answer
	number uint64
}

func newOracle(w *world) *oracle {
	return &oracle{
		world: w, ledger: ledger.New(), model: newModel(w), answers: map[ledger.Key]decided{}, numbers: map[uint64]uint64{},
		calls: map[string]int64{}, told: map[ledger.Key]quota.Result{},
	}
}

// stored sees the log grow.
func (o *oracle) stored(from *node, e ledger.Entry) {
	w := o.world
	c, err := o.ledger.ApplyEntry(e)
	if err != nil {
		w.violate("the log does not fold: %v", err)
		return
	}
	w.store.commits = append(w.store.commits, c)
	w.say("stored: revision %d, commit %d, epoch %d, %d events, from node %d", e.Revision, c.Number, c.Epoch, len(c.Events), from.index)
	o.numbers[e.Revision] = c.Number
	for i, a := range c.Answers {
		if old, twice := o.answers[a.Key]; twice {
			w.violate("request answered in commit %d is decided again in commit %d, answer %d", old.number, c.Number, i)
		}
		if a.IssuedAt <= c.At.Add(-horizon) && o.ledger.State().Config.Version > 1 {
			w.violate("a request id older than the horizon was run in commit %d", c.Number)
		}
		o.answers[a.Key] = decided{a, c.Number}
	}
	reclaims, asked := false, false
	for _, event := range c.Events {
		o.model.fold(event)
		switch event.(type) {
		case *quota.ReservationPreempting:
			reclaims = true
		case *quota.ReservationQueued, *quota.ReservationDenied:
			asked = true
		}
	}
	if reclaims && !asked {
		w.reach(ReclaimedLater)
	}
	for _, broken := range o.ledger.State().Check() {
		w.violate("after commit %d: %s", c.Number, broken)
	}
	o.model.adds(o.ledger.State())
	for call, tokens := range o.model.calls {
		if tokens > o.calls[call] {
			w.violate("%d tokens are counted of %s, which used %d", tokens, call, o.calls[call])
		}
	}
}

// publishing sees a writer send something.
func (o *oracle) publishing(n *node, p writer.Publish) {
	w := o.world
	if n.reign.flying != nil {
		w.violate("node %d sends attempt %d while attempt %d is in flight", n.index, p.Attempt, n.reign.flying.Attempt)
	}
	n.reign.flying = &p
	if n.reign.data == nil {
		n.reign.data = map[uint64][]byte{}
	}
	if sent, again := n.reign.data[p.Expected]; again {
		w.reach(SentAgain)
		if string(sent) != string(p.Data) {
			w.violate("node %d sends other bytes after revision %d than before", n.index, p.Expected)
		}
	}
	n.reign.data[p.Expected] = p.Data
	if len(p.Data) > ledger.MaxCommitBytes {
		w.violate("a commit of %d bytes", len(p.Data))
	}
}

// committed sees a writer take a commit for stored.
func (o *oracle) committed(n *node, a writer.Committed) {
	w := o.world
	if o.numbers[a.Revision] != a.Commit.Number {
		w.violate("node %d takes commit %d for stored at revision %d, where commit %d is", n.index, a.Commit.Number, a.Revision, o.numbers[a.Revision])
	}
	if n.byRead {
		w.reach(CommittedByRead)
	} else {
		w.reach(CommittedByAck)
	}
	if len(a.Commit.Answers) > 1 {
		w.reach(GroupOfMany)
	}
}

// replying sees an answer leave for an agent.
func (o *oracle) replying(n *node, c *call, r *writer.Reply) {
	w := o.world
	result := *r.Result
	o.tally(c, &result)
	switch {
	case result.Code == quota.CodeUnavailable:
		if !result.Retryable {
			w.violate("node %d says unavailable, and not to try again", n.index)
		}
		return
	case c.request.Read != nil:
		o.readable(n, r)
		return
	}
	if o.refusedUnseen(n, c, &result) {
		return
	}
	d, inLog := o.answers[c.request.Key]
	switch {
	case !inLog:
		w.violate("node %d answers %q %q, and no such decision is in the log", n.index, result.Code, result.Message)
	case d.Params != c.request.Params:
		if result.Code != quota.CodeConflict {
			w.violate("node %d answers %q to a request id used for something else", n.index, result.Code)
		}
		w.reach(RefusedReuse)
	case !reflect.DeepEqual(d.Result, result):
		w.violate("node %d answers %+v, commit %d says %+v", n.index, result, d.number, d.Result)
	case r.Version != d.number:
		w.violate("node %d says the answer is in commit %d, it is in %d", n.index, r.Version, d.number)
	default:
		if told, before := o.told[c.request.Key]; before && !reflect.DeepEqual(told, result) {
			w.violate("node %d answers %+v, before it was %+v", n.index, result, told)
		}
		o.told[c.request.Key] = result
	}
}

// refusedUnseen judges refusals that are not in the log: of ids from another time.
func (o *oracle) refusedUnseen(n *node, c *call, result *quota.Result) bool {
	w := o.world
	const slack = 12 * quota.Second // clocks may be off, and ledger time ahead of the true one
	old, ahead := strings.Contains(result.Message, "too old"), strings.Contains(result.Message, "in the future")
	if result.Code != quota.CodeInvalid || !old && !ahead {
		if age := w.wall().Sub(c.request.IssuedAt); age > quota.Minute || age < -quota.Minute {
			w.violate("node %d answers %q to a request id of %d ms ago", n.index, result.Code, age)
		}
		return false
	}
	if old {
		w.reach(RefusedOld)
	} else {
		w.reach(RefusedAhead)
	}
	if old && c.request.IssuedAt > w.wall().Add(slack-horizon) || ahead && c.request.IssuedAt < w.wall().Add(ledger.MaxAhead-slack) {
		w.violate("node %d refuses a request id of %d ms ago: %s", n.index, w.wall().Sub(c.request.IssuedAt), result.Message)
	}
	return true
}

// readable checks that a read shows nothing that is not in the log.
func (o *oracle) readable(n *node, r *writer.Reply) {
	w := o.world
	w.reach(ReadAnswered)
	seen, ok := r.Value.(quota.Totals)
	have := o.ledger.State().Totals()
	if !ok || seen.Granted > have.Granted || seen.Denied > have.Denied || seen.Used > have.Used || seen.UsageEvents > have.UsageEvents ||
		seen.Settled > have.Settled || seen.Expired > have.Expired || seen.Reserved > have.Reserved || seen.Returned > have.Returned {
		w.violate("node %d shows a read %+v, the log has %+v", n.index, seen, have)
	}
}

func (o *oracle) tally(c *call, r *quota.Result) {
	w := o.world
	switch r.Code {
	case quota.CodeUnavailable:
		w.reach(Unavailable)
	case quota.CodeInsufficientQuota, quota.CodeConcurrentLimitExceeded:
		w.reach(Denied)
		switch {
		case r.Limit == "rpm":
			if o.model.limits["rpm"].toldAt != 0 {
				w.reach(DeniedByTold)
			}
		case r.Limit == stint && r.Reason == quota.ReasonHeldBack:
			w.reach(KeptForHigh)
		case r.Reason == quota.ReasonHeldBack:
			w.reach(KeptForFloor)
		case strings.HasPrefix(r.Limit, "fan-out of "):
			w.reach(FannedOut)
		case strings.HasPrefix(r.Limit, "rate of "):
			w.reach(TooQuick)
		}
	case quota.CodeAllocationExceeded:
		w.reach(Overrun)
	case quota.CodeClosed:
		w.reach(ClosedAlready)
	case quota.CodeAllocationNotFound:
		w.reach(NotFound)
	case quota.CodeOK:
		switch command := c.request.Command.(type) {
		case quota.Reserve:
			if r.Queue != nil {
				return // counted where the log says so
			}
			w.reach(Granted)
			if r.Granted.Tokens.Total() < command.Amount.Tokens.Total() {
				w.reach(Shrunk)
			}
		case quota.Extend:
			w.reach(Extended)
		case quota.Report:
			w.reach(Reported)
		case quota.Settle:
			w.reach(Settled)
		case quota.Release:
			w.reach(Released)
		}
	}
}

// stepped looks into a process after every step.
func (o *oracle) stepped(n *node) {
	w := o.world
	s := n.writer.State()
	if s == nil {
		return
	}
	now := n.writer.Status().Now
	if seen := (sight{s, s.Now, s.Totals(), s.Queued()}); seen != n.reign.checked { // a step that decided nothing needs no check
		n.reign.checked = seen
		for _, broken := range s.Check() {
			w.violate("node %d: %s", n.index, broken)
		}
	}
	if !n.serving || now == 0 {
		return
	}
	elapsed := quota.MillisOf(w.now - n.reign.began)
	if now < n.reign.now {
		w.violate("node %d: ledger time goes back by %d ms", n.index, n.reign.now.Sub(now))
	}
	if gained := now.Sub(n.reign.at); gained > 2*elapsed+writer.MaxClockStep+2 || gained < elapsed/2-2 {
		w.violate("node %d: ledger time gained %d ms in %d ms", n.index, gained, elapsed)
	}
	n.reign.now = now
}

// serves sees a reign begin.
func (o *oracle) serves(n *node) {
	w := o.world
	const slack = quota.Second // the offset is told in milliseconds
	off := quota.MillisOf(n.offset)
	if steady := n.jumped == 0 || w.now-n.jumped > giveUp*4; steady && (off > writer.MaxClockError+slack || off < -writer.MaxClockError-slack) {
		w.violate("node %d serves with a clock that is %d ms off", n.index, off)
	}
}

// keyframe sees one being made.
func (o *oracle) keyframe(p ledger.Position) {
	if o.numbers[p.Revision] != p.Number {
		o.world.violate("a keyframe of commit %d at revision %d, where commit %d is", p.Number, p.Revision, o.numbers[p.Revision])
	}
}

// finish looks at the end: nothing is due that was not done, and the log verifies.
func (o *oracle) finish() {
	w := o.world
	if len(w.result.Violations) > 0 {
		return
	}
	if due := o.ledger.State().NextDue(); due != 0 && due < w.wall().Add(-3*quota.Second) {
		w.violate("something was due %d ms ago and did not happen", w.wall().Sub(due))
	}
	for _, n := range w.nodes {
		o.sameAsFolded(n)
	}
	if w.result.Seed%verifyEvery == 0 {
		v := ledger.NewVerifier(nil)
		for _, e := range w.store.log {
			v.Add(e)
		}
		if r := v.Finish(); !r.OK() {
			w.violate("the log does not verify: %q", r.Violations)
		}
	}
	t := o.ledger.State().Totals()
	w.result.Tally.Outcomes[Expired] += t.Expired
	w.result.Tally.Outcomes[RolledOver] += int64(o.model.rolled)
}

// sameAsFolded compares what a process that serves has in memory, perhaps from a keyframe and many reigns, with what the
// log folds to.
func (o *oracle) sameAsFolded(n *node) {
	status := n.writer.Status()
	if !n.serving || n.dead || status.InFlight || status.Position != o.ledger.Position() {
		return
	}
	have, err1 := o.ledger.Snapshot(n.writer.State().Snapshot()).Encode()
	want, err2 := o.ledger.Snapshot(nil).Encode()
	if err1 != nil || err2 != nil || string(have.Manifest) != string(want.Manifest) {
		o.world.violate("node %d has in memory what the log does not fold to (%v, %v)", n.index, err1, err2)
	}
}
