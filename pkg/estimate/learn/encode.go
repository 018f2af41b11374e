package learn

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/envelope"
	"github.com/bursarhq/bursar/pkg/ledger"
)

// stored is a Book as it is kept. Position and evidence are one value, so that they can never disagree.
type stored struct {
	Ledger ledger.ID          `cbor:"1,keyasint,omitempty"`
	Number uint64             `cbor:"2,keyasint,omitempty"`
	Target float64            `cbor:"3,keyasint,omitempty"`
	Keys   []storedKey        `cbor:"4,keyasint,omitempty"`
	Levels map[string]float64 `cbor:"5,keyasint,omitempty"`
	Scores map[string]Score   `cbor:"6,keyasint,omitempty"`
}

type storedKey struct {
	Key    Key    `cbor:"1,keyasint,omitempty"`
	Sketch []byte `cbor:"2,keyasint,omitempty"`
	Seen   uint64 `cbor:"3,keyasint,omitempty"`
}

// format is how a Book is kept.
func format() envelope.Format {
	const maxPlainBytes = 16 << 20
	return envelope.Format{Magic: "BES", Version: 1, MaxPlain: maxPlainBytes}
}

// Encode gives the bytes to keep; the same Book gives the same bytes.
func (b *Book) Encode() ([]byte, error) {
	s := stored{Ledger: b.ledger, Number: b.number, Target: b.target, Levels: b.levels, Scores: b.scores}
	for _, k := range slices.SortedFunc(maps.Keys(b.keys), compareKeys) {
		e := b.keys[k]
		s.Keys = append(s.Keys, storedKey{k, e.encoded(), e.seen})
	}
	data, err := format().Seal(s)
	if err != nil {
		return nil, fmt.Errorf("encode estimates: %w", err)
	}
	return data, nil
}

// Decode reads a stored Book. It fails with ErrState for bytes that Encode of this version did not make.
func Decode(data []byte) (*Book, error) {
	var s stored
	if err := format().Open(data, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	b := New(s.Target)
	b.ledger, b.number = s.Ledger, s.Number
	maps.Copy(b.levels, s.Levels)
	maps.Copy(b.scores, s.Scores)
	for _, k := range s.Keys {
		sketch, err := decodeSketch(k.Sketch)
		if err != nil {
			return nil, err
		}
		b.keys[k.Key] = &evidence{sketch, k.Seen}
	}
	return b, nil
}
