package whatif

import (
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

// Day is what one day of a replay came to; days are those of UTC, of which the first and the last may lie in the span of the
// replay in part. What concerns a job counts on the day it arrived, usage on the day it occurred.
type Day struct {
	Start       quota.Instant
	Spent       int64        // micro-USD of use on accounts that are paid by use
	Fees        int64        // micro-USD of subscriptions, as much of the month as lies in the day and the span
	Worth       int64        // micro-USD of all use, at the prices of the API
	Granted     int64        // reservations
	Refusals    int64        // tries that were refused
	Denied      int64        // jobs that gave up
	DeniedWorth int64        // micro-USD of what they would have used
	Waited      quota.Millis // of those that were granted
	Exhausted   quota.Millis // of windows without anything left, summed over the limits
	Idle        int64        // micro-USD that was held and not used
	Exposed     int64        // micro-USD that the limits of teams allow in as much of the day as lies in the span
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

// part is how much of a day lies in the span of the replay.
func (in *Input) part(d *Day) float64 {
	from, to := max(in.From, d.Start), min(in.To, d.Start.Add(quota.Day))
	return float64(max(0, to.Sub(from))) / float64(quota.Day)
}

// fee charges the subscriptions of a configuration to each day.
func (d Days) fee(config *quota.Config, in *Input) {
	var sum int64
	for _, a := range config.Accounts {
		if a.Kind == quota.KindSubscription && in.Month != nil {
			sum += in.Month(a.Provider, a.Tier)
		}
	}
	for i := range d {
		d[i].Fees = int64(float64(sum) / daysOfMonth * in.part(&d[i]))
	}
}

// expose adds up what the limits of teams allow in a day.
func (d Days) expose(config *quota.Config, in *Input) {
	var sum int64
	for i := range config.Limits {
		sum += Exposure(&config.Limits[i], in.Jobs)
	}
	for i := range d {
		d[i].Exposed = int64(float64(sum) * in.part(&d[i]))
	}
}

// Exposure is what a limit of a team alone allows in a day, in micro-USD at the mean price of the tokens that jobs used; 0
// for other limits.
func Exposure(l *quota.Limit, jobs []workload.Job) int64 {
	if l.Scope.Team == "" || l.Scope.Account != "" || l.Window.Kind != quota.WindowCalendar {
		return 0
	}
	price := 1.0
	if l.Unit != quota.UnitMicroUSD {
		var cost, tokens int64
		for i := range jobs {
			cost += jobs[i].Cost
			tokens += jobs[i].Used().Tokens.Total()
		}
		price = float64(cost) / float64(max(tokens, 1))
	}
	days := map[quota.Period]float64{quota.PeriodDay: 1, quota.PeriodWeek: daysOfWeek, quota.PeriodMonth: daysOfMonth}[l.Window.Period]
	return int64(float64(l.Capacity) * price / max(days, 1))
}

const daysOfWeek = 7

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
