package simulate

import "github.com/bursarhq/bursar/pkg/quota"

// heads looks for how long the first of those that wait for a limit is passed by others. Passed is an entry that would be
// granted sooner if what goes past it waited: one that only the window's reset can help is not delayed by what fits
// before.
type heads struct {
	since   map[string]quota.Instant // the first time, by reservation
	passed  int                      // entries
	longest quota.Millis
	queued  int // entries of the queue
	moved   int // how often one was said to wait for something else than before
}

func newHeads() *heads { return &heads{since: map[string]quota.Instant{}} }

// passing looks at what a decision grants or extends, before it is applied.
func (m *measure) passing(s *quota.State, events []quota.Event) {
	for _, event := range events {
		switch e := event.(type) {
		case *quota.ReservationGranted:
			m.heads.pass(s.GoesPast(e.Holds, &e.Labels, e.Reservation, e.At), e.At)
		case *quota.ReservationExtended:
			m.heads.pass(s.GoesPast(e.Holds, &e.Labels, e.Reservation, e.At), e.At)
		case *quota.ReservationQueued:
			m.heads.queued++
		case *quota.ReservationWaiting:
			m.heads.moved++
		case *quota.ReservationDequeued:
			delete(m.heads.since, e.Reservation)
		}
	}
}

func (h *heads) pass(ids []string, at quota.Instant) {
	for _, id := range ids {
		since, again := h.since[id]
		if !again {
			h.since[id], since = at, at
			h.passed++
		}
		h.longest = max(h.longest, at.Sub(since))
	}
}
