package quota

import "container/heap"

// Bounds of one ledger; at them a command is refused with a message that names the bound.
const (
	MaxLiveReservations = 100_000
	MaxNoticesPerAgent  = 100     // the oldest is forgotten first
	MaxKnownCalls       = 200_000 // calls remembered for counting each once; the oldest is forgotten first
	MaxItemsPerReport   = 1000
	keptWindows         = 2 // ended windows per limit that late usage can still be charged to
)

// State is one workspace's ledger as of some event. Only [Apply] changes it. It is not safe for concurrent use.
type State struct {
	// Now is the time of the last event; it never goes back.
	Now    Instant
	Config Config

	counters     map[string]*Counter
	reservations map[string]*Reservation
	closed       map[string]*Reservation
	closedOrder  fifo[string]
	blocks       map[blockKey]BlockPlaced
	notices      map[Actor][]Notice
	noticeSeq    uint64
	calls        map[callKey]Tokens
	callOrder    fifo[callKey]
	totals       Totals
	queue        queue
	sticky       map[stickyKey]Sticky
	stickyOrder  fifo[stickyKey]
	uses         map[string]*TeamUse // by team
	pacers       map[pacerKey]Instant
	watches      map[string]*Watch   // by account
	learners     map[string]*Learner // by limit
	foresight    map[foresightKey]*Foresight

	// What follows is derived from the above: a snapshot leaves it out, [Restore] makes it again, and [State.Check] adds it up. A
	// scratch state (decide_usage.go) has most of it nil; what writes there must take that.
	due         dueHeap
	nextWindow  Instant // the earliest end of an open window; 0 for none
	liveByAgent map[Actor]int
	liveByTeam  map[string]int
	heldByTeam  map[string]int64      // tokens of live reservations that are not used yet
	lent        map[string]*lentLimit // what preemptible reservations hold, by limit
	memo        *walkMemo             // while a line is walked; else nil
	index       limitIndex
	broken      []string // invariants found broken while applying
}

type blockKey struct {
	target BlockTarget
	name   string
}

type callKey struct{ principal, call string }

// NewState gives the ledger before its first event: nothing configured, so that everything is refused.
func NewState() *State {
	return &State{
		Config:       Config{Policy: DefaultPolicy()},
		counters:     map[string]*Counter{},
		reservations: map[string]*Reservation{},
		closed:       map[string]*Reservation{},
		blocks:       map[blockKey]BlockPlaced{},
		notices:      map[Actor][]Notice{},
		calls:        map[callKey]Tokens{},
		liveByAgent:  map[Actor]int{},
		watches:      map[string]*Watch{},
		queue:        newQueue(),
		sticky:       map[stickyKey]Sticky{},
		uses:         map[string]*TeamUse{},
		pacers:       map[pacerKey]Instant{},
		liveByTeam:   map[string]int{},
		heldByTeam:   map[string]int64{},
		lent:         map[string]*lentLimit{},
		learners:     map[string]*Learner{},
		foresight:    map[foresightKey]*Foresight{},
	}
}

