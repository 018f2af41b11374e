package screen

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// None stands for a number that does not exist.
const None = "–"

// Count writes a whole number exactly, with a comma every three digits.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Short writes a whole number in at most six places: exactly below 10,000, else with k, M, G or T.
func Short(n int64) string {
	if n < 0 {
		if n == -n { // the least int64 has no positive
			return Count(n)
		}
		return "-" + Short(-n)
	}
	if n < 10_000 {
		return Count(n)
	}
	value, units := float64(n), "kMGTPE"
	for i := range len(units) {
		value /= 1000
		digits := 1
		if value >= 100 {
			digits = 0
		}
		if text := strconv.FormatFloat(value, 'f', digits, 64); len(text) <= 5 && (value < 999.5 || i == len(units)-1) {
			return strings.TrimSuffix(text, ".0") + units[i:i+1]
		}
	}
	return Count(n)
}

// Money writes micro-USD as dollars: to the cent, finer below ten cents so that a price is
// never shown as 0, and shortly from 10,000 on.
func Money(microUSD int64) string {
	const dollar = 1_000_000
	if microUSD >= 10_000*dollar { // nobody counts the cents
		return "$" + Short((microUSD+dollar/2)/dollar)
	}
	if microUSD <= -10_000*dollar {
		return "-" + Money(-max(microUSD, -quota.MaxCapacity))
	}
	return quota.Dollars(microUSD)
}

// Percent writes part of whole in percent; [None] when there is no whole.
func Percent(part, whole int64) string {
	if whole <= 0 {
		return None
	}
	percent := float64(part) / float64(whole) * 100
	switch {
	case part != 0 && percent > -0.1 && percent < 0.1:
		return "<0.1%"
	case percent < 9.95 && percent > -9.95 && part != 0: // 9.96 is 10, as 10.1 is
		return strconv.FormatFloat(percent, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(percent, 'f', 0, 64) + "%"
}

// Span writes a duration with its two largest units: 3d 4h, 2h 5m, 45s.
func Span(d time.Duration) string {
	if d < 0 {
		return "-" + Span(-d)
	}
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d/time.Second))
	case d < time.Hour:
		return two(int(d/time.Minute), "m", int(d%time.Minute/time.Second), "s")
	case d < day:
		return two(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "m")
	}
	return two(int(d/day), "d", int(d%day/time.Hour), "h")
}

func two(large int, unit string, small int, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d%s", large, unit)
	}
	return fmt.Sprintf("%d%s %d%s", large, unit, small, smallUnit)
}

// Until writes a point of time ahead for a table: how long it is, and what the clock on the wall then shows.
func Until(at, now time.Time) string {
	if at.IsZero() {
		return None
	}
	at = at.In(now.Location())
	ahead := at.Sub(now)
	layout := "15:04"
	switch {
	case ahead > 6*24*time.Hour:
		layout = "Jan 2"
	case at.YearDay() != now.YearDay() || at.Year() != now.Year():
		layout = "Mon 15:04"
	}
	return Span(ahead) + ", " + at.Format(layout)
}

// When writes a point of time as seen from now: relative and in the zone of the clock on the wall.
func When(at, now time.Time) string {
	if at.IsZero() {
		return None
	}
	at = at.In(now.Location())
	layout := "15:04"
	switch {
	case at.Sub(now).Abs() > 300*24*time.Hour:
		layout = "2006-01-02"
	case at.Sub(now).Abs() > 48*time.Hour:
		layout = "Jan 2"
	case at.YearDay() != now.YearDay() || at.Year() != now.Year():
		layout = "Jan 2 15:04"
	}
	relative := "in " + Span(at.Sub(now))
	if at.Before(now) {
		relative = Span(now.Sub(at)) + " ago"
	}
	return relative + ", " + at.Format(layout)
}

// WhenSet writes a point of time that was set just now, as [When] does, but to the nearest minute, and where it is less than
// five away to the nearest second: four hours from now are not 3h 59m because a moment has passed since. It is no countdown.
func WhenSet(at, now time.Time) string {
	const fine = 5 * time.Minute
	ahead := at.Sub(now)
	rounded := ahead.Round(time.Minute)
	if rounded < fine {
		rounded = ahead.Round(time.Second)
	}
	if at.IsZero() || rounded <= 0 {
		return When(at, now)
	}
	return When(at, at.Add(-rounded).In(now.Location()))
}
