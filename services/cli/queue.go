package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// ladderFlags say what a reserve would take instead of all at once.
type ladderFlags struct {
	minTokens int64
	maxWait   time.Duration
	noWait    bool
	accounts  []string
	providers []string
	models    []string
	preempt   bool
}

func (f *ladderFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Int64Var(&f.minTokens, "min-tokens", 0, "fewer will do, from `N` tokens on")
	flags.DurationVar(&f.maxWait, "max-wait", 0, "wait in the queue for up to `TIME`; Ctrl-C gives the place up")
	flags.BoolVar(&f.noWait, "no-wait", false, "with --max-wait: tell the place in the queue and end")
	flags.StringSliceVar(&f.accounts, "accept-account", nil, "the account `ID` will do too (without --account: only those)")
	flags.StringSliceVar(&f.providers, "accept-provider", nil, "the provider `NAME` will do too")
	flags.StringSliceVar(&f.models, "accept-model", nil, "the model `NAME`, or PROVIDER/MODEL, will do too")
	flags.BoolVar(&f.preempt, "preemptible", false, "what is not used may be taken back, after a notice")
}

func (f *ladderFlags) fill(r *wire.ReserveRequest) {
	r.MinTokens, r.MaxWaitMS, r.Preemptible = f.minTokens, f.maxWait.Milliseconds(), f.preempt
	r.AcceptAccounts, r.AcceptProviders, r.AcceptModels = f.accounts, f.providers, f.models
}

// reserveOrWait reserves; where the request may wait, it waits and tells the place meanwhile. nil means that the place
// was told and the command ends.
func (c *reserveCommand) reserveOrWait(ctx context.Context, b *remote) (*wire.ReservationReply, error) {
	agent := b.Agent(c.agent.name)
	if c.ladder.noWait {
		return agent.Reserve(ctx, c.reserve)
	}
	granted, queued, err := agent.ReserveOrQueue(ctx, c.reserve)
	if queued == nil {
		return granted, err
	}
	c.tellPlace(queued)
	return queued.Wait(ctx)
}

// tellPlace says on standard error where the reserve waits, so that the output stays the reservation alone.
func (c *reserveCommand) tellPlace(q *client.Queued) {
	place := q.Place()
	fmt.Fprintf(c.process.Stderr, "%s waits: %s\n", q.ID(), placeText(&place, time.Now()))
}

// placeText words a place in the queue.
func placeText(p *wire.QueuePlace, now time.Time) string {
	text := fmt.Sprintf("place %d", p.Position)
	if at := grantText(p, now); at != "" {
		text += ", " + at
	}
	return text + ", gives up " + screen.WhenSet(p.WaitUntil.Time().Local(), now)
}

// grantText words when a grant is predicted; empty where nothing is known.
func grantText(p *wire.QueuePlace, now time.Time) string {
	if p.GrantAt == 0 {
		return ""
	}
	span := func(t wire.Time) string { return screen.Span(max(0, t.Time().Sub(now))) }
	if p.GrantFrom == p.GrantTo || !p.GrantFrom.Time().After(now) {
		return "expected " + expectedText(p, now)
	}
	return fmt.Sprintf("expected in %s (from %s to %s)", span(p.GrantAt), span(p.GrantFrom), span(p.GrantTo))
}

// showQueued tells a person that a reserve waits.
func (a *app) showQueued(r *wire.ReservationReply) {
	s := a.screen
	s.Printf("%s %s\n", s.Paint(screen.Strong, r.ReservationID), s.Paint(screen.Caution, "queued"))
	if r.Queue != nil {
		a.line("place", placeText(r.Queue, time.Now()))
		a.line("grace", "once granted, `bursar report` within "+screen.Span(time.Duration(r.Queue.GraceMS)*time.Millisecond)+", or it expires")
	}
	a.line("cancel", "bursar release "+r.ReservationID)
	a.showNotices(r.Notices)
}

// queueCommand lists what waits.
type queueCommand struct {
	*app
	filter wire.QueueRequest
}

func (a *app) queue() *cobra.Command {
	c := &queueCommand{app: a}
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Show which reserves wait, for what, and until when",
		Long: "List the queued reservations in their order: priority, then the team that had less, then age; waiting\n" +
			"lifts. Those that wait for the same stand together, and PLACE is among them. Cancel one with `bursar revoke`.",
		Example: "  bursar queue\n  bursar queue --team research\n  bursar queue --json | jq '.waiting[].queue'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.connected(cmd.Context(), func(ctx context.Context, b *remote) error {
				reply, err := b.Queue(ctx, c.filter)
				if err != nil {
					return err
				}
				return a.show(reply, func() { a.showQueue(reply.Waiting, reply.Total, reply.Now.Time()) })
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.filter.Agent, "agent", "", "only those of the agent `NAME`")
	flags.StringVar(&c.filter.Team, "team", "", "only those of the team `NAME`")
	flags.Int64Var(&c.filter.Limit, "limit", wire.DefaultListLimit, "list at most `N`")
	return cmd
}

