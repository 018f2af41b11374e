package writer

import (
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// flight is the commit that was sent and is not known to be in the log. Its bytes never change.
type flight struct {
	*group
	commit   *ledger.Commit
	data     []byte
	hash     ledger.Hash
	expected uint64
	claim    bool
	snapshot *quota.Snapshot // of the state after it, when a keyframe is due
	sentAt   Time            // first
	attempt  uint64          // the newest; its outcome is awaited unless retryAt or Writer.reading is set
	open     int             // outcomes that left it open
	awaited  bool            // the outcome of attempt
	retryAt  time.Duration   // when to look into the log again; 0 for no plan
	alarmed  bool
}

// send seals the draft and puts it in flight.
func (w *Writer) send(claim bool) {
	p := w.ledger.Position()
	f := &flight{group: w.draft, expected: p.Revision, claim: claim, sentAt: w.time}
	f.commit = &ledger.Commit{
		Ledger: w.id, Epoch: w.epoch, Number: p.Number + 1, ID: w.opt.NewID(), Prev: p.Hash, At: f.at,
		Events: f.events, Answers: f.answers, Totals: w.ledger.State().Totals(),
	}
	data, err := f.builder.Seal(f.commit)
	if err != nil {
		w.halt(fmt.Sprintf("a group that was measured does not fit: %v", err))
		return
	}
	f.data, f.hash = data, ledger.HashOf(data)
	if !claim && w.keyframeDue() {
		f.snapshot = w.ledger.State().Copy()
	}
	w.flight, w.draft = f, w.freshGroup()
	w.publish()
}

// keyframeDue tells whether the log since the last keyframe is long enough for another one, and whether the time since
// then is long enough for another copy of the ledger, during which nothing is decided.
func (w *Writer) keyframeDue() bool {
	return (w.sinceCommits >= w.opt.KeyframeCommits || w.sinceBytes >= w.opt.KeyframeBytes) && w.time.Mono >= w.noKeyframeBefore
}

// publish sends the commit in flight, the first time or again: always the same bytes.
func (w *Writer) publish() {
	w.attempts++
	f := w.flight
	f.attempt, f.awaited, f.retryAt = w.attempts, true, 0
	w.do(Publish{Attempt: f.attempt, Data: f.data, Expected: f.expected, Claim: f.claim})
}

// published takes the outcome of a Publish.
func (w *Writer) published(in PublishOutcome) {
	f := w.flight
	if f == nil || !f.awaited || in.Attempt != f.attempt {
		return
	}
	f.awaited = false
	switch in.Verdict {
	case Acked:
		w.committed(in.Revision, time.Time{})
	case Full:
		w.bucketFull(in.Err)
		f.retryAt = w.time.Mono + retryFull
	case InFlight:
		w.lookLater()
	default:
		if f.open == 0 {
			f.open++
			w.look()
			return
		}
		w.lookLater()
	}
}

// bucketFull raises the alarm and answers everybody; the commit stays in flight, because it may have been stored.
func (w *Writer) bucketFull(err error) {
	if w.full {
		return
	}
	w.full = true
	w.do(Alarm{AlarmFull, fmt.Sprintf("the bucket is full, commit %d waits: %v", w.flight.commit.Number, err)})
	w.dismiss("the ledger's bucket is full; an operator has to make room", waitForSpace)
}

// look reads what the log has after the revision that the flight expects.
func (w *Writer) look() {
	w.reads++
	w.reading = w.reads
	w.flight.retryAt = 0
	w.do(Read{Read: w.reading, After: w.flight.expected})
}

// lookLater plans a look; the wait grows with every outcome that left the flight open.
func (w *Writer) lookLater() {
	f := w.flight
	f.open++
	f.retryAt = w.time.Mono + min(retryMost, retryFirst<<min(f.open-1, 10))
}

// retry does what is planned for the flight once its time has come.
func (w *Writer) retry() {
	f := w.flight
	if !f.alarmed && f.open > 0 && w.time.Mono-f.sentAt.Mono >= alarmAfter {
		f.alarmed = true
		w.do(Alarm{AlarmUnresolved, fmt.Sprintf("it is not known whether commit %d is stored, since %s", f.commit.Number, w.time.Mono-f.sentAt.Mono)})
	}
	if f.retryAt != 0 && f.retryAt <= w.time.Mono {
		w.look()
	}
}

// readDone takes what the log has after the expected revision.
func (w *Writer) readDone(in ReadOutcome) {
	f := w.flight
	if f == nil || in.Read != w.reading {
		return
	}
	w.reading = 0
	if in.Err != nil {
		w.lookLater()
		return
	}
	if w.phase == Checking {
		w.claimRead(in.Entries)
		return
	}
	if len(in.Entries) == 0 {
		w.unmoved(in.Last)
		return
	}
	first := in.Entries[0]
	switch {
	case ledger.HashOf(first.Data) == f.hash:
		w.committed(first.Revision, first.Stored)
		w.followed(in.Entries[1:])
	default:
		w.foreign(in.Entries)
	}
}

// unmoved sends the commit again when the log is where it was.
func (w *Writer) unmoved(last uint64) {
	switch expected := w.flight.expected; {
	case last < expected:
		w.halt(fmt.Sprintf("the log went back: its last revision is %d, and %d was acknowledged", last, expected))
	case last > expected: // written between the two halves of the read
		w.lookLater()
	default:
		w.publish()
	}
}

// followed looks at commits after one's own: there must be none but those of a later reign.
func (w *Writer) followed(entries []ledger.Entry) {
	if len(entries) > 0 && w.leads() {
		w.foreign(entries)
	}
}

// foreign judges commits where one's own was to be.
func (w *Writer) foreign(entries []ledger.Entry) {
	c, err := ledger.Decode(entries[0].Data)
	known := w.ledger.Position().Ledger // zero while the first commit of all is claimed: then any may win
	switch {
	case err != nil:
		w.halt(fmt.Sprintf("revision %d was not written by a writer of this ledger: %v", entries[0].Revision, err))
	case !known.IsZero() && c.Ledger != known:
		w.halt(fmt.Sprintf("revision %d is of ledger %s, this is ledger %s", entries[0].Revision, c.Ledger, known))
	case c.Epoch > w.epoch || w.phase == Claiming && c.Epoch == w.epoch:
		w.stepDown(StepFenced, fmt.Sprintf("commit %d at revision %d claims epoch %d", c.Number, entries[0].Revision, c.Epoch))
	case w.phase == Claiming:
		w.catchUp(entries)
	default:
		w.halt(fmt.Sprintf("commit %d of epoch %d at revision %d is not ours, and neither of a later epoch: somebody else writes", c.Number, c.Epoch, entries[0].Revision))
	}
}

// catchUp folds what the writer before committed meanwhile, and claims again. The first claim cannot be stored any more: the key has moved.
func (w *Writer) catchUp(entries []ledger.Entry) {
	w.flight = nil
	for _, e := range entries {
		c, err := ledger.Decode(e.Data)
		if err == nil && c.Epoch >= w.epoch {
			w.stepDown(StepFenced, fmt.Sprintf("commit %d at revision %d claims epoch %d", c.Number, e.Revision, c.Epoch))
			return
		}
		if err == nil {
			err = w.ledger.Apply(c, ledger.HashOf(e.Data), e.Revision)
		}
		if err != nil {
			w.halt(fmt.Sprintf("revision %d: %v", e.Revision, err))
			return
		}
	}
	w.claim()
}

// committed notes that the flight is in the log, and answers who waited for it. The next group is sent first: it need not wait for the answers.
func (w *Writer) committed(revision uint64, stored time.Time) {
	f := w.flight
	if err := w.ledger.Accept(f.commit, f.hash, revision); err != nil {
		w.halt(err.Error())
		return
	}
	w.settleAlarms()
	w.do(Committed{Commit: f.commit, Revision: revision, Bytes: len(f.data)})
	if f.claim {
		w.claimed(stored)
		return
	}
	w.flight = nil
	w.sinceCommits++
	w.sinceBytes += len(f.data)
	if f.snapshot != nil {
		w.do(Keyframe{w.ledger.Snapshot(f.snapshot)})
		w.sinceCommits, w.sinceBytes = 0, 0
		w.noKeyframeBefore = w.time.Mono + time.Duration(w.ledger.State().Live())*restPerLive + time.Duration(w.ledger.Remembered())*restPerRemembered
	}
	if w.leads() && !w.draft.empty() {
		w.send(false)
	}
	w.answer(f.group, f.commit.Number)
}

func (w *Writer) settleAlarms() {
	if w.full {
		w.full = false
		w.do(Alarm{AlarmFull, ""})
	}
	if w.flight.alarmed {
		w.flight.alarmed = false
		w.do(Alarm{AlarmUnresolved, ""})
	}
}

// answer replies to everybody who waited for a group.
func (w *Writer) answer(g *group, number uint64) {
	replies := make([]Reply, len(g.waiters))
	for i := range g.waiters {
		r, reply := &g.waiters[i], &replies[i]
		*reply = Reply{Token: r.token, Result: r.result, Value: r.value, Now: r.now, Notices: r.notices, Version: number}
		if r.value != nil {
			reply.Ledger = w.ledger.Position().Ledger
		}
		switch {
		case r.answer >= 0:
			reply.Result = &g.answers[r.answer].Result
		case r.result == nil: // a read
			reply.Result = new(quota.Result)
		}
		w.do(reply)
	}
	w.waiting -= len(g.waiters)
	if w.waiting > 0 {
		w.oldest = w.oldestWaiting()
	}
	if len(w.spares) < maxSpares {
		w.spares = append(w.spares, g)
	}
}

// freshGroup gives an empty group, with the buffers of one that is done.
func (w *Writer) freshGroup() *group {
	n := len(w.spares)
	if n == 0 {
		return newGroup()
	}
	g := w.spares[n-1]
	w.spares = w.spares[:n-1]
	g.reset()
	return g
}

// claimed goes on to the check of the clock, for which the time is read at which the server stored the claim.
func (w *Writer) claimed(stored time.Time) {
	w.phase = Checking
	if stored.IsZero() {
		w.look()
		return
	}
	w.checkClock(stored)
}

// claimRead finds the claim again, with its time, and sees whether the reign is over already.
func (w *Writer) claimRead(entries []ledger.Entry) {
	switch {
	case len(entries) == 0 || ledger.HashOf(entries[0].Data) != w.flight.hash || entries[0].Stored.IsZero():
		w.halt(fmt.Sprintf("the claim of epoch %d was acknowledged and is not in the log", w.epoch))
	case len(entries) > 1:
		w.foreign(entries[1:])
	default:
		w.checkClock(entries[0].Stored)
	}
}
