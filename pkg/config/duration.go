package config

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/bursarhq/bursar/pkg/quota"
)

// MaxDuration is the longest span a configuration can name.
const MaxDuration = 366 * quota.Day

// parseDuration reads spans like 5h, 1h30m, 7d or 1w: numbers with a unit of ms, s, m, h, d (24 h) or w (7 d).
func parseDuration(s string) (quota.Millis, error) {
	units := map[string]quota.Millis{
		"ms": 1, "s": quota.Second, "m": quota.Minute, "h": quota.Hour, "d": quota.Day, "w": 7 * quota.Day,
	}
	var total quota.Millis
	for rest := s; rest != ""; {
		digits := leading(rest, func(c byte) bool { return c >= '0' && c <= '9' })
		letters := leading(rest[digits:], func(c byte) bool { return c >= 'a' && c <= 'z' })
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		unit := units[rest[digits:digits+letters]]
		if unit == 0 || err != nil && !errors.Is(err, strconv.ErrRange) {
			return 0, fmt.Errorf("%q is no span of time", s)
		}
		if err != nil || quota.Millis(n) > MaxDuration/unit || total+quota.Millis(n)*unit > MaxDuration {
			return 0, fmt.Errorf("%q is longer than a year", s)
		}
		total += quota.Millis(n) * unit
		rest = rest[digits+letters:]
	}
	return total, nil
}

// leading counts the bytes at the start of s that match.
func leading(s string, match func(byte) bool) int {
	for i := range len(s) {
		if !match(s[i]) {
			return i
		}
	}
	return len(s)
}
