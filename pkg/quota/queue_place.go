package quota

import "slices"

// Place tells where a queued reservation stands and when its grant is predicted; nil where it does not wait.
func (s *State) Place(reservation string, now Instant) *Place {
	w := s.queue.entries[reservation]
	if w == nil {
		return nil
	}
	return s.placeOf(w, max(now, s.Now))
}

// GoesPast lists the heads of lines that such a grant goes past, though they would be granted sooner if it waited: those
// that the reset of the window has to help anyway are not delayed by what fits before it. The grant is not applied yet.
func (s *State) GoesPast(held []LimitAmount, labels *Labels, reservation string, now Instant) (ids []string) {
	for _, h := range held {
		l := s.queue.lines[h.Limit]
		if l == nil || h.Amount == 0 {
			continue
		}
		w := s.head(l)
		if s.helped(w, h.Limit) && s.goesPast(h, labels, reservation, l, w, now) && !slices.Contains(ids, w.Reservation) {
			ids = append(ids, w.Reservation)
		}
	}
	return ids
}
