package sim

import (
	"errors"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/writer"
)

// store is the bucket: one key, whose revisions are the log, and the keyframes.
type store struct {
	world     *world
	log       []ledger.Entry
	commits   []*ledger.Commit // the log, decoded once from its bytes
	revision  uint64           // of the stream; other workspaces write too
	late      int              // writes that are under way although their writer gave up
	full      bool
	keyframes []*ledger.EncodedKeyframe
}

var (
	errTimeout = errors.New("timeout")
	errStore   = errors.New("503")
)

// last is the key's newest revision.
func (s *store) last() uint64 {
	if len(s.log) == 0 {
		return 0
	}
	return s.log[len(s.log)-1].Revision
}

// apply is the compare-and-set. It is the only place where the log grows.
func (s *store) apply(from *node, data []byte, expected uint64) writer.PublishOutcome {
	w := s.world
	if s.full {
		w.fault(BucketFull)
		return writer.PublishOutcome{Verdict: writer.Full, Err: errStore}
	}
	if expected != s.last() {
		return s.conflict(data)
	}
	s.revision += 1 + w.rand.Uint64N(3)
	e := ledger.Entry{Revision: s.revision, Data: data, Stored: w.wall().Time()}
	s.log = append(s.log, e)
	w.oracle.stored(from, e)
	return writer.PublishOutcome{Verdict: writer.Acked, Revision: e.Revision}
}

// conflict answers a write that comes too late; a replicated stream may know it as a duplicate of one that it has.
func (s *store) conflict(data []byte) writer.PublishOutcome {
	w := s.world
	for i := len(s.log) - 1; i >= 0 && i >= len(s.log)-5; i-- {
		if string(s.log[i].Data) != string(data) {
			continue
		}
		if w.rand.IntN(2) == 0 {
			return writer.PublishOutcome{Verdict: writer.Acked, Revision: s.log[i].Revision}
		}
		w.fault(OwnConflict)
		return writer.PublishOutcome{Verdict: writer.Conflict}
	}
	w.fault(ForeignConflict)
	return writer.PublishOutcome{Verdict: writer.Conflict}
}

// publish takes a write, does with it what the schedule says, and tells the writer some of it.
func (s *store) publish(from *node, p writer.Publish, tell func(writer.PublishOutcome)) {
	w := s.world
	arrive, back := w.latency(), w.latency()
	finish := func(after time.Duration, o writer.PublishOutcome) {
		o.Attempt = p.Attempt
		w.after(after, func() { tell(o) })
	}
	unknown := writer.PublishOutcome{Verdict: writer.Unknown, Err: errTimeout}
	store := func(after time.Duration) {
		s.late++
		w.after(after, func() { s.late--; s.apply(from, p.Data, p.Expected) })
	}
	if !w.chance(w.rates.store) {
		w.after(arrive, func() {
			if s.late > 0 && w.rand.IntN(2) == 0 {
				w.fault(InFlightBefore)
				finish(back, writer.PublishOutcome{Verdict: writer.InFlight})
				return
			}
			finish(back, s.apply(from, p.Data, p.Expected))
		})
		return
	}
	switch w.rand.IntN(8) {
	case 0:
		w.fault(PublishLost)
		finish(timeout, unknown)
	case 1:
		w.fault(AckLost)
		store(arrive)
		finish(timeout, unknown)
	case 2:
		w.fault(PublishLate)
		store(timeout + w.upTo(4*time.Second))
		finish(timeout, unknown)
	case 3:
		w.fault(ErrorBefore)
		finish(arrive+back, unknown)
	case 4:
		w.fault(ErrorAfter)
		store(arrive)
		finish(arrive+back, unknown)
	case 5:
		w.fault(InFlightBefore)
		finish(arrive+back, writer.PublishOutcome{Verdict: writer.InFlight})
	case 6:
		w.fault(InFlightAfter)
		finish(arrive+back, writer.PublishOutcome{Verdict: writer.InFlight})
		store(arrive + w.upTo(time.Second))
	default:
		w.fault(AckSlow)
		w.after(arrive, func() { finish(w.upTo(9*time.Second), s.apply(from, p.Data, p.Expected)) })
	}
}

// read gives the log after a revision, at the leader.
func (s *store) read(r writer.Read, tell func(writer.ReadOutcome)) {
	w := s.world
	arrive, back := w.latency(), w.latency()
	if w.chance(w.rates.store) {
		w.fault(ReadFailed)
		w.after(timeout, func() { tell(writer.ReadOutcome{Read: r.Read, Err: errTimeout}) })
		return
	}
	w.after(arrive, func() {
		o := writer.ReadOutcome{Read: r.Read, Entries: s.after(r.After), Last: s.last()}
		if len(o.Entries) > 1 && w.chance(0.5) {
			w.fault(ReadShort)
			o.Entries = o.Entries[:1]
		}
		w.after(back, func() { tell(o) })
	})
}

// after gives the entries after a revision.
func (s *store) after(revision uint64) []ledger.Entry {
	i := len(s.log)
	for i > 0 && s.log[i-1].Revision > revision {
		i--
	}
	return s.log[i:len(s.log):len(s.log)]
}

// commit finds the commit at a revision; nil when there is none.
func (s *store) commit(revision uint64) *ledger.Commit {
	for i := len(s.log) - 1; i >= 0; i-- {
		if s.log[i].Revision == revision {
			return s.commits[i]
		}
	}
	return nil
}

// load recovers the ledger: from the newest keyframe that restores, and the log after it.
func (s *store) load() (writer.Loaded, error) {
	w := s.world
	from := ledger.New()
	if w.chance(w.rates.store) {
		w.fault(KeyframeMissing)
	} else if l := s.restore(); l != nil {
		w.reach(KeyframesUsed)
		from = l
	}
	in := writer.Loaded{Ledger: from}
	entries := s.after(from.Position().Revision)
	commits := s.commits[len(s.log)-len(entries):]
	for i, e := range entries {
		if err := from.Apply(commits[i], ledger.HashOf(e.Data), e.Revision); err != nil {
			w.violate("recovery: %v", err)
			return in, err
		}
		in.SinceKeyframe++
	}
	return in, nil
}

func (s *store) restore() *ledger.Ledger {
	w := s.world
	for i := len(s.keyframes) - 1; i >= 0; i-- {
		k := s.keyframes[i]
		m, err := ledger.DecodeManifest(k.Manifest)
		if err != nil {
			w.violate("keyframe %d: %v", i, err)
			return nil
		}
		chunks, damage := k.Chunks, w.chance(w.rates.store)
		if damage {
			w.fault(KeyframeDamaged)
			damaged := append([]byte(nil), chunks[0]...)
			damaged[w.rand.IntN(len(damaged))] ^= 1
			chunks = append([][]byte{damaged}, chunks[1:]...)
		}
		l, err := ledger.Restore(m, chunks)
		if err == nil {
			return l
		}
		if !damage {
			w.violate("keyframe %d is whole and cannot be restored: %v", i, err)
		}
	}
	return nil
}

// disturb fills the bucket and makes room again.
func (s *store) disturb() {
	w := s.world
	switch {
	case s.full && (!w.storm || w.rand.IntN(4) == 0):
		s.full = false
		w.say("there is room again")
	case w.rates.full && !s.full && w.chance(0.05):
		s.full = true
		w.say("the bucket is full")
	}
}

// latency is how long a message takes: mostly little.
func (w *world) latency() time.Duration {
	d := 200*time.Microsecond + w.upTo(2*time.Millisecond)
	if w.chance(0.02) {
		d += w.upTo(500 * time.Millisecond)
	}
	return d
}
