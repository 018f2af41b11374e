package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/forecast"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// showStatus writes the status for people: limits by account, what is low, who holds what, the figures.
func (c *statusCommand) showStatus(doc *statusDocument) {
	s, now := c.screen, doc.Now.Time().Local()
	if len(doc.Accounts)+len(doc.Limits) == 0 {
		s.Note(screen.Plain, "Nothing is configured yet: hand in accounts and limits with `bursar apply -f FILE`.")
		return
	}
	for i := range doc.Accounts {
		c.showAccount(&doc.Accounts[i], now)
	}
	if len(doc.Limits) > 0 {
		c.showLimits(teamsTitle, doc.Limits, 0, now)
	}
	c.showTeams(doc.Teams)
	c.showBlocks(doc.Blocks)
	for _, w := range doc.Warnings {
		s.Note(warningTone(w.Level), w.Level+": "+w.LimitID+" "+w.Message)
	}
	if len(doc.Blocks)+len(doc.Warnings) > 0 {
		s.Printf("\n")
	}
	c.showOpen(doc.Reservations, now)
	if doc.Queued > 0 {
		c.showQueue(doc.Queue, doc.Queued, now)
	}
	c.showMetrics(&doc.Metrics)
}

func (c *statusCommand) showBlocks(blocks []wire.Block) {
	for _, b := range blocks {
		c.screen.Note(screen.Caution, "held back: "+strings.TrimSpace(b.Target+" "+b.Name)+", by "+b.By+reasonText(b.Reason))
	}
}

// teamsTitle stands above limits of no account.
const teamsTitle = "Teams and workspace"

