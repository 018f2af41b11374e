package quota

import (
	"cmp"
	"slices"
)

// The queue holds reserves that may wait. An entry is a place in the ledger: it is made by ReservationQueued, ended by
// ReservationDequeued, and survives whoever decides. [Tick] grants from it as soon as something makes that possible.

// Bounds of the queue.
const (
	MaxQueued         = 10_000   // entries of one ledger
	MaxQueuedPerAgent = 100      // entries of one agent
	MaxQueueWait      = 31 * Day // the longest max_wait
	// queueDepth is how many entries of one line are looked at, first in order. Those behind have to come forward first; so a
	// step costs the same however long the line is.
	queueDepth = 64
	// mostVisited is how many are looked at where some of them are held up by something else than what they stand in line for.
	mostVisited = 8 * queueDepth
	// ownersDepth is how many entries of a lane are looked at in any case where the limit has a floor for them.
	ownersDepth = 8
)

// Wish is what a reserve asked for and what else it would take: everything that is needed to try it again.
type Wish struct {
	Provider    string   `cbor:"1,keyasint,omitempty"`
	Account     string   `cbor:"2,keyasint,omitempty"`
	Model       string   `cbor:"3,keyasint,omitempty"`
	Amount      Amount   `cbor:"4,keyasint,omitempty"`
	MinTokens   int64    `cbor:"5,keyasint,omitempty"` // the least total that is of use; 0 means all
	Lifetime    Millis   `cbor:"6,keyasint,omitempty"`
	Lease       Millis   `cbor:"7,keyasint,omitempty"`
	Accounts    []string `cbor:"8,keyasint,omitempty"`
	Providers   []string `cbor:"9,keyasint,omitempty"`
	Models      []string `cbor:"10,keyasint,omitempty"`
	Preemptible bool     `cbor:"11,keyasint,omitempty"`
}

// Bound is one thing that a queued reservation waits for: a limit, with the units that it needs there, or something
// else that is in the way (see queue_watch.go and queue_bound.go). Until all bounds of a choice have given way nothing can be
// granted to the entry.
type Bound struct {
	On    string `cbor:"1,keyasint,omitempty"`
	Units int64  `cbor:"2,keyasint,omitempty"`
	// Owed is what floors guarantee to the entry on the limit, in full, and what others have of it: as soon as that can be
	// taken back from them it is. 0 where nothing is owed.
	Owed int64 `cbor:"120,keyasint,omitempty"`
	// Choice is the same number for all that stands in the way of one choice: all of it has to give way. 0 is for what
	// stands in the way of a choice alone.
	Choice int64 `cbor:"121,keyasint,omitempty"`
}

// Waiting is one queued reservation.
type Waiting struct {
	Reservation string  `cbor:"1,keyasint,omitempty"`
	Labels      Labels  `cbor:"2,keyasint,omitempty"` // provider and account as asked for
	Wish        Wish    `cbor:"3,keyasint,omitempty"`
	Since       Instant `cbor:"4,keyasint,omitempty"`
	Until       Instant `cbor:"5,keyasint,omitempty"` // then it ends
	Bounds      []Bound `cbor:"6,keyasint,omitempty"` // none: to be tried at once
	Passed      Instant `cbor:"7,keyasint,omitempty"` // when something first went past it as the head of a line; 0 for never
	Kept        bool    `cbor:"8,keyasint,omitempty"` // nothing passes it any more while it is the head
	// What the reply said of its grant, where windows alone decide about it; else 0.
	SaidFrom Instant `cbor:"130,keyasint,omitempty"`
	SaidAt   Instant `cbor:"131,keyasint,omitempty"`
	SaidTo   Instant `cbor:"132,keyasint,omitempty"`
	// SaidBy is how that was corrected; empty where an older version said it.
	SaidBy Correction `cbor:"133,keyasint,omitempty"`
}

func (w *Waiting) actor() Actor { return Actor{w.Labels.Principal, w.Labels.Agent} }

func (w *Waiting) copy() Waiting {
	clone := *w
	clone.Bounds = slices.Clone(w.Bounds)
	return clone
}

// need is what the entry needs of a bound.
func (w *Waiting) need(on string) int64 {
	for _, b := range w.Bounds {
		if b.On == on {
			return b.Units
		}
	}
	return 0
}

// agedRank is the rank of those that have waited so long that only age counts.
const agedRank = int(PriorityCritical) + 1

// queueKey is what decides an entry's place.
type queueKey struct {
	rank  int   // priority, lifted by age
	share int64 // of the team, see fairShare
	since Instant
	id    string
}

