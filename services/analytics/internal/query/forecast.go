package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bursarhq/bursar/pkg/forecast"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Forecast answers when limits run out and what the next week needs, at the instant now. Errors: *wire.Error with code
// invalid for a zone or a limit that there is not, what ClickHouse said, and that of ctx.
func (r *Reader) Forecast(ctx context.Context, workspace string, q *wire.ForecastRequest, now time.Time) (*wire.ForecastReply, error) {
	zone, err := zoneOf(q.Zone)
	if err != nil {
		return nil, err
	}
	now = now.Truncate(time.Millisecond).In(zone)
	f := filterOf(workspace, wire.Scope{}, Period{From: now.Add(-forecast.MaxHistory), To: now, Zone: zone}, now)
	limits, sums, err := r.limits(ctx, f, q)
	if err != nil {
		return nil, err
	}
	if q.LimitID != "" && len(limits) == 0 {
		return nil, wire.NewError(quota.CodeInvalid, "no limit %q counts spending in a session or calendar window; `bursar accounts` lists the limits", q.LimitID)
	}
	reply := &wire.ForecastReply{Now: timeOf(now), Zone: zone.String()}
	if len(limits) == 0 {
		reply.Limits = []wire.LimitForecast{}
		reply.Through, err = r.through(ctx, f, sums.done)
		return reply, err
	}
	if reply.Through, err = r.fillUse(ctx, f, limits, sums, now); err != nil {
		return nil, err
	}
	limits, reply.MoreLimits = mostUsed(limits)
	reply.Limits, err = forecastAll(ctx, limits, q, now)
	return reply, err
}

// forecastAll tells of every limit, of as many at a time as there are processors: a forecast reads nothing and takes them whole.
func forecastAll(ctx context.Context, limits []*limitUse, q *wire.ForecastRequest, now time.Time) ([]wire.LimitForecast, error) {
	all := make([]wire.LimitForecast, len(limits))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	// What the next week needs takes the longest, and is the same for limits that the same usage is charged to, such as the session
	// and the week of an account. So it is worked out first, and once.
	shareHours(limits, now)
	for _, l := range limits {
		if l.hours.shared {
			continue
		}
		group.Go(func() error {
			_, _ = l.hours.need() // whoever asks for it is told of an error
			return nil
		})
	}
	for i, l := range limits {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return tooLong(q, len(limits), err)
			}
			all[i] = l.forecast(q, now)
			return nil
		})
	}
	return all, group.Wait()
}

// hours is what was used by the hour, and what the next week needs of it.
type hours struct {
	past *forecast.History
	need func() (*forecast.Need, error)
	// shared says that they are those of an earlier limit.
	shared bool
}

// shareHours gathers what was used by the hour.
func shareHours(limits []*limitUse, now time.Time) {
	for i, l := range limits {
		past := l.hourly(now)
		l.hours = hours{past: past, need: sync.OnceValues(past.NextWeek)}
		for _, other := range limits[:i] {
			if other.hours.past.Equal(past) {
				l.hours = hours{other.hours.past, other.hours.need, true}
				break
			}
		}
	}
}

// tooLong says what to do where the time of an answer is over: a back-test takes about half a second of each limit.
func tooLong(q *wire.ForecastRequest, limits int, err error) error {
	if q.Backtest && limits > 1 && errors.Is(err, context.DeadlineExceeded) {
		return wire.NewError(quota.CodeInvalid, "a back-test of %d limits takes longer than an answer may: ask for one limit or account", limits)
	}
	return fmt.Errorf("forecasting %d limits: %w", limits, err)
}

// mostUsed leaves out the limits that were used least where there are too many, and keeps the order.
func mostUsed(limits []*limitUse) (kept []*limitUse, more bool) {
	if len(limits) <= wire.MaxForecastLimits {
		return limits, false
	}
	byUse := slices.Clone(limits)
	slices.SortStableFunc(byUse, func(a, b *limitUse) int { return cmp.Compare(b.total, a.total) })
	left := map[*limitUse]bool{}
	for _, l := range byUse[wire.MaxForecastLimits:] {
		left[l] = true
	}
	return slices.DeleteFunc(slices.Clone(limits), func(l *limitUse) bool { return left[l] }), true
}

