package live

import "encoding/json"

// ring keeps the last events. Each has a number that only grows.
type ring struct {
	first   uint64 // number of the oldest that is kept
	entries []entry
	bytes   int
	known   map[string]uint64 // id → number
}

type entry struct {
	id   string
	body json.RawMessage
}

func newRing() ring { return ring{first: 1, known: map[string]uint64{}} }

// end is the number that the next event gets.
func (r *ring) end() uint64 { return r.first + uint64(len(r.entries)) }

// add tells whether the event is new: the relay may publish one twice.
func (r *ring) add(id string, body json.RawMessage) bool {
	if _, there := r.known[id]; there {
		return false
	}
	r.known[id] = r.end()
	r.entries = append(r.entries, entry{id, body})
	r.bytes += len(body)
	for len(r.entries) > maxEvents || r.bytes > maxEventBytes && len(r.entries) > 1 {
		oldest := r.entries[0]
		delete(r.known, oldest.id)
		r.bytes -= len(oldest.body)
		r.entries[0] = entry{} // so that the array behind the slice does not keep it
		r.entries = r.entries[1:]
		r.first++
	}
	return true
}

// after gives the number behind the event with an id, if that is kept.
func (r *ring) after(id string) (uint64, bool) {
	number, ok := r.known[id]
	return number + 1, ok
}

// from lists the events from a number on, with the id of the last.
func (r *ring) from(number uint64) (bodies []json.RawMessage, last string) {
	for _, e := range r.entries[number-r.first:] {
		bodies, last = append(bodies, e.body), e.id
	}
	return bodies, last
}
