package ledger

import (
	"fmt"
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

// memory maps answered request ids to their answers. An id is looked for among those of the time in it, which are few and
// were asked for lately, rather than among all of a day. Ids are forgotten in the order of that time, a slot at a time, and
// the floor rises with it: an id at or below the floor may have been answered and forgotten, so it is refused. Slots only
// grow at their end until they are forgotten as a whole, so that a snapshot can share them.
type memory struct {
	most  int
	floor quota.Instant
	count int                     // of remembered requests
	slots map[quota.Instant]*span // by the first instant of the slot
	order []quota.Instant         // of the slots, ascending
}

// remembered is one answered request.
type remembered struct {
	_        struct{} `cbor:",toarray"`
	Key      Key
	Revision uint64
	Number   uint64
	Index    uint32
	Params   Params
}

func newMemory() *memory { return &memory{most: MaxRemembered, slots: map[quota.Instant]*span{}} }

// slotOf gives the first instant of the slot that an instant is in.
func slotOf(at quota.Instant) quota.Instant { return at - at%quota.Instant(slot) }

// len is how many requests are remembered.
func (m *memory) len() int { return m.count }

// lookup finds an answered request by its key and the time in its id.
func (m *memory) lookup(key Key, issued quota.Instant) (Ref, bool) {
	at := m.slots[slotOf(issued)]
	if at == nil {
		return Ref{}, false
	}
	r := at.find(key)
	if r == nil {
		return Ref{}, false
	}
	return Ref{Revision: r.Revision, Number: r.Number, Index: r.Index, Params: r.Params}, true
}

// add remembers an answer, unless its id is refused anyway.
func (m *memory) add(key Key, issued quota.Instant, ref Ref) {
	if issued <= m.floor {
		return
	}
	m.put(m.slot(slotOf(issued)), remembered{Key: key, Revision: ref.Revision, Number: ref.Number, Index: ref.Index, Params: ref.Params})
}

func (m *memory) put(at *span, r remembered) {
	at.add(r)
	m.count++
}

// slot gives a slot, which it makes where there is none. There it expects as many requests as in the slot before.
func (m *memory) slot(at quota.Instant) *span {
	if s := m.slots[at]; s != nil {
		return s
	}
	i, _ := slices.BinarySearch(m.order, at)
	s := &span{}
	if i > 0 {
		s.likely = len(m.slots[m.order[i-1]].requests)
	}
	m.order = slices.Insert(m.order, i, at)
	m.slots[at] = s
	return s
}

// trim forgets what is older than the horizon, and the oldest as long as there are too many.
func (m *memory) trim(now quota.Instant, horizon quota.Millis) {
	m.floor = max(m.floor, now.Add(-horizon))
	for len(m.order) > 0 && (m.order[0].Add(slot)-1 <= m.floor || m.len() > m.most) {
		m.forgetOldest()
	}
}

func (m *memory) forgetOldest() {
	oldest := m.order[0]
	m.count -= len(m.slots[oldest].requests)
	delete(m.slots, oldest)
	m.order = m.order[1:]
	m.floor = max(m.floor, oldest.Add(slot)-1)
}

// room tells whether n more ids can be remembered without forgetting one that is younger than MinMemory.
func (m *memory) room(n int, now quota.Instant) bool {
	return m.len()+n <= m.most || len(m.order) > 0 && m.order[0].Add(slot+MinMemory) <= now
}

// recalled is a slot in a snapshot or keyframe.
type recalled struct {
	_        struct{} `cbor:",toarray"`
	At       quota.Instant
	Requests []remembered
}

// share lists the slots in their order. What is remembered later is not seen in it.
func (m *memory) share() []recalled {
	list := make([]recalled, len(m.order))
	for i, at := range m.order {
		list[i] = recalled{At: at, Requests: slices.Clip(m.slots[at].requests)}
	}
	return list
}

// appendSlots writes slots as the tags say; there may be a million requests in them.
func appendSlots(b []byte, list []recalled) []byte {
	b = appendHeader(b, cborArray, uint64(len(list)))
	for _, s := range list {
		b = appendInt(appendHeader(b, cborArray, 2), int64(s.At))
		b = appendHeader(b, cborArray, uint64(len(s.Requests)))
		for i := range s.Requests {
			r := &s.Requests[i]
			b = appendBytes(appendHeader(b, cborArray, 5), r.Key[:])
			b = appendHeader(b, cborUint, r.Revision)
			b = appendHeader(b, cborUint, r.Number)
			b = appendHeader(b, cborUint, uint64(r.Index))
			b = appendBytes(b, r.Params[:])
		}
	}
	return b
}

// recall fills an empty memory from a keyframe. It fails with ErrCorrupt when slots are not in order or a request comes twice.
func (m *memory) recall(list []recalled) error {
	for i, s := range list {
		if s.At != slotOf(s.At) || i > 0 && s.At <= list[i-1].At {
			return fmt.Errorf("%w: the remembered requests are out of order", ErrCorrupt)
		}
		at := m.slot(s.At)
		at.likely = len(s.Requests)
		for _, r := range s.Requests {
			if at.find(r.Key) != nil {
				return fmt.Errorf("%w: a request is remembered twice", ErrCorrupt)
			}
			m.put(at, r)
		}
	}
	if m.len() > m.most {
		return fmt.Errorf("%w: %d requests are remembered, at most %d are allowed", ErrCorrupt, m.len(), m.most)
	}
	return nil
}
