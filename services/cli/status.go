package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// lowTokens is what counts as low by default, in tokens.
const lowTokens = 10_000

// statusCommand shows what is left and who holds it.
type statusCommand struct {
	*app
	agent string
	low   int64
	all   bool
}

// statusDocument is the JSON of status.
type statusDocument struct {
	Workspace     string                 `json:"workspace"`
	Now           wire.Time              `json:"now"` // ledger time
	ConfigVersion uint64                 `json:"config_version"`
	Metrics       statusMetrics          `json:"metrics"`
	Accounts      []wire.Account         `json:"accounts"`
	Limits        []wire.Limit           `json:"limits"` // of teams, agents and the workspace
	Teams         []wire.TeamStatus      `json:"teams"`
	Blocks        []wire.Block           `json:"blocks"`
	Warnings      []statusWarning        `json:"warnings"`
	Reservations  []wire.ReservationView `json:"reservations"` // the open ones, oldest first
	// MoreReservations tells that there are more open ones than are listed.
	MoreReservations bool `json:"more_reservations"`
	// Queue is the front of the queue, and Queued how many wait.
	Queue  []wire.WaitingView `json:"queue"`
	Queued int64              `json:"queued"`
}

// statusMetrics are the figures of the whole workspace, over the life of its ledger but for those that say active,
// live or held.
type statusMetrics struct {
	TotalTokens        int64 `json:"total_tokens"`
	CostMicroUSD       int64 `json:"cost_micro_usd"`
	UnpricedTokens     int64 `json:"unpriced_tokens"`
	HeldTokens         int64 `json:"held_tokens"`
	ActiveReservations int64 `json:"active_reservations"`
	ActiveAgents       int64 `json:"active_agents"`
	Granted            int64 `json:"granted"`
	Denied             int64 `json:"denied"`
	ExhaustionEvents   int64 `json:"exhaustion_events"`
	HoldsLive          int64 `json:"holds_live"`
	HoldsExpired       int64 `json:"holds_expired"`
	HoldsOverrun       int64 `json:"holds_overrun"`
	Queued             int64 `json:"queued"`        // reserves that were given a place in the queue
	QueueGranted       int64 `json:"queue_granted"` // of those
	QueueEnded         int64 `json:"queue_ended"`   // of those, without a grant
}

// statusWarning is one limit that is low.
type statusWarning struct {
	LimitID     string        `json:"limit_id"`
	Level       string        `json:"level"` // low or exhausted
	Available   int64         `json:"available"`
	Unit        string        `json:"unit"`
	UsedPercent *wire.Percent `json:"used_percent,omitzero"`
	ResetsAt    wire.Time     `json:"resets_at,omitzero"`
	// RunsOutAtPaceAt is when it runs out if it goes on as in its window so far; absent where that is not before the reset.
	RunsOutAtPaceAt wire.Time `json:"runs_out_at_pace_at,omitzero"`
	Message         string    `json:"message"`
}

func (a *app) status() *cobra.Command {
	c := &statusCommand{app: a}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is left of each limit, and who holds it",
		Long: "Show each account and window with what is available, used and held, when it resets and what is low;\n" +
			"then the open reservations and the figures of the workspace. With --agent, as that agent sees it.",
		Example: "  bursar status\n  bursar status --all\n  bursar status --json | jq '.warnings'\n  bursar status --agent builder-01 --principal demo",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&c.agent, "agent", "", "show how the agent `NAME` of the principal stands")
	cmd.Flags().Int64Var(&c.low, "low", lowTokens, "warn when fewer than `N` tokens are available")
	cmd.Flags().BoolVar(&c.all, "all", false, "show the limits that are untouched too")
	return cmd
}

func (c *statusCommand) run(ctx context.Context) error {
	if c.low < 0 {
		return usagef("--low must not be negative")
	}
	if c.agent != "" {
		return c.asAgent(ctx, c.ofAgent)
	}
	return c.connected(ctx, func(ctx context.Context, b *remote) error {
		accounts, err := b.Accounts(ctx, wire.AccountsRequest{})
		if err != nil {
			return err
		}
		open, err := b.allReservations(ctx, wire.ReservationsRequest{}, maxListed)
		if err != nil {
			return err
		}
		queue, err := b.Queue(ctx, wire.QueueRequest{Limit: openShown})
		if err != nil {
			return err
		}
		doc := c.document(b.workspace, accounts, open)
		doc.Queue, doc.Queued = list(queue.Waiting), queue.Total
		return c.show(doc, func() { c.showStatus(doc) })
	})
}

