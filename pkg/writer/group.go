package writer

import (
	"slices"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// waiter is a request whose answer is known and may not be told before a commit is in the log.
type waiter struct {
	token   Token
	arrived time.Duration
	answer  int           // index in the group's answers, or -1 for a read or a result of its own
	result  *quota.Result // of its own; nil where there is none
	value   any
	now     quota.Instant
	notices []quota.Notice
}

// group is what is decided together and becomes one commit.
type group struct {
	builder ledger.Builder
	events  []quota.Event
	answers []ledger.Answer
	keys    map[ledger.Key]int // index in answers
	waiters []waiter
	at      quota.Instant // of the last decision
	closed  bool          // nothing fits any more
	likely  int           // how many answers it may have
}

func newGroup() *group { return &group{keys: map[ledger.Key]int{}} }

// reset makes a group that is done usable again. Events and answers went into the commit and the replies and are not
// touched. The next group is likely to have as many; groups of one size and of another often take turns.
func (g *group) reset() {
	g.builder.Reset()
	clear(g.keys)
	clear(g.waiters)
	g.likely = max(len(g.answers), g.likely*3/4)
	g.events, g.answers = make([]quota.Event, 0, g.likely), make([]ledger.Answer, 0, g.likely)
	g.waiters, g.closed = g.waiters[:0], false
}

// empty tells whether there is nothing to commit.
func (g *group) empty() bool { return g.builder.Events() == 0 && g.builder.Answers() == 0 }

// add takes one decision if it fits. A decision that fits no commit even alone is refused with fits false and closed
// not set.
func (g *group) add(events []quota.Event, answer *ledger.Answer, at quota.Instant) (fits bool, err error) {
	mark, first := g.builder.Mark(), g.empty()
	for _, e := range events {
		if err := g.builder.AddEvent(e); err != nil {
			return false, err
		}
	}
	if answer != nil {
		g.builder.AddAnswer(answer)
	}
	if g.tooLarge(first) {
		g.builder.Undo(mark)
		g.closed = !first
		return false, nil
	}
	g.events = append(g.events, events...)
	if answer != nil {
		g.keys[answer.Key] = len(g.answers)
		g.answers = append(g.answers, *answer)
	}
	g.at = at
	return true, nil
}

// tooLarge measures a group. One that is a single decision may be as large as compression allows.
func (g *group) tooLarge(alone bool) bool {
	if g.builder.Len() <= MaxDraftBytes && g.builder.Events() <= ledger.MaxEvents && g.builder.Answers() <= ledger.MaxAnswers {
		return false
	}
	if !alone {
		return true
	}
	_, err := g.builder.Seal(&ledger.Commit{})
	return err != nil
}

// expire removes and returns the waiters that arrived at or before an instant.
func expire(waiters []waiter, before time.Duration) (kept, expired []waiter) {
	for i := range waiters {
		if waiters[i].arrived <= before {
			expired = append(expired, waiters[i])
		}
	}
	if len(expired) > 0 {
		waiters = slices.DeleteFunc(waiters, func(w waiter) bool { return w.arrived <= before })
	}
	return waiters, expired
}
