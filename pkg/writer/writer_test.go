package writer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

func TestRepliesOnlyAfterTheAck(t *testing.T) {
	t.Parallel()
	b := serving(t)
	b.submit(b.reserve("r1", 10), b.reserve("r2", 10), b.read())
	if replies := every[*Reply](b); len(replies) != 0 {
		t.Fatalf("replied before the commit was stored: %+v", replies)
	}
	if c := commitOf(t, find[Publish](b)); len(c.Answers) != 2 || len(c.Events) != 2 {
		t.Errorf("two requests that waited together became %d answers and %d events of one commit", len(c.Answers), len(c.Events))
	}
	b.ack()
	replies := every[*Reply](b)
	if len(replies) != 3 || replies[0].Result.Reservation != "r1" || replies[1].Result.Reservation != "r2" || replies[2].Value != int64(2) {
		t.Errorf("got %+v", replies)
	}
	if find[Committed](b).Commit.Number != 3 || replies[0].Version != 3 {
		t.Errorf("the commit is %d, the reply says %d", find[Committed](b).Commit.Number, replies[0].Version)
	}
}

func TestOneCommitInFlight(t *testing.T) {
	t.Parallel()
	b := serving(t)
	b.submit(b.reserve("r1", 10))
	first := find[Publish](b)
	for i := range 5 {
		b.submit(b.reserve(fmt.Sprintf("next%d", i), 10))
		if p := every[Publish](b); len(p) != 0 {
			t.Fatal("a second commit was sent while one is in flight")
		}
	}
	b.step(PublishOutcome{Attempt: first.Attempt, Verdict: Acked, Revision: b.store(first)})
	second := commitOf(t, find[Publish](b))
	if len(second.Answers) != 5 || second.Prev != ledger.HashOf(first.Data) {
		t.Errorf("%d answers after %s", len(second.Answers), second.Prev)
	}
}

func TestReadsWaitForWhatTheySaw(t *testing.T) {
	t.Parallel()
	b := serving(t)
	b.submit(b.read())
	if r := find[*Reply](b); r.Value != int64(0) {
		t.Errorf("with nothing in flight a read is answered at once, got %+v", r)
	}
	b.submit(b.reserve("r1", 10))
	p := find[Publish](b)
	b.submit(b.read())
	if len(every[*Reply](b)) != 0 {
		t.Fatal("a read was answered from a state that is not in the log")
	}
	b.step(PublishOutcome{Attempt: p.Attempt, Verdict: Acked, Revision: b.store(p)})
	if replies := every[*Reply](b); len(replies) != 2 || replies[1].Value != int64(1) {
		t.Errorf("got %+v", replies)
	}
}

// TestUnknownOutcomes: whatever the store says short of an acknowledgement, the log decides.
func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	for _, verdict := range []Verdict{Conflict, InFlight, Unknown} {
		for _, stored := range []bool{true, false} {
			t.Run(fmt.Sprintf("verdict %d, stored %v", verdict, stored), func(t *testing.T) {
				t.Parallel()
				b := serving(t)
				b.submit(b.reserve("r1", 10))
				p := find[Publish](b)
				if stored {
					b.store(p)
				}
				b.step(PublishOutcome{Attempt: p.Attempt, Verdict: verdict, Err: errors.New("who knows")})
				if verdict == InFlight {
					b.wait(time.Second)
					b.step(Wake{})
				}
				r := find[Read](b)
				if r.After != p.Expected || len(every[*Reply](b)) != 0 {
					t.Fatalf("it reads after %d and says %+v", r.After, every[*Reply](b))
				}
				if stored {
					b.step(ReadOutcome{Read: r.Read, Entries: b.log[len(b.log)-1:], Last: b.last()})
				} else {
					b.step(ReadOutcome{Read: r.Read, Last: b.last()})
					again := find[Publish](b)
					if !reflect.DeepEqual(again.Data, p.Data) || again.Expected != p.Expected || again.Attempt == p.Attempt {
						t.Fatal("it does not send the same bytes again")
					}
					b.ack()
				}
				if reply := find[*Reply](b); !reply.Result.OK() {
					t.Errorf("answered %+v", reply.Result)
				}
			})
		}
	}
}

