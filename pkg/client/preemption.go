package client

import (
	"slices"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Preemption is what a task is to give back for the owner of a floor; see PROTOCOL.md §9.
type Preemption struct {
	At     time.Time    // the end of the grace
	Amount *wire.Amount // that goes back then, as far as it is not used; nil for all: the reservation is closed then
	Reason string
}

// Ends tells whether the reservation is closed at the end of the grace, rather than shrunk.
func (p Preemption) Ends() bool { return p.Amount == nil }

// Preempted tells the work what is to be given back, each once: work that listens can finish in time what it has begun.
// Whoever does not listen loses nothing but the warning.
func (t *Task) Preempted() <-chan Preemption { return t.preempted.told }

// preemptions passes on what a task is to give back. Notices come twice: pushed, and with a reply.
type preemptions struct {
	told chan Preemption

	mu   sync.Mutex
	seen []Preemption
}

// maxPreemptions bounds what waits for work that does not listen, and what is remembered as told.
const maxPreemptions = 2 * quota.MaxTakes

func newPreemptions() *preemptions { return &preemptions{told: make(chan Preemption, maxPreemptions)} }

func (p *preemptions) tell(n wire.Notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := Preemption{At: n.ExpiresAt.Time(), Amount: n.Amount, Reason: n.Reason}
	if slices.ContainsFunc(p.seen, told.same) {
		return
	}
	if p.seen = append(p.seen, told); len(p.seen) > maxPreemptions {
		p.seen = slices.Clone(p.seen[1:])
	}
	select {
	case p.told <- told:
	default: // nobody listens
	}
}

// same tells whether two say the same: the one that is pushed has no reason.
func (p Preemption) same(o Preemption) bool {
	return p.At.Equal(o.At) && p.Ends() == o.Ends() && (p.Ends() || *p.Amount == *o.Amount)
}
