package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/allocator"
	"github.com/bursarhq/bursar/services/cli/internal/ledgerlog"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
	"github.com/bursarhq/bursar/services/cli/internal/story"
)

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain RESERVATION|REQUEST",
		Short: "Say why a reservation was granted, queued, shrunk or refused",
		Long: "Read the ledger's log and tell the story of one reservation, open or closed, however old: what was asked for,\n" +
			"what was in the way, what was granted, used and returned, and what would have helped. A reserve that was refused\n" +
			"has no reservation: name its request id.",
		Example: "  bursar explain 01936f3e-9d7c-7e5a-8a1b-3c4d5e6f7081",
		Args:    exactly("RESERVATION|REQUEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usagef("give RESERVATION|REQUEST, not an empty one")
			}
			return a.tellStory(cmd.Context(), args[0])
		},
	}
}

func (a *app) tellStory(ctx context.Context, id string) error {
	return a.reading(ctx, func(ctx context.Context, workspace string, nc *nats.Conn) error {
		js, err := jetstream.New(nc)
		if err != nil {
			return fmt.Errorf("open JetStream: %w", err)
		}
		log, err := ledgerlog.Open(ctx, js, workspace)
		if err != nil {
			return err
		}
		config := &quota.Config{}
		if from, err := allocator.KeptFrom(ctx, js, workspace); err == nil {
			config = &from.State().Config
		} else {
			a.log.Warn("where the log begins cannot be read: amounts of money may be shown in micro-USD", "error", err)
		}
		reader := story.NewReader(id, config, a.zoneOfTexts())
		unreadable := 0
		err = log.Each(ctx, func(e ledger.Entry) error {
			c, err := ledger.Decode(e.Data)
			if err != nil {
				unreadable++ // `bursar verify` says which; the rest of the story can be told
				return nil
			}
			reader.Add(c)
			return nil
		})
		if err != nil {
			return err
		}
		if unreadable > 0 {
			a.log.Warn("the log has unreadable commits; bursar verify says which", "commits", unreadable)
		}
		told := reader.Story()
		if len(told.Lines) == 0 {
			return wire.NewError(quota.CodeAllocationNotFound, "nothing in the kept log is about %q: it is no reservation or request of workspace %s, or older than the log", id, workspace)
		}
		return a.show(told, func() { a.showStory(told) })
	})
}

// zoneOfTexts is UTC for scripts, and for people that of the clock on the wall, as in the column beside the texts.
func (a *app) zoneOfTexts() *time.Location {
	if a.options.json {
		return time.UTC
	}
	return time.Local
}

func (a *app) showStory(told *story.Story) {
	s := a.screen
	s.Printf("%s\n", strings.TrimSpace(s.Paint(screen.Strong, told.ID)+" "+screen.Clean(strings.Join(nonEmpty(told.Verdict, told.Who), ", "))))
	for _, line := range told.Lines {
		s.Indented(line.At.Time().Local().Format("01-02 15:04:05")+"  ", line.Text, screen.Plain)
		for _, why := range line.Why {
			s.Indented("                  ", why, screen.Faint)
		}
	}
	if len(told.Helpful) == 0 {
		return
	}
	s.Printf("%s\n", s.Paint(screen.Strong, "What would have helped:"))
	for _, h := range told.Helpful {
		s.Indented("  ", h, screen.Plain)
	}
}
