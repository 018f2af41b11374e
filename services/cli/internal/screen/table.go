package screen

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// gap stands between columns.
const gap = "  "

// minShrunk is the least width a column is shortened to.
const minShrunk = 6

// Column is one column of a table.
type Column struct {
	Title string
	Right bool // numbers
	// Shrink says that the column may be shortened when the table is too wide; the widest of them goes first.
	Shrink bool
}

// Cell is one field of a row.
type Cell struct {
	Text string
	Tone Tone
}

// Text makes a plain cell.
func Text(s string) Cell { return Cell{Text: s} }

// Toned makes a cell in a tone.
func Toned(tone Tone, s string) Cell { return Cell{Text: s, Tone: tone} }

// Table is rows under titles.
type Table struct {
	Columns []Column
	Rows    [][]Cell
}

// Add appends a row; missing cells are empty.
func (t *Table) Add(cells ...Cell) { t.Rows = append(t.Rows, cells) }

// Table writes a table. Columns without any text are left out, so that what a system does not use takes no room.
func (s *Screen) Table(t *Table) {
	shown := t.used()
	widths := t.widths(shown)
	t.shrink(shown, widths, s.room)
	titles := make([]Cell, len(t.Columns))
	for i, c := range t.Columns {
		titles[i] = Toned(Faint, c.Title)
	}
	s.row(t, shown, widths, titles)
	for _, row := range t.Rows {
		s.row(t, shown, widths, row)
	}
}

// used lists the columns that have text in some row.
func (t *Table) used() (shown []int) {
	for i := range t.Columns {
		for _, row := range t.Rows {
			if i < len(row) && row[i].Text != "" {
				shown = append(shown, i)
				break
			}
		}
	}
	return shown
}

func (t *Table) widths(shown []int) []int {
	widths := make([]int, len(t.Columns))
	for _, i := range shown {
		widths[i] = text.StringWidth(t.Columns[i].Title)
		for _, row := range t.Rows {
			if i < len(row) {
				widths[i] = max(widths[i], text.StringWidth(Clean(row[i].Text)))
			}
		}
	}
	return widths
}

// shrink takes what is too much from the widest column that may be shortened, one place at a time.
func (t *Table) shrink(shown, widths []int, most int) {
	total := len(gap) * max(0, len(shown)-1)
	for _, i := range shown {
		total += widths[i]
	}
	for ; total > most; total-- {
		widest := -1
		for _, i := range shown {
			if t.Columns[i].Shrink && widths[i] > minShrunk && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (s *Screen) row(t *Table, shown, widths []int, row []Cell) {
	var line strings.Builder
	for at, i := range shown {
		var cell Cell
		if i < len(row) {
			cell = row[i]
		}
		if at > 0 {
			line.WriteString(gap)
		}
		short := Shorten(Clean(cell.Text), widths[i])
		padding := strings.Repeat(" ", widths[i]-text.StringWidth(short))
		switch {
		case t.Columns[i].Right:
			line.WriteString(padding + s.Paint(cell.Tone, short))
		case at == len(shown)-1: // no blanks at the end of a line
			line.WriteString(s.Paint(cell.Tone, short))
		default:
			line.WriteString(s.Paint(cell.Tone, short) + padding)
		}
	}
	s.Printf("%s\n", strings.TrimRight(line.String(), " "))
}

// Shorten cuts the middle out of a text that is wider than width: names differ at both ends.
func Shorten(s string, width int) string {
	if text.StringWidth(s) <= width {
		return s
	}
	if width < 2 {
		return "…"
	}
	runes := []rune(s)
	head, tail := (width-1+1)/2, (width-1)/2
	front, back := takeWidth(runes, head, false), takeWidth(runes, tail, true)
	return front + "…" + back
}

// Cut leaves out the end of a sentence that is wider than width.
func Cut(s string, width int) string {
	if text.StringWidth(s) <= width {
		return s
	}
	return takeWidth([]rune(s), max(0, width-1), false) + "…"
}

// takeWidth gives as many runes from the front or the back as fit into width columns.
func takeWidth(runes []rune, width int, back bool) string {
	taken := 0
	for n := range runes {
		r := runes[n]
		if back {
			r = runes[len(runes)-1-n]
		}
		if taken += text.RuneWidth(r); taken > width {
			if back {
				return string(runes[len(runes)-n:])
			}
			return string(runes[:n])
		}
	}
	return string(runes)
}