// foreign gives a commit that somebody else put where the writer's was to be.
func (b *bench) foreign(change func(c *ledger.Commit)) ledger.Entry {
	b.t.Helper()
	p := b.w.Status().Position
	c := &ledger.Commit{Ledger: p.Ledger, Epoch: p.Epoch, Number: p.Number + 1, ID: ledger.ID{99}, Prev: p.Hash, At: p.At, Totals: b.w.State().Totals()}
	change(c)
	data, err := ledger.Encode(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return ledger.Entry{Revision: p.Revision + 1, Data: data, Stored: b.now.Wall.Time()}
}

func TestForeignCommits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(c *ledger.Commit)
		halts  bool
	}{
		"a higher epoch fences": {func(c *ledger.Commit) { c.Epoch++ }, false},
		"the same epoch halts":  {func(*ledger.Commit) {}, true},
		"a lower epoch halts":   {func(c *ledger.Commit) { c.Epoch-- }, true},
		"another ledger halts":  {func(c *ledger.Commit) { c.Ledger[3]++; c.Epoch++ }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serving(t)
			b.submit(b.reserve("r1", 10))
			p := find[Publish](b)
			b.submit(b.reserve("r2", 10), b.read())
			b.step(PublishOutcome{Attempt: p.Attempt, Verdict: Conflict})
			b.step(ReadOutcome{Read: find[Read](b).Read, Entries: []ledger.Entry{b.foreign(test.change)}, Last: b.last() + 1})
			replies := every[*Reply](b)
			if len(replies) != 3 {
				t.Fatalf("%d of 3 waiting requests are answered", len(replies))
			}
			for _, r := range replies {
				if r.Result.Code != quota.CodeUnavailable || !r.Result.Retryable {
					t.Errorf("answered %+v", r.Result)
				}
			}
			if test.halts {
				find[Halt](b)
				find[Alarm](b)
				b.step(Elect{})
				if len(b.actions) != 0 {
					t.Errorf("a halted writer does %+v", b.actions)
				}
				return
			}
			if s := find[StepDown](b); s.Reason != StepFenced {
				t.Errorf("stepped down: %+v", s)
			}
		})
	}
}

func TestHaltsOnGarbageAndOnALogThatWentBack(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]ReadOutcome{
		"garbage":   {Entries: []ledger.Entry{{Revision: 99, Data: []byte("garbage")}}},
		"went back": {Last: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serving(t)
			b.submit(b.reserve("r1", 10))
			b.step(PublishOutcome{Attempt: find[Publish](b).Attempt, Verdict: Conflict})
			outcome.Read = find[Read](b).Read
			b.step(outcome)
			find[Halt](b)
		})
	}
}

// An operator who went back to an older build is told so, and not that the log is damaged.
func TestHaltsOnALogOfANewerBuild(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{ledger.ErrVersion, "a newer Bursar"},
		{ledger.ErrCorrupt, "the log is damaged"},
	} {
		b := newBench(t)
		b.step(Elect{})
		b.step(LoadFailed{Err: fmt.Errorf("revision 7: %w", test.err), Corrupt: true})
		if halt := find[Halt](b); !strings.Contains(halt.Detail, test.want) || !strings.Contains(halt.Detail, "revision 7") {
			t.Errorf("of %q it says %q, want %q", test.err, halt.Detail, test.want)
		}
	}
}