func reasonText(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func warningTone(level string) screen.Tone {
	if level == levelExhausted {
		return screen.Bad
	}
	return screen.Caution
}

// warningText words what is low, after the limit's id.
func warningText(l *wire.Limit, level string, runsOut wire.Time, now time.Time) string {
	text := "has " + quantity(l.Available, l.Unit) + " left"
	if level == levelExhausted {
		text = "has nothing left"
	}
	if l.UsedPercent != nil {
		text += fmt.Sprintf(", %s used", percentText(*l.UsedPercent))
	}
	if runsOut != 0 && level != levelExhausted {
		text += "; at this pace it runs out " + clock(runsOut, now.Local())
	}
	if l.ResetsAt != 0 {
		text += "; resets " + l.ResetsAt.Time().Local().Format("Jan 2 15:04")
	}
	return text
}

// runsOutAtPace is when a window runs out if it goes on as it did so far; 0 where that is not before its end.
func runsOutAtPace(l *wire.Limit, now time.Time) wire.Time {
	if l.StartsAt == 0 {
		return 0
	}
	w := forecast.Window{Start: l.StartsAt.Time(), End: l.ResetsAt.Time(), Used: float64(l.Used + l.Outside), Capacity: float64(l.Capacity)}
	if p := w.Pace(now); p.ElapsedShare >= leastElapsed && !p.RunsOutAt.IsZero() {
		return wireTime(p.RunsOutAt)
	}
	return 0
}

// leastElapsed is tooEarly as a share.
const leastElapsed = float64(tooEarly) / 100_000

func (c *statusCommand) showAccounts(r *wire.AccountsReply, now time.Time) {
	if len(r.Accounts) == 0 {
		c.screen.Note(screen.Plain, "No accounts: hand them in with `bursar apply -f FILE`.")
	}
	for i := range r.Accounts {
		c.showAccount(&r.Accounts[i], now)
	}
	c.showBlocks(r.Blocks)
}

func (c *statusCommand) showAccount(a *wire.Account, now time.Time) {
	title := a.Account + c.screen.Paint(screen.Plain, "  "+strings.Join(nonEmpty(a.Provider, a.Kind, a.Tier), ", "))
	if len(a.Teams) > 0 {
		title += ", for " + strings.Join(a.Teams, " and ")
	}
	c.showLimits(title, a.Limits, a.ClosedUntil, now)
	if len(a.Limits) == 0 {
		c.screen.Note(screen.Faint, "It has no limits: observe a window of it, or configure its tier or capacities.")
		c.screen.Printf("\n")
	}
	c.showTold(a, now)
}

func nonEmpty(texts ...string) []string {
	var list []string
	for _, t := range texts {
		if t != "" {
			list = append(list, t)
		}
	}
	return list
}

// showLimits writes the limits under a title. Limits that nothing has touched are counted only, unless all are asked
// for: an account has dozens of limits per minute that are full nearly always. Until refused, the provider refuses the account
// whatever is left of its windows.
func (c *statusCommand) showLimits(title string, limits []wire.Limit, refused wire.Time, now time.Time) {
	s := c.screen
	if title != "" {
		s.Title(title)
	}
	t := &screen.Table{Columns: []screen.Column{
		{Title: "LIMIT", Shrink: true}, {Title: "AVAILABLE", Right: true}, {Title: "OF", Right: true}, {Title: "USED", Right: true},
		{Title: "HELD", Right: true}, {Title: "OUTSIDE", Right: true}, {Title: "USE", Right: true}, {Title: "RESETS"},
	}}
	untouched := 0
	for i := range limits {
		if l := &limits[i]; c.all || !idle(l) {
			t.Add(c.limitRow(l, max(refused, l.ClosedUntil), now)...)
		} else {
			untouched++
		}
	}
	if len(t.Rows) > 0 {
		s.Table(t)
	}
	for i := range limits {
		c.showClosed(&limits[i], now)
		c.showKept(&limits[i], now)
	}
	if untouched > 0 {
		s.Printf("%s\n", s.Paint(screen.Faint, fmt.Sprintf("%d %s untouched (--all shows them)", untouched, plural(int64(untouched), "limit", "limits"))))
	}
	s.Printf("\n")
}

// showByAccount writes the limits that bind an agent below their accounts: their names are those of the account's windows.
func (c *statusCommand) showByAccount(limits []wire.Limit, now time.Time) {
	var accounts []string
	of := map[string][]wire.Limit{}
	for i := range limits {
		name := cmp.Or(limits[i].Account, teamsTitle)
		if of[name] == nil {
			accounts = append(accounts, name)
		}
		of[name] = append(of[name], limits[i])
	}
	for _, name := range accounts {
		c.showLimits(name, of[name], 0, now)
	}
}

// idle tells whether a limit is full and closed: a limit per minute or a model's window that nobody uses.
func idle(l *wire.Limit) bool {
	return l.Used == 0 && l.Held == 0 && l.Outside == 0 && l.Observed == nil && l.ClosedUntil == 0 && (l.Window == "bucket" || l.ModelGroup != "")
}

func (c *statusCommand) limitRow(l *wire.Limit, closedUntil wire.Time, now time.Time) []screen.Cell {
	tone := screen.Plain
	if level := c.level(l); level != "" {
		tone = warningTone(level)
	}
	outside := ""
	if l.Outside != 0 {
		outside = amount(l.Outside, l.Unit)
	}
	capacity, available := amount(l.Capacity, l.Unit), amount(l.Available, l.Unit)
	if l.Capacity == 0 {
		capacity, available = screen.None, screen.None
	}
	if closedUntil.Time().After(now) {
		tone, available = screen.Bad, "closed"
	}
	use := screen.None
	if l.UsedPercent != nil {
		use = percentText(*l.UsedPercent)
	}
	return []screen.Cell{
		screen.Text(limitName(l)), screen.Toned(tone, available), screen.Text(capacity), screen.Text(amount(l.Used, l.Unit)),
		screen.Text(amount(l.Held, l.Unit)), screen.Text(outside), screen.Toned(tone, use), screen.Toned(screen.Faint, resetText(l, now)),
	}
}

// limitName is short: the window's name and the model group below the title of the account, else the id.
func limitName(l *wire.Limit) string {
	if l.Account == "" || l.Name == "" {
		return l.LimitID
	}
	name := strings.ReplaceAll(l.Name, "_per_minute", "/min")
	if l.ModelGroup != "" && !strings.HasSuffix(name, l.ModelGroup) {
		name += " " + l.ModelGroup
	}
	return name
}

// resetText tells when the window begins anew.
func resetText(l *wire.Limit, now time.Time) string {
	switch {
	case l.Window == "bucket":
		return "refills"
	case l.Window == "concurrent":
		return "at once"
	case l.ResetsAt == 0:
		return "at first use"
	}
	return screen.Until(l.ResetsAt.Time(), now)
}

// amount writes units of a limit in a table; money from 100 dollars on without cents.
func amount(n int64, unit string) string {
	const dollar = 1_000_000
	switch {
	case unit == "micro_usd" && n >= 100*dollar:
		return "$" + screen.Short((n+dollar/2)/dollar)
	case unit == "micro_usd":
		return screen.Money(n)
	}
	return screen.Short(n)
}

// quantity writes units of a limit in a sentence.
func quantity(n int64, unit string) string {
	if unit == "micro_usd" {
		return screen.Money(n)
	}
	return screen.Count(n) + " " + strings.ReplaceAll(unit, "_", " ")
}

func percentText(p wire.Percent) string {
	const whole = 100_000
	return screen.Percent(int64(p), whole)
}

// openShown bounds the open reservations of a table; the JSON has more.
const openShown = 15

func (c *statusCommand) showOpen(open []wire.ReservationView, now time.Time) {
	s := c.screen
	if len(open) == 0 {
		s.Printf("No open reservations.\n\n")
		return
	}
	s.Title(fmt.Sprintf("%d open %s", len(open), plural(int64(len(open)), "reservation", "reservations")))
	t := &screen.Table{Columns: []screen.Column{
		{Title: "AGENT", Shrink: true}, {Title: "TEAM", Shrink: true}, {Title: "ACCOUNT", Shrink: true}, {Title: "MODEL", Shrink: true},
		{Title: "GRANTED", Right: true}, {Title: "USED", Right: true}, {Title: "ENDS IN", Right: true},
	}}
	for i := range open[:min(len(open), openShown)] {
		r := &open[i]
		granted, used := totalTokens(r.Granted.Tokens), totalTokens(r.Used.Tokens)
		t.Add(screen.Text(r.Agent), screen.Text(r.Team), screen.Text(cmp.Or(r.Account, r.Provider)), screen.Text(r.Model),
			screen.Text(screen.Short(granted)), screen.Toned(useTone(used, granted), screen.Percent(used, granted)),
			screen.Text(screen.Span(r.ExpiresAt.Time().Sub(now))))
	}
	s.Table(t)
	if more := len(open) - openShown; more > 0 {
		s.Printf("%s\n", s.Paint(screen.Faint, fmt.Sprintf("and %d more (`bursar list` shows all)", more)))
	}
	s.Printf("\n")
}

func (c *statusCommand) showMetrics(m *statusMetrics) {
	s := c.screen
	s.Title("So far")
	c.line("tokens", screen.Count(m.TotalTokens)+" used, "+screen.Count(m.HeldTokens)+" held, "+screen.Money(m.CostMicroUSD))
	if m.UnpricedTokens > 0 {
		c.line("", screen.Count(m.UnpricedTokens)+" tokens are of models without a price")
	}
	c.line("active", fmt.Sprintf("%s of %s", counted(m.ActiveReservations, "reservation"), counted(m.ActiveAgents, "agent")))
	c.line("decided", fmt.Sprintf("%s granted, %s denied, of those %s for lack of quota",
		screen.Count(m.Granted), screen.Count(m.Denied), screen.Count(m.ExhaustionEvents)))
	if m.Queued > 0 {
		c.line("queued", fmt.Sprintf("%s, of those %s granted, %s in vain", screen.Count(m.Queued), screen.Count(m.QueueGranted), screen.Count(m.QueueEnded)))
	}
	c.line("holds", fmt.Sprintf("%s live, %s expired, %s overrun", screen.Count(m.HoldsLive), screen.Count(m.HoldsExpired), screen.Count(m.HoldsOverrun)))
}

func counted(n int64, noun string) string {
	return screen.Count(n) + " " + plural(n, noun, noun+"s")
}
