package quota

// The names of the queue's events.
const (
	KindReservationQueued   = "reservation.queued"
	KindReservationWaiting  = "reservation.waiting"
	KindReservationDequeued = "reservation.dequeued"
)

// ReservationQueued gives a reserve a place in the queue; it charges nothing.
type ReservationQueued struct {
	At          Instant `cbor:"1,keyasint,omitempty"`
	Reservation string  `cbor:"2,keyasint,omitempty"` // to be
	Labels      Labels  `cbor:"3,keyasint,omitempty"`
	Wish        Wish    `cbor:"4,keyasint,omitempty"`
	Until       Instant `cbor:"5,keyasint,omitempty"`
	Bounds      []Bound `cbor:"6,keyasint,omitempty"`
	Code        Code    `cbor:"7,keyasint,omitempty"` // what it would have been refused for
	Limit       string  `cbor:"8,keyasint,omitempty"`
	Requested   int64   `cbor:"9,keyasint,omitempty"`
	Available   int64   `cbor:"10,keyasint,omitempty"`
	Position    int64   `cbor:"11,keyasint,omitempty"` // 1 is the head
	GrantFrom   Instant `cbor:"12,keyasint,omitempty"` // as predicted; 0 where nothing is known
	GrantAt     Instant `cbor:"13,keyasint,omitempty"`
	GrantTo     Instant `cbor:"14,keyasint,omitempty"`
	Config      uint64  `cbor:"15,keyasint,omitempty"`
	Steps       []Step  `cbor:"16,keyasint,omitempty"`
	// By is how what is predicted was corrected, where windows alone decide about it; empty in older ledgers.
	By Correction `cbor:"130,keyasint,omitempty"`
}

// ReservationWaiting says that a queued reservation waits for something else than before, or that its line is kept for it
// from now on.
type ReservationWaiting struct {
	At          Instant `cbor:"1,keyasint,omitempty"`
	Reservation string  `cbor:"2,keyasint,omitempty"`
	Bounds      []Bound `cbor:"3,keyasint,omitempty"`
	Kept        bool    `cbor:"4,keyasint,omitempty"`
}

// QueueOutcome says how a wait ended.
type QueueOutcome string

// The outcomes of waits.
const (
	QueueGranted   QueueOutcome = "granted" // a ReservationGranted follows
	QueueCancelled QueueOutcome = "cancelled"
	QueueTimedOut  QueueOutcome = "timed_out"
	QueueRefused   QueueOutcome = "refused" // the configuration changed so that it can never be granted
)

// ReservationDequeued ends a wait.
type ReservationDequeued struct {
	At          Instant      `cbor:"1,keyasint,omitempty"`
	Reservation string       `cbor:"2,keyasint,omitempty"`
	Labels      Labels       `cbor:"3,keyasint,omitempty"`
	Outcome     QueueOutcome `cbor:"4,keyasint,omitempty"`
	By          Actor        `cbor:"5,keyasint,omitempty"` // who cancelled it
	Reason      string       `cbor:"6,keyasint,omitempty"`
	QueuedAt    Instant      `cbor:"7,keyasint,omitempty"`
	Wanted      Amount       `cbor:"8,keyasint,omitempty"`
	Code        Code         `cbor:"9,keyasint,omitempty"` // of a refusal
	Limit       string       `cbor:"10,keyasint,omitempty"`
	Steps       []Step       `cbor:"11,keyasint,omitempty"` // of a wait that ended without a grant
}

// Kind names the event.
func (*ReservationQueued) Kind() string { return KindReservationQueued }

// Kind names the event.
func (*ReservationWaiting) Kind() string { return KindReservationWaiting }

// Kind names the event.
func (*ReservationDequeued) Kind() string { return KindReservationDequeued }

// applyQueueEvent folds an event of the queue.
func (s *State) applyQueueEvent(e Event) {
	switch e := e.(type) {
	case *ReservationQueued:
		s.advance(e.At)
		s.applyQueued(e)
	case *ReservationWaiting:
		s.advance(e.At)
		s.applyWaiting(e)
	case *ReservationDequeued:
		s.advance(e.At)
		s.applyDequeued(e)
	}
}

func (s *State) applyQueued(e *ReservationQueued) {
	if s.queue.entries[e.Reservation] != nil || s.reservations[e.Reservation] != nil {
		s.breaks("reservation %s was queued twice", e.Reservation)
		return
	}
	w := &Waiting{Reservation: e.Reservation, Labels: e.Labels, Wish: e.Wish, Since: e.At, Until: e.Until, Bounds: e.Bounds}
	if s.foreseeable(w) {
		w.SaidFrom, w.SaidAt, w.SaidTo, w.SaidBy = e.GrantFrom, e.GrantAt, e.GrantTo, e.By
	}
	s.enqueue(w)
	s.totals.Queued++
}

func (s *State) applyWaiting(e *ReservationWaiting) {
	w := s.queue.entries[e.Reservation]
	if w == nil {
		s.breaks("reservation %s waits for something else and does not wait", e.Reservation)
		return
	}
	if e.Kept && !w.Kept {
		s.queue.removePassed(w)
		w.Kept = true
	}
	s.rebind(w, e.Bounds)
}

func (s *State) applyDequeued(e *ReservationDequeued) {
	w := s.queue.entries[e.Reservation]
	if w == nil {
		s.breaks("reservation %s left the queue and was not in it", e.Reservation)
		return
	}
	s.dequeue(w)
	notice := Notice{Reservation: e.Reservation, At: e.At, Reason: e.Reason}
	switch e.Outcome {
	case QueueGranted:
		s.totals.QueueGranted++
		s.foresaw(w, e.At)
		return
	case QueueCancelled:
		s.totals.QueueCancelled++
		if e.By == w.actor() {
			return
		}
		notice.Kind = NoticeCancelled
	case QueueTimedOut:
		s.totals.QueueTimedOut++
		notice.Kind = NoticeTimedOut
	case QueueRefused:
		s.totals.QueueRefused++
		notice.Kind = NoticeRefused
	}
	s.notify(w.actor(), notice)
}
