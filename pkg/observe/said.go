package observe

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Bounds of what is read.
const (
	MaxBody    = 64 << 10 // bytes of a body or a status line that are looked at
	MaxWindows = 16       // windows of one answer; no provider tells half as many
	maxName    = 64       // bytes of a window's name
	maxProblem = 80       // bytes of a field's value in a problem
)

// The sources: where an observation was read.
const (
	SourceHeaders    = "headers"
	SourceStatusLine = "statusline"
	SourceCodexLog   = "codex_log"
)

// Signal says that the provider refused, and why.
type Signal string

// The signals.
const (
	Exhausted  Signal = "exhausted"  // a limit of ours is used up
	Overloaded Signal = "overloaded" // the provider's trouble and not our quota
)

// Window is what was said of one window. Fields that were not told are nil or zero.
type Window struct {
	Name         string
	PercentMilli *int64 // used, in thousandths of a percent; may exceed 100,000
	Limit        *int64 // in the window's unit
	Remaining    *int64 // in the window's unit
	ResetAt      time.Time
	Length       time.Duration
	Signal       Signal
}

// Problem is a field that could not be read.
type Problem struct {
	Field string // header or path in a document
	Value string // what stood there, shortened
	Want  string // what would have been understood
}

// Said is what a provider said in one answer.
type Said struct {
	Source     string
	Windows    []Window // by name
	Signal     Signal   // of the answer as a whole, where it names no window
	RetryAfter time.Duration
	Terminal   bool   // a refusal that waiting does not cure: no credit, not entitled, too large
	Reason     string // of a refusal: the provider's code or type
	Problems   []Problem
}

// reader collects while it reads.
type reader struct {
	said    Said
	windows map[string]*Window
}

func newReader(source string) *reader {
	return &reader{said: Said{Source: source}, windows: map[string]*Window{}}
}

// window finds or makes the window of this name; beyond MaxWindows it is told as a problem and written nowhere.
func (r *reader) window(name string) *Window {
	name = cleanName(name)
	if w := r.windows[name]; w != nil {
		return w
	}
	w := &Window{Name: name}
	if len(r.windows) >= MaxWindows {
		r.problem("window", name, "at most 16 windows in one answer")
		return w
	}
	r.windows[name] = w
	return w
}

func (r *reader) problem(field, value, want string) {
	if len(r.said.Problems) < 2*MaxWindows {
		r.said.Problems = append(r.said.Problems, Problem{shorten(field), shorten(value), want})
	}
}

// done gives what was said, windows about which nothing was told left out.
func (r *reader) done() *Said {
	for _, w := range r.windows {
		if w.tells() {
			r.said.Windows = append(r.said.Windows, *w)
		}
	}
	slices.SortFunc(r.said.Windows, func(a, b Window) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.said.Problems, func(a, b Problem) int { return cmp.Compare(a.Field, b.Field) })
	return &r.said
}

func (w *Window) tells() bool {
	return w.PercentMilli != nil || w.Limit != nil || w.Remaining != nil || !w.ResetAt.IsZero() || w.Signal != ""
}

// cleanName makes a name that a limit may have: small letters, digits, and underscores for the rest.
func cleanName(name string) string {
	name = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
			return c
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		}
		return '_'
	}, name)
	return name[:min(len(name), maxName)]
}

func shorten(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxProblem)], "?") }
