package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Bounds of windows.
const (
	minSession = quota.Minute
	minRefill  = quota.Second
	maxRefill  = quota.Day
	// maxBucketLevel bounds capacity × refill time in unit-milliseconds, the scale in which a bucket's level is kept:
	// a quarter of what an int64 holds, so that debt and burst together fit.
	maxBucketLevel = math.MaxInt64 / 4
)

// fill sets what a raw limit states on a limit that may carry inherited values, and checks the whole. learn tells
// that observations can teach the capacity.
func (b *builder) fill(l *quota.Limit, raw rawLimit, at pointer, learn bool) {
	if raw.Window != nil {
		l.Window = b.window(*raw.Window, at.child("window"))
	}
	if raw.Unit != "" {
		if unit := quota.Unit(raw.Unit); unit != l.Unit {
			l.Unit, l.Weights = unit, quota.DefaultWeights(unit)
		}
	}
	if raw.Capacity != nil {
		l.Capacity = *raw.Capacity
	}
	if raw.Thresholds != nil {
		l.Thresholds = b.thresholds(*raw.Thresholds, at.child("thresholds"))
		l.Unwarned = l.Thresholds == nil
	}
	b.unit(l, raw, at)
	b.keeps(l, raw, at, learn)
	if raw.Weights != nil {
		l.Weights = b.weights(l, *raw.Weights, at.child("weights"))
	}
	b.capacity(l, at, learn)
}

// shortSession is up to which length a session window of a subscription has the policy's hold-back.
const shortSession = 5 * quota.Hour

// defaultHoldBack is the policy's hold-back where the file states none.
func defaultHoldBack() *quota.HoldBack {
	return &quota.HoldBack{Percent: 15, Priority: quota.PriorityHigh}
}

// limit converts a hold-back; without a priority it is for high and above.
func (h *rawHoldBack) limit() *quota.HoldBack {
	priority, ok := quota.ParsePriority(h.Priority)
	if !ok {
		priority = quota.PriorityHigh
	}
	limit := &quota.HoldBack{Percent: h.Percent, Priority: priority}
	if h.UntilPercent != nil && *h.UntilPercent < toTheReset {
		limit.Until = *h.UntilPercent
	}
	return limit
}

// toTheReset is all of a window's time, in percent.
const toTheReset = 100

// keeps sets what a limit holds back and whether it learns.
func (b *builder) keeps(l *quota.Limit, raw rawLimit, at pointer, learn bool) {
	window := l.Window.Kind == quota.WindowSession || l.Window.Kind == quota.WindowCalendar
	if raw.HoldBack != nil {
		l.HoldBack = raw.HoldBack.limit()
		if !window && l.Window.Kind != "" {
			b.c.add(at.child("hold_back"), fmt.Sprintf("a %s window has no last part to hold back", l.Window.Kind), "leave hold_back out")
		}
	}
	if raw.Learn != nil {
		l.Fixed = !*raw.Learn
		if *raw.Learn && (!learn || !window) {
			b.c.add(at.child("learn"), "observations teach session and calendar windows of subscriptions only", "leave learn out")
		}
	}
}

// unit checks that the unit goes with the window.
func (b *builder) unit(l *quota.Limit, raw rawLimit, at pointer) {
	concurrent := l.Window.Kind == quota.WindowConcurrent
	switch {
	case l.Window.Kind == "" && raw.Window == nil:
		b.c.add(at, "window is missing", "only a limit that the account's tier has by this name may leave it out; "+example("window"))
	case concurrent && l.Unit == "":
		l.Unit = quota.UnitRequests
	case concurrent && l.Unit != quota.UnitRequests:
		b.c.add(at.child("unit"), fmt.Sprintf("a concurrent window counts live reservations, not %s", l.Unit), "leave unit out")
	case l.Unit == "":
		b.c.add(at, "unit is missing", "write unit: tokens, input_tokens, output_tokens, requests or micro_usd")
	}
}

