package book

import (
	"cmp"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/rules"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

// What became of a suggestion is measured on the whole days after it was told, for MeasuredDays: the same replay, with and
// without its change, tells what was still avoidable on such a day. At the share of the work that was avoidable when it was
// told, so much of that day's work would have been; the difference is what was saved. Where nobody followed the advice,
// that is about nothing.

const (
	// MeasuredDays is for how many days after it was told.
	MeasuredDays = 28
	// MaxTracked bounds the suggestions whose savings are measured.
	MaxTracked = 50
	// shareUnit is the whole of a share of the work.
	shareUnit = 1_000_000_000
)

// tracked is a suggestion that was told.
type tracked struct {
	ID       string        `cbor:"1,keyasint,omitempty"`
	Rule     string        `cbor:"2,keyasint,omitempty"`
	Subject  rules.Subject `cbor:"3,keyasint,omitempty"`
	Title    string        `cbor:"4,keyasint,omitempty"`
	Basis    whatif.Basis  `cbor:"5,keyasint,omitempty"`
	Change   whatif.Change `cbor:"6,keyasint,omitempty"`
	Made     quota.Instant `cbor:"7,keyasint,omitempty"`
	Share    int64         `cbor:"8,keyasint,omitempty"`  // of the work's price that was avoidable, in billionths
	Daily    int64         `cbor:"9,keyasint,omitempty"`  // micro-USD that it promised for a day
	Until    quota.Instant `cbor:"10,keyasint,omitempty"` // days up to here are measured
	Days     int64         `cbor:"11,keyasint,omitempty"`
	Promised int64         `cbor:"12,keyasint,omitempty"`
	Saved    int64         `cbor:"13,keyasint,omitempty"`
}

// track remembers what a suggestion promises when it is told for the first time.
func (b *Book) track(key string, a *rules.Advice, p *whatif.Proof) {
	if b.tracks[key] != nil || len(p.Gains) == 0 {
		return
	}
	var work int64
	for i := range p.Base {
		work += volume(&p.Base[i])
	}
	now := b.window.Now
	// A day is promised the mean of those that were replayed, of which the first and the last lie in the span in part.
	days := max(1, float64(now.Sub(b.jobs.From()))/float64(quota.Day))
	b.tracks[key] = &tracked{
		ID: b.id(*a), Rule: a.Rule, Subject: a.Subject, Title: a.Title, Basis: a.Basis, Change: a.Change, Made: now,
		Share: int64(float64(p.Saving) / float64(max(work, 1)) * shareUnit), Daily: int64(float64(p.Saving) / days),
		Until: startOfDay(now).Add(quota.Day),
	}
	if len(b.tracks) > MaxTracked {
		oldest := slices.MinFunc(slices.Sorted(maps.Keys(b.tracks)), func(x, y string) int { return cmp.Compare(b.tracks[x].Made, b.tracks[y].Made) })
		delete(b.tracks, oldest)
	}
}

// volume is the price of a day's work, done and refused.
func volume(d *whatif.Day) int64 { return d.Worth + d.DeniedWorth }

func startOfDay(at quota.Instant) quota.Instant { return at - at%quota.Instant(quota.Day) }

// measure adds the whole days that have passed to what was saved, of as many suggestions as there are tests left; a replay
// of seven days reaches those that have to wait.
func (b *Book) measure(l *lab, tests *budget) {
	today := startOfDay(b.window.Now)
	for _, key := range slices.Sorted(maps.Keys(b.tracks)) {
		t := b.tracks[key]
		if b.window.Now.Sub(t.Made) > MeasuredDays*quota.Day {
			delete(b.tracks, key)
			continue
		}
		if t.Until >= today {
			continue
		}
		if tests.spent() {
			b.awaiting = true
			return
		}
		tests.left--
		proof := l.test(t.Basis, &t.Change)
		for i := range proof.Base {
			day := &proof.Base[i]
			if day.Start < t.Until || day.Start >= today || day.Start < l.in.From {
				continue
			}
			expected := int64(float64(t.Share) / shareUnit * float64(volume(day)))
			t.Days++
			t.Promised += t.Daily
			t.Saved += expected - max(0, proof.Gains[i])
		}
		t.Until = today
	}
}

// realised is what was saved; nil before a whole day has passed.
func (t *tracked) realised() *wire.SuggestionRealised {
	if t == nil || t.Days == 0 {
		return nil
	}
	return &wire.SuggestionRealised{Days: t.Days, PromisedMicroUSD: t.Promised, SavedMicroUSD: t.Saved}
}

// past lists what was told, holds no more and was measured; the latest first.
func (b *Book) past() (list []wire.SuggestionPast) {
	current := map[string]bool{}
	for _, s := range b.list {
		current[keyOf(s.Rule, s.Subject)] = true
	}
	for _, key := range slices.Sorted(maps.Keys(b.tracks)) {
		t := b.tracks[key]
		if r := t.realised(); r != nil && !current[key] && !b.dismissed[key] {
			list = append(list, wire.SuggestionPast{
				SuggestionID: t.ID, Rule: t.Rule, Subject: subjectOf(t.Subject), Title: t.Title, SavingBasis: string(t.Basis),
				MadeAt: wire.TimeOf(t.Made), Realised: *r,
			})
		}
	}
	slices.SortStableFunc(list, func(x, y wire.SuggestionPast) int { return cmp.Compare(y.MadeAt, x.MadeAt) })
	return list
}
