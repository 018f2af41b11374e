package estimate

import (
	"errors"
	"fmt"
)

// Errors that [For] and [Table.Estimate] return, wrapped with what was wrong; test with errors.Is.
var (
	// ErrUnknownType says that the table has no row for the task's type.
	ErrUnknownType = errors.New("unknown task type")
	// ErrUnknownComplexity says that the task states a complexity other than low, medium or high.
	ErrUnknownComplexity = errors.New("unknown task complexity")
	// ErrFiles says that the file count is 0 or less. A caller that does not know it passes [UsualFiles].
	ErrFiles = errors.New("file count must be 1 or more")
	// ErrOverflow says that the estimate would exceed [MaxTokens], or the file count [MaxFiles].
	ErrOverflow = errors.New("estimate too large")
	// ErrBase says that a table row has a negative figure or a total of 0.
	ErrBase = errors.New("base figures must not be negative, and their sum must not be 0")
)

// Type names a kind of task; the name is the one used on the wire and in configuration.
type Type string

// The task types of the built-in table.
const (
	CodeGeneration Type = "code_generation"
	CodeReview     Type = "code_review"
	Documentation  Type = "documentation"
	Analysis       Type = "analysis"
	QuickQuery     Type = "quick_query"
)

// Types lists the task types of the built-in table in the order of the documentation.
func Types() []Type {
	return []Type{CodeGeneration, CodeReview, Documentation, Analysis, QuickQuery}
}

// Complexity is how hard a task is; the package comment says what it means in a row and in a task.
type Complexity string

// The complexities. Unstated is the zero value: the row's label and no factor.
const (
	Unstated Complexity = ""
	Low      Complexity = "low"
	Medium   Complexity = "medium"
	High     Complexity = "high"
)

// ParseComplexity turns the words that callers use into a Complexity: low or simple, medium or
// normal, high or complex, and the empty string for unstated. Anything else is ErrUnknownComplexity.
func ParseComplexity(word string) (Complexity, error) {
	switch word {
	case "":
		return Unstated, nil
	case "low", "simple":
		return Low, nil
	case "medium", "normal":
		return Medium, nil
	case "high", "complex":
		return High, nil
	}
	return Unstated, fmt.Errorf("%w %q: write low (simple), medium or high (complex)", ErrUnknownComplexity, word)
}

// Priority is how soon a task wants to be served.
type Priority string

// The priorities an estimate can propose. Critical is never proposed: only a caller may claim it.
const (
	PriorityLow    Priority = "low"
	PriorityNormal Priority = "normal"
	PriorityHigh   Priority = "high"
)

// Task is what a caller knows of the work ahead.
type Task struct {
	Type         Type
	Complexity   Complexity // what the caller says of this task; Unstated keeps the type's own label
	Files        int64      // files the task touches, 1 to MaxFiles; UsualFiles when unknown
	Urgent       bool       // raises the proposed priority to high
	Conservative bool       // adds the 30 % margin
}

// Estimate is the answer, in whole tokens.
type Estimate struct {
	InputTokens  int64
	OutputTokens int64
	TotalTokens  int64 // InputTokens + OutputTokens
	Priority     Priority
	Complexity   Complexity // never Unstated
}