func (b *builder) capacity(l *quota.Limit, at pointer, learn bool) {
	learnable := learn && (l.Window.Kind == quota.WindowSession || l.Window.Kind == quota.WindowCalendar)
	if l.Capacity == 0 && !learnable && l.Window.Kind != "" {
		b.c.add(at, "capacity is missing", "only session and calendar windows of subscriptions can learn it; "+example("capacity"))
		return
	}
	most := max(l.Capacity, l.Window.Burst)
	if l.Window.Kind == quota.WindowBucket && l.Window.Duration > 0 && most > maxBucketLevel/int64(l.Window.Duration) {
		b.c.add(at, fmt.Sprintf("a bucket of %d over %s is too large to keep count of", most, l.Window.Duration.Duration()),
			fmt.Sprintf("write at most %d, or a shorter duration", maxBucketLevel/int64(l.Window.Duration)))
	}
}

// window converts a window.
func (b *builder) window(raw rawWindow, at pointer) quota.Window {
	w := quota.Window{Kind: quota.WindowKind(raw.Kind), Period: quota.Period(raw.Period), Burst: raw.Burst, Zone: raw.Zone}
	switch w.Kind {
	case quota.WindowSession:
		w.Duration = b.span(raw.Duration, at.child("duration"), minSession, MaxDuration)
	case quota.WindowBucket:
		w.Duration = b.span(raw.Duration, at.child("duration"), minRefill, maxRefill)
	case quota.WindowCalendar:
		b.zone(raw.Zone, at.child("zone"))
		w.AnchorDay, w.AnchorMinute = anchor(raw)
	}
	return w
}

// anchor gives the offset into the period: days after Monday or the 1st, and the minute of the day.
func anchor(raw rawWindow) (day, minute int) {
	weekdays := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	day = max(slices.Index(weekdays, raw.Weekday), raw.DayOfMonth-1, 0)
	if raw.At != nil { // HH:MM by schema
		hours, _ := strconv.Atoi((*raw.At)[:2])
		minutes, _ := strconv.Atoi((*raw.At)[3:])
		minute = hours*60 + minutes
	}
	return day, minute
}

func (b *builder) zone(name string, at pointer) {
	if name == "" {
		return
	}
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		b.c.add(at, fmt.Sprintf("there is no zone %q", name), "write an IANA name, for example zone: Europe/Berlin, or leave it out for UTC")
	}
}

// span reads a duration within bounds.
func (b *builder) span(s string, at pointer, least, most quota.Millis) quota.Millis {
	d, err := parseDuration(s)
	switch {
	case err != nil:
		b.c.add(at, err.Error(), "write for example 90s, 5h or 7d")
	case d < least:
		b.c.add(at, fmt.Sprintf("%s is too short", s), "write "+least.Duration().String()+" or more")
	case d > most:
		b.c.add(at, fmt.Sprintf("%s is too long", s), "write "+most.Duration().String()+" or less")
	}
	return d
}

// weights lays what is stated over the unit's defaults.
func (b *builder) weights(l *quota.Limit, raw rawWeights, at pointer) quota.Weights {
	whole := quota.DefaultWeights(l.Unit)
	if whole == (quota.Weights{}) || l.Window.Kind == quota.WindowConcurrent {
		b.c.add(at, fmt.Sprintf("weights are for tokens, and this limit counts %s", l.Unit), "leave weights out")
		return whole
	}
	w := l.Weights
	for _, class := range []struct {
		name   string
		stated *int64
		inUnit int64
		set    *int64
	}{
		{"input", raw.Input, whole.Input, &w.Input},
		{"cache_read", raw.CacheRead, whole.CacheRead, &w.CacheRead},
		{"cache_write_5m", raw.CacheWrite5m, whole.CacheWrite5m, &w.CacheWrite5m},
		{"cache_write_1h", raw.CacheWrite1h, whole.CacheWrite1h, &w.CacheWrite1h},
		{"output", raw.Output, whole.Output, &w.Output},
	} {
		if class.stated == nil {
			continue
		}
		if class.inUnit == 0 && *class.stated != 0 {
			b.c.add(at.child(class.name), fmt.Sprintf("%s does not contain %s", l.Unit, class.name), "leave it out, or write unit: tokens")
		}
		*class.set = *class.stated
	}
	if w == (quota.Weights{}) {
		b.c.add(at, "every weight is 0, so that the limit counts nothing", "write at least one above 0")
	}
	return w
}

// thresholds checks the order; schema and type ensure the range.
func (b *builder) thresholds(percent []int64, at pointer) []int64 {
	if !slices.IsSorted(percent) {
		b.c.add(at, "thresholds must ascend", "write for example thresholds: [75, 90, 95]")
	}
	if len(percent) == 0 {
		return nil
	}
	return percent
}
