package cli

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// showReservation tells a person how a reservation stands after something was done to it.
func (a *app) showReservation(done string, r *wire.ReservationReply) {
	s := a.screen
	s.Printf("%s %s\n", s.Paint(screen.Strong, r.ReservationID), s.Paint(screen.Good, done))
	where := screen.Clean(cmp.Or(r.Account, r.Provider))
	if r.Model != "" {
		where += ", " + screen.Clean(r.Model)
	}
	a.line("account", where)
	a.line("granted", amountText(r.Granted))
	if r.Used != (wire.Amount{}) {
		a.line("used", amountText(r.Used)+usedShare(r))
	}
	if r.Returned != (wire.Amount{}) {
		a.line("returned", amountText(r.Returned))
	}
	a.line("cost", costText(&r.Reservation))
	if r.Outcome == "" {
		a.line("expires", screen.WhenSet(r.ExpiresAt.Time().Local(), time.Now()))
	}
	if r.RetryAfterMS > 0 {
		a.line("pace", "a limit per minute is in debt: wait "+screen.Span(time.Duration(r.RetryAfterMS)*time.Millisecond)+" before the next call")
	}
	a.showNotices(r.Notices)
}

// line writes one labelled fact, on as many lines as it takes; an empty one is left out.
func (a *app) line(label, text string) {
	if text == "" {
		return
	}
	const labelWidth = 12
	const indent = 2
	for i, part := range screen.Wrap(text, a.screen.Width()-indent-labelWidth) {
		if i > 0 {
			label = ""
		}
		a.screen.Printf("  %s%s\n", a.screen.Paint(screen.Faint, fmt.Sprintf("%-*s", labelWidth, label)), part)
	}
}

func usedShare(r *wire.ReservationReply) string {
	granted := totalTokens(r.Granted.Tokens)
	if granted == 0 {
		return ""
	}
	return " (" + screen.Percent(totalTokens(r.Used.Tokens), granted) + ")"
}

func costText(r *wire.Reservation) string {
	switch {
	case r.Unpriced:
		return "not known: the model has no price"
	case r.Outcome != "":
		return screen.Money(r.CostUsedMicroUSD)
	}
	return screen.Money(r.CostUsedMicroUSD) + " of at most " + screen.Money(r.CostUsedMicroUSD+r.CostHeldMicroUSD)
}

// amountText words an amount: the total and the classes that make it up.
func amountText(a wire.Amount) string {
	var parts []string
	for _, class := range []struct {
		n    int64
		name string
	}{
		{a.Tokens.Input, "in"}, {a.Tokens.CacheRead, "cache read"}, {a.Tokens.CacheWrite5m, "cache write 5m"},
		{a.Tokens.CacheWrite1h, "cache write 1h"}, {a.Tokens.Output, "out"},
	} {
		if class.n != 0 {
			parts = append(parts, screen.Count(class.n)+" "+class.name)
		}
	}
	text := counted(totalTokens(a.Tokens), "token")
	if len(parts) > 1 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	if a.Requests > 0 {
		text += ", " + screen.Count(a.Requests) + plural(a.Requests, " request", " requests")
	}
	return text
}

func (a *app) showNotices(notices []wire.Notice) {
	for _, n := range notices {
		text := fmt.Sprintf("notice: reservation %s: %s", screen.Clean(n.ReservationID), screen.Clean(strings.ReplaceAll(n.Kind, "_", " ")))
		text += noticeTerms(&n, time.Now())
		if n.Reason != "" {
			text += ": " + screen.Clean(n.Reason)
		}
		a.screen.Note(screen.Caution, text)
	}
}

// noticeTerms tells what is to be given back, or was, and until when something can be done about it.
func noticeTerms(n *wire.Notice, now time.Time) (text string) {
	kind := quota.NoticeKind(n.Kind)
	switch {
	case n.Amount != nil && kind == quota.NoticeShrunk:
		return ", gave " + counted(totalTokens(n.Amount.Tokens), "token") + " back"
	case n.Amount != nil:
		text = ", gives " + counted(totalTokens(n.Amount.Tokens), "token") + " back"
	case kind == quota.NoticePreempting:
		text = ", is closed"
	}
	if n.ExpiresAt.Time().After(now) && (kind == quota.NoticePreempting || kind == quota.NoticeExpiring) {
		text += " in " + screen.Span(n.ExpiresAt.Time().Sub(now))
	}
	return text
}

func (a *app) showEstimate(e *wire.EstimateReply) {
	s := a.screen
	s.Printf("%s tokens\n", s.Paint(screen.Strong, screen.Count(e.TotalTokens)))
	a.line("divides", classesText(e.Tokens))
	a.line("complexity", e.Complexity)
	a.line("priority", e.Priority)
	if !e.Unpriced {
		a.line("cost", "at most "+screen.Money(e.CostMicroUSD))
	}
	if e.CappedBy != "" {
		a.line("capped", "the task takes more, but "+screen.Clean(e.CappedBy)+" could never grant it")
	}
	a.showGround(e)
	a.showNotices(e.Notices)
}

// showGround says what an estimate rests on; nothing for a server that does not tell.
func (a *app) showGround(e *wire.EstimateReply) {
	switch e.Ground {
	case wire.GroundTable:
		a.line("rests on", "the built-in table: nothing is known of such tasks yet")
	case wire.GroundLearned:
		a.line("rests on", fmt.Sprintf("%s; %s%% of such are to fit", counted(e.Samples, "settled task"),
			strconv.FormatFloat(math.Round(float64(e.TargetPercent)/100)/10, 'f', -1, 64)))
		a.line("interval", fmt.Sprintf("%s (10%%), %s (median), %s tokens (99%%)", screen.Count(e.Low), screen.Count(e.Median),
			screen.Count(e.High)))
	}
}

// reservationTable lists reservations. The id is shown whole: it is what other commands take.
func reservationTable(list []wire.ReservationView, now time.Time) *screen.Table {
	t := &screen.Table{Columns: []screen.Column{
		{Title: "RESERVATION"}, {Title: "AGENT", Shrink: true}, {Title: "ACCOUNT", Shrink: true},
		{Title: "GRANTED", Right: true}, {Title: "USED", Right: true}, {Title: "ENDS"},
	}}
	for i := range list {
		r := &list[i]
		granted, used := totalTokens(r.Granted.Tokens), totalTokens(r.Used.Tokens)
		t.Add(screen.Text(r.ReservationID), screen.Text(r.Agent), screen.Text(r.Account),
			screen.Text(screen.Short(granted)), screen.Toned(useTone(used, granted), screen.Percent(used, granted)), ends(r, now))
	}
	return t
}

// ends tells when an open reservation ends, or how a closed one did.
func ends(r *wire.ReservationView, now time.Time) screen.Cell {
	if r.Outcome == "" {
		return screen.Text(screen.Span(r.ExpiresAt.Time().Sub(now)))
	}
	tone := screen.Faint
	if r.Outcome == "expired" || r.Outcome == "preempted" || r.Outcome == "revoked" {
		tone = screen.Caution
	}
	return screen.Toned(tone, r.Outcome)
}

// useTone colours how much of a reservation is used: beyond it is an overrun.
func useTone(used, granted int64) screen.Tone {
	const nearly = 90
	switch {
	case used > granted:
		return screen.Bad
	case granted > 0 && used >= granted/100*nearly:
		return screen.Caution
	}
	return screen.Plain
}
