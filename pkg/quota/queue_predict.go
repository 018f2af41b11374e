package quota

import "math"

// When a queued reservation will be granted is predicted from what the ledger knows: windows that reset and buckets that
// refill at a known time, and how fast units have come back lately.

// flowHalf is the time after which what came back counts half.
const flowHalf = 15 * Minute

// Flow is how much comes back on a limit: sums that decay by half each flowHalf.
type Flow struct {
	Units int64   `cbor:"1,keyasint,omitempty"` // in thousandths
	Count int64   `cbor:"2,keyasint,omitempty"` // of returns, in thousandths
	At    Instant `cbor:"3,keyasint,omitempty"`
	Since Instant `cbor:"4,keyasint,omitempty"` // of the first return
}

// add counts what came back.
func (f *Flow) add(units int64, at Instant) {
	if f.Since == 0 {
		f.Since = at
	}
	f.Units = min(math.MaxInt64/4, decayed(f.Units, at.Sub(f.At), flowHalf)+min(units, math.MaxInt64/4000)*1000)
	f.Count, f.At = decayed(f.Count, at.Sub(f.At), flowHalf)+1000, at
}

// decayed halves a sum each half-life, straight between the halves. It is in integers, so that it comes out the same
// everywhere.
func decayed(sum int64, elapsed, half Millis) int64 {
	halves := elapsed / half
	if halves >= 62 {
		return 0
	}
	sum >>= uint(halves)
	var part sum128
	part.addProduct(sum, int64(elapsed%half))
	return sum - part.divFloor(uint64(2*half))
}

// until gives how long units take to come back, and in how many returns; ok is false where too little is known.
func (f *Flow) until(units int64, now Instant) (wait Millis, returns float64, ok bool) {
	sum, count := float64(decayed(f.Units, now.Sub(f.At), flowHalf)), float64(decayed(f.Count, now.Sub(f.At), flowHalf))
	seen := float64(now.Sub(f.Since))
	if sum < 1 || count < 1000 || seen <= 0 {
		return 0, 0, false
	}
	// A stream of r units a millisecond adds up to r × half / ln 2 × (1 − 2^(−seen/half)).
	span := float64(flowHalf) / math.Ln2 * (1 - math.Exp2(-seen/float64(flowHalf)))
	perMilli := sum / 1000 / span
	return Millis(min(float64(MaxQueueWait), float64(units)/perMilli)), max(1, float64(units)*count/sum), true
}

// placeOf gives an entry's place and predicts its grant: on the choice where that is soonest. The entry need not stand in
// the queue yet. Windows are predicted for all choices together, since who stands before may take any of them.
func (s *State) placeOf(w *Waiting, now Instant) *Place {
	p := &Place{Position: 1, Until: w.Until, Since: w.Since, Grace: s.Config.Policy.grantGrace()}
	var windows []waitsFor
	first := true
	for bounds := range w.choices() {
		c := s.placeAt(w, bounds, now)
		if first || c.Position < p.Position {
			first, p.Position = false, c.Position
		}
		switch {
		case !c.known:
		case c.window != nil:
			windows = append(windows, waitsFor{c.window, c.Place, c.places, ""})
		case c.line != "":
			windows = append(windows, waitsFor{s.behind(w, c.line), c.Place, c.places, c.line})
		default:
			c.later(&c.places)
			p.sooner(&c.Place)
		}
	}
	if len(windows) > 0 {
		if from, at, to := s.foresee(w, windows, now); at != 0 {
			p.sooner(&Place{GrantFrom: from, GrantAt: at, GrantTo: to})
		}
	}
	return p
}

// sooner takes over a prediction that is sooner.
func (p *Place) sooner(o *Place) {
	if o.GrantAt != 0 && (p.GrantAt == 0 || o.GrantAt < p.GrantAt) {
		p.GrantFrom, p.GrantAt, p.GrantTo = o.GrantFrom, o.GrantAt, o.GrantTo
	}
}

// later takes over a prediction that is later.
func (p *Place) later(o *Place) {
	p.GrantFrom, p.GrantAt, p.GrantTo = max(p.GrantFrom, o.GrantFrom), max(p.GrantAt, o.GrantAt), max(p.GrantTo, o.GrantTo)
}

