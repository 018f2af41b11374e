// Package trace reads what real agents and inference services did, so that it can be done again against a
// Bursar: production traces of Azure and Mooncake, and the transcripts that Claude Code writes.
//
// It guarantees that a provider call which a file tells several times is one [Call], that nothing is made up
// (a class of tokens that a format does not know is 0), and that every row which is not a call is counted in
// [Skipped] by its reason.
//
// The two trace formats are tables: a row that cannot be read is an error that names its line. Transcripts are
// internal files of another program which change with its versions and may end in the middle of a line: there
// a line that cannot be read is skipped. Callers must tolerate that a whole transcript is held in memory,
// because the last line of a file may correct the first.
package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Format names the layout of a file.
type Format string

// The formats.
const (
	// Azure is the CSV of the Azure LLM inference traces: TIMESTAMP, ContextTokens, GeneratedTokens.
	Azure Format = "azure"
	// Mooncake is JSON lines with timestamp (milliseconds), input_length and output_length.
	Mooncake Format = "mooncake"
	// ClaudeCode is the JSON lines of a Claude Code session.
	ClaudeCode Format = "claude-code"
)

// Formats lists the formats, for help and completion.
func Formats() []Format { return []Format{Azure, Mooncake, ClaudeCode} }

// ParseFormat reads a format's name.
func ParseFormat(name string) (Format, error) {
	if f := Format(name); slices.Contains(Formats(), f) {
		return f, nil
	}
	return "", fmt.Errorf("format %q is not one of %v", name, Formats())
}

// Bounds of what is read.
const (
	// MaxCalls is how many calls one trace may hold.
	MaxCalls = 5_000_000
	// MaxLineBytes is the longest line; a longer one is treated as one that cannot be read.
	MaxLineBytes = 32 << 20
)

// ErrTooLong: the files hold more than [MaxCalls] calls.
var ErrTooLong = fmt.Errorf("more than %d calls: replay fewer files at once", MaxCalls)

// Call is one call to a provider.
type Call struct {
	// At is when it happened. Mooncake tells only the time since its start: there the epoch stands for it.
	At time.Time
	// ID is the provider's id of the call; empty where the format tells none.
	ID string
	// Session says which calls belong to one conversation; empty where the format tells none.
	Session string
	// Model is the model's name at the provider; empty where the format tells none.
	Model string
	// Tokens by class; the classes do not overlap.
	Tokens quota.Tokens
}

// Skipped counts the rows that are no call of their own.
type Skipped struct {
	Malformed int `json:"malformed"` // not readable as a row of the format
	Other     int `json:"other"`     // rows of a kind that spends nothing: prompts, titles, snapshots
	Synthetic int `json:"synthetic"` // written by the program itself and never sent to a provider
	Repeated  int `json:"repeated"`  // a call that another row tells as well
}

// Trace is what the files told, in the order of time.
type Trace struct {
	Calls   []Call
	Skipped Skipped
}

// Totals is the sum of the tokens of all calls by class.
func (t *Trace) Totals() (sum quota.Tokens) {
	for i := range t.Calls {
		sum = sum.Add(t.Calls[i].Tokens)
	}
	return sum
}

// ReadFiles reads files of one format into one trace; repeated calls are found across files. limit is the
// number of calls kept from the start of the trace; 0 keeps all. "-" is standard input.
func ReadFiles(ctx context.Context, format Format, names []string, limit int, stdin io.Reader) (*Trace, error) {
	collect := newCollector(format)
	for _, name := range names {
		if err := readFile(ctx, name, stdin, collect); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	trace := collect.trace()
	if limit > 0 && limit < len(trace.Calls) {
		trace.Calls = trace.Calls[:limit]
	}
	return trace, nil
}

// Read reads one stream of one format.
func Read(format Format, r io.Reader) (*Trace, error) {
	collect := newCollector(format)
	if err := collect.read(r); err != nil {
		return nil, err
	}
	return collect.trace(), nil
}

func readFile(ctx context.Context, name string, stdin io.Reader, collect collector) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if name == "-" {
		return collect.read(stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return collect.read(file)
}

// collector gathers the calls of one or more streams.
type collector interface {
	read(r io.Reader) error
	trace() *Trace
}

func newCollector(format Format) collector {
	switch format {
	case Azure:
		return &table{rows: readAzure}
	case Mooncake:
		return &table{rows: readMooncake}
	}
	return newTranscript()
}

// table collects the formats in which each row is a call.
type table struct {
	rows  func(r io.Reader, emit func(Call) error) error
	calls []Call
}

func (t *table) read(r io.Reader) error {
	return t.rows(r, func(c Call) error {
		if len(t.calls) == MaxCalls {
			return ErrTooLong
		}
		t.calls = append(t.calls, c)
		return nil
	})
}

func (t *table) trace() *Trace {
	byTime(t.calls)
	return &Trace{Calls: t.calls}
}

// byTime sorts calls by time and keeps the order of the file where times are equal.
func byTime(calls []Call) {
	slices.SortStableFunc(calls, func(a, b Call) int { return a.At.Compare(b.At) })
}

// checkTokens refuses what no call can have used.
func checkTokens(name string, n int64) error {
	if n < 0 || n > quota.MaxTokensPerClass {
		return fmt.Errorf("%s is %d, must be from 0 to %d", name, n, quota.MaxTokensPerClass)
	}
	return nil
}
