package statusline

import (
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// Line words a document and the reservations of the agent in one line. There always is one.
func Line(d *Document, reservations []wire.ReservationView, now time.Time) string {
	var parts []string
	for i := range d.Windows {
		parts = append(parts, windowText(&d.Windows[i], now))
	}
	if len(d.Windows) == 0 && d.Model != "" {
		parts = append(parts, screen.Clean(d.Model))
	}
	if text := reservedText(reservations, now); text != "" {
		parts = append(parts, text)
	}
	if d.CostMicroUSD >= 0 {
		parts = append(parts, screen.Money(d.CostMicroUSD))
	}
	if len(parts) == 0 {
		return "bursar: nothing told yet"
	}
	return strings.Join(parts, " | ")
}

// windowText is a window: session 42% (pace 130%, full in 58m), resets in 2h 13m.
func windowText(w *Window, now time.Time) string {
	text := w.Name + " " + strconv.FormatInt((w.PercentMilli+500)/1000, 10) + "%"
	var inside []string
	if pace, ok := w.Pace(now); ok {
		inside = append(inside, "pace "+strconv.FormatInt(pace, 10)+"%")
	}
	if in, ok := w.Full(now); ok {
		inside = append(inside, "full in "+short(in))
	}
	if len(inside) > 0 {
		text += " (" + strings.Join(inside, ", ") + ")"
	}
	if left := w.ResetAt.Sub(now); !w.ResetAt.IsZero() && left > 0 {
		text += " resets in " + short(left)
	}
	return text
}

// short leaves the seconds out: the line is not looked at for them.
func short(d time.Duration) string { return screen.Span(d.Truncate(time.Minute)) }

// reservedText is what the agent holds: of one reservation how much is left and how long, of several their number.
func reservedText(list []wire.ReservationView, now time.Time) string {
	var left, granted int64
	var ends time.Time
	for i := range list {
		r := &list[i]
		has := r.Granted.Tokens.Total()
		granted += has
		left += max(0, has-r.Used.Tokens.Total())
		if at := r.ExpiresAt.Time(); ends.IsZero() || at.Before(ends) {
			ends = at
		}
	}
	if len(list) == 0 {
		return ""
	}
	text := "reserved "
	if len(list) > 1 {
		text = strconv.Itoa(len(list)) + " reservations, "
	}
	text += screen.Short(left) + " of " + screen.Short(granted) + " left"
	if in := ends.Sub(now); in > 0 {
		text += ", ends in " + screen.Span(in.Truncate(time.Second))
	}
	return text
}