// Counter is what one limit has counted in its present window.
type Counter struct {
	Limit string  `cbor:"1,keyasint,omitempty"`
	Start Instant `cbor:"2,keyasint,omitempty"` // 0 while a session is not open
	End   Instant `cbor:"3,keyasint,omitempty"`
	Used  int64   `cbor:"4,keyasint,omitempty"` // in this window
	Held  int64   `cbor:"5,keyasint,omitempty"` // by live reservations; moves on at a rollover
	// Since is the part of Used that occurred after the observation was made.
	Since       int64        `cbor:"6,keyasint,omitempty"`
	Observed    *Observation `cbor:"7,keyasint,omitempty"` // of this window, the latest
	Learned     int64        `cbor:"8,keyasint,omitempty"` // capacity told by an observation; 0 for none
	Crossed     int64        `cbor:"9,keyasint,omitempty"` // the highest threshold warned of in this window, percent
	Earlier     []PastWindow `cbor:"10,keyasint,omitempty"`
	Level       int64        `cbor:"11,keyasint,omitempty"` // bucket: units × Window.Duration in ms, as of LevelAt
	LevelAt     Instant      `cbor:"12,keyasint,omitempty"`
	GrantedSum  int64        `cbor:"13,keyasint,omitempty"` // of all holds ever put on the limit
	WithinSum   int64        `cbor:"14,keyasint,omitempty"`
	ReturnedSum int64        `cbor:"15,keyasint,omitempty"`
	ClosedUntil Instant      `cbor:"60,keyasint,omitempty"` // the provider refuses until then; 0 for open
	ClosedAt    Instant      `cbor:"61,keyasint,omitempty"` // when it said so
	Freed       Flow         `cbor:"40,keyasint,omitempty"` // what came back lately; see queue_predict.go
	Teams       []TeamCount  `cbor:"50,keyasint,omitempty"` // who has what of it, where teams share it
	Reclaims    []Reclaim    `cbor:"51,keyasint,omitempty"`
	// DriftPace is the pace of spending outside in the windows before, in units per day.
	DriftPace int64 `cbor:"62,keyasint,omitempty"`
	// Estimate is the capacity that was learned; it is replaced and never changed.
	Estimate *Estimate `cbor:"63,keyasint,omitempty"`
	// Told is what the provider told of a bucket; it is replaced and never changed.
	Told *ToldLimit `cbor:"110,keyasint,omitempty"`
	// LearnedAt is when the provider said that a window holds Learned.
	LearnedAt Instant `cbor:"112,keyasint,omitempty"`
}

// PastWindow is an ended window that late usage can still be charged to.
type PastWindow struct {
	Start Instant `cbor:"1,keyasint,omitempty"`
	End   Instant `cbor:"2,keyasint,omitempty"`
	Used  int64   `cbor:"3,keyasint,omitempty"`
}

// Hold is what one reservation keeps on one limit; Granted = Within + Returned + Held.
type Hold struct {
	Limit    string `cbor:"1,keyasint,omitempty"`
	Granted  int64  `cbor:"2,keyasint,omitempty"` // with extensions
	Held     int64  `cbor:"3,keyasint,omitempty"`
	Within   int64  `cbor:"4,keyasint,omitempty"` // used out of the hold
	Returned int64  `cbor:"5,keyasint,omitempty"`
	Over     int64  `cbor:"6,keyasint,omitempty"` // used beyond it
}

// Reservation is one grant and what became of it.
type Reservation struct {
	ID       string  `cbor:"1,keyasint,omitempty"`
	Labels   Labels  `cbor:"2,keyasint,omitempty"`
	Granted  Amount  `cbor:"3,keyasint,omitempty"` // with extensions
	Used     Amount  `cbor:"4,keyasint,omitempty"`
	Holds    []Hold  `cbor:"5,keyasint,omitempty"`
	CostHeld int64   `cbor:"6,keyasint,omitempty"` // micro-USD
	CostUsed int64   `cbor:"7,keyasint,omitempty"`
	Unpriced bool    `cbor:"8,keyasint,omitempty"`
	At       Instant `cbor:"9,keyasint,omitempty"` // of the grant
	Expires  Instant `cbor:"10,keyasint,omitempty"`
	Deadline Instant `cbor:"11,keyasint,omitempty"`
	Lease    Millis  `cbor:"12,keyasint,omitempty"`
	Outcome  Outcome `cbor:"13,keyasint,omitempty"` // empty while live
	ClosedAt Instant `cbor:"14,keyasint,omitempty"`
	Warned   bool    `cbor:"15,keyasint,omitempty"` // that this lease ends soon
	// Unclaimed says that it was granted from the queue and the agent has given no sign of life since.
	Unclaimed   bool `cbor:"40,keyasint,omitempty"`
	Preemptible bool `cbor:"41,keyasint,omitempty"`
	Preempting  bool `cbor:"50,keyasint,omitempty"` // it ends at Expires, for the owner of a floor
	// Takes are what it gives back for the owners of floors, soonest first. The slice is replaced and never changed.
	Takes []Take `cbor:"120,keyasint,omitempty"`

	heapIndex int
}

// Live tells whether the reservation is open.
func (r *Reservation) Live() bool { return r.Outcome == "" }

// actor is who holds the reservation.
func (r *Reservation) actor() Actor { return Actor{r.Labels.Principal, r.Labels.Agent} }

