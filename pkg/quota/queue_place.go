package quota

// Place is where a queued reservation stands.
type Place struct {
	Position  int64   `cbor:"1,keyasint,omitempty"` // among those that wait for the same; 1 is the head
	Until     Instant `cbor:"2,keyasint,omitempty"` // then the wait ends
	GrantFrom Instant `cbor:"3,keyasint,omitempty"` // the predicted grant, as an interval; 0 where nothing is known
	GrantAt   Instant `cbor:"4,keyasint,omitempty"`
	GrantTo   Instant `cbor:"5,keyasint,omitempty"`
	Since     Instant `cbor:"6,keyasint,omitempty"`
	Grace     Millis  `cbor:"7,keyasint,omitempty"` // for a sign of life after the grant
}

// Place tells where a queued reservation stands and when its grant is predicted; nil where it does not wait.
func (s *State) Place(reservation string, now Instant) *Place {
	w := s.queue.entries[reservation]
	if w == nil {
		return nil
	}
	return s.placeOf(w, max(now, s.Now))
}
