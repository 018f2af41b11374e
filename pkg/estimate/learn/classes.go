package learn

import (
	"math"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
)

// classes are tokens by class, in the order of quota.Tokens.
const classes = 5

// classesOf lists tokens by class.
func classesOf(t quota.Tokens) [classes]int64 {
	return [classes]int64{t.Input, t.CacheRead, t.CacheWrite5m, t.CacheWrite1h, t.Output}
}

// Shares divides tokens into classes. What is missing to 1 is the static table's.
type Shares [classes]float64

// add mixes in what a key knows, with a weight.
func (s *Shares) add(known *[classes]int64, weight float64) {
	total := int64(0)
	for _, n := range known {
		total += n
	}
	if total == 0 {
		return // kept by a version that did not know classes
	}
	for i, n := range known {
		s[i] += weight * float64(n) / float64(total)
	}
}

// Divide divides a total of tokens into classes; the table's own division says what the shares leave open. The sum is the
// total.
func (s *Shares) Divide(total int64, table estimate.Estimate) quota.Tokens {
	shares, open := *s, 1.0
	for _, part := range s {
		open -= part
	}
	if table.TotalTokens > 0 {
		shares[0] += open * float64(table.InputTokens) / float64(table.TotalTokens)
		shares[classes-1] += open * float64(table.OutputTokens) / float64(table.TotalTokens)
	}
	sum := 0.0
	for _, part := range shares {
		sum += part
	}
	if sum <= 0 {
		return quota.Tokens{Input: total}
	}
	var parts [classes]int64
	rest, largest := total, 0
	for i, part := range shares {
		parts[i] = int64(math.Floor(part / sum * float64(total)))
		rest -= parts[i]
		if part > shares[largest] {
			largest = i
		}
	}
	parts[largest] += rest
	return quota.Tokens{Input: parts[0], CacheRead: parts[1], CacheWrite5m: parts[2], CacheWrite1h: parts[3], Output: parts[4]}
}
