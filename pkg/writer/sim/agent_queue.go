package sim

import "github.com/bursarhq/bursar/pkg/quota"

// terms says what else a reserve would take: less, a place in the queue, or one that
// may be taken back.
func (a *agent) terms(r *quota.Reserve) {
	w := a.world
	if w.rand.IntN(2) == 0 {
		r.MaxWait = quota.Millis(1000 + w.rand.IntN(9000))
		r.Priority = quota.Priority(1 + w.rand.IntN(2))
	}
	r.Preemptible = a.guest && w.rand.IntN(6) > 0
	if w.rand.IntN(4) == 0 {
		r.MinTokens = r.Amount.Tokens.Total() / 3
	}
}

// await is what an agent does with a place in the queue: it asks now and then whether it was granted, works when it was,
// and cancels or forgets it at times.
func (a *agent) await(id string, amount int64) {
	w := a.world
	if w.rand.IntN(5) == 0 {
		a.add("cancel "+id, quota.Release{Actor: a.actor(), Reservation: id})
		return
	}
	asks := w.rand.IntN(4)
	var ask func()
	ask = func() {
		a.do("claim "+id, quota.Report{Actor: a.actor(), Reservation: id}, func(r quota.Result) {
			switch {
			case r.OK():
				a.script = nil
				a.plan(id, amount)
			case asks > 0:
				asks--
				a.script = append(a.script, ask)
			}
			a.next()
		})
	}
	a.script = append(a.script, ask)
}

// observe hands in what a provider says of a window: how much of it is used, or that it refuses for a while.
func (a *agent) observe() {
	w := a.world
	o := quota.Observe{Actor: a.actor(), Account: "acc", Window: []string{"day", "session", "unheard-of"}[w.rand.IntN(3)]}
	switch w.rand.IntN(3) {
	case 0:
		o.Signal, o.RetryAfter = quota.SignalExhausted, quota.Millis(500+w.rand.IntN(2000))
	default:
		percent := w.rand.Int64N(60_000)
		o.PercentMilli = &percent
	}
	if w.rand.IntN(4) == 0 {
		busy := quota.Observe{Window: "unheard-of", Signal: quota.SignalOverloaded}
		a.add("observe "+o.Window+" and more", quota.ObserveAll{Actor: o.Actor, Account: o.Account, Said: []quota.Observe{o, busy}})
		return
	}
	a.add("observe "+o.Window, o)
}
