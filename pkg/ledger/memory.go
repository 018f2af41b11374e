package ledger

import (
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Bounds of the memory of request ids.
const (
	// MaxRemembered is how many answered requests a ledger remembers.
	MaxRemembered = 1_000_000
	// MinMemory is how long a request id is remembered at the least, even when the memory is full: clients repeat a request for that long.
	MinMemory = 15 * quota.Second
	// MaxAhead is how far in the future the time of a request id may lie: clocks differ.
	MaxAhead = 5 * quota.Minute

	// slot is the grain in which ids are forgotten.
	slot = quota.Second
)

// Ref tells where an answer stands in the log.
type Ref struct {
	Revision uint64
	Number   uint64 // of the commit
	Index    uint32 // in its answers
	Params   Params
}

// memory maps answered request ids to their answers. Ids are forgotten in the order of the time in them, a slot at a
// time, and the floor rises with it: an id at or below the floor may have been answered and forgotten, so it is refused.
type memory struct {
	most  int
	floor quota.Instant
	refs  map[Key]Ref
	slots map[quota.Instant][]Key // by the first instant of the slot
	order []quota.Instant         // of the slots, ascending
}

func newMemory() *memory {
	return &memory{most: MaxRemembered, refs: map[Key]Ref{}, slots: map[quota.Instant][]Key{}}
}

// slotOf gives the first instant of the slot that an instant is in.
func slotOf(at quota.Instant) quota.Instant { return at - at%quota.Instant(slot) }

// add remembers an answer, unless its id is refused anyway.
func (m *memory) add(key Key, issued quota.Instant, ref Ref) {
	if issued <= m.floor {
		return
	}
	m.refs[key] = ref
	at := slotOf(issued)
	keys, known := m.slots[at]
	if !known {
		i, _ := slices.BinarySearch(m.order, at)
		m.order = slices.Insert(m.order, i, at)
	}
	m.slots[at] = append(keys, key)
}

// trim forgets what is older than the horizon, and the oldest as long as there are too many.
func (m *memory) trim(now quota.Instant, horizon quota.Millis) {
	m.floor = max(m.floor, now.Add(-horizon))
	for len(m.order) > 0 && (m.order[0].Add(slot)-1 <= m.floor || len(m.refs) > m.most) {
		m.forgetOldest()
	}
}

func (m *memory) forgetOldest() {
	oldest := m.order[0]
	for _, key := range m.slots[oldest] {
		delete(m.refs, key)
	}
	delete(m.slots, oldest)
	m.order = m.order[1:]
	m.floor = max(m.floor, oldest.Add(slot)-1)
}

// room tells whether n more ids can be remembered without forgetting one that is younger than MinMemory.
func (m *memory) room(n int, now quota.Instant) bool {
	return len(m.refs)+n <= m.most || len(m.order) > 0 && m.order[0].Add(slot+MinMemory) <= now
}

// restore puts back an entry of a keyframe; entries come in the order of their slots.
func (m *memory) restore(r *remembered) {
	m.refs[r.Key] = Ref{Revision: r.Revision, Number: r.Number, Index: r.Index, Params: r.Params}
	if len(m.order) == 0 || m.order[len(m.order)-1] != r.IssuedAt {
		m.order = append(m.order, r.IssuedAt)
	}
	m.slots[r.IssuedAt] = append(m.slots[r.IssuedAt], r.Key)
}
