package cli

import (
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// showTold writes what the provider said of an account beside its limits: windows that nobody configured, and refusals of
// the account as a whole.
func (c *statusCommand) showTold(a *wire.Account, now time.Time) {
	s := c.screen
	said := false
	if len(a.UnknownWindows) > 0 {
		said = true
		s.Printf("%s\n", s.Paint(screen.Faint, "told by the provider, not configured, without effect:"))
		t := &screen.Table{Columns: []screen.Column{
			{Title: "WINDOW", Shrink: true}, {Title: "USED", Right: true}, {Title: "OF", Right: true}, {Title: "RESETS"}, {Title: "TOLD"},
		}}
		for i := range a.UnknownWindows {
			w := &a.UnknownWindows[i]
			o := &w.Observed
			of, resets := "", ""
			if o.Capacity > 0 {
				of = screen.Short(o.Capacity)
			}
			if at := o.ResetsAt.Time(); at.After(now) {
				resets = screen.Until(at.Local(), now)
			}
			t.Add(screen.Text(screen.Clean(w.Window)), screen.Text(toldUse(o)), screen.Text(of), screen.Text(resets), screen.Text(toldHow(o, now)))
		}
		s.Table(t)
	}
	if text, tone := toldLimits(a.Limits, now); text != "" {
		said = true
		s.Note(tone, text)
	} else if a.LimitsSource != nil {
		said = true
		s.Note(screen.Caution, "the source of its limits ("+a.LimitsSource.Type+") has told nothing yet; the configured ones hold")
	}
	if until := a.ClosedUntil.Time(); until.After(now) {
		said = true
		s.Note(screen.Bad, "refused by the provider (429), opens "+screen.When(until.Local(), now))
	}
	if a.Overloads > 0 {
		said = true
		s.Note(screen.Faint, counted(a.Overloads, "answer")+" that the provider is overloaded (529), the last "+screen.When(a.OverloadedAt.Time().Local(), now))
	}
	if said {
		s.Printf("\n")
	}
}

// showClosed tells of a window that the provider refuses, whatever is left of it by the books.
func (c *statusCommand) showClosed(l *wire.Limit, now time.Time) {
	if until := l.ClosedUntil.Time(); until.After(now) {
		c.screen.Note(screen.Bad, limitName(l)+": refused by the provider (429), opens "+screen.When(until.Local(), now))
	}
}

// toldLimits words which limits per minute the provider told, and since when its source is away.
func toldLimits(limits []wire.Limit, now time.Time) (string, screen.Tone) {
	var told, stricter, stale int64
	var last time.Time
	for i := range limits {
		t := limits[i].Told
		if t == nil {
			continue
		}
		told++
		if t.Capacity <= limits[i].Capacity {
			stricter++
		}
		if t.Stale {
			stale++
		}
		if at := t.ToldAt.Time(); at.After(last) {
			last = at
		}
	}
	if told == 0 {
		return "", screen.Plain
	}
	text := counted(told, "limit") + " told by the provider, the last " + screen.When(last.Local(), now) + "; " + screen.Count(stricter) + " of them " + plural(stricter, "decides", "decide")
	if stale > 0 {
		return text + "; " + screen.Count(stale) + " " + plural(stale, "is", "are") + " stale: the source is away, and what it told last stands", screen.Caution
	}
	return text, screen.Faint
}

// toldUse is how much of a window is used, as the provider said it.
func toldUse(o *wire.Observation) string {
	switch {
	case o.UsedPercent != nil:
		return percentText(*o.UsedPercent)
	case o.Used != nil:
		return screen.Short(*o.Used)
	}
	return ""
}

// toldHow is when it was said and where it was read.
func toldHow(o *wire.Observation, now time.Time) string {
	var parts []string
	if o.Signal != "" {
		parts = append(parts, o.Signal)
	}
	if at := o.ObservedAt.Time(); !at.IsZero() {
		parts = append(parts, screen.Span(max(0, now.Sub(at)).Truncate(time.Second))+" ago")
	}
	if o.Source != "" {
		parts = append(parts, "by "+screen.Clean(o.Source))
	}
	return strings.Join(parts, ", ")
}