// queueOrder says which of two entries comes first: the higher rank, then whose team has had less, then who has waited
// longer. Waiting lifts an entry by one rank each Policy.QueueAgeing; at agedRank only age counts. So after at most four
// times QueueAgeing nothing that comes later, whatever its priority or team, goes before it.
func queueOrder(a, b queueKey) int {
	if a.rank != b.rank {
		return cmp.Compare(b.rank, a.rank)
	}
	if a.rank < agedRank && a.share != b.share {
		return cmp.Compare(a.share, b.share)
	}
	return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.id, b.id))
}

// rank is a priority after a time of waiting.
func rank(p Priority, waited, ageing Millis) int {
	if ageing <= 0 {
		return int(p)
	}
	return min(agedRank, int(p)+int(waited/ageing))
}

// queueKey gives an entry's place as of the state's time. It is not asked at any later time, so that what is due and what
// a tick finds are the same.
func (s *State) queueKey(w *Waiting) queueKey {
	return s.keyWith(w, s.fairShare(w.Labels.Team, s.Now))
}

// keyWith is the same where what the entry's team has had is known already. Who does not wait has a key too: that of an
// entry which has waited for no time, see passes. Lanes are searched by it: within one its order must be that of age, for good, so
// that what it looks at besides has to be the same for a whole lane.
func (s *State) keyWith(w *Waiting, share int64) queueKey {
	return queueKey{
		rank:  rank(w.Labels.Priority, s.Now.Sub(w.Since), s.Config.Policy.queueAgeing()),
		share: share, since: w.Since, id: w.Reservation,
	}
}

// Queued is the number of entries.
func (s *State) Queued() int { return len(s.queue.entries) }

// dequeue and enqueue keep the queue and what is derived from it together.

func (s *State) enqueue(w *Waiting) {
	q := &s.queue
	q.entries[w.Reservation] = w
	q.byAgent[w.actor()]++
	i, _ := slices.BinarySearchFunc(q.ending, w, byUntil)
	q.ending = slices.Insert(q.ending, i, w)
	q.addPassed(w)
	q.line(w)
}

func (s *State) dequeue(w *Waiting) {
	q := &s.queue
	delete(q.entries, w.Reservation)
	if q.byAgent[w.actor()]--; q.byAgent[w.actor()] == 0 {
		delete(q.byAgent, w.actor())
	}
	if i, ok := slices.BinarySearchFunc(q.ending, w, byUntil); ok {
		q.ending = slices.Delete(q.ending, i, i+1)
	}
	q.removePassed(w)
	q.unline(w)
}

// rebind puts an entry into the lines of what it waits for now.
func (s *State) rebind(w *Waiting, bounds []Bound) {
	s.queue.unline(w)
	w.Bounds = bounds
	s.queue.line(w)
}

func byUntil(a, b *Waiting) int {
	return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.Reservation, b.Reservation))
}

func byAge(a, b *Waiting) int {
	return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Reservation, b.Reservation))
}

// queue is all that waits, and where to find it.
type queue struct {
	entries map[string]*Waiting // by reservation
	// What follows is derived.
	byAgent map[Actor]int
	ending  []*Waiting       // by the end of their wait
	passed  []*Waiting       // heads that were passed and are not kept for yet, by when
	lines   map[string]*line // by what they wait for
}

func newQueue() queue {
	return queue{entries: map[string]*Waiting{}, byAgent: map[Actor]int{}, lines: map[string]*line{}}
}

func byPassed(a, b *Waiting) int {
	return cmp.Or(cmp.Compare(a.Passed, b.Passed), cmp.Compare(a.Reservation, b.Reservation))
}

func (q *queue) addPassed(w *Waiting) {
	if w.Passed != 0 && !w.Kept {
		i, _ := slices.BinarySearchFunc(q.passed, w, byPassed)
		q.passed = slices.Insert(q.passed, i, w)
	}
}

func (q *queue) removePassed(w *Waiting) {
	if i, ok := slices.BinarySearchFunc(q.passed, w, byPassed); ok {
		q.passed = slices.Delete(q.passed, i, i+1)
	}
}

// inOrder lists the entries by age: for snapshots and views.
func (q *queue) inOrder() []*Waiting {
	list := make([]*Waiting, 0, len(q.entries))
	for _, w := range q.entries {
		list = append(list, w)
	}
	slices.SortFunc(list, byAge)
	return list
}

// tryAllAgain forgets what entries wait for: the configuration has changed, and with it what there is to wait for.
func (s *State) tryAllAgain() {
	for _, w := range s.queue.inOrder() {
		s.rebind(w, nil)
	}
}
