package ledger

import (
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Position is how far a ledger is folded.
type Position struct {
	Ledger   ID // zero before the first commit
	Epoch    uint64
	Number   uint64        // of the last commit; 0 before the first
	Revision uint64        // of the key that holds the last commit; 0 before the first
	Hash     Hash          // of the last commit's bytes
	At       quota.Instant // time of the last commit
}

// Ledger is the fold of commits: a position, the state, and the memory of what was answered. It is not safe for
// concurrent use.
type Ledger struct {
	pos     Position
	state   *quota.State
	memory  *memory
	horizon quota.Millis // how long request ids are remembered, by the last commit's configuration
}

// New gives the ledger before its first commit.
func New() *Ledger {
	return &Ledger{state: quota.NewState(), memory: newMemory(), horizon: quota.DefaultPolicy().RequestHorizon}
}

// Position tells how far the ledger is folded.
func (l *Ledger) Position() Position { return l.pos }

// State is the state after the last commit, and after the events that a writer has decided and applied since. Its
// owner may read it; only a writer may apply to it.
func (l *Ledger) State() *quota.State { return l.state }

// Lookup finds the answer to a request id that was answered in a folded commit. issued is the time in the id.
func (l *Ledger) Lookup(key Key, issued quota.Instant) (Ref, bool) {
	return l.memory.lookup(key, issued)
}

// Floor is the instant at and below which request ids are refused: their answers may be forgotten.
func (l *Ledger) Floor() quota.Instant { return l.memory.floor }

// Remembered is the number of request ids that the ledger remembers.
func (l *Ledger) Remembered() int { return l.memory.len() }

// Horizon is how long request ids are remembered.
func (l *Ledger) Horizon() quota.Millis { return l.horizon }

// Room tells whether n more request ids can be remembered at now without forgetting one younger than MinMemory.
func (l *Ledger) Room(n int, now quota.Instant) bool { return l.memory.room(n, now) }

// ApplyEntry decodes a stored commit and folds it. It fails as Decode and Apply do.
func (l *Ledger) ApplyEntry(e Entry) (*Commit, error) {
	c, err := Decode(e.Data)
	if err != nil {
		return nil, fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	if err := l.Apply(c, HashOf(e.Data), e.Revision); err != nil {
		return c, fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	return c, nil
}

// Apply folds the next commit, stored as revision; hash is of its bytes. It fails with ErrSequence when the commit is
// not the next one, and with ErrBroken when the fold breaks an invariant or does not give the commit's totals; the
// ledger must not be used after the latter.
func (l *Ledger) Apply(c *Commit, hash Hash, revision uint64) error {
	if err := l.follows(c, revision); err != nil {
		return err
	}
	for _, e := range c.Events {
		quota.Apply(l.state, e)
	}
	return l.settle(c, hash, revision)
}

// Accept takes a commit whose events are in the state already, because the writer applied each as it decided it. It
// fails as Apply does, but for the totals: the state may be ahead of the commit.
func (l *Ledger) Accept(c *Commit, hash Hash, revision uint64) error {
	if err := l.follows(c, revision); err != nil {
		return err
	}
	l.take(c, hash, revision)
	return nil
}

// settle checks the fold and moves the position.
func (l *Ledger) settle(c *Commit, hash Hash, revision uint64) error {
	if broken := l.state.Broken(); len(broken) > 0 {
		return fmt.Errorf("commit %d: %w: %s", c.Number, ErrBroken, broken[0])
	}
	if l.state.Totals() != c.Totals {
		return fmt.Errorf("commit %d: %w: folded totals %+v, the commit says %+v", c.Number, ErrBroken, l.state.Totals(), c.Totals)
	}
	if l.state.Now > c.At {
		return fmt.Errorf("commit %d: %w: an event at %d in a commit at %d", c.Number, ErrBroken, l.state.Now, c.At)
	}
	l.take(c, hash, revision)
	return nil
}

func (l *Ledger) take(c *Commit, hash Hash, revision uint64) {
	for _, e := range c.Events {
		if e, ok := e.(*quota.ConfigApplied); ok && e.Config.Policy.RequestHorizon > 0 {
			l.horizon = max(MinMemory, e.Config.Policy.RequestHorizon)
		}
	}
	l.pos = Position{Ledger: c.Ledger, Epoch: c.Epoch, Number: c.Number, Revision: revision, Hash: hash, At: c.At}
	for i := range c.Answers {
		a := &c.Answers[i]
		l.memory.add(a.Key, a.IssuedAt, Ref{Revision: revision, Number: c.Number, Index: uint32(i), Params: a.Params})
	}
	l.memory.trim(c.At, l.horizon)
}

// follows tells whether a commit is the next one.
func (l *Ledger) follows(c *Commit, revision uint64) error {
	p := &l.pos
	switch {
	case c.Ledger.IsZero() || p.Number > 0 && c.Ledger != p.Ledger:
		return fmt.Errorf("%w: commit of ledger %s, this is ledger %s", ErrSequence, c.Ledger, p.Ledger)
	case c.Number != p.Number+1:
		return fmt.Errorf("%w: commit %d follows commit %d", ErrSequence, c.Number, p.Number)
	case c.Prev != p.Hash:
		return fmt.Errorf("%w: commit %d was made after another commit %d (%s) than this ledger's (%s)", ErrSequence, c.Number, p.Number, c.Prev, p.Hash)
	case c.Epoch < p.Epoch || c.Epoch == 0:
		return fmt.Errorf("%w: commit %d is of epoch %d, the ledger is in epoch %d", ErrSequence, c.Number, c.Epoch, p.Epoch)
	case c.At < p.At:
		return fmt.Errorf("%w: commit %d is at %d, before the last one at %d", ErrSequence, c.Number, c.At, p.At)
	case revision <= p.Revision:
		return fmt.Errorf("%w: commit %d has revision %d, the last one has %d", ErrSequence, c.Number, revision, p.Revision)
	}
	return nil
}
