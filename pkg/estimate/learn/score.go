package learn

import "github.com/bursarhq/bursar/pkg/estimate"

// Score counts how estimates did against what was then used, beside the table with its margin of 30 %. The quotient of
// Covered and Tasks is the coverage.
type Score struct {
	Tasks   int64 `cbor:"1,keyasint,omitempty"`
	Used    int64 `cbor:"2,keyasint,omitempty"` // tokens
	Learned Count `cbor:"3,keyasint,omitempty"`
	Table   Count `cbor:"4,keyasint,omitempty"`
}

// Count is how one way to estimate did.
type Count struct {
	Covered int64 `cbor:"1,keyasint,omitempty"` // tasks that used no more than estimated
	Waste   int64 `cbor:"2,keyasint,omitempty"` // tokens estimated and not used
	Short   int64 `cbor:"3,keyasint,omitempty"` // tokens used beyond the estimate
}

func (c *Count) add(estimated, used int64) {
	if used <= estimated {
		c.Covered++
	}
	c.Waste += max(0, estimated-used)
	c.Short += max(0, used-estimated)
}

// MaxScores bounds the task types that are scored apart; others are scored together under the empty type.
const MaxScores = 64

// score notes how an estimate did and moves the level of its type.
func (b *Book) score(taskType string, e Estimate, tableTokens, used int64) {
	s, known := b.scores[taskType]
	if !known && len(b.scores) >= MaxScores {
		taskType = ""
		s = b.scores[taskType]
	}
	s.Tasks++
	s.Used += used
	s.Learned.add(e.Target, used)
	s.Table.add(estimate.Conservative(tableTokens), used)
	b.scores[taskType] = s
	covered := 0.0
	if used <= e.Target {
		covered = 1
	}
	b.levels[taskType] = min(maxLevel, max(minLevel, b.level(taskType)+gamma*(b.target-covered)))
}

// Scores gives the scores by task type, a copy.
func (b *Book) Scores() map[string]Score {
	all := make(map[string]Score, len(b.scores))
	for k, v := range b.scores {
		all[k] = v
	}
	return all
}
