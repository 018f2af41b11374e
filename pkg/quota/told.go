package quota

// A provider may tell what a limit per minute holds: by an active source that is asked, or in an answer's headers. The
// stricter of the configured and the told limit decides: an operator may keep below what the provider allows, and nobody
// gets more than that. What was told last stands until something else is told.

// LimitsSource is who is asked for the limits of an API account.
type LimitsSource struct {
	Type   SourceType `cbor:"1,keyasint,omitempty"`
	KeyEnv string     `cbor:"2,keyasint,omitempty"` // the environment variable of the allocator that holds the admin key
}

// SourceType says how a source is asked.
type SourceType string

// SourceAnthropic is Anthropic's list of an organisation's rate limits.
const SourceAnthropic SourceType = "anthropic_rate_limits"

// toldFresh is how long a told limit is current: sources are asked each hour.
const toldFresh = Hour + 10*Minute

// ToldLimit is what a provider told of a bucket.
type ToldLimit struct {
	Capacity int64   `cbor:"1,keyasint,omitempty"` // in the limit's unit, for each Window.Duration
	At       Instant `cbor:"2,keyasint,omitempty"`
	Source   string  `cbor:"3,keyasint,omitempty"`
}

// stale tells that nothing was told for longer than a source is left alone: the source is away.
func (t *ToldLimit) stale(now Instant) bool { return now.Sub(t.At) > toldFresh }

// toldOf is what an observation tells of a bucket; 0 for nothing, and where something later was told.
func toldOf(l *Limit, c *Counter, o *Observation) int64 {
	if l.Window.Kind != WindowBucket || c.Told != nil && o.At < c.Told.At {
		return 0
	}
	return o.Capacity
}

// rate is how much of a bucket refills in each Window.Duration: the stricter of the configured and the told limit.
func (c *Counter) rate(l *Limit) int64 {
	if c.Told != nil && c.Told.Capacity < l.Capacity {
		return max(1, c.Told.Capacity)
	}
	return l.Capacity
}

// burst is the most the bucket holds. A told limit that is the stricter one is its bound as well.
func (c *Counter) burst(l *Limit) int64 {
	if rate := c.rate(l); rate < l.Capacity {
		return min(l.burst(), rate)
	}
	return l.burst()
}

// applyTold changes a bucket from now on: what has refilled so far did so at the rate before.
func (s *State) applyTold(c *Counter, e *ObservationRecorded) {
	l := s.index.byID[e.Limit]
	if l == nil || l.Window.Kind != WindowBucket {
		return
	}
	level := c.bucketLevel(l, e.At)
	c.Told = &ToldLimit{Capacity: e.Told, At: e.Observation.At, Source: e.Observation.Source}
	c.Level, c.LevelAt = min(level, c.burst(l)*int64(l.Window.Duration)), max(c.LevelAt, e.At)
	s.queue.touchAll()
}
