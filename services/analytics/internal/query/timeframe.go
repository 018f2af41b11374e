package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// MaxSpan is the longest time that a query may ask for.
const MaxSpan = 3660 * 24 * time.Hour

// Period is the time that a query is about: from From up to but excluding To.
type Period struct {
	From, To time.Time
	Zone     *time.Location
}

// PeriodOf resolves the time of a scope at the instant now. A fault in it is an *wire.Error with code
// invalid.
func PeriodOf(s wire.Scope, now time.Time) (Period, error) {
	zone, err := zoneOf(s.Zone)
	if err != nil {
		return Period{}, err
	}
	now = now.Truncate(time.Millisecond).In(zone)
	var from, to time.Time
	switch {
	case s.From == 0 && s.To == 0:
		from, to, err = relative(s.Timeframe, now)
	case s.Timeframe != "":
		err = wire.NewError(quota.CodeInvalid, "give a timeframe or from and to, not both")
	case s.From == 0:
		err = wire.NewError(quota.CodeInvalid, "to needs a from")
	default:
		from, to = s.From.Time().In(zone), s.To.Time().In(zone)
		if s.To == 0 {
			to = now
		}
	}
	if err != nil {
		return Period{}, err
	}
	if !from.Before(to) {
		return Period{}, wire.NewError(quota.CodeInvalid, "the time from %s to %s is empty: from must be before to", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	if to.Sub(from) > MaxSpan {
		return Period{}, wire.NewError(quota.CodeInvalid, "the time asked for is longer than %d days", MaxSpan/(24*time.Hour))
	}
	return Period{From: from, To: to, Zone: zone}, nil
}

func zoneOf(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, wire.NewError(quota.CodeInvalid, "zone %q is not an IANA time zone such as Europe/Berlin", name)
	}
	return zone, nil
}

// relative resolves a timeframe that is counted back from now.
func relative(name string, now time.Time) (from, to time.Time, err error) {
	if name == "" {
		name = wire.DefaultTimeframe
	}
	year, month, day := now.Date()
	monday := day - (int(now.Weekday())+6)%7
	at := func(month time.Month, day int) time.Time { return startOfDay(year, month, day, now.Location()) }
	switch name {
	case "today":
		return at(month, day), now, nil
	case "yesterday":
		return at(month, day-1), at(month, day), nil
	case "this-week":
		return at(month, monday), now, nil
	case "last-week":
		return at(month, monday-7), at(month, monday), nil
	case "this-month":
		return at(month, 1), now, nil
	case "last-month":
		return at(month-1, 1), at(month, 1), nil
	}
	span, ok := spanOf(name)
	if !ok {
		return from, to, wire.NewError(quota.CodeInvalid,
			"timeframe %q is none of 24h, 7d or another number of m, h, d or w, today, yesterday, this-week, last-week, this-month, last-month", name)
	}
	return now.Add(-span), now, nil
}

// spanOf reads a number of minutes, hours, days of 24 hours or weeks of 7 such days.
func spanOf(text string) (time.Duration, bool) {
	units := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	for suffix, unit := range units {
		digits, found := strings.CutSuffix(text, suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || n == 0 || n > uint64(MaxSpan/unit) {
			return 0, false
		}
		return time.Duration(n) * unit, true
	}
	return 0, false
}

// startOfDay returns the first instant of a day, which may be out of the range of its month, as a calendar window has it.
func startOfDay(year int, month time.Month, day int, zone *time.Location) time.Time {
	return quota.WallInstant(zone, year, month, day, 0)
}

// intervals returns the starts of the hours or days that cover the period, the first cut off at its
// begin, and its end as the last element. A history of too many is an *wire.Error with code invalid.
func (p Period) intervals(interval string) ([]time.Time, error) {
	bounds := []time.Time{p.From}
	for {
		next := p.next(bounds[len(bounds)-1], interval)
		if !next.Before(p.To) {
			return append(bounds, p.To), nil
		}
		if bounds = append(bounds, next); len(bounds) > wire.MaxPoints {
			return nil, wire.NewError(quota.CodeInvalid, "the history would have more than %d points: ask for days, or for less time", wire.MaxPoints)
		}
	}
}

// next returns the start of the interval after the one that t is in.
func (p Period) next(t time.Time, interval string) time.Time {
	if interval == wire.IntervalDay {
		year, month, day := t.Date()
		return startOfDay(year, month, day+1, p.Zone)
	}
	_, offset := t.Zone()
	shift := time.Duration(offset) * time.Second
	return t.Add(shift).UTC().Truncate(time.Hour).Add(time.Hour - shift).In(p.Zone)
}

// wholeHours returns the whole hours of the period: from the first to before the last. ok is false where there are none,
// and where the hours of the zone are not those of UTC.
func (p Period) wholeHours() (first, last time.Time, ok bool) {
	for t := p.From; t.Before(p.To); {
		if _, offset := t.Zone(); offset%secondsPerHour != 0 {
			return first, last, false
		}
		_, end := t.ZoneBounds()
		if end.IsZero() {
			break
		}
		t = end
	}
	first, last = p.From.Truncate(time.Hour), p.To.Truncate(time.Hour)
	if first.Before(p.From) {
		first = first.Add(time.Hour)
	}
	return first, last, first.Before(last)
}

const secondsPerHour = 3600

// String is for logs.
func (p Period) String() string {
	return fmt.Sprintf("%s to %s", p.From.Format(time.RFC3339), p.To.Format(time.RFC3339))
}
