package learn

import (
	"fmt"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"

	"github.com/bursarhq/bursar/pkg/quota"
)

const (
	// Accuracy is the relative error of a figure read from a distribution.
	Accuracy = 0.02
	// MaxBins bounds a distribution: 512 bins of 4 % span nine orders of magnitude.
	MaxBins = 512
	// memory is how many tasks a key remembers in full: at it, all that it knows is halved, so that what is recent
	// weighs more.
	memory = 2000
)

// evidence is what is known of one key.
type evidence struct {
	sketch  *ddsketch.DDSketch
	seen    uint64         // the commit that last added to it
	classes [classes]int64 // tokens used
}

func newEvidence() (*evidence, error) {
	s, err := ddsketch.LogCollapsingLowestDenseDDSketch(Accuracy, MaxBins)
	if err != nil {
		return nil, fmt.Errorf("make a sketch: %w", err)
	}
	return &evidence{sketch: s}, nil
}

// n is how many tasks the key has evidence of.
func (e *evidence) n() float64 {
	if e == nil {
		return 0
	}
	return e.sketch.GetCount()
}

// add takes one task in.
func (e *evidence) add(value float64, used quota.Tokens, commit uint64) error {
	if e.n() >= memory || e.heavy() {
		for i := range e.classes {
			e.classes[i] /= 2
		}
		if err := e.sketch.Reweight(0.5); err != nil {
			return fmt.Errorf("forget: %w", err)
		}
	}
	if err := e.sketch.Add(value); err != nil {
		return fmt.Errorf("learn %f: %w", value, err)
	}
	e.seen = commit
	for i, n := range classesOf(used) {
		e.classes[i] += n
	}
	return nil
}

// heavy tells that the tokens would soon be too many to count.
func (e *evidence) heavy() bool {
	const most = int64(1) << 60
	return slices.Max(e.classes[:]) > most
}

// encoded gives the bytes of the sketch, its mapping included.
func (e *evidence) encoded() []byte {
	var data []byte
	e.sketch.Encode(&data, false)
	return data
}

func decodeSketch(data []byte) (*ddsketch.DDSketch, error) {
	m, err := mapping.NewLogarithmicMapping(Accuracy)
	if err != nil {
		return nil, fmt.Errorf("make a mapping: %w", err)
	}
	bounded := func() store.Store { return store.NewCollapsingLowestDenseStore(MaxBins) }
	s, err := ddsketch.DecodeDDSketch(data, bounded, m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if !s.IndexMapping.Equals(m) {
		return nil, fmt.Errorf("%w: a distribution of another accuracy", ErrState)
	}
	return s, nil
}