// forecast tells of one limit.
func (l *limitUse) forecast(q *wire.ForecastRequest, now time.Time) wire.LimitForecast {
	f := wire.LimitForecast{
		LimitID: l.spec.LimitID, Name: l.spec.Name, Account: l.spec.Account, ModelGroup: l.spec.ModelGroup, Team: l.spec.Team,
		Agent: l.spec.Agent, Unit: l.spec.Unit, Window: l.spec.Window.Kind, Capacity: l.capacity(), BurnPerHour: l.lastHour,
	}
	open := l.openAt(now)
	if open {
		f.StartsAt, f.ResetsAt, f.Used, f.Outside = l.began(), l.end, l.used, l.outside()
	}
	window := forecast.Window{Start: l.began().Time(), End: l.end.Time(), Used: float64(f.Used + f.Outside), Capacity: float64(f.Capacity)}
	if open {
		fillPace(&f, window.Pace(now))
	}
	past := l.history(forecast.StepFor(l.length(now)), now)
	f.HistoryHours = int64(past.Span().Hours())
	if open && f.Capacity > 0 {
		f.Exhaustion = exhaustion(&f, past, window)
	}
	if need, err := l.hours.need(); err == nil {
		f.NextWeek = weekNeed(need, q.LimitID != "")
	} else {
		needs(&f, err)
	}
	if q.Backtest {
		f.Backtest = backtest(past, l.hours.past, l.length(now), l.spec.Window.Kind == string(quota.WindowSession))
	}
	return f
}

func fillPace(f *wire.LimitForecast, p forecast.Pace) {
	elapsed := percentOf(p.ElapsedShare)
	f.ElapsedPercent = &elapsed
	if f.Capacity == 0 {
		return
	}
	used, pace := percentOf(p.UsedShare), percentOf(p.Ratio)
	f.UsedPercent, f.PacePercent = &used, &pace
	if !p.RunsOutAt.IsZero() {
		f.RunsOutAtPaceAt = timeOf(p.RunsOutAt)
	}
}

func percentOf(share float64) wire.Percent {
	return wire.Percent(math.Round(min(share, 1e6) * 100_000))
}

// exhaustion forecasts when the present window runs out; nil where there is too little past, which f then tells.
func exhaustion(f *wire.LimitForecast, past *forecast.History, w forecast.Window) *wire.Exhaustion {
	e, err := past.RunsOut(w)
	if err != nil {
		needs(f, err)
		return nil
	}
	at := func(t time.Time) wire.Time {
		if t.IsZero() || !t.Before(w.End) { // the last step may end after the window
			return 0
		}
		return timeOf(t)
	}
	return &wire.Exhaustion{ChancePercent: percentOf(e.Chance), EarlyAt: at(e.Early), LikelyAt: at(e.Likely), LateAt: at(e.Late)}
}

// needs notes how much past would have been enough.
func needs(f *wire.LimitForecast, err error) {
	if short, ok := errors.AsType[*forecast.HistoryError](err); ok {
		f.NeedsHours = max(f.NeedsHours, hoursOf(short.Need))
	}
}

func hoursOf(d time.Duration) int64 { return int64(math.Ceil(d.Hours())) }

func weekNeed(n *forecast.Need, hours bool) *wire.WeekNeed {
	w := &wire.WeekNeed{From: timeOf(n.From), To: timeOf(n.To), Low: units(n.Total.Low), Likely: units(n.Total.Likely), High: units(n.Total.High)}
	if !hours {
		return w
	}
	for _, h := range n.Hours() {
		w.Hours = append(w.Hours, wire.HourNeed{From: timeOf(h.Start), Expected: units(h.Expected), High: units(h.High)})
	}
	return w
}

// units rounds a forecast to whole units that the wire can carry.
func units(x float64) int64 { return int64(math.Round(min(x, float64(quota.MaxCapacity)))) }

func backtest(windows, weeks *forecast.History, length time.Duration, session bool) *wire.ForecastBacktest {
	b := &wire.ForecastBacktest{}
	if t, err := windows.TestWindows(length, session); err == nil {
		b.Windows = &wire.WindowBacktest{
			LengthMS: length.Milliseconds(), Cases: int64(t.Cases), RanOut: int64(t.RanOut), CoveredPercent: percentOf(t.Covered),
			RanOutCoveredPercent: percentOf(t.RanOutCovered), Methods: []wire.WindowErrors{},
		}
		for _, m := range t.Methods {
			b.Windows.Methods = append(b.Windows.Methods, wire.WindowErrors{
				Method: m.Method, MedianMS: m.Median.Milliseconds(), P90MS: m.P90.Milliseconds(), CalledPercent: percentOf(m.Called),
			})
		}
	} else if short, ok := errors.AsType[*forecast.HistoryError](err); ok {
		b.WindowsNeedHours = hoursOf(short.Need)
	}
	if t, err := weeks.TestNeed(); err == nil {
		b.Weeks = &wire.WeekBacktest{
			Cases: int64(t.Cases), CoveredPercent: percentOf(t.Covered), HoursWithinPercent: percentOf(t.HoursWithin), Methods: []wire.WeekErrors{},
		}
		for _, m := range t.Methods {
			b.Weeks.Methods = append(b.Weeks.Methods, wire.WeekErrors{Method: m.Method, TotalPercent: percentOf(m.Total), HourlyPercent: percentOf(m.Hourly)})
		}
	} else if short, ok := errors.AsType[*forecast.HistoryError](err); ok {
		b.WeeksNeedHours = hoursOf(short.Need)
	}
	return b
}
