package estimate

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// Factors in thousandths, as the specification of the product states them.
const (
	thousand           = 1000
	simpleFactor       = 700  // ×0.7
	complexFactor      = 1500 // ×1.5
	conservativeFactor = 1300 // ×1.3
	minFilesFactor     = 500  // ×0.5, reached at 5 files and below
	maxFilesFactor     = 3000 // ×3, reached at 30 files and above
	perFile            = 100  // files/10, in thousandths
)

const (
	// UsualFiles is the file count that scales nothing; for callers that do not know theirs.
	UsualFiles = 10
	// MaxFiles is the largest file count accepted; more is a mistake of the caller, not a task.
	MaxFiles = 10_000_000
	// MaxTokens is the largest total an estimate can have; beyond it a base figure is a mistake.
	MaxTokens = 1_000_000_000_000_000
)

// Base is one row of a table: what a usual task of a type takes.
type Base struct {
	InputTokens  int64
	OutputTokens int64
	Priority     Priority
	Complexity   Complexity // a label; the figures already contain it
}

// Table holds the base figures by task type. The methods never change it.
type Table map[Type]Base

// Default returns the built-in table, a fresh copy at each call.
func Default() Table {
	return Table{
		CodeGeneration: {InputTokens: 3_000, OutputTokens: 12_000, Priority: PriorityNormal, Complexity: Medium},
		CodeReview:     {InputTokens: 6_000, OutputTokens: 2_000, Priority: PriorityNormal, Complexity: Medium},
		Documentation:  {InputTokens: 4_000, OutputTokens: 6_000, Priority: PriorityLow, Complexity: Low},
		Analysis:       {InputTokens: 8_000, OutputTokens: 4_000, Priority: PriorityHigh, Complexity: High},
		QuickQuery:     {InputTokens: 1_000, OutputTokens: 1_000, Priority: PriorityLow, Complexity: Low},
	}
}

// For estimates a task with the built-in table; its errors are those of [Table.Estimate].
func For(task Task) (Estimate, error) { return Default().Estimate(task) }

// types lists what the table has a row for: those of the built-in table in their order, then others by name.
func (t Table) types() string {
	var names []string
	for _, kind := range slices.Concat(Types(), slices.Sorted(maps.Keys(t))) {
		if _, ok := t[kind]; ok && !slices.Contains(names, string(kind)) {
			names = append(names, string(kind))
		}
	}
	return strings.Join(names, ", ")
}

// Estimate scales the task's row: the total is base × files × complexity × margin, rounded up to a
// whole token, and the input keeps its share of the base total, rounded down; the output is the rest.
//
// Errors: ErrUnknownType, ErrUnknownComplexity, ErrFiles, ErrBase, ErrOverflow.
func (t Table) Estimate(task Task) (Estimate, error) {
	base, ok := t[task.Type]
	if !ok {
		return Estimate{}, fmt.Errorf("%w %q: write %s", ErrUnknownType, task.Type, t.types())
	}
	baseTotal, err := base.total()
	if err != nil {
		return Estimate{}, fmt.Errorf("task type %q: %w", task.Type, err)
	}
	filesFactor, err := filesFactor(task.Files)
	if err != nil {
		return Estimate{}, err
	}
	complexityFactor, err := complexityFactor(task.Complexity)
	if err != nil {
		return Estimate{}, err
	}
	marginFactor := int64(thousand)
	if task.Conservative {
		marginFactor = conservativeFactor
	}
	total, ok := mulDiv(baseTotal, filesFactor*complexityFactor*marginFactor, thousand*thousand*thousand)
	if !ok || total > MaxTokens {
		return Estimate{}, fmt.Errorf("%w: a %s of %d files is over %d tokens", ErrOverflow, task.Type, task.Files, int64(MaxTokens))
	}
	return base.split(baseTotal, total, task), nil
}

// total adds up a row.
func (b Base) total() (int64, error) {
	if b.InputTokens < 0 || b.OutputTokens < 0 || (b.InputTokens == 0 && b.OutputTokens == 0) {
		return 0, fmt.Errorf("%w: %d in, %d out", ErrBase, b.InputTokens, b.OutputTokens)
	}
	if b.InputTokens > math.MaxInt64-b.OutputTokens {
		return 0, fmt.Errorf("%w: %d in and %d out", ErrOverflow, b.InputTokens, b.OutputTokens)
	}
	return b.InputTokens + b.OutputTokens, nil
}

// split divides a total in the ratio of the row and adds the labels.
func (b Base) split(baseTotal, total int64, task Task) Estimate {
	hi, lo := bits.Mul64(uint64(total), uint64(b.InputTokens))
	input, _ := bits.Div64(hi, lo, uint64(baseTotal)) // fits: InputTokens ≤ baseTotal, so input ≤ total
	e := Estimate{
		InputTokens:  int64(input),
		OutputTokens: total - int64(input),
		TotalTokens:  total,
		Priority:     b.Priority,
		Complexity:   b.Complexity,
	}
	if task.Complexity != Unstated {
		e.Complexity = task.Complexity
	}
	if task.Urgent {
		e.Priority = PriorityHigh
	}
	return e
}

// filesFactor is files/10 in thousandths, held between ×0.5 and ×3.
func filesFactor(files int64) (int64, error) {
	if files <= 0 {
		return 0, fmt.Errorf("%w, not %d; %d scales nothing", ErrFiles, files, UsualFiles)
	}
	if files > MaxFiles {
		return 0, fmt.Errorf("%w: %d files, at most %d are accepted", ErrOverflow, files, MaxFiles)
	}
	return min(max(files*perFile, minFilesFactor), maxFilesFactor), nil
}

// complexityFactor is the factor of what the caller stated, in thousandths.
func complexityFactor(c Complexity) (int64, error) {
	switch c {
	case Low:
		return simpleFactor, nil
	case Unstated, Medium:
		return thousand, nil
	case High:
		return complexFactor, nil
	}
	return 0, fmt.Errorf("%w %q", ErrUnknownComplexity, c)
}

// mulDiv is a × b / d rounded up over a 128-bit intermediate; ok is false if the result does not fit.
func mulDiv(a, b, d int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, uint64(d-1), 0)
	hi += carry
	if hi >= uint64(d) {
		return 0, false
	}
	quotient, _ := bits.Div64(hi, lo, uint64(d))
	return int64(quotient), quotient <= math.MaxInt64
}

// Conservative adds the margin of 30 % to a total, rounded up.
func Conservative(total int64) int64 {
	with, ok := mulDiv(max(0, total), conservativeFactor, thousand)
	if !ok {
		return MaxTokens
	}
	return with
}
