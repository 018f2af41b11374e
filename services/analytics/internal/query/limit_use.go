package query

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/bursarhq/bursar/pkg/forecast"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// limitUse is a limit as the ledger's events tell it, and what was used of it.
type limitUse struct {
	spec wire.LimitSpec
	// The present window; zero while a session is not open. opened is its start as it was first told: an observation may
	// have moved it, and usage before that is charged to the first.
	start, end, opened wire.Time
	ended, endedAt     wire.Time // the start and the end of the window before; a told one may overlap it
	windowAt           place
	observed           *wire.Observation // of the present window
	told               int64             // capacity by the provider
	learned            *wire.Learned

	// Figures in the unit of the limit.
	used     int64 // in the present window
	before   int64 // of that, up to the observation
	lastHour int64
	total    int64
	byAge    map[int64]float64 // by how many fine steps ago
	byHour   map[int64]int64   // by the number of the hour since 1970
	hours    hours
}

// place orders events.
type place struct {
	at     int64 // ms
	commit uint64
	index  int32
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.commit, q.commit), cmp.Compare(p.index, q.index))
}

func (p place) before(q place) bool { return p.compare(q) < 0 }

// foldLimits folds events in their order: the last configuration tells which limits there are. It opens the windows of those that are
// new or count otherwise than before; the windows of others are as an earlier one opened them.
func foldLimits(events []limitEvent, q *wire.ForecastRequest) ([]*limitUse, error) {
	slices.SortStableFunc(events, func(a, b limitEvent) int { return a.compare(b.place) })
	var applied wire.ConfigAppliedData
	for _, e := range slices.Backward(events) {
		if e.kind == quota.KindConfigApplied && e.limit == "" {
			if err := json.Unmarshal([]byte(e.data), &applied); err != nil {
				return nil, fmt.Errorf("reading the configuration: %w", err)
			}
			break
		}
	}
	var limits []*limitUse
	byID := map[string]*limitUse{}
	for _, spec := range applied.Config.Limits {
		kind := quota.WindowKind(spec.Window.Kind)
		if kind != quota.WindowSession && kind != quota.WindowCalendar || q.LimitID != "" && spec.LimitID != q.LimitID || q.Account != "" && spec.Account != q.Account {
			continue
		}
		l := &limitUse{spec: spec, byAge: map[int64]float64{}, byHour: map[int64]int64{}}
		limits, byID[spec.LimitID] = append(limits, l), l
	}
	for _, e := range events {
		if l := byID[e.limit]; l != nil {
			if err := l.apply(e.kind, e.data, e.place); err != nil {
				return nil, fmt.Errorf("reading %s of limit %s: %w", e.kind, e.limit, err)
			}
		}
	}
	return limits, nil
}

// apply folds one event about the window.
func (l *limitUse) apply(kind, data string, at place) error {
	switch kind {
	case quota.KindConfigApplied:
		var span wire.Span
		if err := json.Unmarshal([]byte(data), &span); err != nil {
			return err
		}
		l.setWindow(span, at)
	case "window.opened":
		var e wire.WindowOpenedData
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return err
		}
		l.setWindow(e.Span, at)
	case "window.rolled":
		var e wire.WindowRolledData
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return err
		}
		l.setWindow(e.Next, at)
		l.ended = e.Ended.StartsAt
		if !at.before(l.windowAt) {
			l.endedAt = e.Ended.EndsAt
		}
	default:
		var e wire.ObservationRecordedData
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return err
		}
		l.observe(&e, at)
	}
	return nil
}

// setWindow begins a window, unless a later event said otherwise.
func (l *limitUse) setWindow(span wire.Span, at place) {
	if at.before(l.windowAt) {
		return
	}
	l.start, l.end, l.opened, l.windowAt = span.StartsAt, span.EndsAt, span.StartsAt, at
	l.observed = nil
}