func TestFullBucket(t *testing.T) {
	t.Parallel()
	b := serving(t)
	r1 := b.reserve("r1", 10)
	b.submit(r1)
	p := find[Publish](b)
	b.submit(b.reserve("r2", 10))
	b.step(PublishOutcome{Attempt: p.Attempt, Verdict: Full, Err: errors.New("maximum bytes exceeded")})
	if a := find[Alarm](b); a.Kind != AlarmFull || a.Detail == "" {
		t.Errorf("alarm %+v", a)
	}
	if len(every[*Reply](b)) != 2 {
		t.Errorf("waiting requests are told %+v", every[*Reply](b))
	}
	b.submit(b.reserve("r3", 10))
	if r := find[*Reply](b); r.Result.Code != quota.CodeUnavailable {
		t.Errorf("a request to a full ledger is answered %+v", r.Result)
	}
	b.wait(3 * time.Second)
	b.step(Wake{})
	b.step(ReadOutcome{Read: find[Read](b).Read, Last: b.last()})
	if again := find[Publish](b); !reflect.DeepEqual(again.Data, p.Data) {
		t.Fatal("the commit that waits was changed")
	}
	b.ack()
	if a := find[Alarm](b); a.Kind != AlarmFull || a.Detail != "" {
		t.Errorf("the alarm is not cleared: %+v", a)
	}
	b.ack() // the second group
	r1.Token = 77
	b.submit(r1)
	if f := find[FetchAnswer](b); f.Token != 77 {
		t.Errorf("the decision is not remembered: %+v", b.actions)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	b := serving(t)
	r := b.reserve("r1", 10)
	again, other := r, r
	again.Token, other.Token = 50, 51
	other.Params[0]++
	b.submit(r)
	p := find[Publish](b)
	b.submit(again, other)
	if len(b.actions) != 0 {
		t.Fatalf("while the decision is in flight: %+v", b.actions)
	}
	b.step(PublishOutcome{Attempt: p.Attempt, Verdict: Acked, Revision: b.store(p)})
	replies := every[*Reply](b)
	if len(replies) != 3 || replies[1].Result != replies[0].Result || replies[2].Result.Code != quota.CodeConflict {
		t.Errorf("got %+v", replies)
	}
	b.submit(again)
	if f := find[FetchAnswer](b); f.Revision != b.last() || f.Index != 0 {
		t.Errorf("the answer is said to be answer %d at %d", f.Index, f.Revision)
	}
	b.submit(other)
	if r := find[*Reply](b); r.Result.Code != quota.CodeConflict || r.Result.Retryable {
		t.Errorf("other parameters are answered %+v", r.Result)
	}
	old, ahead := b.reserve("r2", 10), b.reserve("r3", 10)
	old.IssuedAt, ahead.IssuedAt = b.now.Wall.Add(-quota.Day), b.now.Wall.Add(ledger.MaxAhead+1)
	for _, r := range []Request{old, ahead} {
		b.submit(r)
		if r := find[*Reply](b); r.Result.Code != quota.CodeInvalid || r.Result.Retryable {
			t.Errorf("an id from another time is answered %+v", r.Result)
		}
	}
}

func TestWaitingRequestsAreBounded(t *testing.T) {
	t.Parallel()
	b := serving(t)
	b.submit(b.reserve("r0", 1))
	var reads []Request
	for range MaxWaiting {
		reads = append(reads, b.read())
	}
	b.submit(reads...)
	if r := find[*Reply](b); r.Token != reads[MaxWaiting-1].Token || r.Result.Code != quota.CodeUnavailable {
		t.Errorf("the request beyond the bound: %+v", r)
	}
	b.wait(MaxWait)
	b.step(Wake{})
	if n := len(every[*Reply](b)); n != MaxWaiting || b.w.Status().Waiting != 0 {
		t.Errorf("after MaxWait %d are answered and %d wait", n, b.w.Status().Waiting)
	}
}

// TestGroupsAreSplit: what does not fit one commit waits for the next.
func TestGroupsAreSplit(t *testing.T) {
	t.Parallel()
	b := serving(t)
	b.submit(b.reserve("first", 1))
	for i := range 3000 {
		r := b.reserve(strings.Repeat("x", 200)+fmt.Sprint(i), 1)
		b.submit(r)
	}
	b.step(PublishOutcome{Attempt: 3, Verdict: Acked, Revision: b.store(Publish{Data: b.w.flight.data, Expected: b.last()})})
	answered, commits := len(every[*Reply](b)), 0
	for ; len(every[Publish](b)) > 0; commits++ {
		p := find[Publish](b)
		if len(p.Data) > ledger.MaxCommitBytes {
			t.Fatalf("a commit of %d bytes", len(p.Data))
		}
		b.ack()
		answered += len(every[*Reply](b))
	}
	if answered != 3001 || commits < 2 {
		t.Errorf("%d answered in %d commits", answered, commits)
	}
}

func TestADecisionThatFitsNoCommit(t *testing.T) {
	t.Parallel()
	b := serving(t)
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 500)
	items := make([]quota.UsageItem, quota.MaxItemsPerReport)
	for i := range items {
		for j := range noise {
			noise[j] = byte(random.Uint32())
		}
		items[i] = quota.UsageItem{CallID: string(noise[:250]), Model: string(noise[250:]), Tokens: quota.Tokens{Input: int64(i) * 7919}}
	}
	b.submit(b.command(quota.Report{Actor: quota.Actor{Principal: "p", Agent: "a"}, Reservation: "none", Items: items}), b.reserve("r", 1))
	b.ack()
	replies := every[*Reply](b)
	if len(replies) != 2 || replies[0].Result.Code != quota.CodeInvalid || !strings.Contains(replies[0].Result.Message, "in parts") {
		t.Fatalf("answered %+v", replies)
	}
	if !replies[1].Result.OK() || b.w.State().Totals().UsageEvents != 0 {
		t.Errorf("%d usage events are recorded of a refused request", b.w.State().Totals().UsageEvents)
	}
}

