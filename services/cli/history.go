package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// historyCommand shows what was spent.
type historyCommand struct {
	*app
	scope    wire.Scope
	from, to string
	interval string
	peaks    int64
}

// historyDocument is the JSON of history.
type historyDocument struct {
	Summary     wire.SummaryReply   `json:"summary"`
	History     wire.HistoryReply   `json:"history"`
	Peaks       []wire.Peak         `json:"peaks"` // the busiest hours, the busiest first
	Suggestions wire.SuggestionList `json:"suggestions"`
}

func (a *app) history() *cobra.Command {
	c := &historyCommand{app: a}
	cmd := &cobra.Command{
		Use:   "history [TIMEFRAME]",
		Short: "Show what was spent, by whom and when, and what could be saved",
		Long: "Show the usage of a timeframe: totals, breakdowns, the busiest hours and the current suggestions.\n" +
			"A timeframe is a span up to now (90m, 24h, 7d, 4w) or one of today, yesterday, this-week, last-week,\n" +
			"this-month and last-month; or give --from, alone up to now, and --to. A day without a time\n" +
			"is its first moment in the zone, so that --to is the day after the last. The default is the last 24 hours.",
		Example: "  bursar history\n  bursar history last-week --team research\n  bursar history 7d --zone Europe/Berlin --json\n" +
			"  bursar history --from 2026-03-01\n  bursar history --from 2026-03-01T08:00:00Z --to 2026-03-08T20:00:00Z",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"24h", "7d", "4w", "today", "yesterday", "this-week", "last-week", "this-month", "last-month"},
		RunE:      func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.from, "from", "", "`TIME` of the start: a day such as 2026-03-01, or RFC 3339")
	flags.StringVar(&c.to, "to", "", "`TIME` of the end, as --from; default: now")
	flags.StringVar(&c.scope.Zone, "zone", "", "IANA time zone `NAME` in which days are counted; default: this machine's, else UTC")
	flags.StringVar(&c.scope.Provider, "provider", "", "only usage at the provider `NAME`")
	flags.StringVar(&c.scope.Account, "account", "", "only usage of the account `ID`")
	flags.StringVar(&c.scope.Team, "team", "", "only usage of the team `NAME`")
	flags.StringVar(&c.scope.Agent, "agent", "", "only usage of the agent `NAME`")
	flags.StringVar(&c.scope.TaskType, "task", "", "only usage for tasks of the `TYPE`")
	flags.StringVar(&c.scope.Model, "model", "", "only usage of the model `NAME`")
	flags.StringVar(&c.interval, "interval", "", "hour or day; default: hours up to two days, else days")
	flags.Int64Var(&c.peaks, "peaks", wire.DefaultPeaks, "show the `N` busiest hours")
	complete(cmd, "interval", []string{wire.IntervalHour, wire.IntervalDay})
	return cmd
}

func (c *historyCommand) run(ctx context.Context, args []string) error {
	if err := c.readScope(args); err != nil {
		return err
	}
	return c.connected(ctx, func(ctx context.Context, b *remote) error {
		doc, err := c.ask(ctx, b)
		if err != nil {
			return err
		}
		return c.show(doc, func() { c.showHistory(doc) })
	})
}

// ask gathers what a history shows.
func (c *historyCommand) ask(ctx context.Context, b *remote) (*historyDocument, error) {
	summary, err := b.Summary(ctx, wire.SummaryRequest{Scope: c.scope})
	if err != nil {
		return nil, err
	}
	// The other questions are about the same time to the millisecond, so that the parts agree while usage comes in.
	scope := c.scope
	scope.Timeframe, scope.From, scope.To = "", summary.From, summary.To
	history, err := b.History(ctx, wire.HistoryRequest{Scope: scope, Interval: c.interval, Waits: true})
	if err != nil {
		return nil, err
	}
	peaks, err := b.Peaks(ctx, wire.PeaksRequest{Scope: scope, Limit: c.peaks})
	if err != nil {
		return nil, err
	}
	current, err := c.suggestions(ctx)
	if errors.Is(err, errNoReader) { // the figures are worth showing without the advice
		c.log.Warn("suggestions are left out", "error", err)
		current.Suggestions = []wire.Suggestion{}
	} else if err != nil {
		return nil, err
	}
	return &historyDocument{Summary: *summary, History: *history, Peaks: list(peaks.Peaks), Suggestions: current}, nil
}

// readScope turns arguments and flags into the scope of the questions.
func (c *historyCommand) readScope(args []string) error {
	if len(args) > 0 {
		if c.from != "" || c.to != "" {
			return usagef("give a timeframe or --from and --to, not both")
		}
		c.scope.Timeframe = args[0]
	}
	if c.peaks < 1 || c.peaks > wire.MaxPeaks {
		return usagef("--peaks must be from 1 to %d", wire.MaxPeaks)
	}
	if c.to != "" && c.from == "" {
		return usagef("--to %s needs --from: write when the time begins, such as --from 2026-03-01", c.to)
	}
	if c.scope.Zone == "" {
		c.scope.Zone = localZone()
	}
	for _, bound := range []struct {
		flag, text string
		at         *wire.Time
	}{{"--from", c.from, &c.scope.From}, {"--to", c.to, &c.scope.To}} {
		if bound.text == "" {
			continue
		}
		at, ok := dayOrTime(bound.text, zoneOf(c.scope.Zone))
		if !ok {
			return usagef("%s %q is neither a day such as 2026-03-01 nor an RFC 3339 time such as 2026-03-01T00:00:00Z", bound.flag, bound.text)
		}
		*bound.at = wireTime(at)
	}
	return nil
}

// dayOrTime reads a time, or a day, which is its first moment in the zone.
func dayOrTime(text string, zone *time.Location) (time.Time, bool) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return quota.WallInstant(zone, day.Year(), day.Month(), day.Day(), 0), true
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// localZone names this machine's zone where it has a name that a server can know; empty means UTC.
func localZone() string {
	name := time.Local.String()
	if name == "Local" || name == "UTC" {
		return ""
	}
	return name
}
