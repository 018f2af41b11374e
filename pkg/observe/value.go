package observe

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxPercentMilli = 1_000_000 // 1000 %: more is no percentage
	maxCount        = 1 << 50   // units of a window
	maxEpoch        = 1 << 35   // seconds: the year 3058
	maxWait         = 32 * 24 * time.Hour
)

// percentMilli is a share of whole (1 or 100) in thousandths of a percent, rounded to the nearest.
func percentMilli(share, whole float64) (int64, bool) {
	n := math.Round(share / whole * 100_000)
	if math.IsNaN(n) || n < 0 || n > maxPercentMilli {
		return 0, false
	}
	return int64(n), true
}

// instant reads a time as providers write it: seconds since 1970, or RFC 3339.
func instant(s string) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at.UTC(), at.Unix() > 0 && at.Unix() <= maxEpoch
	}
	seconds, err := strconv.ParseFloat(s, 64)
	return epoch(seconds, err == nil)
}

func epoch(seconds float64, ok bool) (time.Time, bool) {
	if !ok || math.IsNaN(seconds) || seconds <= 0 || seconds > maxEpoch {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), true
}

// duration reads a wait: 6m0s, 120ms, 20m52.666s as OpenAI writes it, or plain seconds.
func duration(s string) (time.Duration, bool) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, d >= 0 && d <= maxWait
	}
	seconds, err := strconv.ParseFloat(s, 64)
	return seconds2duration(seconds, time.Second, err == nil)
}

// seconds2duration is n units as a duration.
func seconds2duration(n float64, unit time.Duration, ok bool) (time.Duration, bool) {
	d := n * float64(unit)
	if !ok || math.IsNaN(d) || d < 0 || d > float64(maxWait) {
		return 0, false
	}
	return time.Duration(d), true
}

// retryAfter reads seconds or an HTTP date.
func retryAfter(s string, at time.Time) (time.Duration, bool) {
	if date, err := http.ParseTime(s); err == nil {
		wait := max(0, date.Sub(at))
		return wait, wait <= maxWait
	}
	return duration(s)
}

// count reads units: 0 or more.
func count(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.ReplaceAll(s, ",", ""), 10, 64)
	return n, err == nil && n >= 0 && n <= maxCount
}
