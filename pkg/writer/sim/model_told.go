package sim

import "github.com/bursarhq/bursar/pkg/quota"

// bucket is a limit per minute by arithmetic of the model's own: what it holds and refills, in units × milliseconds.
type bucket struct {
	span       int64 // in which rate refills
	configured int64
	rate       int64 // the stricter of what is configured and what was told; it is also the most the bucket holds
	level      int64
	at         quota.Instant
}

func newBucket(l *quota.Limit, at quota.Instant) bucket {
	b := bucket{span: int64(l.Window.Duration), configured: l.Capacity, rate: l.Capacity, at: at}
	b.level = b.full()
	return b
}

func (b *bucket) full() int64 { return b.rate * b.span }

// milli is the level in thousandths of a unit.
func (b *bucket) milli() int64 { return b.level * 1000 / b.span }

// move refills up to a time and adds units.
func (b *bucket) move(units int64, at quota.Instant) {
	b.level = min(b.full(), b.level+int64(max(0, at.Sub(b.at)))*b.rate)
	b.level = min(b.full(), b.level+units*b.span)
	b.at = max(b.at, at)
}

// take takes units and tells whether they were there. A full bucket gives any number, and is in debt then.
func (b *bucket) take(units int64, at quota.Instant) bool {
	b.move(0, at)
	there := units == 0 || b.level == b.full() || b.level >= units*b.span
	b.level -= units * b.span
	return there
}

// tell changes how much it holds and refills from a time on.
func (b *bucket) tell(units int64, at quota.Instant) {
	b.move(0, at)
	b.rate = min(b.configured, units)
	b.level = min(b.level, b.full())
}

// returns takes back what a reservation gives back.
func (m *model) returns(back quota.LimitAmount, at quota.Instant) {
	l := m.limits[back.Limit]
	l.held -= back.Amount
	if l.kind == quota.WindowBucket {
		l.bucket.move(back.Amount, at)
	}
}

// told follows how much the provider says there is: the latest word counts, the stricter one of a limit per minute, and of a
// window nothing else where a capacity is configured.
func (m *model) told(l *counted, e *quota.ObservationRecorded) {
	units, said, w := e.Observation.Capacity, e.Observation.At, m.world
	switch {
	case units == 0:
	case said < l.toldAt:
		w.reach(ToldLate)
		if e.Effective {
			w.violate("%s is told to hold %d, which was said %d ms before what is known, and that counts", e.Limit, units, l.toldAt.Sub(said))
		}
	case l.kind == quota.WindowBucket:
		if units < l.configured {
			w.reach(ToldStricter)
		} else {
			w.reach(ToldLooser)
		}
		l.bucket.tell(units, e.At)
		l.toldAt = said
	case e.Effective && l.configured == 0:
		w.reach(ToldWindow)
		if units < l.held+l.used {
			w.reach(ToldLess)
		}
		l.capacity, l.toldAt = units, said
	}
}

// adds sees after every commit that the ledger has of each limit what this model has.
func (m *model) adds(s *quota.State) {
	for _, v := range s.Limits(s.Now) {
		l := m.limits[v.Limit.ID]
		switch v.Limit.Window.Kind {
		case quota.WindowBucket:
			b := l.bucket
			b.move(0, s.Now)
			if left := b.level / b.span; v.Available != max(0, left) || v.Over != max(0, -left) || v.Capacity != b.rate {
				m.world.violate("%s has %d of %d left and is %d over, by the events it is %d of %d", v.Limit.ID, v.Available, v.Capacity, v.Over, left, b.rate)
			}
		case quota.WindowConcurrent:
			if v.Held != l.held {
				m.world.violate("%d are held of %s, by the events it is %d", v.Held, v.Limit.ID, l.held)
			}
		default:
			if v.Capacity != l.capacity || v.Held != l.held || v.Used != l.used {
				m.world.violate("of %s %d are held and %d used of %d, by the events it is %d and %d of %d", v.Limit.ID, v.Held, v.Used, v.Capacity,
					l.held, l.used, l.capacity)
			}
		}
	}
}
