package whatif

import (
	"github.com/bursarhq/bursar/pkg/quota"
)

// Day is what one day of a replay came to; days are those of UTC. What concerns a job counts on the day it arrived, usage
// on the day it occurred.
type Day struct {
	Start       quota.Instant
	Spent       int64        // micro-USD of use on accounts that are paid by use
	Fees        int64        // micro-USD of subscriptions, the day's part of the month
	Worth       int64        // micro-USD of all use, at the prices of the API
	Granted     int64        // reservations
	Refusals    int64        // tries that were refused
	Denied      int64        // jobs that gave up
	DeniedWorth int64        // micro-USD of what they would have used
	Waited      quota.Millis // of those that were granted
	Exhausted   quota.Millis // of windows without anything left, summed over the limits
	Idle        int64        // micro-USD that was held and not used
}

// Days are consecutive.
type Days []Day

// newDays covers a span.
func newDays(from, to quota.Instant) Days {
	first := from - from%quota.Instant(quota.Day)
	var days Days
	for at := first; at <= to; at = at.Add(quota.Day) {
		days = append(days, Day{Start: at})
	}
	return days
}

// at finds the day of an instant; one outside counts on the nearest.
func (d Days) at(at quota.Instant) *Day {
	i := int(at.Sub(d[0].Start) / quota.Day)
	if at < d[0].Start {
		i = 0
	}
	return &d[min(i, len(d)-1)]
}

// daysOfMonth is the mean length of a month.
const daysOfMonth = 30.4375

// fee charges the subscriptions of a configuration to each day.
func (d Days) fee(config *quota.Config, month func(provider, tier string) int64) {
	var sum int64
	for _, a := range config.Accounts {
		if a.Kind == quota.KindSubscription && month != nil {
			sum += month(a.Provider, a.Tier)
		}
	}
	for i := range d {
		d[i].Fees = int64(float64(sum) / daysOfMonth)
	}
}

func (d Days) used(e *quota.UsageRecorded, api bool) {
	at := e.OccurredAt
	if at == 0 {
		at = e.At
	}
	day := d.at(at)
	day.Worth += e.Cost
	if api {
		day.Spent += e.Cost
	}
}

func (d Days) closed(e *quota.ReservationClosed) {
	d.at(e.GrantedAt).Idle += max(0, e.CostHeld-e.CostUsed)
}

// sample counts the windows that have nothing left.
func (d Days) sample(s *quota.State, at quota.Instant, lasts quota.Millis) {
	for _, v := range s.Limits(at) {
		kind := v.Limit.Window.Kind
		if v.Capacity > 0 && v.Available == 0 && (kind == quota.WindowSession || kind == quota.WindowCalendar) {
			d.at(at).Exhausted += lasts
		}
	}
}
