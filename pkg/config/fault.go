package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a configuration file.
type Fault struct {
	File    string
	Line    int    // from 1; 0 when the fault has no place
	Column  int    // from 1
	Path    string // where in the document, e.g. accounts[0].tier; empty for the whole
	Message string // what is wrong
	Hint    string // what to write instead; may be empty
}

// String gives file:line:column: path: message; hint.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message)
	if f.Hint != "" {
		b.WriteString("; " + f.Hint)
	}
	return b.String()
}

// Faults is the error of a file that is not a valid configuration: all its faults, in the order of the file.
// Get at it with errors.As.
type Faults []Fault

// Error lists the faults, one a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// collector gathers the faults of one document.
type collector struct {
	file   string
	doc    *document
	faults Faults
}

// add records a fault at a place.
func (c *collector) add(at pointer, message, hint string) {
	m := c.doc.mark(at)
	c.addAt(m.line, m.column, at, message, hint)
}

// addKey records a fault at the key of a place, for faults of the key itself.
func (c *collector) addKey(at pointer, message, hint string) {
	m := c.doc.mark(at)
	c.addAt(m.keyLine, m.keyColumn, at, message, hint)
}

func (c *collector) addAt(line, column int, at pointer, message, hint string) {
	c.faults = append(c.faults, Fault{File: c.file, Line: line, Column: column, Path: at.String(), Message: message, Hint: hint})
}

// err gives the faults in the order of the file, the same ones once; nil if there are none.
func (c *collector) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(c.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	c.faults = slices.Compact(c.faults)
	return c.faults
}
