package ledger

import (
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
)

// MaxViolations is how many violations a report spells out; the rest is counted.
const MaxViolations = 1000

// Report is what a verification found.
type Report struct {
	Commits    int
	Events     int
	Answers    int
	Folded     int      // commits whose events were folded; less than Commits after a violation
	Violations []string // in words, in the order of the log; at most MaxViolations
	Found      int      // all violations
	Ledger     *Ledger  // the fold as far as it went
}

// OK tells whether the log keeps every promise.
func (r *Report) OK() bool { return r.Found == 0 }

// Verifier checks a log, commit by commit: that each decodes, that numbers, epochs, times and hashes follow each other,
// that the events fold to the totals each commit carries, that no invariant breaks, and that no request id is answered
// twice. After a violation the fold stops, because what comes later cannot be judged by it; the rest is still decoded
// and its sequence checked.
type Verifier struct {
	report Report
	ledger *Ledger
	last   Position // of the newest commit that was read, folded or not
	folds  bool
	gap    bool // the commit before could not be read
	since  int  // events folded since the last full check
}

// NewVerifier begins at the first commit of a ledger, or after the position of one that a keyframe gave when the log
// before it is trimmed.
func NewVerifier(from *Ledger) *Verifier {
	if from == nil {
		from = New()
	}
	return &Verifier{ledger: from, last: from.Position(), folds: true}
}

// Add checks the next stored commit.
func (v *Verifier) Add(e Entry) {
	v.report.Commits++
	c, err := Decode(e.Data)
	if err != nil {
		v.say("revision %d cannot be read, nothing after it is folded: %v", e.Revision, err)
		v.folds, v.gap = false, true
		v.last.Revision, v.last.Number = e.Revision, v.last.Number+1
		return
	}
	v.report.Events += len(c.Events)
	v.report.Answers += len(c.Answers)
	hash := HashOf(e.Data)
	if !v.folds {
		v.sequence(c, e.Revision)
	} else {
		v.fold(c, hash, e.Revision)
	}
	v.gap = false
	v.last = Position{Ledger: c.Ledger, Epoch: c.Epoch, Number: c.Number, Revision: e.Revision, Hash: hash, At: c.At}
}

// sequence checks a commit against the one before without folding it.
func (v *Verifier) sequence(c *Commit, revision uint64) {
	before := v.last
	if v.gap {
		before.Hash = c.Prev
	}
	if before.Ledger.IsZero() {
		before.Ledger = c.Ledger
	}
	if err := (&Ledger{pos: before}).follows(c, revision); err != nil {
		v.say("revision %d: %v", revision, err)
	}
}

func (v *Verifier) fold(c *Commit, hash Hash, revision uint64) {
	if err := v.ledger.follows(c, revision); err != nil {
		v.say("revision %d, nothing after it is folded: %v", revision, err)
		v.folds = false
		return
	}
	seen := make(map[Key]bool, len(c.Answers))
	for i := range c.Answers {
		key := c.Answers[i].Key
		if ref, known := v.ledger.Lookup(key, c.Answers[i].IssuedAt); known || seen[key] {
			v.say("commit %d answers a request that is answered already, in commit %d", c.Number, ref.Number)
		}
		seen[key] = true
	}
	if err := v.ledger.Apply(c, hash, revision); err != nil {
		v.say("revision %d, nothing after it is folded: %v", revision, err)
		v.folds = false
		return
	}
	v.report.Folded++
	if v.since += len(c.Events) + 1; v.since >= v.kept() {
		v.check(c.Number)
	}
}

// kept is about how many reservations the state holds, open and closed: what a full check costs.
func (v *Verifier) kept() int {
	t := v.ledger.State().Totals()
	closed := t.Settled + t.Released + t.Expired + t.Revoked
	return v.ledger.State().Live() + int(min(closed, int64(v.ledger.State().Config.Policy.ClosedKept)))
}

// check verifies the whole state. It is called when as many events were folded as it costs, so that a verification
// takes time in the length of the log.
func (v *Verifier) check(number uint64) {
	v.since = 0
	for _, broken := range v.ledger.State().Check() {
		v.say("after commit %d: %s", number, broken)
		v.folds = false
	}
}

func (v *Verifier) say(format string, args ...any) {
	v.report.Found++
	if len(v.report.Violations) < MaxViolations {
		v.report.Violations = append(v.report.Violations, fmt.Sprintf(format, args...))
	}
}

// Finish checks the final state and gives the report.
func (v *Verifier) Finish() Report {
	if v.folds {
		v.check(v.ledger.Position().Number)
	}
	v.report.Ledger = v.ledger
	return v.report
}

// FoldedTotals are the totals of the fold as far as it went.
func (r *Report) FoldedTotals() quota.Totals { return r.Ledger.State().Totals() }
