package quota

// Drift is spending that did not pass us: what the provider observed of a window, less our own books. What has drifted
// is the column "outside" of a window; what is still to come until the reset is forecast from the pace of this window
// and the ones before, and held back from grants.

// driftMemory is the weight of the pace of earlier windows, as a part of a window: as if it had been seen that long.
const driftMemory = 5 // a fifth

// driftPace is the pace of spending outside, in units per day: that of this window so far, with that of earlier windows
// counting as much as a fifth of a window. Without an observation in this window it is the earlier pace.
func (c *Counter) driftPace(l *Limit) int64 {
	began := c.began(l)
	if c.Observed == nil || began == 0 || c.Observed.At <= began || !c.Observed.tellsUse() {
		return c.DriftPace
	}
	memory := int64(l.longest() / driftMemory)
	var s sum128
	s.addProduct(c.outside(l), int64(Day))
	s.addProduct(c.DriftPace, memory)
	return s.divFloor(uint64(int64(c.Observed.At.Sub(began)) + memory))
}

// forecast is how much more will be spent outside until the window resets, at that pace: from the last observation on, what
// was spent outside since then is not seen yet. A session that is not open is forecast as a whole. It changes with what is
// observed and not with the time, so that time alone makes no room.
func (c *Counter) forecast(l *Limit) int64 {
	left := l.longest()
	if c.End != 0 {
		from := c.Start
		if c.Observed != nil && c.Observed.tellsUse() {
			from = max(from, c.Observed.At)
		}
		left = max(0, c.End.Sub(from))
	}
	var s sum128
	s.addProduct(c.driftPace(l), int64(left))
	return min(MaxCapacity, s.divFloor(uint64(Day)))
}

// forecastKept is the part of the forecast that is held back from grants. It never keeps more than half of what is
// free: a forecast alone makes no window unusable, the next observation corrects it.
func (s *State) forecastKept(l *Limit, c *Counter, free int64) int64 {
	if l.Scope.Account == "" || c.capacity(l) == 0 {
		return 0
	}
	return min(percentOf(c.forecast(l), (100-s.Config.Policy.DriftGranted)*1000), free/2)
}