func TestDrainFinishesFirst(t *testing.T) {
	t.Parallel()
	b := serving(t)
	b.submit(b.reserve("r1", 10))
	p := find[Publish](b)
	b.submit(b.reserve("r2", 10))
	b.step(Drain{})
	b.submit(b.reserve("late", 10))
	if r := find[*Reply](b); r.Result.Code != quota.CodeUnavailable {
		t.Errorf("a request while draining: %+v", r.Result)
	}
	b.step(PublishOutcome{Attempt: p.Attempt, Verdict: Acked, Revision: b.store(p)})
	if len(every[StepDown](b)) != 0 {
		t.Fatal("it left with a decision that is not in the log")
	}
	b.ack()
	if r := find[*Reply](b); r.Result.Reservation != "r2" {
		t.Errorf("answered %+v", r)
	}
	if s := find[StepDown](b); s.Reason != StepDrained {
		t.Errorf("left: %+v", s)
	}
}

func TestKeyframeIsOfItsCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.w.opt.KeyframeCommits = 1
	b.step(Elect{})
	b.step(Loaded{Ledger: ledger.New(), SinceKeyframe: 5})
	b.ack()
	b.step(ReadOutcome{Read: find[Read](b).Read, Entries: b.log})
	b.submit(b.command(quota.Acknowledge{}))
	p := find[Publish](b)
	b.submit(b.command(quota.Acknowledge{})) // decided before the keyframe is made
	b.step(PublishOutcome{Attempt: p.Attempt, Verdict: Acked, Revision: b.store(p)})
	k := find[Keyframe](b).Snapshot
	folded := ledger.New()
	for _, e := range b.log {
		if _, err := folded.ApplyEntry(e); err != nil {
			t.Fatal(err)
		}
	}
	got, err1 := k.Encode()
	want, err2 := folded.Snapshot(nil).Encode()
	if err1 != nil || err2 != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the keyframe of commit %d is not what the log folds to (%v, %v)", k.Position().Number, err1, err2)
	}
}

// TestClaimCatchesUp: the writer before commits once more between recovery and claim.
func TestClaimCatchesUp(t *testing.T) {
	t.Parallel()
	old := serving(t)
	heir := newBench(t)
	heir.ids = 100
	l := ledger.New()
	for _, e := range old.log {
		if _, err := l.ApplyEntry(e); err != nil {
			t.Fatal(err)
		}
	}
	old.submit(old.reserve("late", 10))
	old.ack()
	heir.log = old.log
	heir.step(Elect{})
	heir.step(Loaded{Ledger: l})
	p := find[Publish](heir)
	heir.step(PublishOutcome{Attempt: p.Attempt, Verdict: Conflict})
	heir.step(ReadOutcome{Read: find[Read](heir).Read, Entries: old.log[len(old.log)-1:], Last: old.last()})
	claim := find[Publish](heir)
	if c := commitOf(t, claim); claim.Expected != old.last() || c.Epoch != 2 || c.Totals.Granted != 1 {
		t.Errorf("claims epoch %d after %d", c.Epoch, claim.Expected)
	}
	heir.ack()
	heir.step(ReadOutcome{Read: find[Read](heir).Read, Entries: heir.log[len(heir.log)-1:]})
	find[Serve](heir)
}

func TestOldOutcomesAreIgnored(t *testing.T) {
	t.Parallel()
	b := serving(t)
	b.submit(b.reserve("r1", 10))
	p := find[Publish](b)
	b.step(PublishOutcome{Attempt: p.Attempt - 1, Verdict: Acked, Revision: 99})
	b.step(ReadOutcome{Read: 1})
	if len(b.actions) != 0 || !b.w.Status().InFlight {
		t.Errorf("an outcome of an older attempt does %+v", b.actions)
	}
	b.step(Demote{})
	if s := find[StepDown](b); s.Reason != StepDemoted || len(every[*Reply](b)) != 1 {
		t.Errorf("demoted: %+v", b.actions)
	}
	b.step(PublishOutcome{Attempt: p.Attempt, Verdict: Acked, Revision: 99})
	if len(b.actions) != 0 {
		t.Errorf("after the reign: %+v", b.actions)
	}
}