// placeOn is an entry's place on one choice, and when what is in the way there beside a window gives way.
type placeOn struct {
	Place
	places Place  // when a place for work at the same time is free, where one is missing
	line   string // of those places, where a window of the account stands behind them
	window *Limit // that is in the way, and resets last; nil for none
	known  bool
}

// placeAt looks at one choice: the last of all that is in its way decides. Nothing is known where that is so of one of them.
func (s *State) placeAt(w *Waiting, bounds []Bound, now Instant) placeOn {
	p := placeOn{Place: Place{Position: 1}, known: true}
	for i := range bounds {
		b := &bounds[i]
		if a, ok := s.askFor(w, b); ok && len(bounds) > 1 && s.fits(&a, s.Now) {
			continue
		}
		var ahead, size, unitsAhead int64
		if l := s.queue.lines[b.On]; l != nil {
			ahead, size = int64(s.before(l, w)), int64(l.size)
			unitsAhead = l.units / max(1, size) * ahead
		}
		p.Position = max(p.Position, ahead+1)
		if back := s.backFor(w, *b, now); back != 0 {
			p.later(&Place{GrantFrom: now, GrantAt: back, GrantTo: back})
			continue
		}
		if l := s.windowed(b.On); l != nil {
			if p.window == nil || s.counters[l.ID].End > s.counters[p.window.ID].End {
				p.window = l
			}
			continue
		}
		from, at, to := s.predict(*b, unitsAhead, ahead, now)
		p.known = p.known && at != 0
		gives := &p.Place
		if l := s.index.byID[b.On]; l != nil && l.Window.Kind == WindowConcurrent {
			gives = &p.places
			if s.behind(w, b.On) != nil {
				p.line = b.On
			}
		}
		gives.later(&Place{GrantFrom: from, GrantAt: at, GrantTo: to})
	}
	return p
}

// behind is the window that will be in an entry's way where only a place of an account is missing now: by the time that one is
// free, those before it have taken of the account's windows. It is the one that has least left for such work.
func (s *State) behind(w *Waiting, places string) (found *Limit) {
	var most int64
	labels := w.Labels
	if labels.Account = s.index.byID[places].Scope.Account; labels.Account == "" {
		return nil
	}
	for _, l := range s.index.byAccount[labels.Account] {
		if s.windowed(l.ID) == nil || !s.covers(&l.Scope, &labels) {
			continue
		}
		if times := s.counters[l.ID].available(l) / max(1, l.measure(w.Wish.Amount, 0)); found == nil || times < most {
			found, most = l, times
		}
	}
	return found
}

// windowed is the limit of that name if it is a window of known capacity; else nil.
func (s *State) windowed(on string) *Limit {
	l, c := s.index.byID[on], s.counters[on]
	if l == nil || c == nil || !l.countsSpending() || c.capacity(l) == 0 {
		return nil
	}
	return l
}

// predict says when a limit that is no such window gives way to an entry with so much before it.
func (s *State) predict(b Bound, unitsAhead, ahead int64, now Instant) (from, at, to Instant) {
	l, c := s.index.byID[b.On], s.counters[b.On]
	if l == nil || c == nil {
		return 0, 0, 0
	}
	switch l.Window.Kind {
	case WindowBucket:
		wait := c.bucketWait(l, now, min(b.Units+unitsAhead, math.MaxInt64/int64(l.Window.Duration)))
		return now.Add(wait), now.Add(wait), now.Add(wait)
	case WindowConcurrent:
	default:
		return c.End, c.End, c.End
	}
	wait, returns, ok := c.Freed.until(max(1, ahead+1-max(0, l.Capacity-c.Held)), now)
	if !ok {
		if len(s.due) == 0 {
			return 0, 0, 0
		}
		return now, s.due[0].Expires, s.due[0].Expires
	}
	spread := 1.3 / math.Sqrt(returns)
	return now.Add(Millis(float64(wait) * max(0, 1-spread))), now.Add(wait), now.Add(Millis(float64(wait) * (1 + spread)))
}
