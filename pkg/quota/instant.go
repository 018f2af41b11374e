package quota

import "time"

// Instant is a point of ledger time: milliseconds since the Unix epoch, UTC. The zero Instant means "never" or "not known".
type Instant int64

// Millis is a span of time in milliseconds.
type Millis int64

// Spans that the domain uses.
const (
	Second Millis = 1000
	Minute        = 60 * Second
	Hour          = 60 * Minute
	Day           = 24 * Hour
)

// InstantOf converts a time, cutting off what is finer than a millisecond.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Time converts to a time.Time in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Add returns the instant d later.
func (i Instant) Add(d Millis) Instant { return i + Instant(d) }

// Sub returns the span from j to i.
func (i Instant) Sub(j Instant) Millis { return Millis(i - j) }

// MillisOf converts a duration, cutting off what is finer than a millisecond.
func MillisOf(d time.Duration) Millis { return Millis(d.Milliseconds()) }

// Duration converts to a time.Duration.
func (m Millis) Duration() time.Duration { return time.Duration(m) * time.Millisecond }