// observe takes in what the provider said: of the capacity for good, of the use for this window.
func (l *limitUse) observe(e *wire.ObservationRecordedData, at place) {
	if e.Learned != nil {
		l.learned = e.Learned
	}
	if e.Capacity > 0 {
		l.told = e.Capacity
	}
	if at.before(l.windowAt) {
		return
	}
	if e.Span.StartsAt != 0 {
		l.start, l.end = e.Span.StartsAt, e.Span.EndsAt
		if l.opened == 0 {
			l.opened = l.start
		}
	}
	if e.Observation.Used != nil || e.Observation.UsedPercent != nil {
		observation := e.Observation
		l.observed = &observation
	}
}

// capacity is what decides: what was learned once that is enough, else what is configured, else what the provider told.
func (l *limitUse) capacity() int64 {
	switch {
	case l.learned != nil && l.learned.Decides && !l.spec.Fixed:
		return l.learned.Low
	case l.spec.Capacity > 0:
		return l.spec.Capacity
	}
	return l.told
}

// seenUntil is until when the provider saw what was used: the observation, or none after the start.
func (l *limitUse) seenUntil() wire.Time {
	if l.observed != nil {
		return l.observed.ObservedAt
	}
	return l.start
}

// outside is spending that the provider saw and we did not, as of the observation.
func (l *limitUse) outside() int64 {
	if l.observed == nil {
		return 0
	}
	seen := int64(0)
	switch {
	case l.observed.Used != nil:
		seen = *l.observed.Used
	case l.observed.UsedPercent != nil:
		seen = roundedUp(l.capacity(), int64(*l.observed.UsedPercent))
	}
	return max(0, seen-l.before)
}

// roundedUp is a percentage of a number, in thousandths of a percent, as the ledger takes it; cut in two so that the product
// does not overflow.
func roundedUp(n, percentMilli int64) int64 {
	const whole = 100_000
	return n/whole*percentMilli + (n%whole*percentMilli+whole-1)/whole
}

// openAt tells whether the window is open.
func (l *limitUse) openAt(now time.Time) bool {
	return l.start != 0 && now.Before(l.end.Time())
}

// began is since when the window counts at the provider: a session that was in use before the ledger heard of it began
// before its start, as its reset tells.
func (l *limitUse) began() wire.Time {
	if l.start == 0 || l.spec.Window.Kind != string(quota.WindowSession) {
		return l.start
	}
	return min(l.start, max(l.endedAt, l.end-wire.Time(l.spec.Window.DurationMS)))
}

// length is how long the window lasts; that of a calendar window is the present one's.
func (l *limitUse) length(now time.Time) time.Duration {
	switch {
	case l.spec.Window.DurationMS > 0:
		return time.Duration(l.spec.Window.DurationMS) * time.Millisecond
	case l.openAt(now):
		return l.end.Time().Sub(l.start.Time())
	case l.spec.Window.Period == string(quota.PeriodDay):
		return 24 * time.Hour
	case l.spec.Window.Period == string(quota.PeriodWeek):
		return forecast.Week
	}
	return 30 * 24 * time.Hour
}

// history gathers what was used in steps that end now, from the first use on.
func (l *limitUse) history(step time.Duration, now time.Time) *forecast.History {
	per, oldest := int64(step/forecast.FineStep), int64(-1)
	for age := range l.byAge {
		oldest = max(oldest, age/per)
	}
	used := make([]float64, oldest+1)
	for age, amount := range l.byAge {
		used[oldest-age/per] += amount
	}
	return forecast.NewHistory(now.Add(-time.Duration(len(used))*step), step, used)
}

// hourly gathers what was used in hours of the clock, from the first use on up to the last whole hour.
func (l *limitUse) hourly(now time.Time) *forecast.History {
	end := now.UnixMilli() / time.Hour.Milliseconds()
	first := end
	for hour := range l.byHour {
		first = min(first, hour)
	}
	used := make([]float64, end-first)
	for hour, amount := range l.byHour {
		if i := hour - first; i < int64(len(used)) {
			used[i] = float64(amount)
		}
	}
	return forecast.NewHistory(time.UnixMilli(first*time.Hour.Milliseconds()).In(now.Location()), time.Hour, used)
}
