// Package screen writes what people read on a terminal: tables that fit its width, numbers, money and times in
// a form that can be taken in at a glance, and colour where the terminal shows it.
//
// It guarantees that no line of a table is wider than a terminal as long as its columns can be shortened, that nothing is
// shortened where a program or a file reads, that colour is used on a terminal only and never when NO_COLOR is set, and that text from others (names, reasons,
// messages) cannot move the cursor or change colours: control characters are shown as "?".
package screen

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// Widths in columns.
const (
	// DefaultWidth is where sentences are wrapped when the output is not a terminal.
	DefaultWidth = 80
	minWidth     = 60
	maxWidth     = 120 // wider tables are harder to follow from column to column
)

// Screen is where a command writes for people.
type Screen struct {
	out    io.Writer
	width  int // of sentences
	room   int // of what cannot be wrapped: lines of tables
	colour bool
}

// New gives a screen on out. Colour and the real width are used only when out is a terminal; NO_COLOR set to
// anything and TERM=dumb turn colour off. Elsewhere tables are as wide as they need, so that names can be searched for,
// unless COLUMNS says how wide.
func New(out io.Writer, getenv func(string) string) *Screen {
	s := &Screen{out: out, width: DefaultWidth, room: math.MaxInt}
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		if columns, err := strconv.Atoi(getenv("COLUMNS")); err == nil && columns > 0 {
			s.width = min(max(columns, minWidth), maxWidth)
			s.room = s.width
		}
		return s
	}
	s.colour = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		s.width = min(max(width, minWidth), maxWidth)
	}
	s.room = s.width
	return s
}

// Terminal tells whether a person may be watching: out is a terminal.
func Terminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Width is how many columns a line of a sentence may take.
func (s *Screen) Width() int { return s.width }

// Room is how many columns a line may take that cannot be wrapped.
func (s *Screen) Room() int { return s.room }

// Tone says what a text means; a screen without colour shows it plainly.
type Tone string

// The tones, as the SGR parameters that show them.
const (
	Plain   Tone = ""
	Strong  Tone = "1"
	Faint   Tone = "2"
	Good    Tone = "32"
	Caution Tone = "33"
	Bad     Tone = "31"
)

// Paint gives text in a tone, as this screen shows it. Control characters in it are replaced.
func (s *Screen) Paint(tone Tone, text string) string {
	text = Clean(text)
	if !s.colour || tone == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(tone) + "m" + text + "\x1b[0m"
}

// Printf writes a line or part of one. The format is the program's own; arguments that are strings from others
// go through [Clean] or [Screen.Paint] first.
func (s *Screen) Printf(format string, args ...any) {
	// A terminal that is gone cannot be told so; the exit code of a broken pipe is the signal's.
	_, _ = fmt.Fprintf(s.out, format, args...)
}

// Title writes the heading of a section.
func (s *Screen) Title(title string) { s.Printf("%s\n", s.Paint(Strong, title)) }

// Note writes a sentence, wrapped at the width.
func (s *Screen) Note(tone Tone, sentence string) {
	for _, line := range Wrap(Clean(sentence), s.width) {
		s.Printf("%s\n", s.Paint(tone, line))
	}
}

// Indented writes a sentence behind a lead, wrapped at the width with what follows below its beginning.
func (s *Screen) Indented(lead, sentence string, tone Tone) {
	width := text.StringWidth(lead)
	for i, line := range Wrap(Clean(sentence), s.width-width) {
		if i > 0 {
			lead = strings.Repeat(" ", width)
		}
		s.Printf("%s%s\n", lead, s.Paint(tone, line))
	}
}

// Clean makes a string of others safe to print: control characters and bytes that are not UTF-8 become "?".
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, s)
}

// Wrap breaks a sentence at spaces so that no line is wider than width, unless a word is.
func Wrap(sentence string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(sentence) {
		switch {
		case line == "":
			line = word
		case text.StringWidth(line)+1+text.StringWidth(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
