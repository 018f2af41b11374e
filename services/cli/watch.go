package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/follow"
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
	for _, t := range c.types {
		if err := knownType(t); err != nil {
			return err
		}
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

// knownType refuses a type that no event has: a watch of it would be silent for ever.
func knownType(name string) error {
	var kinds []string
	for _, kind := range wire.EventKinds() {
		if first, _, _ := strings.Cut(kind, "."); kind == name || first == name {
			return nil
		} else if !slices.Contains(kinds, first) {
			kinds = append(kinds, first)
		}
	}
	return usagef("--type %q is no type of event, such as reservation.granted, and no kind of them: %s", name, strings.Join(kinds, ", "))
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
	head := event.Time.Time().Local().Format("15:04:05") + "  " + fmt.Sprintf("%-*s", headlineWidth, headline(&event))
	s.Printf("%s %s\n", s.Paint(tone, head), screen.Cut(screen.Clean(text), s.Room()-len(head)-1))
	return nil
}
