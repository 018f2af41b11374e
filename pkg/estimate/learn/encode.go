package learn

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/envelope"
	"github.com/bursarhq/bursar/pkg/ledger"
)

// stored is a Book as it is kept. Position and evidence are one value, so that they can never disagree.
type stored struct {
	Ledger   ledger.ID                  `cbor:"1,keyasint,omitempty"`
	Number   uint64                     `cbor:"2,keyasint,omitempty"`
	Target   float64                    `cbor:"3,keyasint,omitempty"`
	Keys     []storedKey                `cbor:"4,keyasint,omitempty"`
	Levels   map[string]float64         `cbor:"5,keyasint,omitempty"` // of the first version: what Shifts counts from the target
	Scores   map[string]Score           `cbor:"6,keyasint,omitempty"`
	Shifts   map[string]float64         `cbor:"7,keyasint,omitempty"`
	Today    int64                      `cbor:"8,keyasint,omitempty"`
	Tasks    int64                      `cbor:"9,keyasint,omitempty"`
	LogWorth float64                    `cbor:"10,keyasint,omitempty"`
	Weighed  int64                      `cbor:"11,keyasint,omitempty"`
	Days     map[int64]map[string]Score `cbor:"12,keyasint,omitempty"`
	Standing []storedStanding           `cbor:"13,keyasint,omitempty"`
}

type storedKey struct {
	Key     Key     `cbor:"1,keyasint,omitempty"`
	Sketch  []byte  `cbor:"2,keyasint,omitempty"`
	Seen    uint64  `cbor:"3,keyasint,omitempty"`
	Classes []int64 `cbor:"4,keyasint,omitempty"`
}

type storedStanding struct {
	Reservation string  `cbor:"1,keyasint,omitempty"`
	Target      int64   `cbor:"2,keyasint,omitempty"`
	Aim         float64 `cbor:"3,keyasint,omitempty"`
	Granted     int64   `cbor:"4,keyasint,omitempty"`
	Since       uint64  `cbor:"5,keyasint,omitempty"`
}

// MaxBytes is the most that a stored Book takes: it must fit a message.
const MaxBytes = 1 << 20

// format is how a Book is kept.
func format() envelope.Format {
	const maxPlainBytes = 16 << 20
	return envelope.Format{Magic: "BES", Version: 1, MaxPlain: maxPlainBytes}
}

// Encode gives the bytes to keep; the same Book gives the same bytes. A Book that is over MaxBytes forgets a half of its
// keys first, those that were unheard of for longest.
func (b *Book) Encode() ([]byte, error) {
	for {
		data, err := b.encode()
		if err != nil || len(data) <= MaxBytes || len(b.keys) < 2 {
			return data, err
		}
		b.forget(len(b.keys) / 2)
	}
}

func (b *Book) encode() ([]byte, error) {
	s := stored{
		Ledger: b.ledger, Number: b.number, Target: b.target, Scores: b.scores, Shifts: b.shifts, Today: b.today, Tasks: b.tasks,
		LogWorth: b.logWorth, Weighed: b.weighed, Days: b.days,
	}
	for _, k := range slices.SortedFunc(maps.Keys(b.keys), compareKeys) {
		e := b.keys[k]
		s.Keys = append(s.Keys, storedKey{k, e.encoded(), e.seen, e.classes[:]})
	}
	for id, x := range b.standing {
		s.Standing = append(s.Standing, storedStanding{id, x.target, x.aim, x.granted, x.since})
	}
	slices.SortFunc(s.Standing, func(x, y storedStanding) int { return cmp.Compare(x.Reservation, y.Reservation) })
	data, err := format().Seal(s)
	if err != nil {
		return nil, fmt.Errorf("encode estimates: %w", err)
	}
	return data, nil
}

// Decode reads a stored Book. It fails with ErrState for bytes that Encode of this version, or one before, did not make.
func Decode(data []byte) (*Book, error) {
	var s stored
	if err := format().Open(data, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	b := New(s.Target)
	b.ledger, b.number, b.today, b.tasks, b.logWorth, b.weighed = s.Ledger, s.Number, s.Today, s.Tasks, s.LogWorth, s.Weighed
	for name, level := range s.Levels {
		b.shifts[name] = level - s.Target
	}
	maps.Copy(b.shifts, s.Shifts)
	maps.Copy(b.scores, s.Scores)
	maps.Copy(b.days, s.Days)
	for _, x := range s.Standing {
		b.standing[x.Reservation] = standing{x.Target, x.Aim, x.Granted, x.Since}
	}
	for _, k := range s.Keys {
		sketch, err := decodeSketch(k.Sketch)
		if err != nil {
			return nil, err
		}
		e := &evidence{sketch: sketch, seen: k.Seen}
		copy(e.classes[:], k.Classes)
		b.keys[k.Key] = e
	}
	return b, nil
}