func (c *statusCommand) document(workspace string, r *wire.AccountsReply, open *wire.ReservationsReply) *statusDocument {
	doc := &statusDocument{
		Workspace: workspace, Now: r.Now, ConfigVersion: r.ConfigVersion, Accounts: list(r.Accounts), Limits: list(r.Limits),
		Teams: list(r.Teams), Blocks: list(r.Blocks), Reservations: list(open.Reservations), MoreReservations: open.Next != "", Warnings: []statusWarning{},
	}
	if r.Totals != nil {
		doc.Metrics = metricsOf(r.Totals)
	}
	for i := range r.Accounts {
		doc.Warnings = append(doc.Warnings, c.warnings(r.Accounts[i].Limits, r.Now.Time())...)
	}
	doc.Warnings = append(doc.Warnings, c.warnings(r.Limits, r.Now.Time())...)
	return doc
}

func metricsOf(t *wire.Totals) statusMetrics {
	return statusMetrics{
		TotalTokens: t.UsedTokens, CostMicroUSD: t.CostMicroUSD, UnpricedTokens: t.UnpricedTokens, HeldTokens: t.HeldTokens,
		ActiveReservations: t.Live, ActiveAgents: t.LiveAgents, Granted: t.Granted, Denied: t.Denied, ExhaustionEvents: t.Exhausted,
		HoldsLive: t.Live, HoldsExpired: t.Expired, HoldsOverrun: t.Overruns,
		Queued: t.Queued, QueueGranted: t.QueueGranted, QueueEnded: t.QueueEnded,
	}
}

func (c *statusCommand) warnings(limits []wire.Limit, now time.Time) []statusWarning {
	var found []statusWarning
	for i := range limits {
		if level := c.level(&limits[i]); level != "" {
			l := &limits[i]
			runsOut := runsOutAtPace(l, now)
			found = append(found, statusWarning{
				LimitID: l.LimitID, Level: level, Available: l.Available, Unit: l.Unit, UsedPercent: l.UsedPercent, ResetsAt: l.ResetsAt,
				RunsOutAtPaceAt: runsOut, Message: warningText(l, level, runsOut, now),
			})
		}
	}
	return found
}

// The levels of warnings.
const (
	levelLow       = "low"
	levelExhausted = "exhausted"
)

// warnPercent is the use at which a limit counts as low: the first of the default thresholds.
const warnPercent wire.Percent = 75_000

// level tells whether a limit is low. Buckets refill within minutes and are left out; so is a limit whose capacity is
// smaller than what counts as low.
func (c *statusCommand) level(l *wire.Limit) string {
	if l.Window == "bucket" || l.Capacity == 0 && l.UsedPercent == nil {
		return ""
	}
	if l.Available == 0 && l.Capacity > 0 {
		return levelExhausted
	}
	inTokens := l.Unit == "tokens" || l.Unit == "input_tokens" || l.Unit == "output_tokens"
	if inTokens && l.Window != "concurrent" && l.Capacity > c.low && l.Available < c.low {
		return levelLow
	}
	if l.UsedPercent != nil && *l.UsedPercent >= warnPercent {
		return levelLow
	}
	return ""
}

// ofAgent shows how one agent stands.
func (c *statusCommand) ofAgent(ctx context.Context, b *remote) error {
	reply, err := b.Agent(c.agent).Status(ctx, wire.StatusRequest{})
	if err != nil {
		return err
	}
	return c.show(reply, func() {
		now := reply.Now.Time()
		c.screen.Printf("%s of %s, team %s\n\n", c.screen.Paint(screen.Strong, reply.Agent), screen.Clean(reply.Principal), screen.Clean(reply.Team))
		c.showByAccount(reply.Limits, now)
		c.showOpen(reply.Reservations, now)
		if len(reply.Queue) > 0 {
			c.showQueue(reply.Queue, int64(len(reply.Queue)), now)
		}
		c.showNotices(reply.Notices)
	})
}

// accounts lists the accounts and their limits.
func (a *app) accounts() *cobra.Command {
	c := &statusCommand{app: a, low: lowTokens, all: true}
	cmd := &cobra.Command{
		Use:     "accounts [ACCOUNT]",
		Short:   "List the accounts with every limit",
		Example: "  bursar accounts\n  bursar accounts claude-max\n  bursar accounts --json | jq '.accounts[].account'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.connected(cmd.Context(), func(ctx context.Context, b *remote) error {
				var request wire.AccountsRequest
				if len(args) > 0 {
					request.Account = args[0]
				}
				reply, err := b.Accounts(ctx, request)
				if err != nil {
					return err
				}
				return a.show(reply, func() { c.showAccounts(reply, time.Now()) })
			})
		},
	}
	return cmd
}
