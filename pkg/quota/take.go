package quota

import (
	"cmp"
	"fmt"
	"slices"
)

// A preempted reservation gives back no more than the owner of a floor needs. Where it holds more than that it is not
// closed: at the end of the grace it gives back a part of what it has not used, and keeps the rest.

// MaxTakes bounds what is taken of one reservation at a time.
const MaxTakes = 8

// Take is what a live reservation gives back at the end of a grace, for the owner of a floor.
type Take struct {
	Limit string  `cbor:"1,keyasint,omitempty"` // with the floor
	Units int64   `cbor:"2,keyasint,omitempty"` // of it; 0 means all, and the reservation is closed then
	At    Instant `cbor:"3,keyasint,omitempty"`
	For   string  `cbor:"4,keyasint,omitempty"` // the team that owns the floor
}

// ReservationShrunk takes a part of what a reservation has not used back for the owner of a floor; the reservation goes on
// with the rest.
type ReservationShrunk struct {
	At          Instant       `cbor:"1,keyasint,omitempty"`
	Reservation string        `cbor:"2,keyasint,omitempty"`
	Labels      Labels        `cbor:"3,keyasint,omitempty"`
	Amount      Amount        `cbor:"4,keyasint,omitempty"` // that it was granted and gives back
	Returned    []LimitAmount `cbor:"5,keyasint,omitempty"`
	CostHeld    int64         `cbor:"6,keyasint,omitempty"` // micro-USD, that it gives back
	Limit       string        `cbor:"7,keyasint,omitempty"` // with the floor
	For         string        `cbor:"8,keyasint,omitempty"` // the team that owns it
	Granted     Amount        `cbor:"9,keyasint,omitempty"` // that is left of the grant, what was used of it included
}

// Kind names the event.
func (*ReservationShrunk) Kind() string { return KindReservationShrunk }

// nextTake is the first part that is due back, or nil.
func (r *Reservation) nextTake() *Take {
	for i := range r.Takes {
		if r.Takes[i].Units > 0 {
			return &r.Takes[i]
		}
	}
	return nil
}

// takeBack ends the grace of a take: the part goes back, as far as it was not used meanwhile. Of who has nothing left then
// the reservation is closed.
func (d decider) takeBack(r *Reservation, t *Take) Event {
	h := r.hold(t.Limit)
	if h == nil || t.Units >= h.Held {
		return closing(r, d.env.Now, OutcomePreempted, Actor{}, fmt.Sprintf("nothing was left of it for itself when team %s took back its floor on %s", t.For, t.Limit))
	}
	e := &ReservationShrunk{
		At: d.env.Now, Reservation: r.ID, Labels: r.Labels, Limit: t.Limit, For: t.For, Amount: r.share(t.Units, h.Held),
		CostHeld: partOf(max(0, r.CostHeld-r.CostUsed), t.Units, h.Held),
	}
	e.Granted = r.Granted.Sub(e.Amount)
	for i := range r.Holds {
		if back := d.state.backOn(&r.Holds[i], t.Limit, t.Units, h.Held); back > 0 {
			e.Returned = append(e.Returned, LimitAmount{r.Holds[i].Limit, back})
		}
	}
	return e
}

// backOn is what a hold gives back when units of the held of another are taken: the same part of it, rounded down. A place
// under a concurrent limit is kept as long as the reservation lives.
func (s *State) backOn(h *Hold, limit string, units, held int64) int64 {
	if h.Limit == limit {
		return units
	}
	if l := s.index.byID[h.Limit]; l == nil || l.Window.Kind == WindowConcurrent {
		return 0
	}
	return partOf(h.Held, units, held)
}

// share is the part of what a reservation has not used that goes with units of what it holds on a limit, class by class.
func (r *Reservation) share(units, held int64) Amount {
	left := remaining(r)
	tokens := partOf(r.unused(), units, held)
	a := Amount{Requests: partOf(left.Requests, units, held)}
	if tokens > 0 {
		a.Tokens = left.part(tokens).Tokens
	}
	return a
}

func (s *State) applyShrunk(e *ReservationShrunk) {
	r := s.reservations[e.Reservation]
	if r == nil {
		s.breaks("reservation %s was shrunk and is not live", e.Reservation)
		return
	}
	wasUnused := r.unused()
	r.Granted = r.Granted.Sub(e.Amount)
	r.CostHeld -= e.CostHeld
	s.heldByTeam[r.Labels.Team] += r.unused() - wasUnused
	s.totals.Returned += e.Amount.Tokens.Total()
	s.totals.Shrunk++
	s.dropTake(r, e.Limit, e.For)
	for _, back := range e.Returned {
		s.giveBack(r, back, e.At)
	}
	if r.Granted.Sub(r.Used).Tokens.Total() < 0 && e.Amount.Tokens.Total() > 0 {
		s.breaks("reservation %s gave back %d tokens that it had used", r.ID, e.Amount.Tokens.Total())
	}
	s.schedule(r)
	s.notify(r.actor(), Notice{
		Kind: NoticeShrunk, Reservation: r.ID, At: e.At, Expires: r.Expires, Amount: e.Amount,
		Reason: fmt.Sprintf("team %s took back its floor on %s; what is left stays yours", e.For, e.Limit),
	})
}

// addTake notes what a reservation gives back, soonest first.
func (s *State) addTake(r *Reservation, t Take) {
	r.Takes = append(slices.Clone(r.Takes), t)
	slices.SortStableFunc(r.Takes, func(a, b Take) int { return cmp.Compare(a.At, b.At) })
	s.relendAll(r)
}

// dropTake forgets the first part that a team takes of a limit.
func (s *State) dropTake(r *Reservation, limit, team string) {
	i := slices.IndexFunc(r.Takes, func(t Take) bool { return t.Limit == limit && t.For == team && t.Units > 0 })
	if i < 0 {
		s.breaks("reservation %s gave back some of %s for team %s, and nothing was asked of it", r.ID, limit, team)
		return
	}
	r.Takes = slices.Delete(slices.Clone(r.Takes), i, i+1)
	if len(r.Takes) == 0 {
		r.Takes = nil
	}
	s.relendAll(r)
}

// dropTakes forgets what was to be taken of a limit that is gone.
func (s *State) dropTakes(r *Reservation, limit string) {
	kept := slices.DeleteFunc(slices.Clone(r.Takes), func(t Take) bool { return t.Limit == limit && t.Units > 0 })
	if len(kept) == len(r.Takes) {
		return
	}
	if r.Takes = kept; len(kept) == 0 {
		r.Takes = nil
	}
	s.schedule(r)
}
