package screen

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct{ name, got, want string }{
		{"count", Count(1234567), "1,234,567"},
		{"count of hundreds", Count(999), "999"},
		{"negative count", Count(-123456), "-123,456"},
		{"short, exact", Short(9_999), "9,999"},
		{"short, thousands", Short(10_000), "10k"},
		{"short, one digit", Short(12_345), "12.3k"},
		{"short, hundreds", Short(123_456), "123k"},
		{"short, rounds into the next unit", Short(999_900), "1M"},
		{"short, millions", Short(80_000_000), "80M"},
		{"short, the largest", Short(math.MaxInt64), "9.2E"},
		{"short, the least", Short(math.MinInt64), "-9,223,372,036,854,775,808"},
		{"short, negative", Short(-12_345), "-12.3k"},
		{"no money", Money(0), "$0.00"},
		{"a micro-dollar", Money(1), "$0.000001"},
		{"a cent", Money(10_000), "$0.01"},
		{"dollars", Money(1_234_565_000), "$1,234.57"},
		{"negative money", Money(-5_000_000), "-$5.00"},
		{"percent", Percent(1, 3), "33%"},
		{"small percent", Percent(5, 100), "5.0%"},
		{"nearly ten percent", Percent(996, 10_000), "10%"},
		{"tiny percent", Percent(1, 1_000_000), "<0.1%"},
		{"percent of nothing", Percent(1, 0), None},
		{"no percent", Percent(0, 10), "0%"},
		{"more than all", Percent(25, 10), "250%"},
		{"milliseconds", Span(20 * time.Millisecond), "20ms"},
		{"minutes", Span(5*time.Minute + 3*time.Second), "5m 3s"},
		{"hours", Span(2 * time.Hour), "2h"},
		{"days", Span(52 * time.Hour), "2d 4h"},
		{"no time that was set", WhenSet(time.Time{}, now), None},
		{"set for hours", WhenSet(now.Add(4*time.Hour-80*time.Millisecond), now), "in 4h, 15:59"},
		{"set by a clock ahead", WhenSet(now.Add(4*time.Hour+80*time.Millisecond), now), "in 4h, 16:00"},
		{"set for minutes and seconds", WhenSet(now.Add(90*time.Minute+29*time.Second), now), "in 1h 30m, 13:30"},
		{"set for few minutes", WhenSet(now.Add(5*time.Minute-time.Second), now), "in 5m, 12:04"},
		{"set for fewer", WhenSet(now.Add(4*time.Minute+29*time.Second-80*time.Millisecond), now), "in 4m 29s, 12:04"},
		{"set for a minute", WhenSet(now.Add(time.Minute-80*time.Millisecond), now), "in 1m, 12:00"},
		{"set for days", WhenSet(now.Add(7*24*time.Hour-80*time.Millisecond), now), "in 7d, Mar 8"},
		{"set and over", WhenSet(now.Add(-time.Minute), now), "1m ago, 11:59"},
		{"no time", When(time.Time{}, now), None},
		{"today", When(now.Add(2*time.Hour+5*time.Minute), now), "in 2h 5m, 14:05"},
		{"another day", When(now.Add(36*time.Hour), now), "in 1d 12h, Mar 3 00:00"},
		{"far", When(now.Add(60*time.Hour), now), "in 2d 12h, Mar 4"},
		{"cut at the end", Cut("a sentence of some length", 10), "a sentenc…"},
		{"nothing to cut", Cut("short", 10), "short"},
		{"until today", Until(now.Add(time.Hour), now), "1h, 13:00"},
		{"until tomorrow", Until(now.Add(12*time.Hour), now), "12h, Mon 00:00"},
		{"until next week", Until(now.Add(8*24*time.Hour), now), "8d, Mar 9"},
		{"much money", Money(1_234_565_000_000), "$1.2M"},
		{"past", When(now.Add(-time.Minute), now), "1m ago, 11:59"},
		{"control characters", Clean("a\x1b[31mb\nc\u202e"), "a?[31mb?c?"},
		{"shortened in the middle", Shorten("claude-max/weekly-sonnet", 11), "claud…onnet"},
		{"wide runes", Shorten("日本語日本語", 7), "日…語"},
		{"short enough", Shorten("abc", 3), "abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

func TestTableFitsTheScreen(t *testing.T) {
	t.Parallel()
	table := &Table{Columns: []Column{{Title: "NAME", Shrink: true}, {Title: "USED", Right: true}, {Title: "UNUSED"}, {Title: "RESET"}}}
	table.Add(Text("an-agent-with-a-name-that-is-far-longer-than-anybody-would-want-to-read-in-a-table"), Text("1,234"), Text(""), Text("in 2h, 14:05"))
	table.Add(Text("日本語"), Toned(Bad, "7"))
	var out bytes.Buffer
	New(&out, func(string) string { return "" }).Table(table)
	if whole := out.String(); strings.Contains(whole, "…") || !strings.Contains(whole, table.Rows[0][0].Text) {
		t.Errorf("a name is shortened where no terminal is:\n%s", whole)
	}
	out.Reset()
	New(&out, func(string) string { return "80" }).Table(table)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), out.String())
	}
	for _, line := range lines {
		if w := text.StringWidth(line); w > DefaultWidth || strings.HasSuffix(line, " ") {
			t.Errorf("line is %d wide or ends in a blank: %q", w, line)
		}
	}
	if strings.Contains(out.String(), "UNUSED") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("an empty column or colour is shown:\n%s", out.String())
	}
	if !strings.Contains(lines[1], "…") || !strings.HasSuffix(lines[1], "1,234  in 2h, 14:05") {
		t.Errorf("the name is not what was shortened: %q", lines[1])
	}
}

func TestColourIsOnlyPainted(t *testing.T) {
	t.Parallel()
	s := &Screen{width: DefaultWidth, colour: true}
	if got, want := s.Paint(Bad, "low\x1b[0m"), "\x1b[31mlow?[0m\x1b[0m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := s.Paint(Plain, "x"); got != "x" {
		t.Errorf("plain text became %q", got)
	}
}

func TestNoteWraps(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	New(&out, func(string) string { return "" }).Note(Plain, strings.Repeat("a sentence of some length ", 8))
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		if len(line) > DefaultWidth {
			t.Errorf("line of %d columns: %q", len(line), line)
		}
	}
}
