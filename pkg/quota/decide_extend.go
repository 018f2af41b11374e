package quota

// extend asks for more units on every limit that binds, and for more time.
func (d decider) extend(c Extend) ([]Event, Result) {
	r := d.state.owned(c.Reservation, c.Actor)
	switch {
	case r == nil:
		return nil, d.notFound(c.Reservation, c.Actor, false)
	case !r.Live():
		return nil, closedResult(r, false)
	case c.Lifetime < 0:
		return nil, invalid("lifetime must not be negative")
	case r.nextTake() != nil && c.Amount != (Amount{}):
		return d.deny(&r.Labels, r.ID, c.Amount, &refusal{
			code: CodeInsufficientQuota, reason: ReasonHeldBack, retryable: true, retryAfter: max(retryAtLeast, r.nextTake().At.Sub(d.env.Now)),
			message: "a part of the reservation is being taken back for the owner of a floor: ask for more after that, or reserve again",
		})
	case r.Preempting:
		return d.deny(&r.Labels, r.ID, c.Amount, &refusal{
			code: CodeInsufficientQuota, reason: ReasonHeldBack, message: "the reservation is being preempted for the owner of a floor: settle what you have, and reserve again",
		})
	}
	if err := c.Amount.validate(); err != nil {
		return nil, invalid("%v", err)
	}
	rate, priced := d.env.Prices.Rate(r.Labels.Model, d.env.Now, false)
	cost := rate.CostCeil(c.Amount.Tokens)
	var held []LimitAmount
	pace := d.state.pace(&r.Labels, d.env.Now)
	if c.Amount != (Amount{}) {
		asks := unitsOnly(d.state.asks(&r.Labels, c.Amount, cost, priced))
		for i := range asks {
			asks[i].preemptible = r.Preemptible
		}
		if refused := d.state.admitAll(asks, d.env.Now); refused != nil {
			return d.deny(&r.Labels, r.ID, c.Amount, refused)
		}
		held, pace = holds(asks), paceAfter(asks, d.env.Now)
	}
	e := &ReservationExtended{
		At: d.env.Now, Reservation: r.ID, Labels: r.Labels, Amount: c.Amount, Holds: held, CostHeld: cost, Expires: d.extendedExpiry(r, c.Lifetime),
		Passed: d.state.passedBy(held, &r.Labels, r.ID, d.env.Now),
	}
	result := reservationResult(r)
	result.Granted, result.CostHeld, result.Expires = r.Granted.Add(c.Amount), r.CostHeld+cost, e.Expires
	result.Pace = pace
	return []Event{e}, result
}

// unitsOnly leaves out concurrent limits: the reservation is counted there already.
func unitsOnly(asks []ask) []ask {
	kept := asks[:0]
	for _, a := range asks {
		if a.limit.Window.Kind != WindowConcurrent {
			kept = append(kept, a)
		}
	}
	return kept
}

// extendedExpiry renews the lease, or gives the time asked for, up to the hard cap counted from the grant.
func (d decider) extendedExpiry(r *Reservation, lifetime Millis) Instant {
	hardCap := r.At.Add(d.state.Config.Policy.MaxLifetime)
	asked := max(lifetime, r.Lease)
	return max(r.Expires, r.aliveUntil(d.env.Now), min(hardCap, d.env.Now.Add(asked)))
}

// aliveUntil is when a reservation expires after a sign of life: its lease later, and at its deadline where it has no
// lease. Only a grant from the queue, before its first sign of life, expires earlier without one.
func (r *Reservation) aliveUntil(now Instant) Instant {
	if r.Lease > 0 {
		return min(r.Deadline, now.Add(r.Lease))
	}
	return r.Deadline
}
