package live

import (
	"encoding/json"
	"sync"
)

// Bounds of what a board keeps.
const (
	maxEvents     = 500
	maxEventBytes = 2 << 20 // of all events together
	// maxBatch bounds the events of one update; a looker-on that is further behind misses the older ones.
	maxBatch = 200
)

// Board is the present picture. It is safe for concurrent use.
type Board struct {
	woken chan struct{} // somebody began to look on

	mu       sync.Mutex
	state    part
	advice   part
	events   ring
	watchers int
	changed  chan struct{} // closed and replaced at each change
}

// part is a document with a version that grows whenever it changes.
type part struct {
	body    []byte
	version uint64
}

// NewBoard makes a board that shows nothing yet.
func NewBoard() *Board {
	return &Board{woken: make(chan struct{}, 1), changed: make(chan struct{}), events: newRing()}
}

// Cursor is what a looker-on has seen. The zero value has seen nothing.
type Cursor struct {
	state, advice uint64
	next          uint64 // event
	begun         bool
}

// Update is what a looker-on has not seen yet. Parts that have not changed are nil.
type Update struct {
	State  []byte
	Advice []byte
	Events []json.RawMessage // oldest first
	LastID string            // of the last of the events
	// Reset: the events do not follow those seen before, which are to be forgotten.
	Reset bool
	// Missed counts events that are gone already.
	Missed uint64
}

// Empty tells that there is nothing new.
func (u *Update) Empty() bool {
	return u.State == nil && u.Advice == nil && len(u.Events) == 0 && !u.Reset && u.Missed == 0
}

// Join says that somebody looks on from now on. after is the id of the last event that was seen, if any. Call
// [Board.Leave] when done.
func (b *Board) Join(after string) *Cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers++
	select {
	case b.woken <- struct{}{}:
	default:
	}
	c := &Cursor{}
	if next, ok := b.events.after(after); ok {
		c.next, c.begun = next, true
	}
	return c
}

// Leave says that somebody looks on no more. The picture is forgotten with the last one: it would be old when the next
// one comes.
func (b *Board) Leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers--; b.watchers == 0 {
		b.state.body, b.advice.body = nil, nil
	}
}

// Watched tells whether anybody looks on.
func (b *Board) Watched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watchers > 0
}

// Woken gives a message when somebody began to look on.
func (b *Board) Woken() <-chan struct{} { return b.woken }

// Look gives what is new behind a cursor, moves the cursor, and gives a channel that is closed at the next change.
func (b *Board) Look(c *Cursor) (Update, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var u Update
	if b.state.body != nil && c.state != b.state.version {
		u.State, c.state = b.state.body, b.state.version
	}
	if b.advice.body != nil && c.advice != b.advice.version {
		u.Advice, c.advice = b.advice.body, b.advice.version
	}
	if !c.begun {
		c.begun, c.next, u.Reset = true, b.events.first, true
	}
	if c.next < b.events.first {
		u.Missed, c.next = b.events.first-c.next, b.events.first
	}
	if behind := b.events.end() - c.next; behind > maxBatch && !u.Reset {
		u.Missed += behind - maxBatch
		c.next += behind - maxBatch
	}
	u.Events, u.LastID = b.events.from(c.next)
	c.next = b.events.end()
	return u, b.changed
}

// SetState shows how everything stands.
func (b *Board) SetState(body []byte) { b.set(&b.state, body) }

// SetAdvice shows the current advice.
func (b *Board) SetAdvice(body []byte) { b.set(&b.advice, body) }

// set replaces a document if it changed and anybody looks on.
func (b *Board) set(p *part, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers == 0 || string(p.body) == string(body) {
		return
	}
	p.body = body
	p.version++
	b.tell()
}

// Add appends an event, unless it is there already.
func (b *Board) Add(id string, body json.RawMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.events.add(id, body) {
		b.tell()
	}
}

func (b *Board) tell() {
	close(b.changed)
	b.changed = make(chan struct{})
}