// hold finds the reservation's hold on a limit, or nil.
func (r *Reservation) hold(limit string) *Hold {
	for i := range r.Holds {
		if r.Holds[i].Limit == limit {
			return &r.Holds[i]
		}
	}
	return nil
}

// live and unlive keep what is derived from the live reservations, but for their holds.

func (s *State) live(r *Reservation) {
	s.reservations[r.ID] = r
	s.liveByAgent[r.actor()]++
	s.liveByTeam[r.Labels.Team]++
	s.touchFanOut(&r.Labels)
}

func (s *State) unlive(r *Reservation) {
	delete(s.reservations, r.ID)
	if s.liveByAgent[r.actor()]--; s.liveByAgent[r.actor()] == 0 {
		delete(s.liveByAgent, r.actor())
	}
	if s.liveByTeam == nil {
		return // a scratch state
	}
	if s.liveByTeam[r.Labels.Team]--; s.liveByTeam[r.Labels.Team] == 0 {
		delete(s.liveByTeam, r.Labels.Team)
	}
	if s.heldByTeam[r.Labels.Team] -= r.unused(); s.heldByTeam[r.Labels.Team] == 0 {
		delete(s.heldByTeam, r.Labels.Team)
	}
	s.touchFanOut(&r.Labels)
}

// unused is what a reservation was granted and has not used, in tokens.
func (r *Reservation) unused() int64 { return max(0, r.Granted.Tokens.Total()-r.Used.Tokens.Total()) }

// NoticeKind says what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeExpiring NoticeKind = "expiring"
	NoticeExpired  NoticeKind = "expired"
	NoticeRevoked  NoticeKind = "revoked"
	// NoticePreempting tells when a reservation will give something back, or all and be closed; NoticeShrunk that it gave
	// a part back and goes on, NoticePreempted that it was closed.
	NoticePreempting NoticeKind = "preempting"
	NoticeShrunk     NoticeKind = "shrunk"
	NoticePreempted  NoticeKind = "preempted"
	// Of queued reservations.
	NoticeGranted   NoticeKind = "granted"
	NoticeCancelled NoticeKind = "cancelled" // by an operator
	NoticeTimedOut  NoticeKind = "timed_out"
	NoticeRefused   NoticeKind = "refused"
)

// Notice is something an agent must learn; it stays until acknowledged.
type Notice struct {
	ID          uint64     `cbor:"1,keyasint,omitempty"`
	Kind        NoticeKind `cbor:"2,keyasint,omitempty"`
	Reservation string     `cbor:"3,keyasint,omitempty"`
	At          Instant    `cbor:"4,keyasint,omitempty"`
	Expires     Instant    `cbor:"5,keyasint,omitempty"`
	Reason      string     `cbor:"6,keyasint,omitempty"`
	Amount      Amount     `cbor:"120,keyasint,omitempty"` // what a reservation that goes on gives back; empty otherwise
}

// Totals count over the whole life of the ledger. Each commit carries them, so that a fold that went another way is found.
type Totals struct {
	Granted     int64 `cbor:"1,keyasint,omitempty"` // reservations
	Denied      int64 `cbor:"2,keyasint,omitempty"`
	Exhausted   int64 `cbor:"3,keyasint,omitempty"` // denials because quota ran out
	Settled     int64 `cbor:"4,keyasint,omitempty"`
	Released    int64 `cbor:"5,keyasint,omitempty"`
	Expired     int64 `cbor:"6,keyasint,omitempty"`
	Revoked     int64 `cbor:"7,keyasint,omitempty"`
	Overruns    int64 `cbor:"8,keyasint,omitempty"`  // reservations that used more than granted
	Reserved    int64 `cbor:"9,keyasint,omitempty"`  // tokens, with extensions
	Used        int64 `cbor:"10,keyasint,omitempty"` // tokens, all usage
	Overrun     int64 `cbor:"11,keyasint,omitempty"` // tokens beyond reservations, late and unknown usage included
	Returned    int64 `cbor:"12,keyasint,omitempty"` // tokens
	Requests    int64 `cbor:"13,keyasint,omitempty"` // provider requests used
	Cost        int64 `cbor:"14,keyasint,omitempty"` // micro-USD
	Unpriced    int64 `cbor:"15,keyasint,omitempty"` // tokens without a price
	UsageEvents int64 `cbor:"16,keyasint,omitempty"`
	Unreserved  int64 `cbor:"17,keyasint,omitempty"` // tokens of usage without a reservation

	Queued         int64 `cbor:"40,keyasint,omitempty"` // reserves that were given a place in the queue, and what became of them
	QueueGranted   int64 `cbor:"41,keyasint,omitempty"`
	QueueCancelled int64 `cbor:"42,keyasint,omitempty"`
	QueueTimedOut  int64 `cbor:"43,keyasint,omitempty"`
	QueueRefused   int64 `cbor:"44,keyasint,omitempty"`

	Preempted int64 `cbor:"50,keyasint,omitempty"`  // reservations closed for the owner of a floor
	Shrunk    int64 `cbor:"120,keyasint,omitempty"` // times that one gave a part back for it and went on
}

