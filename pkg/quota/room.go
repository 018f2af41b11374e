package quota

import "math"

// Room is the one question of admission: how many units of a limit may this ask take now? The rules of windows, of who
// is favoured and of the queue are named functions below; room composes them.
//
// A rule that is added here has to be told to those who ask a part of the question only:
//
//   - shortage (admit.go) and refuseWindow (holdback.go) word the refusal: with what reason, and when to ask again;
//   - roomEver (grantable.go) asks what could be granted at all: estimates are cut to that;
//   - isNext, helpedBefore and fitsIdle (queue_keep.go) ask whether what comes back helps the head of a line. A head that waits
//     for itself must not be helped, or its line is kept for it and idle;
//   - roomAt (queue_watch.go) knows when time alone makes room, and openings (queue_supply.go) foresee it;
//   - shutLimit (queue_owed.go) passes over entries by what one before them was refused: it takes room to depend on nothing of an
//     ask but its limit, team, priority, preemptible and units. The random commands of property_test.go rarely find a rule that
//     looks at more; write the test of two entries that differ in that alone;
//   - checkFloors (team_check.go) holds grants to the floors by arithmetic of its own.

// noRoom is less than nothing: not even an ask for no units is granted.
const noRoom = -1

// room is how many units of its limit an ask may take now; of a concurrent limit, how many reservations. It grows with
// nothing but the state and the time, so that what fits n units fits fewer.
func (s *State) room(a *ask, now Instant) int64 {
	if a.closed(now) || s.keptFor(a, now) != nil {
		return noRoom
	}
	return s.shareRoom(a, s.limitRoom(a, now), now)
}

// limitRoom is what the limit itself has, whoever asks.
func (s *State) limitRoom(a *ask, now Instant) int64 {
	switch a.limit.Window.Kind {
	case WindowConcurrent:
		return max(0, a.limit.Capacity-a.counter.Held)
	case WindowBucket:
		return a.counter.bucketRoom(a.limit, now)
	default:
		return s.windowRoom(a, now)
	}
}

// fits tells whether the ask has room on its limit.
func (s *State) fits(a *ask, now Instant) bool { return a.need() <= s.room(a, now) }

// closed tells whether the provider refuses on the ask's limit.
func (a *ask) closed(now Instant) bool { return now < a.counter.ClosedUntil }

// need is what the ask takes of its limit: units, or one of a concurrent limit.
func (a *ask) need() int64 {
	if a.limit.Window.Kind == WindowConcurrent {
		return 1
	}
	return a.units
}

// bucketRoom is the bucket's level, and no bound when it is full: a long task may run it into debt and is paced by its
// reports.
func (c *Counter) bucketRoom(l *Limit, now Instant) int64 {
	level := c.bucketLevel(l, now)
	if level >= c.burst(l)*int64(l.Window.Duration) {
		return math.MaxInt64
	}
	return max(0, level/int64(l.Window.Duration))
}

// windowRoom is what is neither used, nor held, nor spent outside, nor kept for others (see holdback.go). A window that is
// known by percentage only has no bound until a fresh observation says that it is full.
func (s *State) windowRoom(a *ask, now Instant) int64 {
	if a.counter.capacity(a.limit) > 0 {
		return s.parts(a, now).Grantable()
	}
	if a.counter.fresh(now, s.Config.Policy.ObservationLead) && a.counter.Observed.PercentMilli >= 100_000 {
		return noRoom
	}
	return math.MaxInt64
}
