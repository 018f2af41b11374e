package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/follow"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// watchCommand follows the public events.
type watchCommand struct {
	*app
	since string
	types []string
	agent string
	count int
}

func (a *app) watch() *cobra.Command {
	c := &watchCommand{app: a}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Follow what happens, from the past on when asked",
		Long: "Follow the public events, one a line: grants, denials, usage, warnings, advice. With --json a line is the\n" +
			"whole CloudEvent. It goes on across restarts of the server without a gap, until interrupted.",
		Example: "  bursar watch\n  bursar watch --since 1h --type reservation.denied\n  bursar watch --agent builder-01 --json | jq .data\n" +
			"  bursar watch --since 24h --type limit --count 10",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.since, "since", "", "begin in the past: a span such as 1h, or an RFC 3339 `TIME`")
	flags.StringSliceVar(&c.types, "type", nil, "only this `TYPE` of event (reservation.granted), or all of a kind (reservation); may be repeated")
	flags.StringVar(&c.agent, "agent", "", "only what concerns the agent `NAME`")
	flags.IntVar(&c.count, "count", 0, "end after `N` events")
	complete(cmd, "type", wire.EventKinds())
	return cmd
}

func (c *watchCommand) run(ctx context.Context) error {
	start, err := sinceTime(c.since, time.Now())
	if err != nil {
		return err
	}
	if c.count < 0 {
		return usagef("--count must not be negative")
	}
	return c.reading(ctx, func(ctx context.Context, workspace string, nc *nats.Conn) error {
		subjects, err := follow.Subjects(workspace, c.agent, c.types)
		if err != nil {
			return usage(err)
		}
		seen := 0
		err = follow.Events(ctx, nc, follow.Query{Subjects: subjects, Since: start, Log: c.log}, func(body []byte) error {
			if err := c.print(body); err != nil {
				return err
			}
			if seen++; c.count > 0 && seen == c.count {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
}

// errEnough ends a watch that has shown what was asked for.
var errEnough = errors.New("enough")

// sinceTime reads --since: a span up to now, or a time; empty means now.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if span, err := time.ParseDuration(text); err == nil && span >= 0 {
		return now.Add(-span), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usagef("--since %q is neither a span such as 1h nor an RFC 3339 time", text)
	}
	return at, nil
}

func (c *watchCommand) print(body []byte) error {
	event, err := wire.DecodeEvent(body)
	if err != nil {
		c.log.Warn("an event that cannot be read is left out", "error", err)
		return nil
	}
	if c.options.json {
		if err := json.NewEncoder(c.process.Stdout).Encode(json.RawMessage(body)); err != nil {
			return fmt.Errorf("write an event: %w", err)
		}
		return nil
	}
	tone, text := describe(&event)
	s := c.screen
	head := event.Time.Time().Local().Format("15:04:05") + "  " + fmt.Sprintf("%-9s", headline(&event))
	s.Printf("%s %s\n", s.Paint(tone, head), screen.Cut(screen.Clean(text), s.Width()-len(head)-1))
	return nil
}

// headline says in a word what happened: the outcome of what was closed, else the last part of the type.
func headline(e *wire.Event) string {
	var closed wire.ReservationClosedData
	if e.Kind() == quota.KindReservationClosed && e.Into(&closed) == nil {
		return screen.Clean(closed.Outcome)
	}
	_, last, _ := strings.Cut(e.Kind(), ".")
	return screen.Clean(last)
}

// describe words an event in one line. An event that this version does not know is shown as it is.
func describe(e *wire.Event) (screen.Tone, string) {
	switch e.Kind() {
	case quota.KindReservationGranted, quota.KindReservationDenied, quota.KindReservationExtended, quota.KindReservationExpiring,
		quota.KindReservationPreempting, quota.KindReservationShrunk, quota.KindReservationClosed:
		return describeReservation(e)
	case quota.KindUsageRecorded:
		var d wire.UsageRecordedData
		if e.Into(&d) == nil {
			return describeUsage(&d)
		}
	case quota.KindLimitWarning:
		var d wire.LimitWarningData
		if e.Into(&d) == nil {
			return screen.Caution, fmt.Sprintf("%s is at %d%%: %s of %s spent", d.LimitID, d.ThresholdPercent, screen.Short(d.Spent), screen.Short(d.Capacity))
		}
	case wire.KindSuggestionMade:
		var d wire.Suggestion
		if e.Into(&d) == nil {
			return screen.Strong, d.Title + " (" + screen.Money(d.SavingMicroUSD) + ")"
		}
	}
	return describeOther(e)
}

func describeReservation(e *wire.Event) (screen.Tone, string) {
	switch e.Kind() {
	case quota.KindReservationGranted:
		var d wire.ReservationGrantedData
		if e.Into(&d) == nil {
			return screen.Good, fmt.Sprintf("%s: %s on %s, %s", who(&d.Labels), screen.Short(totalTokens(d.Amount.Tokens)), d.Labels.Account, d.Labels.Model)
		}
	case quota.KindReservationDenied:
		var d wire.ReservationDeniedData
		if e.Into(&d) == nil {
			return screen.Bad, deniedText(&d)
		}
	case quota.KindReservationExtended:
		var d wire.ReservationExtendedData
		if e.Into(&d) == nil {
			return screen.Good, fmt.Sprintf("%s: %s more tokens", who(&d.Labels), screen.Short(totalTokens(d.Amount.Tokens)))
		}
	case quota.KindReservationExpiring:
		var d wire.ReservationExpiringData
		if e.Into(&d) == nil {
			return screen.Caution, fmt.Sprintf("%s: %s ends at %s", who(&d.Labels), d.ReservationID, d.ExpiresAt.Time().Local().Format("15:04:05"))
		}
	case quota.KindReservationPreempting:
		var d wire.ReservationPreemptingData
		if e.Into(&d) == nil {
			return screen.Caution, preemptingText(&d)
		}
	case quota.KindReservationShrunk:
		var d wire.ReservationShrunkData
		if e.Into(&d) == nil {
			return screen.Caution, fmt.Sprintf("%s: gave %s back to team %s on %s, keeps %s", who(&d.Labels), screen.Short(totalTokens(d.Amount.Tokens)),
				d.ForTeam, d.LimitID, screen.Short(totalTokens(d.Granted.Tokens)))
		}
	case quota.KindReservationClosed:
		var d wire.ReservationClosedData
		if e.Into(&d) == nil {
			granted, used := totalTokens(d.Granted.Tokens), totalTokens(d.Used.Tokens)
			return outcomeTone(d.Outcome), fmt.Sprintf("%s: %s of %s used (%s), %s", who(&d.Labels),
				screen.Short(used), screen.Short(granted), screen.Percent(used, granted), screen.Money(d.CostUsedMicroUSD))
		}
	}
	return describeOther(e)
}

func preemptingText(d *wire.ReservationPreemptingData) string {
	at, what := d.ExpiresAt.Time().Local().Format("15:04:05"), "ends"
	if d.Amount != nil {
		what = "gives " + screen.Short(totalTokens(d.Amount.Tokens)) + " back"
	}
	return fmt.Sprintf("%s: %s at %s, team %s reclaims %s", who(&d.Labels), what, at, d.ForTeam, d.LimitID)
}

func outcomeTone(outcome string) screen.Tone {
	if outcome == string(quota.OutcomeExpired) || outcome == string(quota.OutcomePreempted) || outcome == string(quota.OutcomeRevoked) {
		return screen.Caution
	}
	return screen.Plain
}

func deniedText(d *wire.ReservationDeniedData) string {
	text := who(&d.Labels) + ": " + strings.ReplaceAll(d.Code, "_", " ")
	if d.LimitID != "" {
		text += fmt.Sprintf(", %s has %s of %s", d.LimitID, screen.Short(d.Available), screen.Short(d.Requested))
	}
	switch {
	case !d.Retryable:
		text += ", for good"
	case d.RetryAfterMS > 0:
		text += ", again in " + screen.Span(time.Duration(d.RetryAfterMS)*time.Millisecond)
	}
	return text
}

func describeUsage(d *wire.UsageRecordedData) (screen.Tone, string) {
	text := fmt.Sprintf("%s: %s of %s, %s", who(&d.Labels), screen.Short(totalTokens(d.Tokens)), d.Labels.Model, screen.Money(d.CostMicroUSD))
	if d.OverrunTokens > 0 {
		return screen.Caution, text + ", " + screen.Short(d.OverrunTokens) + " beyond"
	}
	return screen.Faint, text
}

// describeOther words what concerns no reservation.
func describeOther(e *wire.Event) (screen.Tone, string) {
	var d struct {
		Config  struct{ Version uint64 }
		Writer  string
		Epoch   uint64
		Span    wire.Span
		Ended   wire.Span
		Used    int64
		LimitID string `json:"limit_id"`
		Target  string
		Name    string
		Reason  string
	}
	if e.Into(&d) != nil {
		return screen.Faint, e.Subject
	}
	switch e.Kind() {
	case quota.KindConfigApplied:
		return screen.Strong, fmt.Sprintf("configuration version %d", d.Config.Version)
	case quota.KindEpochClaimed:
		return screen.Faint, fmt.Sprintf("%s writes the ledger from now on, epoch %d", d.Writer, d.Epoch)
	case quota.KindWindowOpened:
		return screen.Faint, fmt.Sprintf("%s counts until %s", d.Span.LimitID, stamp(d.Span.EndsAt, time.Local))
	case quota.KindWindowRolled:
		return screen.Faint, fmt.Sprintf("%s begins anew after %s", d.Ended.LimitID, screen.Short(d.Used))
	case quota.KindBlockPlaced, quota.KindBlockLifted:
		return screen.Caution, strings.TrimSpace(d.Target+" "+d.Name) + reasonText(d.Reason)
	case quota.KindObservationRecorded:
		return screen.Faint, d.LimitID
	}
	return screen.Faint, e.Subject
}

// who is the agent with its team.
func who(l *wire.Labels) string {
	if l.Team == "" {
		return l.Agent
	}
	return l.Agent + " (" + l.Team + ")"
}