// HeldTokens is what live reservations still hold, in tokens.
func (t Totals) HeldTokens() int64 {
	return t.Reserved - (t.Used - t.Overrun - t.Unreserved) - t.Returned
}

// Totals gives the totals.
func (s *State) Totals() Totals { return s.totals }

// Live is the number of open reservations.
func (s *State) Live() int { return len(s.reservations) }

// LiveAgents is the number of agents that hold at least one.
func (s *State) LiveAgents() int { return len(s.liveByAgent) }

// NextDue is the earliest instant at which a [Tick] has something to do; 0 for none.
func (s *State) NextDue() Instant {
	next := s.nextWindow
	if len(s.due) > 0 && (next == 0 || s.due[0].at < next) {
		next = s.due[0].at
	}
	if at := s.queueDue(); at != 0 && (next == 0 || at < next) {
		next = at
	}
	return next
}

// dueAt is when a tick next concerns the reservation: to warn, or to expire. Leases that are renewed all the time are
// too short to be warned of.
func (r *Reservation) dueAt(p *Policy) Instant {
	if t := r.nextTake(); t != nil && t.At < r.Expires {
		return min(t.At, r.warnAt(p))
	}
	return r.warnAt(p)
}

// warnAt is when a lease that is not renewed is to be warned of, or ends.
func (r *Reservation) warnAt(p *Policy) Instant {
	if r.Preempting {
		return r.Expires
	}
	longEnough := r.Lease == 0 || r.Lease > 2*p.ExpiringNotice
	if warnAt := r.Expires.Add(-p.ExpiringNotice); !r.Warned && p.ExpiringNotice > 0 && longEnough && warnAt > r.At {
		return warnAt
	}
	return r.Expires
}

// dueHeap orders live reservations by when time concerns them next. The key is kept in the heap's entry so that the
// policy, which may change, need not be consulted by comparisons.
type dueHeap []*dueEntry

type dueEntry struct {
	*Reservation
	at Instant
}

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].ID < h[j].ID
}
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

// Push is for container/heap.
func (h *dueHeap) Push(x any) {
	e := x.(*dueEntry)
	e.heapIndex = len(*h)
	*h = append(*h, e)
}

// Pop is for container/heap.
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}

var _ heap.Interface = (*dueHeap)(nil)

// upTo calls visit for each entry due at or before now, without changing the heap: a child is never due before its parent.
func (h dueHeap) upTo(now Instant, visit func(*Reservation)) {
	var walk func(i int)
	walk = func(i int) {
		if i >= len(h) || h[i].at > now {
			return
		}
		visit(h[i].Reservation)
		walk(2*i + 1)
		walk(2*i + 2)
	}
	walk(0)
}

// fifo is a queue that forgets its oldest; the zero value is empty.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) push(x T) { f.items = append(f.items, x) }

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) pop() T {
	var zero T
	x := f.items[f.head]
	f.items[f.head] = zero
	f.head++
	if f.head > len(f.items)/2 && f.head > 64 {
		f.items = append(f.items[:0], f.items[f.head:]...)
		f.head = 0
	}
	return x
}

func (f *fifo[T]) all() []T { return f.items[f.head:] }
