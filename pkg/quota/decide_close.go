package quota

import "fmt"

// A reservation ends at its agent's word, at an operator's, or by time: what it has not used returns.

func (d decider) release(c Release) ([]Event, Result) {
	if err := checkText("reason", c.Reason, "reservation", c.Reservation); err != nil {
		return nil, invalid("%v", err)
	}
	r := d.state.owned(c.Reservation, c.Actor)
	if w := d.state.queue.entries[c.Reservation]; r == nil && w != nil && w.actor() == c.Actor {
		return d.cancel(w, c.Actor, c.Reason)
	}
	return d.close(r, c.Reservation, OutcomeReleased, c.Actor, c.Reason)
}

func (d decider) revoke(c Revoke) ([]Event, Result) {
	if err := checkText("reason", c.Reason, "reservation", c.Reservation); err != nil {
		return nil, invalid("%v", err)
	}
	r := d.state.reservations[c.Reservation]
	if r == nil {
		r = d.state.closed[c.Reservation]
	}
	if w := d.state.queue.entries[c.Reservation]; w != nil {
		return d.cancel(w, c.Actor, c.Reason)
	}
	return d.close(r, c.Reservation, OutcomeRevoked, c.Actor, c.Reason)
}

func (d decider) close(r *Reservation, id string, outcome Outcome, by Actor, reason string) ([]Event, Result) {
	if r == nil {
		return nil, d.notFound(id, by, false)
	}
	if !r.Live() {
		return nil, closedResult(r, false)
	}
	e := closing(r, d.env.Now, outcome, by, reason)
	result := reservationResult(r)
	result.Outcome, result.Returned = outcome, remaining(r)
	return []Event{e}, result
}

// closing builds the event that returns what is left of a live reservation.
func closing(r *Reservation, now Instant, outcome Outcome, by Actor, reason string) *ReservationClosed {
	e := &ReservationClosed{
		At: now, Reservation: r.ID, Labels: r.Labels, Outcome: outcome, By: by, Reason: reason,
		Granted: r.Granted, Used: r.Used, CostHeld: r.CostHeld, CostUsed: r.CostUsed, GrantedAt: r.At,
		Expires: r.Expires, Returned: make([]LimitAmount, 0, len(r.Holds)),
	}
	for _, h := range r.Holds {
		if h.Held > 0 {
			e.Returned = append(e.Returned, LimitAmount{h.Limit, h.Held})
		}
	}
	return e
}

// remaining is what a reservation was granted and has not used, class by class, never negative.
func remaining(r *Reservation) Amount {
	left := r.Granted.Sub(r.Used)
	t := &left.Tokens
	for _, n := range []*int64{&t.Input, &t.CacheRead, &t.CacheWrite5m, &t.CacheWrite1h, &t.Output, &left.Requests} {
		*n = max(0, *n)
	}
	return left
}

func reservationResult(r *Reservation) Result {
	return Result{
		Reservation: r.ID, Provider: r.Labels.Provider, Account: r.Labels.Account, Model: r.Labels.Model, Priority: r.Labels.Priority,
		Granted: r.Granted, Used: r.Used, CostHeld: r.CostHeld, CostUsed: r.CostUsed, Unpriced: r.Unpriced, Expires: r.Expires, Outcome: r.Outcome,
	}
}

func closedResult(r *Reservation, recorded bool) Result {
	result := reservationResult(r)
	result.Code, result.Recorded = CodeClosed, recorded
	result.Message = fmt.Sprintf("the reservation was %s", r.Outcome)
	if recorded {
		result.Message += "; the usage is recorded all the same"
	} else {
		result.Message += "; further work takes a new reserve"
	}
	return result
}