// showQueue writes the queue as a table.
func (a *app) showQueue(waiting []wire.WaitingView, total int64, now time.Time) {
	s := a.screen
	if total == 0 {
		s.Printf("Nothing waits.\n")
		return
	}
	s.Title(fmt.Sprintf("%s in the queue", counted(total, "reserve")))
	t := &screen.Table{Columns: []screen.Column{
		{Title: "PLACE", Right: true}, {Title: "AGENT", Shrink: true}, {Title: "TEAM", Shrink: true}, {Title: "PRIORITY"},
		{Title: "WANTS", Right: true}, {Title: "WAITS FOR", Shrink: true}, {Title: "SINCE", Right: true}, {Title: "EXPECTED", Right: true},
	}}
	for _, w := range byWhatFor(waiting) {
		t.Add(screen.Text(fmt.Sprint(w.Queue.Position)), screen.Text(w.Agent), screen.Text(w.Team), screen.Text(w.Priority),
			screen.Text(wantsText(w)), screen.Text(waitsForText(w.WaitsFor)),
			screen.Text(screen.Span(max(0, now.Sub(w.Queue.QueuedAt.Time())))), screen.Text(expectedText(&w.Queue, now)))
	}
	s.Table(t)
	for i := range waiting {
		a.showOwed(&waiting[i])
	}
	if more := total - int64(len(waiting)); more > 0 {
		text := fmt.Sprintf("and %s more", screen.Count(more))
		if len(waiting) < wire.MaxListLimit {
			text += fmt.Sprintf(" (`bursar queue --limit %d` shows more)", min(total, wire.MaxListLimit))
		}
		s.Printf("%s\n", s.Paint(screen.Faint, text))
	}
	s.Printf("\n")
}

// showOwed tells what floors guarantee to who waits: others have it, and are to give it back.
func (a *app) showOwed(w *wire.WaitingView) {
	for _, on := range w.WaitsFor {
		if on.Owed > 0 {
			a.screen.Note(screen.Faint, screen.Clean(fmt.Sprintf("%s: the floor of team %s on %s guarantees %s of it, and others give that back", w.Agent, w.Team, on.LimitID, screen.Short(on.Owed))))
		}
	}
}

// byWhatFor puts those that wait for the same beside one another, in the order of their places.
func byWhatFor(waiting []wire.WaitingView) []*wire.WaitingView {
	first := map[string]int{} // by what is waited for
	sorted := make([]*wire.WaitingView, len(waiting))
	for i := range waiting {
		sorted[i] = &waiting[i]
		if what := waitsForText(waiting[i].WaitsFor); first[what] == 0 {
			first[what] = i + 1
		}
	}
	slices.SortStableFunc(sorted, func(a, b *wire.WaitingView) int {
		return cmp.Or(cmp.Compare(first[waitsForText(a.WaitsFor)], first[waitsForText(b.WaitsFor)]), cmp.Compare(a.Queue.Position, b.Queue.Position))
	})
	return sorted
}

// wantsText is the amount, and the least that is of use.
func wantsText(w *wire.WaitingView) string {
	text := screen.Short(totalTokens(w.Wanted.Tokens))
	if w.MinTokens > 0 {
		text = screen.Short(w.MinTokens) + "-" + text
	}
	return text
}

// waitsForText lists what is in the way of each choice.
func waitsForText(list []wire.WaitsFor) (text string) {
	for i, w := range list {
		switch {
		case i == 0:
		case w.Choice != 0 && w.Choice == list[i-1].Choice:
			text += " and "
		default:
			text += " or "
		}
		text += cmp.Or(w.LimitID, w.Other)
	}
	return cmp.Or(text, "its turn")
}

// expectedText is the interval within which a grant is predicted: that is promised, and a point is not.
func expectedText(p *wire.QueuePlace, now time.Time) string {
	in := func(t wire.Time) time.Duration { return max(0, t.Time().Sub(now)).Truncate(time.Second) }
	switch from, to := in(p.GrantFrom), max(time.Second, in(p.GrantTo)); {
	case p.GrantAt == 0:
		return "unknown"
	case from == to:
		return "in " + screen.Span(to)
	case from == 0:
		return "within " + screen.Span(to)
	default:
		return screen.Span(from) + "–" + screen.Span(to)
	}
}

// alternativesText words what would be granted instead of what was refused, best first.
func alternativesText(list []wire.Alternative, now time.Time) []string {
	var lines []string
	for _, a := range list {
		model := a.Model
		if model == "" && a.Provider != "" {
			model = "a model of " + a.Provider
		}
		where := strings.Join(nonEmpty(model, a.Account), " on ")
		text := counted(a.Tokens, "token") + ", " + where
		if a.At != 0 {
			text += ", in " + screen.Span(max(0, a.At.Time().Sub(now)))
		} else {
			text += ", now"
		}
		lines = append(lines, text)
	}
	return lines
}
