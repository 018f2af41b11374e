package quota

import (
	"time"
	_ "time/tzdata" // calendar windows must not depend on the host's zone files
)

// resetTolerance is how far a provider's reset may differ from ours and still mean the same window: they round.
const resetTolerance = Minute

// location loads a zone; configuration is validated before it gets here, so that an unknown zone cannot occur and UTC is harmless.
func location(zone string) *time.Location {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// calendarBounds gives the calendar window that contains at: date arithmetic in the zone, so that days of 23 and 25
// hours and midnights that do not exist come out right.
func calendarBounds(w Window, loc *time.Location, at Instant) (start, end Instant) {
	t := at.Time().In(loc)
	y, m, d := t.Date()
	step := func(k int) Instant {
		switch w.Period {
		case PeriodWeek:
			monday := d - (int(t.Weekday())+6)%7
			return InstantOf(WallInstant(loc, y, m, monday+w.AnchorDay+7*k, w.AnchorMinute))
		case PeriodMonth:
			return InstantOf(WallInstant(loc, y, m+time.Month(k), 1+w.AnchorDay, w.AnchorMinute))
		default:
			return InstantOf(WallInstant(loc, y, m, d+k, w.AnchorMinute))
		}
	}
	if first := step(0); at < first {
		return step(-1), first
	}
	return step(0), step(1)
}

// WallInstant is the first instant at which the wall clock of loc shows the date and minute, or, where a transition
// skips that minute, the instant of the transition. (time.Date leaves both cases open.)
func WallInstant(loc *time.Location, y int, m time.Month, d, minute int) time.Time {
	t := time.Date(y, m, d, 0, minute, 0, 0, loc)
	want := time.Date(y, m, d, 0, minute, 0, 0, time.UTC)
	zoneStart, zoneEnd := t.ZoneBounds()
	shown := wall(t)
	switch {
	case shown.Before(want):
		return zoneEnd
	case shown.After(want):
		return zoneStart
	}
	if zoneStart.IsZero() {
		return t
	}
	_, before := zoneStart.Add(-time.Nanosecond).Zone()
	_, after := t.Zone()
	if earlier := t.Add(-time.Duration(before-after) * time.Second); before > after && earlier.Before(zoneStart) && wall(earlier).Equal(want) {
		return earlier
	}
	return t
}

// wall reads a time's wall clock as if it were UTC.
func wall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// opening gives the span of a limit's window at its configuration: calendar windows are always open, session windows
// open at first use, the others have no bounds.
func (s *State) opening(l *Limit, zones map[string]*time.Location, now Instant) WindowSpan {
	span := WindowSpan{Limit: l.ID}
	if l.Window.Kind == WindowCalendar {
		span.Start, span.End = calendarBounds(l.Window, zones[l.ID], now)
	}
	return span
}

// following gives the span after one that ended. A provider may have told an end that differs from the calendar's;
// the next window then starts where that one ended.
func (s *State) following(l *Limit, ended WindowSpan, now Instant) WindowSpan {
	next := s.opening(l, s.index.zones, now)
	if next.Start != 0 && next.Start < ended.End {
		next.Start = ended.End
	}
	if next.End != 0 && next.End <= next.Start {
		_, next.End = calendarBounds(l.Window, s.index.zones[l.ID], next.Start)
	}
	return next
}

// length is how long the counter's present window lasts.
func (c *Counter) length(l *Limit) Millis {
	if l.Window.Kind == WindowSession {
		return l.Window.Duration
	}
	return c.End.Sub(c.Start)
}

// span is the counter's present window.
func (c *Counter) span() WindowSpan { return WindowSpan{c.Limit, c.Start, c.End} }

// began is since when the present window counts at the provider. A session that was in use before we heard of it began
// before its Start, as its reset tells; Start stays what charges name it by.
func (c *Counter) began(l *Limit) Instant {
	if l.Window.Kind != WindowSession || c.Start == 0 || c.End == 0 {
		return c.Start
	}
	began := min(c.Start, c.End.Add(-l.Window.Duration))
	if n := len(c.Earlier); n > 0 {
		began = min(c.Start, max(began, c.Earlier[n-1].End))
	}
	return began
}

// capacity is the limit's capacity: the lower end of what was learned once that is enough, else what is configured, else
// what the provider told, else 0 for not known.
func (c *Counter) capacity(l *Limit) int64 {
	if c.Estimate != nil && c.Estimate.Enough && !l.Fixed {
		return c.Estimate.Low
	}
	if l.Capacity > 0 {
		return l.Capacity
	}
	return c.Learned
}

// outside is spending the provider saw and we did not: what it observed, less our usage up to then.
func (c *Counter) outside(l *Limit) int64 {
	if c.Observed == nil {
		return 0
	}
	return max(0, c.observedUsed(l)-(c.Used-c.Since))
}

// observedUsed is the observed use in the limit's unit, or 0 where only a percentage of an unknown capacity is known.
func (c *Counter) observedUsed(l *Limit) int64 {
	o := c.Observed
	if o.Used >= 0 {
		return o.Used
	}
	if capacity := c.capacity(l); o.PercentMilli >= 0 && capacity > 0 {
		return percentOf(capacity, o.PercentMilli)
	}
	return 0
}

// spent is what counts towards warnings: used and outside.
func (c *Counter) spent(l *Limit) int64 { return c.Used + c.outside(l) }

// available is what a new hold may take.
func (c *Counter) available(l *Limit) int64 {
	return max(0, c.capacity(l)-c.spent(l)-c.Held)
}

// fresh tells whether the counter's observation may still be relied on: not from lead before the reset it announced.
func (c *Counter) fresh(now Instant, lead Millis) bool {
	return c.Observed != nil && (c.Observed.ResetAt == 0 || now < c.Observed.ResetAt.Add(-lead))
}

// windowOf finds the window that usage at an instant belongs to: the present one, an earlier one that is kept, or none
// (0) where the usage is older than those. Usage shortly before a session window, no longer than the window lasts,
// counts in it: the provider's window had begun by then, we had only not heard of it.
func (c *Counter) windowOf(l *Limit, at Instant) Instant {
	later := c.Start
	for i := len(c.Earlier) - 1; i >= 0; i-- {
		past := c.Earlier[i]
		if at >= past.End {
			return later
		}
		if at >= past.Start {
			return past.Start
		}
		later = past.Start
	}
	if at >= c.Start || len(c.Earlier) == 0 && l.Window.Kind == WindowSession && at.Add(l.Window.Duration) > c.Start {
		return later
	}
	return 0
}

// refilled tells whether a bucket has made up for spending at an instant: it then bears on nothing any more.
func (l *Limit) refilled(at, now Instant) bool {
	if l.Capacity == 0 {
		return false
	}
	return at.Add(Millis(int64(l.Window.Duration)*l.burst()/l.Capacity+1)) <= now
}

// bucketLevel is the level at an instant, in units × Duration: refilled evenly, never above the burst.
func (c *Counter) bucketLevel(l *Limit, at Instant) int64 {
	full := c.burst(l) * int64(l.Window.Duration)
	elapsed := int64(at.Sub(c.LevelAt))
	if c.Level >= full {
		return full
	}
	if elapsed <= 0 {
		return c.Level
	}
	if elapsed > (full-c.Level)/c.rate(l) {
		return full
	}
	return c.Level + elapsed*c.rate(l)
}

// maxDebt bounds a bucket's debt so that arithmetic on levels cannot overflow: about a million years of refill at any
// rate that configuration admits.
const maxDebt = int64(1) << 61

// bucketMove refills the bucket up to at and then adds units, which is negative for a debit.
func (c *Counter) bucketMove(l *Limit, at Instant, units int64) {
	level := c.bucketLevel(l, at)
	var moved sum128
	moved.addProduct(max(units, -units), int64(l.Window.Duration))
	delta := maxDebt
	if moved.hi == 0 && moved.lo < uint64(maxDebt) {
		delta = int64(moved.lo)
	}
	if units < 0 {
		level = max(-maxDebt, level-delta)
	} else {
		level = min(c.burst(l)*int64(l.Window.Duration), level+delta)
	}
	c.Level, c.LevelAt = level, max(c.LevelAt, at)
}

// bucketWait is how long until the level reaches units.
func (c *Counter) bucketWait(l *Limit, at Instant, units int64) Millis {
	missing := units*int64(l.Window.Duration) - c.bucketLevel(l, at)
	if missing <= 0 {
		return 0
	}
	return Millis((missing + c.rate(l) - 1) / c.rate(l))
}
